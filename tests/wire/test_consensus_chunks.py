"""A document cut by a gateway and put together by a client that trusts nobody."""

import gzip
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.wire.commands import Consensus2, ConsensusCode, GetConsensus2
from kpclientd.wire.consensus import (
    ConsensusAssembler,
    Fetched,
    Unavailable,
    chunk_length,
    compress_document,
    consensus_commands,
    gone,
    not_found,
)
from kpclientd.wire.errors import ConsensusError, SessionStateError
from sphinx.randomness import seeded
from tests.support.vectors import recorded
from tests.wire.links import CODEC, GEOMETRY

EPOCH = 4711
LENGTH = chunk_length(GEOMETRY)
RANDOM = seeded(b"documents")
DOCUMENT = RANDOM.bytes(10_000) + bytes(10_000)
CHUNKS = consensus_commands(DOCUMENT, GEOMETRY)


def asked(limit: int = 1 << 20) -> ConsensusAssembler:
    assembler = ConsensusAssembler(LENGTH, limit)
    assert assembler.request(EPOCH) == GetConsensus2(EPOCH)
    return assembler


def feed_all(assembler: ConsensusAssembler, answers: list[Consensus2]) -> Any:
    outcome = None
    for answer in answers:
        assert outcome is None
        outcome = assembler.feed(answer)
    return (outcome.epoch, outcome.decompress()) if isinstance(outcome, Fetched) else outcome


def chunks_of(compressed: bytes, length: int = 3108) -> list[Consensus2]:
    parts = [compressed[start : start + length] for start in range(0, len(compressed), length)]
    return [Consensus2(0, number, len(parts), part) for number, part in enumerate(parts)]


def test_a_document_comes_back_whole_and_the_place_is_free_again() -> None:
    assembler = asked()
    assert assembler.busy
    assert feed_all(assembler, CHUNKS) == (EPOCH, DOCUMENT)
    assert not assembler.busy
    assembler.request(EPOCH + 1)
    assert feed_all(assembler, CHUNKS) == (EPOCH + 1, DOCUMENT)


def test_all_chunks_but_the_last_are_full_and_the_header_is_the_references() -> None:
    assert len(CHUNKS) > 3
    assert {len(chunk.data) for chunk in CHUNKS[:-1]} == {3108}
    assert 0 < len(CHUNKS[-1].data) <= 3108
    assert [(chunk.chunk, chunk.total) for chunk in CHUNKS] == [(i, len(CHUNKS)) for i in range(len(CHUNKS))]
    assert [len(CODEC.encode(chunk)) for chunk in CHUNKS] == [3123] * (len(CHUNKS) - 1) + [3108]
    compressed = b"".join(chunk.data for chunk in CHUNKS)
    assert compressed[:10].hex() == "1f8b08000000000000ff"
    assert gzip.decompress(compressed) == DOCUMENT


def test_a_genuine_document_comes_out_of_its_recorded_chunks() -> None:
    frames = recorded("genuine_handshake.json")["frames"]
    answers = [CODEC.decode(bytes.fromhex(f["command"])) for f in frames if f["name"] == "Consensus2"]
    chunks = [answer for answer in answers if isinstance(answer, Consensus2)]
    assert len(chunks) == 7
    outcome = feed_all(asked(), chunks[:5])
    compressed = b"".join(chunk.data for chunk in chunks[:5])
    assert outcome[1] == gzip.decompress(compressed)
    assert compress_document(outcome[1])[:10] == compressed[:10]
    assert all(isinstance(asked().feed(chunk), Unavailable) for chunk in chunks[5:])


@pytest.mark.parametrize(("answer", "code"), [(not_found(), ConsensusCode.NOT_FOUND), (gone(), ConsensusCode.GONE)])
def test_an_error_answer_says_whether_to_ask_again(answer: Consensus2, code: ConsensusCode) -> None:
    assembler = asked()
    assert assembler.feed(answer) == Unavailable(EPOCH, code)
    assert not assembler.busy
    assert len(CODEC.encode(answer)) == 3108


def test_only_one_request_is_outstanding() -> None:
    assembler = asked()
    with pytest.raises(SessionStateError, match=str(EPOCH)):
        assembler.request(EPOCH + 1)


def test_an_answer_that_nobody_asked_for_is_spurious() -> None:
    for answer in (CHUNKS[0], gone()):
        with pytest.raises(ConsensusError, match="spurious"):
            ConsensusAssembler(LENGTH).feed(answer)
    assembler = asked()
    feed_all(assembler, CHUNKS)
    with pytest.raises(ConsensusError, match="spurious"):
        assembler.feed(CHUNKS[-1])


def test_a_document_of_more_chunks_than_may_be_is_refused_before_it_is_taken() -> None:
    with pytest.raises(ConsensusError, match="at most"):
        asked(10 * LENGTH).feed(Consensus2(0, 0, 12, bytes(LENGTH)))


def test_a_chunk_that_is_not_the_last_is_full() -> None:
    for short in (LENGTH - 1, 1):
        with pytest.raises(ConsensusError, match="expected 3108"):
            asked().feed(Consensus2(0, 0, 2, CHUNKS[0].data[:short]))


@pytest.mark.parametrize(
    "answers",
    [
        [Consensus2(0, 0, 0, b"x")],
        [CHUNKS[1]],
        [CHUNKS[0], CHUNKS[0]],
        [CHUNKS[0], CHUNKS[2]],
        [CHUNKS[0], Consensus2(0, 1, CHUNKS[0].total + 1, CHUNKS[1].data)],
        [CHUNKS[0], Consensus2(0, 1, 0, CHUNKS[1].data)],
        [Consensus2(0, 0, 2, b"")],
        [CHUNKS[0], gone()],
        [Consensus2(1, 1, 2, b"")],
        [Consensus2(2, 0, 1, b"x")],
        [Consensus2(3, 0, 1, b"")],
        [Consensus2(255, 0, 1, b"")],
    ],
    ids=[
        "no chunks at all",
        "second first",
        "first twice",
        "one missing",
        "total grows",
        "total vanishes",
        "empty",
        "error in the middle",
        "error as a later chunk",
        "error with data",
        "unknown error",
        "highest error",
    ],
)
def test_chunks_that_contradict_each_other_are_refused(answers: list[Consensus2]) -> None:
    with pytest.raises(ConsensusError):
        feed_all(asked(), answers)


COMPRESSED = compress_document(DOCUMENT)


@pytest.mark.parametrize(
    "compressed",
    [
        COMPRESSED[:-1],
        COMPRESSED[: len(COMPRESSED) // 2],
        COMPRESSED + b"\0",
        COMPRESSED + COMPRESSED,
        COMPRESSED[:-8] + bytes(8),
        b"not gzip at all",
        zlib.compress(DOCUMENT),
        COMPRESSED[:5000] + b"\xff" + COMPRESSED[5001:],
    ],
    ids=["cut", "half", "surplus", "two members", "checksum", "text", "zlib", "damaged"],
)
def test_a_stream_without_a_clean_end_is_refused(compressed: bytes) -> None:
    with pytest.raises(ConsensusError):
        feed_all(asked(), chunks_of(compressed))


def test_a_decompression_bomb_stops_at_the_limit_and_not_later() -> None:
    bomb = compress_document(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(ConsensusError, match="more than 100000 bytes"):
        Fetched(EPOCH, bomb, limit=100_000).decompress()
    assert tracemalloc.get_traced_memory()[1] < 1_000_000
    tracemalloc.stop()


def test_what_is_long_although_it_is_compressed_is_refused_before_it_is_taken() -> None:
    with pytest.raises(ConsensusError, match="at most 100000 bytes"):
        asked(limit=100_000).feed(chunks_of(bytes(200_000))[0])


def test_a_document_of_exactly_the_limit_is_taken() -> None:
    assert feed_all(asked(limit=len(DOCUMENT)), CHUNKS) == (EPOCH, DOCUMENT)
    with pytest.raises(ConsensusError):
        feed_all(asked(limit=len(DOCUMENT) - 1), CHUNKS)


def test_no_text_form_shows_the_document() -> None:
    assert "document" not in repr(Fetched(EPOCH, b"document"))


@given(st.binary(max_size=12_000))
def test_any_document_goes_through_a_gateway_unchanged(document: bytes) -> None:
    assert feed_all(asked(), consensus_commands(document, GEOMETRY)) == (EPOCH, document)


@given(st.lists(st.builds(Consensus2, st.integers(0, 3), st.integers(0, 3), st.integers(0, 4), st.binary(max_size=9))))
def test_any_answers_give_outcomes_or_errors_of_the_link(answers: list[Consensus2]) -> None:
    assembler = asked()
    try:
        for answer in answers:
            assembler.feed(answer)
    except ConsensusError:
        pass
