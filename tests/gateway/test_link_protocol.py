"""One connection to a gateway: what ends it, when, and in which order things happen."""

from collections.abc import Callable

import pytest

from kpclientd.gateway.choice import GatewayChoice
from kpclientd.gateway.protocol import (
    ANSWER_SECONDS,
    HANDSHAKE_SECONDS,
    HEARTBEAT_SECONDS,
    LONGEST_PAUSE_SECONDS,
    MOST_UNACKNOWLEDGED,
    MOST_UNWRITTEN_BYTES,
    READ_SECONDS,
    WRITE_SECONDS,
    Delivered,
    DocumentAnswer,
    LinkLost,
    LinkProtocol,
)
from kpclientd.wire.commands import (
    Command,
    CommandCodec,
    Disconnect,
    GetConsensus2,
    Message,
    MessageDelivered,
    NoOp,
    SendPacket,
)
from kpclientd.wire.consensus import Fetched, consensus_commands
from kpclientd.wire.session import CommandReceived, NoiseSession
from sphinx.randomness import seeded
from sphinx.types import NodeId, SurbId
from tests.wire.links import FAST_KEM, GEOMETRY, NODE_ID, NOW

RANDOM = seeded(b"protocol")
GATEWAY_KEY = FAST_KEM.generate(RANDOM)
CHOICE = GatewayChoice("gateway1", NodeId(NODE_ID), GATEWAY_KEY.public_key, ("tcp://192.0.2.1:1",))
REPLY_LENGTH = GEOMETRY.payload_tag_length + GEOMETRY.forward_payload_length


class Bench:
    """A client's end, and the gateway's, at a time of the test's own."""

    def __init__(self, *, node_id: bytes = NODE_ID) -> None:
        self.now = 100.0
        self.client = LinkProtocol(CHOICE, kem=FAST_KEM, geometry=GEOMETRY, randomness=RANDOM)
        self.gateway = NoiseSession.responder(
            FAST_KEM, GATEWAY_KEY, node_id, CommandCodec(GEOMETRY), lambda _: True, RANDOM
        )
        self.seen: list[Command] = []

    def to_gateway(self) -> bytes:
        """Carry what the client has to say; what the gateway answers in the handshake."""
        data = self.to_gateway_unread()
        for event in self.gateway.receive(data, NOW) if data else ():
            if isinstance(event, CommandReceived):
                self.seen.append(event.command)
        return self.gateway.outgoing()

    def to_gateway_unread(self) -> bytes:
        """What the client writes now."""
        data = self.client.outgoing(self.now)
        self.client.wrote()
        return data

    def to_client(self, data: bytes) -> None:
        self.client.receive(data, self.now, NOW)

    def push(self, command: Command) -> None:
        self.to_client(self.gateway.seal(command))

    def connect(self) -> "Bench":
        self.client.connected(self.now)
        while not self.client.was_up and self.client.end is None:
            self.to_client(self.to_gateway())
        return self

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        self.client.handle_timers(self.now)

    @property
    def end(self) -> str:
        return str(self.client.end)


def message(sequence: int = 1) -> Message:
    return Message(sequence, SurbId(bytes([sequence]) * 16), bytes(REPLY_LENGTH))


def test_a_handshake_leads_to_a_link_that_knows_the_gateways_clock() -> None:
    bench = Bench().connect()
    assert bench.client.is_up and bench.client.end is None
    assert bench.client.clock_skew == pytest.approx(NOW % 1.0)


def test_a_gateway_that_is_not_the_one_chosen_is_left_before_it_learns_a_key() -> None:
    bench = Bench(node_id=bytes(32))
    bench.client.connected(bench.now)
    bench.to_client(bench.to_gateway())
    assert "identity or link key is another" in bench.end
    assert bench.client.outgoing(bench.now) == b""
    assert not bench.client.was_up


@pytest.mark.parametrize("messages", [0, 1, 2])
def test_a_handshake_that_stands_still_ends(messages: int) -> None:
    bench = Bench()
    bench.client.connected(bench.now)
    for number in range(messages):
        answer = bench.to_gateway()
        bench.to_client(answer[:-1] if number == messages - 1 else answer)
    bench.pass_time(HANDSHAKE_SECONDS - 0.01)
    assert bench.client.end is None
    assert bench.client.next_timer() == pytest.approx(bench.now + 0.01)
    bench.pass_time(0.01)
    assert "handshake took longer" in bench.end and not bench.client.was_closed_by_peer


def test_a_close_in_the_handshake_is_the_peers() -> None:
    bench = Bench()
    bench.client.connected(bench.now)
    bench.to_client(b"")
    assert bench.client.was_closed_by_peer and "in the handshake" in bench.end


def test_a_silent_gateway_is_left_and_bytes_that_make_no_command_are_silence() -> None:
    bench = Bench().connect()
    frame = bench.gateway.seal(NoOp())
    for _ in range(4):
        bench.pass_time(READ_SECONDS / 5)
        bench.to_client(frame[:1])
        frame = frame[1:]
    bench.pass_time(READ_SECONDS / 5)
    assert "silent" in bench.end


def test_heartbeats_keep_the_link_both_ways() -> None:
    bench = Bench().connect()
    for _ in range(20):
        bench.pass_time(HEARTBEAT_SECONDS)
        bench.push(NoOp())
        bench.to_gateway()
    assert bench.client.end is None
    assert bench.seen == [NoOp()] * 20


def test_heartbeats_do_not_depend_on_what_else_is_sent() -> None:
    bench = Bench().connect()
    packet = SendPacket(bytes(GEOMETRY.packet_length))
    for _ in range(20):
        bench.client.send(packet)
        bench.to_gateway()
        bench.pass_time(HEARTBEAT_SECONDS / 2)
        bench.push(NoOp())
    bench.to_gateway()
    assert bench.seen.count(NoOp()) == 10


def test_a_write_that_does_not_end_ends_the_link() -> None:
    bench = Bench().connect()
    bench.client.send(NoOp())
    assert bench.client.outgoing(bench.now)
    for _ in range(5):
        bench.pass_time(WRITE_SECONDS / 6)
        bench.push(NoOp())
    assert bench.client.end is None
    bench.pass_time(WRITE_SECONDS / 6)
    assert "took no data" in bench.end


def test_a_document_request_without_an_answer_ends_the_link() -> None:
    bench = Bench().connect()
    bench.client.ask(7, bench.now)
    bench.to_gateway()
    assert bench.seen == [GetConsensus2(7)] and bench.client.is_asking
    for _ in range(5):
        bench.pass_time(ANSWER_SECONDS / 6)
        bench.push(NoOp())
    assert bench.client.end is None
    bench.pass_time(ANSWER_SECONDS / 6)
    assert "did not answer a document request" in bench.end


def test_a_document_comes_in_chunks_between_other_commands() -> None:
    bench = Bench().connect()
    bench.client.ask(7, bench.now)
    bench.to_gateway()
    blob = RANDOM.bytes(20_000)
    for chunk in consensus_commands(blob, GEOMETRY):
        bench.push(chunk)
        bench.push(NoOp())
    answer = bench.client.next_event()
    assert isinstance(answer, DocumentAnswer) and isinstance(answer.result, Fetched)
    assert answer.result.epoch == 7 and answer.result.decompress() == blob
    assert not bench.client.is_asking
    for _ in range(4):
        bench.pass_time(ANSWER_SECONDS / 3)
        bench.push(NoOp())
    assert bench.client.end is None


def test_a_document_that_nobody_asked_for_ends_the_link() -> None:
    bench = Bench().connect()
    bench.push(consensus_commands(b"document", GEOMETRY)[0])
    assert "spurious" in bench.end


def test_an_acknowledgement_is_written_before_its_message_is_handed_on() -> None:
    bench = Bench().connect()
    bench.push(message())
    sealed = bench.client.outgoing(bench.now)
    assert sealed and not bench.client.outgoing(bench.now)
    assert bench.client.next_event() is None
    bench.push(message(2))
    bench.client.wrote()
    assert bench.client.next_event() == Delivered(message(1).surb_id, message(1).payload)
    assert bench.client.next_event() is None, "its acknowledgement is not written yet"
    sealed += bench.to_gateway_unread()
    assert bench.client.next_event() == Delivered(message(2).surb_id, message(2).payload)
    assert bench.gateway.receive(sealed, NOW) == [CommandReceived(MessageDelivered(n)) for n in (1, 2)]


def test_more_than_a_gateway_sends_without_acknowledgements_is_not_read() -> None:
    bench = Bench().connect()
    for sequence in range(MOST_UNACKNOWLEDGED):
        assert not bench.client.is_backed_up
        bench.push(message(sequence))
    assert bench.client.is_backed_up
    bench.to_gateway()
    while bench.client.next_event():
        pass
    assert not bench.client.is_backed_up
    while not bench.client.is_backed_up:
        bench.client.send(NoOp())
    assert len(bench.client.outgoing(bench.now)) <= MOST_UNWRITTEN_BYTES + 2 * GEOMETRY.packet_length


def test_an_acknowledgement_waits_for_a_random_time_and_nothing_else_does() -> None:
    bench = Bench().connect()
    assert bench.client.pause() == 0.0
    bench.push(message())
    pauses = [bench.client.pause() for _ in range(200)]
    assert len(set(pauses)) == 200 and min(pauses) >= 0 and max(pauses) < LONGEST_PAUSE_SECONDS
    assert max(pauses) > 0.9 * LONGEST_PAUSE_SECONDS and min(pauses) < 0.1 * LONGEST_PAUSE_SECONDS


def test_what_came_before_a_fault_is_handed_on() -> None:
    bench = Bench().connect()
    frames = bench.gateway.seal(message(1)) + bench.gateway.seal(message(2))
    bench.to_client(frames[:-1] + bytes([frames[-1] ^ 1]))
    assert "broke the protocol" in bench.end
    assert bench.client.next_event() == Delivered(message(1).surb_id, message(1).payload)
    assert bench.client.next_event() is None
    assert bench.client.outgoing(bench.now) == b"", "nothing can be acknowledged any more"


@pytest.mark.parametrize("command", [Disconnect(), GetConsensus2(1), MessageDelivered(1)])
def test_what_no_gateway_may_say_ends_the_link(command: Command) -> None:
    bench = Bench().connect()
    bench.push(command)
    assert bench.client.end is not None


ENDS: list[Callable[[Bench], None]] = [
    lambda bench: bench.to_client(b""),
    lambda bench: bench.client.broke("reset"),
    lambda bench: bench.client.leave("enough"),
]


@pytest.mark.parametrize("end", ENDS)
def test_after_its_end_nothing_leaves_and_nothing_is_due(end: Callable[[Bench], None]) -> None:
    bench = Bench().connect()
    end(bench)
    first = bench.end
    bench.client.leave("something else")
    assert bench.end == first, "the first reason counts"
    with pytest.raises(LinkLost, match=first.partition(":")[0]):
        bench.client.send(NoOp())
    with pytest.raises(LinkLost):
        bench.client.ask(1, bench.now)
    assert bench.client.outgoing(bench.now) == b""
    assert bench.client.next_timer() == float("inf")
    bench.push(NoOp())
    bench.pass_time(1000.0)
    assert bench.end == first
