"""What a local network does wrong on command.

Everything is a plain attribute or a method without arguments, so that a test reads as what it tests:

    network.faults.loss = 0.2
    network.faults.document = DocumentFault.TOO_FEW_SIGNATURES
    network.faults.reset_connections()
"""

from collections.abc import Callable, Iterable
from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import Final, Protocol

from sphinx.randomness import Randomness

_BITS_PER_BYTE: Final = 8


class DocumentFault(StrEnum):
    """What is wrong with the documents that the gateway serves."""

    TOO_FEW_SIGNATURES = "too-few-signatures"
    REPEATED_SIGNER = "repeated-signer"
    UNLISTED_SIGNER = "unlisted-signer"
    NO_SIGNATURES = "no-signatures"
    WRONG = "wrong"
    KEY_TYPE = "key-type"
    VERSION = "version"
    EXPIRED = "expired"
    FUTURE = "future"
    PAST = "past"
    BAD_GEOMETRY = "bad-geometry"
    NO_GATEWAYS = "no-gateways"
    NO_MIX_KEYS = "no-mix-keys"
    GARBAGE = "garbage"
    TRUNCATED_GZIP = "truncated-gzip"
    GZIP_BOMB = "gzip-bomb"
    CHUNKS_OUT_OF_ORDER = "chunks-out-of-order"
    CHUNK_TOTAL_CHANGES = "chunk-total-changes"
    UNASKED = "unasked"
    NOT_FOUND = "not-found"
    GONE = "gone"
    SILENCE = "silence"


class FaultyConnection(Protocol):
    """A connection as the faults see it."""

    def reset(self) -> None:
        """End it abruptly."""

    def freeze(self) -> None:
        """Leave it open and never read or write on it again."""

    def damage_next_frame(self) -> None:
        """Send a frame whose authenticator is wrong."""


@dataclass(slots=True)
class PacketFaults:
    """The switches that every network has. Probabilities are in [0, 1], times in seconds.

    Attributes:
        loss, duplicate: probabilities.
        delay, jitter: so much longer, and up to so much more, something takes.
    """

    randomness: Randomness = field(repr=False)
    loss: float = 0.0
    duplicate: float = 0.0
    delay: float = 0.0
    jitter: float = 0.0

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

    def clear(self) -> None:
        """Put every switch back: from now on the network does all things right."""
        for switch in fields(self):
            if switch.default is not MISSING:
                setattr(self, switch.name, switch.default)
            elif switch.default_factory is not MISSING:
                setattr(self, switch.name, switch.default_factory())


@dataclass(slots=True)
class Faults(PacketFaults):
    """The switches; untouched, the network loses nothing.

    A packet and its reply are drawn for independently, each once on its whole way.
    """

    connections: Callable[[], Iterable[FaultyConnection]] = field(repr=False, kw_only=True)
    corrupt_packets: float = 0.0
    corrupt_replies: float = 0.0
    refuse_connections: bool = False
    silent_handshake: bool = False
    impostor: bool = False
    document: DocumentFault | None = None
    skipped_epochs: set[int] = field(default_factory=set)

    def skip_consensus(self, epoch: int) -> None:
        """Let the authorities fail to agree for `epoch`: no document of it was ever made."""
        self.skipped_epochs.add(epoch)

    def reset_connections(self) -> None:
        """End all present connections abruptly; new ones are accepted."""
        for connection in tuple(self.connections()):
            connection.reset()

    def half_open(self) -> None:
        """Let all present connections go dead without closing them; new ones work."""
        for connection in tuple(self.connections()):
            connection.freeze()

    def bad_mac(self) -> None:
        """Send a frame with a wrong authenticator on all present connections."""
        for connection in tuple(self.connections()):
            connection.damage_next_frame()
