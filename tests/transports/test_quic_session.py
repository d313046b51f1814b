"""Both ends of a QUIC connection without I/O, over networks that lose, delay and reorder."""

import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.transports.quic_session import BURST, IDLE_SECONDS, SEND_BUFFER, WINDOW, QuicSession
from tests.transports.quic_pair import CLIENT, SERVER, Pair, new_client

PATTERN = bytes(range(256)) * 4096


def move(pair: Pair, source: QuicSession, sink: QuicSession, data: bytes, read_size: int = 65536) -> bytes:
    """Send `data` and read it at the other end."""
    received = b""
    rest = data

    def step() -> bool:
        nonlocal received, rest
        rest = rest[source.write(rest) :]
        while more := sink.read(read_size):
            received += more
        return len(received) >= len(data)

    assert pair.run(step, 1000.0)
    return received


def test_the_handshake_ends_and_the_stream_opens_with_its_first_byte() -> None:
    pair = Pair()
    assert pair.run(lambda: pair.client.is_established and pair.server.is_established)
    assert not pair.server.is_open
    pair.open()
    assert not pair.client.is_over
    assert not pair.server.is_over


@pytest.mark.parametrize(("loss", "jitter"), [(0.0, 0.0), (0.1, 0.0), (0.0, 0.02)])
def test_every_byte_arrives_in_order_both_ways(loss: float, jitter: float) -> None:
    pair = Pair(loss=loss, jitter=jitter).open()
    assert move(pair, pair.client, pair.server, PATTERN) == PATTERN
    assert move(pair, pair.server, pair.client, PATTERN) == PATTERN


def test_no_call_has_more_to_seal_than_a_burst() -> None:
    pair = Pair().open()
    move(pair, pair.client, pair.server, PATTERN * 4)
    assert pair.client._quic._loss.congestion_window > 4 * BURST
    assert pair.largest_burst <= BURST // 1100 + 1


@settings(max_examples=20)
@given(
    st.integers(0, 2**32),
    st.sampled_from([0.0, 0.05, 0.2]),
    st.sampled_from([0.0, 0.02]),
    st.lists(st.tuples(st.booleans(), st.integers(0, 100_000)), max_size=5),
    st.integers(1, 5000),
)
def test_any_exchange_over_any_network_is_what_was_sent(
    seed: int, loss: float, jitter: float, turns: list[tuple[bool, int]], read_size: int
) -> None:
    pair = Pair(seed=seed, loss=loss, jitter=jitter).open()
    for from_client, length in turns:
        ends = (pair.client, pair.server) if from_client else (pair.server, pair.client)
        assert move(pair, *ends, PATTERN[:length], read_size) == PATTERN[:length]


@pytest.mark.parametrize("from_client", [True, False])
def test_what_is_not_read_stops_the_sender_and_what_is_read_lets_it_go_on(from_client: bool) -> None:
    pair = Pair().open()
    source, sink = (pair.client, pair.server) if from_client else (pair.server, pair.client)
    written = 0

    def write_all() -> bool:
        nonlocal written
        written += source.write(PATTERN)
        return False

    assert not pair.run(write_all, 25.0)
    assert WINDOW <= written <= WINDOW + SEND_BUFFER
    assert source.room == 0
    before = written
    read = len(sink.read(WINDOW))
    assert read == WINDOW - (1 if from_client else 0)
    assert not pair.run(write_all, 20.0)
    assert written >= before + WINDOW // 2
    assert written <= read + WINDOW + SEND_BUFFER + 1
    assert not (pair.client.is_over or pair.server.is_over)


def test_a_clean_end_comes_after_the_last_byte() -> None:
    pair = Pair(loss=0.1).open()
    pair.client.write(b"last words")
    pair.client.finish()
    assert not pair.client.can_write
    assert pair.run(lambda: pair.server.input_ended)
    assert pair.server.read(100) == b"last words"
    assert pair.server.can_write
    assert move(pair, pair.server, pair.client, b"an answer") == b"an answer"
    assert pair.run(lambda: pair.client.is_flushed)
    assert not pair.server.is_over


@pytest.mark.parametrize("from_client", [True, False])
def test_a_close_is_known_at_once(from_client: bool) -> None:
    pair = Pair().open()
    closer, other = (pair.client, pair.server) if from_client else (pair.server, pair.client)
    began = pair.now
    closer.close()
    assert pair.run(lambda: other.is_over)
    assert pair.now - began <= 0.05
    assert not other.can_write
    assert not other.input_ended
    assert other.failure == "the peer closed the connection"


@pytest.mark.parametrize(
    ("loss", "outcome"), [(0.0, (b"last words", True, None)), (1.0, (b"", False, "the peer closed the connection"))]
)
def test_a_close_right_after_the_end_is_an_end_only_where_nothing_is_missing(
    loss: float, outcome: tuple[bytes, bool, str | None]
) -> None:
    pair = Pair().open()
    pair.server.write(b"last words")
    pair.server.finish()
    pair.loss = loss
    pair.flush()
    pair.loss = 0.0
    pair.server.close()
    assert pair.run(lambda: pair.client.is_over)
    assert (pair.client.read(100), pair.client.input_ended, pair.client.failure) == outcome


def test_silence_ends_the_connection_after_half_a_minute() -> None:
    pair = Pair().open()
    pair.loss = 1.0
    began = pair.now
    assert pair.run(lambda: pair.client.is_over and pair.server.is_over)
    assert "silent for 30 s" in str(pair.client.failure)
    assert pair.now - began == pytest.approx(IDLE_SECONDS, abs=1.0)


def test_a_server_that_never_answers_is_given_up() -> None:
    client, now = new_client(), 0.0
    while (due := client.timer()) is not None:
        now = due
        client.handle_timer(now)
        client.datagrams(now)
    assert client.is_over
    assert not client.is_established
    assert now == pytest.approx(IDLE_SECONDS, abs=1.0)


def test_a_second_stream_ends_the_connection() -> None:
    pair = Pair().open()
    pair.client._quic.send_stream_data(4, b"second")
    assert pair.run(lambda: pair.server.is_over)
    assert pair.server.failure == "the peer opened a second stream"
    assert pair.run(lambda: pair.client.is_over)


@pytest.mark.parametrize("method", ["receive_datagram", "handle_timer", "datagrams_to_send"])
def test_an_error_of_the_library_ends_no_more_than_the_connection(monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    pair = Pair().open()

    def fail(*arguments: object, **named: object) -> None:
        raise IndexError("provoked")

    monkeypatch.setattr(pair.client._quic, method, fail)
    pair.server.write(b"provocation")
    assert pair.run(lambda: pair.client.is_over)
    assert pair.client.failure == "QUIC failed at what the peer sent: IndexError"


def test_a_reset_stream_is_a_failure() -> None:
    pair = Pair().open()
    pair.server._quic.reset_stream(0, 7)
    assert pair.run(lambda: pair.client.is_over)
    assert pair.client.failure == "the peer reset the stream"


def test_a_peer_that_wants_no_more_stops_the_writing_only() -> None:
    pair = Pair().open()
    pair.server._quic.stop_stream(0, 7)
    assert pair.run(lambda: not pair.client.can_write)
    assert not pair.client.is_over
    assert move(pair, pair.server, pair.client, b"still there") == b"still there"


def test_what_is_no_part_of_the_connection_changes_nothing() -> None:
    pair = Pair().open()
    for junk in (b"", b"\0", b"\xff" * 1200, bytes(65535), b"\xc0\0\0\0\1" + bytes(1195)):
        pair.client.receive_datagram(junk, SERVER, pair.now)
        pair.server.receive_datagram(junk, CLIENT, pair.now)
        pair.client.receive_datagram(junk, ("203.0.113.9", 9), pair.now)
    assert move(pair, pair.client, pair.server, b"hello") == b"hello"


def test_the_library_does_not_log_what_peers_say(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        pair = Pair().open()
        pair.server.fail("for the log")
        assert pair.run(lambda: pair.client.is_over)
    assert caplog.records == []
