"""A client's two machines on a network in memory, on a clock of the test's own: gateways of every temper, no sockets.

Time is real: the network's Unix time is `BASE + now`; the client's wall clock is that and an error. Bytes take
`LATENCY_SECONDS` each way. Everything that happens is in one heap of timed calls.
"""

import heapq
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum, auto
from functools import cache
from typing import Final

from kpclientd.config.model import PinnedGateway
from kpclientd.gateway.choice import GatewayChoice, GatewayPool
from kpclientd.gateway.connection import Connection, ConnectionState, Dial, Down, Failed, HangUp, Settled, Up
from kpclientd.gateway.connector import ASLEEP_TOO_LONG_SECONDS
from kpclientd.gateway.document_worker import Ask, Current, DocumentWorker, Kept, Leave, Refused, Served, Verify
from kpclientd.gateway.protocol import DocumentAnswer, LinkLost, LinkProtocol
from kpclientd.network_time import NetworkTime
from kpclientd.wire.commands import Command, CommandCodec, Consensus2, GetConsensus2, NoOp
from kpclientd.wire.consensus import consensus_commands, gone, not_found
from kpclientd.wire.errors import ConsensusError, WireError
from kpclientd.wire.session import CommandReceived, NoiseSession
from pki import Document, DocumentRejected, EpochClock, MixDescriptor, TrustedDocuments, key_hash
from sphinx.crypto.kem import KemPrivateKey, kem_scheme
from sphinx.randomness import Randomness, seeded
from tests.pki.network import GEOMETRY, document, gateway, paper_network

BASE: Final = 1_800_000_000.0
LATENCY_SECONDS: Final = 0.02
HEARTBEAT_SECONDS: Final = 10.0
LOOK_SECONDS: Final = 1.0
GATEWAY_HANDSHAKE_SECONDS: Final = 3.0
GATEWAY_READ_SECONDS: Final = 120.0
MOST_STEPS_AT_ONCE: Final = 10_000
ROUNDING_SECONDS: Final = 1e-9
"""Two clocks that differ by what the machine slept are only so equal."""

KEM: Final = kem_scheme("x25519")
PAPER: Final = paper_network()


class Temper(Enum):
    """How a gateway treats who comes."""

    GOOD = auto()
    REFUSES = auto()
    BLACKHOLE = auto()
    SILENT = auto()
    CLOSES_AT_ONCE = auto()
    BREAKS_OFF = auto()
    """It closes after so many bytes of its own, see `Gateway.breaks_off_at`."""
    DRIPS = auto()
    """A byte a second."""
    IMPOSTOR = auto()
    WRONG_MAC = auto()


class Answering(Enum):
    """How it answers document requests."""

    GOOD = auto()
    NEVER = auto()
    LATE = auto()
    TWICE = auto()
    NOT_FOUND = auto()
    GONE = auto()
    SPOILED = auto()
    WRONG_EPOCH = auto()
    SPOILED_NEXT = auto()


@cache
def _signed(epoch: int, listed: tuple["Identity", ...]) -> bytes:
    return PAPER.signed(_document(epoch, listed))


def _document(epoch: int, listed: tuple["Identity", ...]) -> Document:
    nodes = tuple(identity.descriptor(epoch) for identity in listed)
    return replace(document(epoch, per_layer=1), gateway_nodes=nodes)


@dataclass(frozen=True)
class Identity:
    """What a document says of a gateway."""

    name: str
    identity_key: bytes
    link_key: bytes
    address: str

    def descriptor(self, epoch: int) -> MixDescriptor:
        node = gateway(self.name, epoch, seeded(self.identity_key))
        return replace(
            node, identity_key=self.identity_key, link_key=self.link_key, addresses={"tcp4": (self.address,)}
        )

    @property
    def pin(self) -> PinnedGateway:
        return PinnedGateway(self.name, self.identity_key, self.link_key, (self.address,))


@dataclass
class Gateway:
    """One gateway."""

    name: str
    randomness: Randomness
    port: int = 30001
    temper: Temper = Temper.GOOD
    answering: Answering = Answering.GOOD
    breaks_off_at: int = 0
    is_listed: bool = True
    clock_error: float = 0.0
    link: KemPrivateKey = field(init=False)
    identity_key: bytes = field(init=False)

    def __post_init__(self) -> None:
        self.identity_key = self.randomness.bytes(32)
        self.change_key()

    def change_key(self) -> None:
        self.link = KEM.generate(self.randomness)

    @property
    def identity(self) -> Identity:
        address = f"tcp://127.0.0.1:{self.port}"
        return Identity(self.name, self.identity_key, self.link.public_key, address)


class Network:
    """The network, time, and the client on it."""

    def __init__(
        self, gateways: int = 2, pinned: int = 1, period: float = 60.0, seed: bytes = b"net", time_sync: bool = False
    ) -> None:
        self.now = 0.0
        self.randomness = seeded(seed)
        self.clock = EpochClock(period)
        self.gateways = [Gateway(f"gateway{n}", self.randomness, 30001 + n) for n in range(gateways)]
        self.missing_epochs: set[int] = set()
        self.is_reachable = True
        self._published: dict[int, tuple[Identity, ...]] = {}
        self._heap: list[tuple[float, int, Callable[[], None]]] = []
        self._serial = itertools.count()
        self.client = Client(self, [one.identity.pin for one in self.gateways[:pinned]], time_sync)

    @property
    def unix(self) -> float:
        return BASE + self.now

    def at(self, when: float, call: Callable[[], None]) -> None:
        heapq.heappush(self._heap, (when, next(self._serial), call))

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        end = self.now + seconds
        stood_still = 0
        while True:
            self.client.carry_out()
            due = min(
                self.client.next_timer() + self.client.slept + ROUNDING_SECONDS,
                self._heap[0][0] if self._heap else math.inf,
            )
            if due > end:
                break
            stood_still = 0 if due > self.now else stood_still + 1
            assert stood_still < MOST_STEPS_AT_ONCE, "a timer is due for ever"
            self.now = max(self.now, due)
            while self._heap and self._heap[0][0] <= self.now:
                heapq.heappop(self._heap)[2]()
                self.client.carry_out()
            self.client.handle_timers()
        self.now = end

    def sleep(self, seconds: float) -> None:
        """The client's machine sleeps; the network goes on, and what it sends waits."""
        end = self.now + seconds
        self.client.fall_asleep()
        while self._heap and self._heap[0][0] <= end:
            self.now = max(self.now, self._heap[0][0])
            heapq.heappop(self._heap)[2]()
        self.now = end
        self.client.wake_up(seconds)

    def gateway_at(self, address: str) -> Gateway | None:
        return next((one for one in self.gateways if one.identity.address == address), None)

    def blob(self, epoch: int) -> bytes | None:
        """The document of `epoch` as the authorities publish it: what was listed then."""
        present = self.clock.epoch(self.unix)
        is_published = epoch <= present or self.clock.elapsed(self.unix) >= 11 / 16 * self.clock.period
        if epoch in self.missing_epochs or not present - 2 <= epoch <= present + 1 or not is_published:
            return None
        listed = self._published.setdefault(epoch, tuple(one.identity for one in self.gateways if one.is_listed))
        return _signed(epoch, listed) if listed else None

    def answer(self, one: Gateway, epoch: int) -> list[Consensus2]:
        present = self.clock.epoch(self.unix)
        blob = self.blob(epoch)
        if one.answering is Answering.NOT_FOUND or (blob is None and epoch >= present - 1):
            return [not_found()]
        if one.answering is Answering.GONE or blob is None:
            return [gone()]
        is_spoiled = one.answering is Answering.SPOILED or (
            one.answering is Answering.SPOILED_NEXT and epoch == present + 1
        )
        if is_spoiled:
            blob = blob[:-1] + bytes([blob[-1] ^ 1])
        if one.answering is Answering.WRONG_EPOCH:
            blob = self.blob(epoch - 1) or blob[:-1]
        return consensus_commands(blob, GEOMETRY)


class Wire:
    """One stream between the client and a gateway; the gateway's end of it."""

    def __init__(self, network: Network, one: Gateway, deliver: Callable[[bytes], None]) -> None:
        self.network, self.gateway, self._deliver = network, one, deliver
        self.is_open = True
        self.is_mute = False
        self._sent = 0
        self._last_read = network.now
        self._drip = network.now
        link = KEM.generate(network.randomness) if one.temper is Temper.IMPOSTOR else one.link
        self._session = NoiseSession.responder(
            KEM, link, key_hash(one.identity_key), CommandCodec(GEOMETRY), lambda _: True, network.randomness
        )
        if one.temper is Temper.CLOSES_AT_ONCE:
            self.close()
        network.at(network.now + GATEWAY_HANDSHAKE_SECONDS, self._check_handshake)
        network.at(network.now + HEARTBEAT_SECONDS, self._heartbeat)

    def write(self, data: bytes) -> None:
        """The client writes; the bytes come a little later."""
        self.network.at(self.network.now + LATENCY_SECONDS, lambda: self._read(data))

    def close(self) -> None:
        """The gateway closes."""
        if self.is_open:
            self.is_open = False
            self._later(lambda: self._deliver(b""))

    def _later(self, call: Callable[[], None]) -> None:
        self.network.at(self.network.now + LATENCY_SECONDS, call)

    def _check_handshake(self) -> None:
        if not self._session.established and self.gateway.temper not in (Temper.SILENT, Temper.DRIPS):
            self.close()

    def _heartbeat(self) -> None:
        if not self.is_open:
            return
        if self.network.now - self._last_read > GATEWAY_READ_SECONDS:
            self.close()
            return
        if self._session.established:
            self.send(NoOp())
        self.network.at(self.network.now + HEARTBEAT_SECONDS, self._heartbeat)

    def _read(self, data: bytes) -> None:
        if not self.is_open or self.is_mute or self.gateway.temper is Temper.SILENT or not self.network.is_reachable:
            return
        self._last_read = self.network.now
        try:
            events = self._session.receive(data, self.network.unix + self.gateway.clock_error)
        except WireError:
            self.close()
            return
        self._write(self._session.outgoing())
        for event in events:
            if isinstance(event, CommandReceived) and isinstance(event.command, GetConsensus2):
                self._answer(event.command.epoch)

    def _answer(self, epoch: int) -> None:
        commands = self.network.answer(self.gateway, epoch)
        match self.gateway.answering:
            case Answering.NEVER:
                return
            case Answering.LATE:
                self.network.at(self.network.now + 12.0, lambda: self._send_all(commands))
            case Answering.TWICE:
                self._send_all([*commands, *commands])
            case _:
                self._send_all(commands)

    def _send_all(self, commands: Sequence[Command]) -> None:
        for command in commands:
            self.send(command)

    def send(self, command: Command) -> None:
        if self.is_open and self._session.established:
            frame = self._session.seal(command)
            if self.gateway.temper is Temper.WRONG_MAC:
                frame = frame[:-1] + bytes([frame[-1] ^ 1])
            self._write(frame)

    def _write(self, data: bytes) -> None:
        if not data or self.is_mute or not self.network.is_reachable:
            return
        if self.gateway.temper is Temper.BREAKS_OFF:
            data = data[: max(0, self.gateway.breaks_off_at - self._sent)]
            self._sent += len(data)
            self._later(lambda: self._deliver(data) if data else None)
            if self._sent >= self.gateway.breaks_off_at:
                self.close()
            return
        if self.gateway.temper is Temper.DRIPS:
            for byte in data:
                self._drip = max(self._drip, self.network.now) + 1.0
                self.network.at(self._drip, lambda byte=byte: self._deliver(bytes([byte])))  # type: ignore[misc]
            return
        self._later(lambda: self._deliver(data))


class Client:
    """What the trio driver does, by hand."""

    def __init__(self, network: Network, pins: Sequence[PinnedGateway], time_sync: bool) -> None:
        self.network = network
        self.wall_error = 0.0
        self.slept = 0.0
        self.time = NetworkTime(
            lambda: network.unix + self.wall_error,
            lambda: network.now - self.slept,
            elapsed=lambda: network.now,
            period=network.clock.period,
            beginning=network.clock.start(0),
            correct=time_sync,
        )
        self.trusted = TrustedDocuments(network.clock, PAPER.verifiers, GEOMETRY)
        self.pool = GatewayPool(pins, ("tcp", "tcp4"), lambda url: True, network.randomness)
        self.connection = Connection(self.pool, self._new_protocol)
        self.worker = DocumentWorker(network.clock, self.trusted, self.pool)
        self.wire: Wire | None = None
        self.current: list[int | None] = []
        self.ups = 0
        self.downs: list[str] = []
        self.failures: list[str] = []
        self._next_look = 0.0
        self._asleep: list[tuple[Wire, LinkProtocol, bytes]] | None = None

    def _new_protocol(self, choice: GatewayChoice) -> LinkProtocol:
        return LinkProtocol(choice, kem=KEM, geometry=GEOMETRY, randomness=self.network.randomness)

    @property
    def now(self) -> float:
        return self.network.now - self.slept

    def fall_asleep(self) -> None:
        self._asleep = []

    def wake_up(self, slept: float) -> None:
        """What came meanwhile is read first; within a second the sleep is noticed."""
        self.slept += slept
        waiting, self._asleep = self._asleep or [], None
        for wire, protocol, data in waiting:
            self._receive(wire, protocol, data)
            self.carry_out()

    @property
    def is_up(self) -> bool:
        return self.connection.is_up

    def next_timer(self) -> float:
        return min(self.connection.next_timer(), self.worker.next_timer(self.now, self.time()), self._next_look)

    def handle_timers(self) -> None:
        if self.now >= self._next_look:
            self._next_look = self.now + LOOK_SECONDS
            if change := self.time.look():
                if change.slept:
                    is_cut = change.slept >= ASLEEP_TOO_LONG_SECONDS
                    self.connection.route_changed(self.now, link_is_cut=is_cut)
                self.worker.handle_timers(self.now, self.time())
        self.connection.handle_timers(self.now)
        self.worker.handle_timers(self.now, self.time())
        self.carry_out()

    def carry_out(self) -> None:
        """Do what the machines want until they want nothing."""
        while True:
            self._flush()
            if (event := self.connection.next_event()) is not None:
                self._for_connection(event)
            elif (wish := self.worker.next_event()) is not None:
                self._for_worker(wish)
            else:
                return

    def _flush(self) -> None:
        protocol = self.connection.protocol
        if protocol is not None and self.wire is not None:
            if data := protocol.outgoing(self.now):
                self.wire.write(data)
                protocol.wrote()
            while (event := protocol.next_event()) is not None:
                if isinstance(event, DocumentAnswer):
                    self.worker.answered(event.result, self.now, self.time())

    def _for_connection(self, event: object) -> None:
        match event:
            case Dial(protocol, _):
                self._dial(protocol)
            case HangUp():
                self.wire = None
            case Settled(_):
                pass
            case Up(protocol):
                self.ups += 1
                self.time.note_skew(protocol.clock_skew)
                self.worker.link_up(protocol.choice, self.now, self.time())
            case Down(_, reason, next_try):
                assert next_try < float("inf")
                self.downs.append(reason)
                self.time.note_link_end()
                self.worker.link_down(self.now)
            case Failed(_, reason, next_try):
                assert next_try < float("inf")
                self.failures.append(reason)
                self.time.note_link_end()

    def _dial(self, protocol: LinkProtocol) -> None:
        one = self.network.gateway_at(protocol.choice.addresses[0])
        when = self.network.now + LATENCY_SECONDS

        def settle(is_open: bool, *, is_refused: bool = False) -> None:
            if self.connection.protocol is protocol and self.connection.state is ConnectionState.DIALLING:
                if is_open and one is not None:
                    self.wire = wire = Wire(self.network, one, lambda data: self._receive(wire, protocol, data))
                    self.connection.opened(self.now)
                else:
                    self.connection.not_opened("nobody there", self.now, is_refused=is_refused)

        if not self.network.is_reachable or one is None or one.temper is Temper.BLACKHOLE:
            self.network.at(self.network.now + 10.0, lambda: settle(False))
        elif one.temper is Temper.REFUSES:
            self.network.at(when, lambda: settle(False, is_refused=True))
        else:
            self.network.at(when, lambda: settle(True))

    def _receive(self, wire: Wire, protocol: LinkProtocol, data: bytes) -> None:
        if self._asleep is not None:
            self._asleep.append((wire, protocol, data))
            return
        if self.wire is not wire or self.connection.protocol is not protocol:
            return
        protocol.receive(data, self.now, self.network.unix + self.wall_error)
        self._flush()
        self.connection.progressed(self.now)

    def _for_worker(self, wish: object) -> None:
        match wish:
            case Ask(epoch):
                protocol = self.connection.protocol
                try:
                    if protocol is not None:
                        protocol.ask(epoch, self.now)
                except LinkLost:
                    pass
            case Verify(fetched):
                try:
                    verified = self.trusted.verify(fetched.decompress(), fetched.epoch, self.time())
                except (DocumentRejected, ConsensusError) as error:
                    self.worker.rejected(error, self.now, self.time())
                else:
                    self.worker.verified(verified, self.now, self.time())
            case Refused():
                has_document = self.trusted.current(self.time()) is not None
                if self.time.is_in_doubt(has_document=has_document):
                    self.connection.lose("the time is to be measured again", self.now)
            case Served():
                self.connection.proved(self.now)
            case Leave(reason):
                self.connection.leave(reason, self.now)
            case Current(None):
                self.current.append(None)
            case Current(verified):
                assert verified is not None
                self.current.append(verified.document.epoch)
                self.time.note_document(self.network.clock.start(verified.document.epoch))
            case Kept(_):
                pass
