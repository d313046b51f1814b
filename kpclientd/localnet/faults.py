"""What a local network does wrong on command.

Everything is a plain attribute or a method without arguments, so that a test reads as what it tests:

    network.faults.loss = 0.2
    network.faults.document = DocumentFault.TOO_FEW_SIGNATURES
    network.gateways[1].faults.silent_handshake = True
    network.faults.reset_connections()

What is set at the network holds at every gateway, in addition to what is set at that gateway. All may be changed at
any time; whoever waits for the end of a fault is woken by the change.

The fields of the classes are the table of faults: each says what it does and how commands write its value. The control
socket, its help and the documentation are made from it.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, field, fields
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final, Protocol

import trio

from kpclientd.localnet.arguments import BYTES, OFF, OFFSET, ON_OFF, PROBABILITY, SECONDS, Argument, choice_of
from sphinx.randomness import Randomness

_BITS_PER_BYTE: Final = 8
_ARGUMENT: Final = "argument"
_HELP: Final = "help"


class DocumentFault(StrEnum):
    """What is wrong with the answer to a request for a document.

    Attributes:
        meaning: the same in words, for help and documentation.
    """

    meaning: str

    def __new__(cls, name: str, meaning: str) -> "DocumentFault":
        """Make the fault of that name."""
        member = str.__new__(cls, name)
        member._value_ = name
        member.meaning = meaning
        return member

    TOO_FEW_SIGNATURES = "too-few-signatures", "one signature less than a majority of the authorities"
    REPEATED_SIGNER = "repeated-signer", "enough signatures, all of them one authority's"
    UNLISTED_SIGNER = "unlisted-signer", "one of the signatures that count is a stranger's"
    NO_SIGNATURES = "no-signatures", "nobody has signed"
    WRONG = "wrong", "a spoiled copy: one bit is not what was signed"
    KEY_TYPE = "key-type", "the certificate names another signature scheme"
    VERSION = "version", "a certificate of another version"
    EXPIRED = "expired", "the certificate is not valid in this epoch any more"
    FUTURE = "future", "the document of an epoch far ahead"
    PAST = "past", "the document of the epoch before"
    BAD_GEOMETRY = "bad-geometry", "well signed, for packets of another geometry"
    NO_GATEWAYS = "no-gateways", "well signed, without gateways"
    NO_MIX_KEYS = "no-mix-keys", "well signed, without the mixes' keys of its own epoch"
    GARBAGE = "garbage", "no certificate at all"
    TRUNCATED_GZIP = "truncated-gzip", "the compressed stream ends too early"
    GZIP_BOMB = "gzip-bomb", "it inflates to more than any client may take"
    CHUNKS_OUT_OF_ORDER = "chunks-out-of-order", "the first two chunks change places"
    CHUNK_TOTAL_CHANGES = "chunk-total-changes", "the last chunk says that there are more"
    DUPLICATE = "duplicate", "the genuine answer, twice"
    NOT_FOUND = "not-found", "the gateway says that it is not there yet"
    GONE = "gone", "the gateway says that there will never be one"
    SILENCE = "silence", "no answer"


class Direction(StrEnum):
    """Which bytes of a link are meant, as the gateway sees it."""

    IN = "in"
    OUT = "out"
    BOTH = "both"

    def includes(self, other: "Direction") -> bool:
        """Whether bytes that travel in the direction `other` are meant."""
        return self in (Direction.BOTH, other)


class Changes:
    """Wakes all who wait whenever something changes."""

    __slots__ = ("_event",)

    def __init__(self) -> None:
        self._event = trio.Event()

    def notify(self) -> None:
        """Wake them."""
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        """Return after the next change."""
        await self._event.wait()


class FaultyConnection(Protocol):
    """A connection as the faults see it."""

    def reset(self) -> None:
        """End it abruptly."""

    def freeze(self) -> None:
        """Leave it open and never read or write on it again."""

    def damage_next_frame(self) -> None:
        """Send a frame whose authenticator is wrong."""

    def send_unasked(self) -> None:
        """Answer a request for a document that there was not."""


@dataclass(frozen=True, slots=True)
class Switch:
    """One row of the table: a fault with a value.

    Attributes:
        attribute: its name in Python.
        argument: how commands write its value.
        help: what it does.
    """

    attribute: str
    argument: Argument
    help: str

    @property
    def name(self) -> str:
        """Its name in commands."""
        return self.attribute.replace("_", "-")


def row(argument: Argument, help: str) -> Mapping[str, Any]:  # noqa: A002 - a row's text is its help
    """Return what makes a field a fault; its default does no harm."""
    return {_ARGUMENT: argument, _HELP: help}


def switches(kind: "type[Switches]") -> tuple[Switch, ...]:
    """Return the rows of a class of faults, in order."""
    return tuple(Switch(one.name, one.metadata[_ARGUMENT], one.metadata[_HELP]) for one in fields(kind) if one.metadata)


@dataclass
class Switches:
    """Attributes that are set from outside; others than the declared ones are mistakes.

    Attributes:
        changes: notified when an attribute was set.
    """

    changes: Changes = field(default_factory=Changes, repr=False, compare=False, kw_only=True)

    if not TYPE_CHECKING:  # or type checkers would believe that any name can be set

        def __setattr__(self, name: str, value: object) -> None:
            if name not in self.__dataclass_fields__:
                raise AttributeError(f"there is no fault {name!r}")
            object.__setattr__(self, name, value)
            self.changes.notify()  # the first field of all to be set

    def clear(self) -> None:
        """Put every switch back: from now on all is done right."""
        for one in fields(self):
            if one.repr:
                setattr(self, one.name, _default(one))


def _default(one: "Field[Any]") -> Any:
    return one.default if one.default_factory is MISSING else one.default_factory()


@dataclass
class PacketFaults(Switches):
    """The switches that every network has. Probabilities are in [0, 1], times in seconds."""

    randomness: Randomness = field(repr=False)
    loss: float = field(
        default=0.0, metadata=row(PROBABILITY, "a packet, or a reply, is lost on its way with that probability")
    )
    duplicate: float = field(default=0.0, metadata=row(PROBABILITY, "a packet, or a reply, travels twice"))
    delay: float = field(default=0.0, metadata=row(SECONDS, "a packet, and its reply, takes so much longer"))
    jitter: float = field(default=0.0, metadata=row(SECONDS, "and up to so much more, drawn for each"))

    def happens(self, probability: float) -> bool:
        """Draw: True with `probability`."""
        return probability > 0 and self.randomness.uniform() <= probability

    def extra_delay(self) -> float:
        """Draw how many seconds longer something takes: `delay` and up to `jitter` more."""
        return self.delay + (self.jitter * self.randomness.uniform() if self.jitter else 0.0)

    def flip_a_bit(self, data: bytes) -> bytes:
        """Return `data`, which is not empty, with one random bit changed."""
        position = self.randomness.below(len(data) * _BITS_PER_BYTE)
        damaged = bytearray(data)
        damaged[position // _BITS_PER_BYTE] ^= 1 << position % _BITS_PER_BYTE
        return bytes(damaged)


_DOCUMENT: Final = choice_of(DocumentFault, "FAULT")


@dataclass
class GatewayFaults(Switches):
    """What gateways do wrong.

    Args:
        connections: returns those at which the methods act.
        network_wide: the network's faults, which hold at this gateway too.
    """

    connections: Callable[[], Iterable[FaultyConnection]] = field(repr=False, compare=False, kw_only=True)
    network_wide: "GatewayFaults | None" = field(default=None, repr=False, compare=False, kw_only=True)
    refuse_connections: bool = field(
        default=False, metadata=row(ON_OFF, "the port is closed: dialling is refused; established links stay (on TCP)")
    )
    close_at_once: bool = field(
        default=False, metadata=row(ON_OFF, "a connection is accepted and closed before a word")
    )
    silent_handshake: bool = field(
        default=False, metadata=row(ON_OFF, "a connection is accepted, and nothing is ever said on it")
    )
    impostor: bool = field(
        default=False, metadata=row(ON_OFF, "the handshake shows another link key than the document")
    )
    reset_handshake: int | None = field(
        default=None,
        metadata=row(
            BYTES, "the connection is reset when so many bytes of the handshake have travelled, both ways counted"
        ),
    )
    clock_off: float = field(
        default=0.0, metadata=row(OFFSET, "the clock that the handshake shows is so far ahead, or behind")
    )
    drop: Direction | None = field(
        default=None,
        metadata=row(
            choice_of(Direction, "in|out|both", OFF),
            "bytes are silently held up, as by a firewall: links stay open, and mute; they arrive when this ends",
        ),
    )
    drip: float = field(
        default=0.0, metadata=row(SECONDS, "after every byte that the gateway writes there is so long a pause")
    )
    no_heartbeats: bool = field(default=False, metadata=row(ON_OFF, "the gateway gives no sign of life"))
    ignore_acknowledgements: bool = field(
        default=False, metadata=row(ON_OFF, "no acknowledgement of a reply is ever taken note of")
    )
    document: DocumentFault | None = field(
        default=None, metadata=row(_DOCUMENT, "every answer to a request for a document is faulty")
    )
    present_document: DocumentFault | None = field(
        default=None, metadata=row(_DOCUMENT, "the same, for documents of the present and earlier epochs only")
    )
    next_document: DocumentFault | None = field(
        default=None, metadata=row(_DOCUMENT, "the same, for documents of the next and later epochs only")
    )
    document_delay: float = field(
        default=0.0, metadata=row(SECONDS, "an answer to a request for a document comes so much later")
    )

    def effective(self) -> "GatewayFaults":
        """Return what holds here: these switches, and where they do no harm, the network's."""
        if self.network_wide is None:
            return self
        faults = object.__new__(GatewayFaults)
        for name, harmless in _GATEWAY_SWITCHES:
            own = getattr(self, name)
            faults.__dict__[name] = own if own != harmless else getattr(self.network_wide, name)
        return faults

    async def until(self, condition: "Callable[[GatewayFaults], bool]") -> None:
        """Wait until `condition` holds for the faults that are in force."""
        while not condition(self.effective()):
            await self.changes.wait()

    def drops(self, direction: Direction) -> bool:
        """Whether bytes that travel in `direction` are held up."""
        return self.drop is not None and self.drop.includes(direction)

    def reset_connections(self) -> None:
        """End all present connections abruptly; new ones are accepted."""
        for connection in tuple(self.connections()):
            connection.reset()

    def half_open(self) -> None:
        """Let all present connections go dead for ever without closing them; new ones work."""
        for connection in tuple(self.connections()):
            connection.freeze()

    def bad_mac(self) -> None:
        """Send a frame with a wrong authenticator on all present connections."""
        for connection in tuple(self.connections()):
            connection.damage_next_frame()

    def spurious_document(self) -> None:
        """Send an answer that nobody asked for on all present connections."""
        for connection in tuple(self.connections()):
            connection.send_unasked()


_GATEWAY_SWITCHES: Final = tuple((one.name, one.default) for one in fields(GatewayFaults) if one.metadata)


@dataclass
class Faults(GatewayFaults, PacketFaults):
    """The switches of a whole network; untouched, it loses nothing.

    A packet and its reply are drawn for independently, each once on its whole way.

    Args:
        gateways: returns the gateways' own faults, which `clear` puts back too.
        storage: the same for the courier and the storage replicas.
    """

    gateways: Callable[[], Iterable[GatewayFaults]] = field(default=tuple, repr=False, compare=False, kw_only=True)
    storage: Callable[[], Iterable[Switches]] = field(default=tuple, repr=False, compare=False, kw_only=True)
    corrupt_packets: float = field(
        default=0.0, metadata=row(PROBABILITY, "a bit of a packet is flipped behind the gateway")
    )
    corrupt_replies: float = field(
        default=0.0, metadata=row(PROBABILITY, "a bit of a reply is flipped where it reaches its gateway")
    )
    lose_without_consensus: bool = field(
        default=False,
        metadata=row(ON_OFF, "in an epoch without a consensus no packet gets through, as was seen on genuine networks"),
    )
    skipped_epochs: set[int] = field(default_factory=set)

    def skip_consensus(self, epoch: int, count: int = 1) -> None:
        """Let the authorities fail to agree for `epoch` and further ones, `count` in all: no document ever is."""
        self.skipped_epochs.update(range(epoch, epoch + count))

    def clear(self) -> None:
        """Put every switch of the network, its gateways and its storage back; gateways that were stopped stay so."""
        super().clear()
        for switches in (*self.gateways(), *self.storage()):
            switches.clear()
