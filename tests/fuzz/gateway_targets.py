"""A gateway that shook hands properly, and then says and does whatever it likes."""

from kpclientd.gateway.choice import GatewayChoice
from kpclientd.gateway.protocol import (
    MOST_UNACKNOWLEDGED,
    MOST_UNWRITTEN_BYTES,
    WRITE_SECONDS,
    Delivered,
    LinkLost,
    LinkProtocol,
)
from kpclientd.wire.commands import CommandCodec
from kpclientd.wire.consensus import Fetched
from kpclientd.wire.errors import ConsensusError
from kpclientd.wire.session import NoiseSession
from kpclientd.wire.transport import seal_frame
from sphinx.randomness import seeded
from sphinx.types import NodeId
from tests.fuzz.wire_targets import GEOMETRY, KEM, LARGEST_DOCUMENT, NOW, anybody, static_keys

NODE_ID = bytes(range(32))
LONGEST_READ = 65536
STEP_BYTES = 3
MOST_TIMERS = 10

RAW, SEALED, REPEATED, TIME, ASK, WRITE, TAKE = range(7)
"""What a step's first byte chooses, modulo their number; two more say how much of it."""


class Link:
    """The client's end under test, and the far end's keys."""

    def __init__(self) -> None:
        randomness = seeded(b"link")
        gateway_key = static_keys()[1]
        choice = GatewayChoice("gateway", NodeId(NODE_ID), gateway_key.public_key, ("tcp://127.0.0.1:1",))
        self.now = 0.0
        self.client = LinkProtocol(
            choice, kem=KEM, geometry=GEOMETRY, randomness=randomness, document_limit=LARGEST_DOCUMENT
        )
        self.gateway = NoiseSession.responder(KEM, gateway_key, NODE_ID, CommandCodec(GEOMETRY), anybody, randomness)
        self.delivered = self.asked = 0
        self.client.connected(self.now)
        while not self.client.was_up:
            self.gateway.receive(self._written(), NOW)
            self.receive(self.gateway.outgoing())

    def receive(self, data: bytes) -> None:
        """As the reader does: what backs up is written first."""
        if self.client.is_backed_up:
            self._written()
        self.take()
        self.client.receive(data, self.now, NOW)
        assert len(self.client._outgoing) <= MOST_UNWRITTEN_BYTES + LONGEST_READ

    def step(self, kind: int, size: int, data: bytes) -> int:
        """Do one thing; returns how many bytes of `data` it has used."""
        used = min(size, len(data)) if kind in (RAW, SEALED, REPEATED) else 0
        if kind == RAW:
            for at in range(used):
                self.receive(data[at : at + 1])
        elif kind == SEALED:
            self._say(data[:used])
        elif kind == REPEATED:
            for _ in range(MOST_UNACKNOWLEDGED + 1):
                self._say(data[:used])
        elif kind == TIME:
            self.now += WRITE_SECONDS * (size % 256) / 256
            self.client.handle_timers(self.now)
        elif kind == ASK:
            self._ask(size)
        elif kind == WRITE:
            self._written()
        else:
            self.take()
        return used

    def take(self) -> None:
        while (event := self.client.next_event()) is not None:
            if isinstance(event, Delivered):
                self.delivered += 1
            elif isinstance(event.result, Fetched):
                try:
                    assert len(event.result.decompress()) <= LARGEST_DOCUMENT
                except ConsensusError:
                    pass

    def check(self) -> None:
        """It has ended and says why, or ends within its own time if nothing more happens."""
        for _ in range(MOST_TIMERS):
            if self.client.end is not None:
                break
            assert self.client.next_timer() < float("inf")
            self.now = max(self.now, self.client.next_timer())
            self.client.handle_timers(self.now)
        assert str(self.client.end) and not self.client.outgoing(self.now)
        assert self.client.next_timer() == float("inf")

    def _say(self, plaintext: bytes) -> None:
        sealing = self.gateway._sending
        assert sealing is not None
        self.receive(seal_frame(sealing, plaintext))

    def _ask(self, epoch: int) -> None:
        if self.client.is_asking:
            return
        try:
            self.client.ask(epoch, self.now)
        except LinkLost:
            assert self.client.end is not None

    def _written(self) -> bytes:
        data = self.client.outgoing(self.now)
        self.client.wrote()
        return data


def link(data: bytes) -> None:
    """Steps of three bytes, and what they use: raw bytes one by one, sealed frames, time, requests and writes."""
    world = Link()
    while len(data) >= STEP_BYTES:
        kind, size, data = data[0] % (TAKE + 1), int.from_bytes(data[1:STEP_BYTES]), data[STEP_BYTES:]
        data = data[world.step(kind, size, data) :]
    world.check()
