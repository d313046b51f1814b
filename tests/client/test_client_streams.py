"""Streams of bytes: what goes in comes out, over any cut, and what is not whole is never taken for it."""

from collections.abc import AsyncIterator, Sequence

import pytest
import trio
from blake3 import blake3
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from kpclientd.client import (
    BoxDeletedError,
    BoxTakenError,
    BrokenStreamError,
    ChangedContentError,
    Joiner,
    Progress,
    Sent,
    read_stream,
    write_stream,
)
from kpclientd.client.streams import SHORTEST_BOX, Piece, Splitter
from tests.client.storing import Station, storing, storing_client
from tests.pigeonhole.installed import needs_libraries

CONTENTS = st.binary(max_size=600)
LENGTHS = st.integers(SHORTEST_BOX, 150)


def split(content: bytes, length: int, sent: Progress | None = None, part: int = 7) -> list[Piece]:
    splitter = Splitter(length, sent)
    pieces = []
    for at in range(0, len(content), part):
        pieces += splitter.feed(content[at : at + part])
    return pieces + splitter.end()


@given(CONTENTS, LENGTHS, st.integers(1, 200))
def test_what_is_split_is_joined_again_whatever_the_parts(content: bytes, length: int, part: int) -> None:
    pieces = split(content, length, part=part)
    assert pieces == split(content, length, part=1000)
    joiner = Joiner()
    assert b"".join(joiner.add(piece.content).content for piece in pieces) == content
    assert joiner.progress == pieces[-1].progress
    assert joiner.progress.is_ended
    assert joiner.progress.digest == blake3(content).digest()
    assert all(1 < len(piece.content) <= length for piece in pieces)
    assert [piece.progress.is_ended for piece in pieces] == [False] * (len(pieces) - 1) + [True]


@given(CONTENTS, LENGTHS, st.data())
def test_both_ends_go_on_from_any_box(content: bytes, length: int, data: st.DataObject) -> None:
    pieces = split(content, length)
    cut = data.draw(st.integers(0, len(pieces)))
    sent = pieces[cut - 1].progress if cut else Progress()
    assert split(content, length, sent) == pieces[cut:]
    joiner = Joiner(sent)
    joiner.again(content[: sent.length])
    joiner.check()
    assert b"".join(joiner.add(piece.content).content for piece in pieces[cut:]) == content[sent.length :]


@given(st.binary(min_size=200, max_size=600), LENGTHS, st.data())
def test_another_beginning_is_refused(content: bytes, length: int, data: st.DataObject) -> None:
    pieces = split(content, length)
    sent = data.draw(st.sampled_from(pieces)).progress
    if not sent.length:
        return
    at = data.draw(st.integers(0, sent.length - 1))
    changed = content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]
    with pytest.raises(ChangedContentError):
        split(changed, length, sent)
    with pytest.raises(ChangedContentError):
        split(content[:at], length, sent)
    joiner = Joiner(sent)
    joiner.again(changed[: sent.length])
    with pytest.raises(ChangedContentError):
        joiner.check()


@given(CONTENTS, LENGTHS, st.data())
def test_a_box_that_is_missing_doubled_or_changed_is_noticed(content: bytes, length: int, data: st.DataObject) -> None:
    boxes = [piece.content for piece in split(content, length)]
    at = data.draw(st.integers(0, len(boxes) - 1))
    spoilt = data.draw(
        st.sampled_from(
            [
                [*boxes[:at], *boxes[at + 1 :]],
                [*boxes[: at + 1], *boxes[at:]],
                [*boxes[:at], boxes[at][:-1] + bytes([boxes[at][-1] ^ 1]), *boxes[at + 1 :]],
                [*boxes[:at], boxes[at][:-1], *boxes[at + 1 :]],
                [*boxes[:at], b"\x03" + boxes[at][1:], *boxes[at + 1 :]],
            ]
        )
    )
    joiner = Joiner()
    try:
        for box in spoilt:
            joiner.add(box)
    except BrokenStreamError:
        assert spoilt != boxes
    else:
        assert spoilt == boxes[:-1]  # the end is waited for
        assert not joiner.progress.is_ended


@given(st.binary(max_size=100))
def test_any_bytes_are_a_part_of_a_stream_or_refused(box: bytes) -> None:
    try:
        piece = Joiner().add(box)
    except BrokenStreamError:
        return
    assert piece.content == box[1:] or piece.progress.is_ended


def test_boxes_that_hold_no_end_are_refused() -> None:
    with pytest.raises(ValueError, match="41 are needed"):
        Splitter(SHORTEST_BOX - 1)


async def parts_of(content: bytes, length: int = 100, pause: float = 0.0) -> AsyncIterator[bytes]:
    for at in range(0, len(content), length):
        await trio.sleep(pause)
        yield content[at : at + length]


@needs_libraries
@pytest.mark.parametrize("loss", [0.0, 0.1])
async def test_a_stream_arrives_while_it_is_sent(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock, loss: float
) -> None:
    content = bytes(range(256)) * 6
    async with storing_client(monkeypatch) as (here, client):
        here.network.faults.loss = loss
        stream = await client.boxes.new_stream()
        received: list[bytes] = []

        async def receive() -> None:
            async with read_stream(client.boxes, stream.reader) as pieces:
                async for piece in pieces:
                    received.append(piece.data)

        noted: list[Sent] = []
        async with trio.open_nursery() as nursery:
            nursery.start_soon(receive)
            sent = await write_stream(client.boxes, Sent(stream), parts_of(content), on_stored=noted.append)
        assert b"".join(received) == content
        assert sent == noted[-1]
        assert [one.progress.boxes for one in noted] == list(range(1, len(noted) + 1))
        assert [one.following.number - stream.number for one in noted] == list(range(1, len(noted) + 1))


@needs_libraries
async def test_a_stream_goes_on_where_it_broke_off(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    content = bytes(range(256)) * 4
    async with storing(monkeypatch) as here:
        noted: list[Sent] = []
        async with Station(here, b"1" * 16).client() as client:
            stream = await client.boxes.new_stream()
            with trio.move_on_after(12) as scope:
                await write_stream(client.boxes, Sent(stream), parts_of(content, 150, 2.0), on_stored=noted.append)
            assert scope.cancelled_caught
        assert noted
        async with Station(here, b"2" * 16).client() as client:
            with pytest.raises(BoxTakenError):  # of one box: those behind it might be free, and be taken by this
                await write_stream(client.boxes, Sent(stream), parts_of(b"other"))
            with pytest.raises(ChangedContentError):
                await write_stream(client.boxes, noted[-1], parts_of(b"other" + content))
            await write_stream(client.boxes, noted[-1], parts_of(content))
            async with read_stream(client.boxes, stream.reader) as pieces:
                assert b"".join([piece.data async for piece in pieces]) == content


@needs_libraries
async def test_what_is_no_stream_or_was_deleted_is_told(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async def read_all() -> Sequence[bytes]:
        async with read_stream(client.boxes, stream.reader) as pieces:
            return [piece.data async for piece in pieces]

    async with storing_client(monkeypatch) as (_, client):
        stream = await client.boxes.new_stream()
        await client.boxes.write(stream, b"a letter")
        with pytest.raises(BrokenStreamError, match="box 1 holds no part"):
            await read_all()
        await client.boxes.delete(stream)
        with pytest.raises(BoxDeletedError):
            await read_all()
