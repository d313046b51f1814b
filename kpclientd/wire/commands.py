"""What client, gateway and authority say to each other, as values, and their bytes.

Katzenpost wire protocol, "command encoding", "padding" and "commands". A command is one byte of id, a zero byte,
the length of its body and the body; zeros follow up to the length that hides which command it is. Commands that
only nodes exchange are not spoken here, and neither are those the reference has given up.
"""

import struct
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from enum import Enum, IntEnum, auto
from operator import attrgetter
from typing import Any, Final

from kpclientd.wire.errors import CommandError
from kpclientd.wire.noise import TAG_LENGTH
from sphinx.geometry import Geometry
from sphinx.types import SURB_ID_LENGTH, SurbId

_HEADER: Final = struct.Struct(">BBI")  # id, reserved, length of the body
COMMAND_HEADER_LENGTH: Final = _HEADER.size
MESSAGE_HEADER_LENGTH: Final = 4 + SURB_ID_LENGTH  # sequence, SURB id
CONSENSUS2_HEADER_LENGTH: Final = 1 + 4 + 4  # error, chunk, total

DOCUMENT_LIMIT: Final = 50_000_000
"""The longest document (bytes) this program takes; real ones have some hundred thousand."""


class ConsensusCode(IntEnum):
    """How an authority or a gateway answers a request for a document."""

    OK = 0
    NOT_FOUND = 1
    """Not there yet: ask again later."""
    GONE = 2
    """There will never be one."""


@dataclass(frozen=True, slots=True)
class NoOp:
    """Nothing; a gateway's first word, and its sign of life."""


@dataclass(frozen=True, slots=True)
class Disconnect:
    """The peer is about to close; no component of the reference says so."""


@dataclass(frozen=True, slots=True)
class SendPacket:
    """A client's packet for the mixnet. A gateway has to check that its length is the geometry's."""

    packet: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendRetrievePacket:
    """A packet whose reply the gateway is to return at once; unused by clients."""

    packet: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class SendRetrievePacketReply:
    """The reply to `SendRetrievePacket`; an empty spool has a zero SURB id and no payload."""

    surb_id: SurbId
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MessageDelivered:
    """A client has taken `Message` number `sequence`: the gateway may forget it and push the next one."""

    sequence: int


@dataclass(frozen=True, slots=True)
class RetrieveMessage:
    """The polling of earlier generations: a gateway closes the connection on it."""

    sequence: int


@dataclass(frozen=True, slots=True)
class Message:
    """A reply that a gateway pushes: number (from 1, per connection), SURB id and sealed payload."""

    sequence: int
    surb_id: SurbId
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetConsensus2:
    """A client asks its gateway for the document of an epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Consensus2:
    """Chunk number `chunk` (from 0) of the `total` chunks of a compressed document."""

    error: int
    chunk: int
    total: int
    data: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetConsensus:
    """Anybody asks an authority for the document of an epoch."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Consensus:
    """An authority's answer: the signed document, empty with an error."""

    error: int
    data: bytes = field(repr=False)


Command = (
    NoOp
    | Disconnect
    | SendPacket
    | SendRetrievePacket
    | SendRetrievePacketReply
    | MessageDelivered
    | RetrieveMessage
    | Message
    | GetConsensus2
    | Consensus2
    | GetConsensus
    | Consensus
)


_WITH_SURB_ID: Final = (Message, SendRetrievePacketReply)


class _Padding(Enum):
    NONE = auto()
    TO_GATEWAY = auto()
    TO_CLIENT = auto()


@dataclass(frozen=True, slots=True)
class _Layout:
    """The bytes of one kind of command: the fields of known width, then perhaps one that takes the rest."""

    number: int
    command: type[Command]
    fixed: struct.Struct
    has_rest: bool
    padding: _Padding
    make: Callable[..., Command]
    values: Callable[[Any], tuple[Any, ...]]


def _layout(number: int, command: type[Command], fixed: str, padding: _Padding, *, rest: bool = False) -> _Layout:
    names = [item.name for item in fields(command)]
    getter: Callable[[Any], Any] = attrgetter(*names) if names else lambda _: ()
    values = getter if len(names) != 1 else lambda value: (getter(value),)
    return _Layout(number, command, struct.Struct(">" + fixed), rest, padding, command, values)


_SURB_ID: Final = f"{SURB_ID_LENGTH}s"

_PKI_LAYOUTS: Final = (
    _layout(0, NoOp, "", _Padding.TO_GATEWAY),  # in both directions: a gateway's has a client's length
    _layout(1, Disconnect, "", _Padding.TO_GATEWAY),
    _layout(18, GetConsensus, "Q", _Padding.NONE),
    _layout(19, Consensus, "B", _Padding.NONE, rest=True),
)
_MIXNET_LAYOUTS: Final = (
    *_PKI_LAYOUTS,
    _layout(2, SendPacket, "", _Padding.TO_GATEWAY, rest=True),
    _layout(3, SendRetrievePacket, "", _Padding.TO_GATEWAY, rest=True),
    _layout(4, SendRetrievePacketReply, _SURB_ID, _Padding.TO_CLIENT, rest=True),
    _layout(5, MessageDelivered, "I", _Padding.TO_GATEWAY),
    _layout(16, RetrieveMessage, "I", _Padding.TO_GATEWAY),
    _layout(17, Message, f"I{_SURB_ID}", _Padding.TO_CLIENT, rest=True),
    _layout(31, Consensus2, "BII", _Padding.TO_CLIENT, rest=True),
    _layout(32, GetConsensus2, "Q", _Padding.TO_GATEWAY),
)


def client_to_server_length(geometry: Geometry) -> int:
    """The length (bytes) that commands of a client are padded to: the longest one carries a packet."""
    return COMMAND_HEADER_LENGTH + geometry.packet_length


def server_to_client_length(geometry: Geometry) -> int:
    """The length (bytes) that answers of a gateway are padded to, and that documents are cut into."""
    return COMMAND_HEADER_LENGTH + MESSAGE_HEADER_LENGTH + geometry.packet_length


class CommandCodec:
    """Commands to bytes and back, for one kind of link.

    Args:
        geometry: of the mixnet that the link belongs to; None for a link to an authority, where nothing is padded.

    Attributes:
        body_limit: the longest sealed command (bytes) that an honest peer sends on such a link. On a mixnet link
            that is a full `Consensus2`: the reference cuts documents at the padded length and adds the command's
            own fields.
    """

    __slots__ = ("_by_number", "_by_type", "_message_payload_length", "_padded_lengths", "body_limit")

    def __init__(self, geometry: Geometry | None) -> None:
        layouts = _PKI_LAYOUTS if geometry is None else _MIXNET_LAYOUTS
        self._by_number = {layout.number: layout for layout in layouts}
        self._by_type: dict[type[Command], _Layout] = {layout.command: layout for layout in layouts}
        if geometry is None:
            self._padded_lengths = dict.fromkeys(_Padding, 0)
            self._message_payload_length = 0
            self.body_limit = COMMAND_HEADER_LENGTH + 1 + DOCUMENT_LIMIT + TAG_LENGTH
            return
        self._padded_lengths = {
            _Padding.NONE: 0,
            _Padding.TO_GATEWAY: client_to_server_length(geometry),
            _Padding.TO_CLIENT: server_to_client_length(geometry),
        }
        self._message_payload_length = geometry.payload_tag_length + geometry.forward_payload_length
        longest_chunk = server_to_client_length(geometry) + CONSENSUS2_HEADER_LENGTH
        self.body_limit = COMMAND_HEADER_LENGTH + longest_chunk + TAG_LENGTH

    def encode(self, command: Command) -> bytes:
        """Return the padded bytes of `command`.

        Raises:
            CommandError: if this kind of link does not know it, or a field does not fit its width.
        """
        layout = self._by_type.get(type(command))
        if layout is None:
            raise CommandError(f"{type(command).__name__} is no command of this link")
        self._check(command)
        values = layout.values(command)
        rest: bytes = b""
        if layout.has_rest:
            values, rest = values[:-1], values[-1]
        try:
            fixed = layout.fixed.pack(*values)
        except struct.error as error:
            raise CommandError(f"{type(command).__name__} has a field that does not fit: {error}") from None
        length = len(fixed) + len(rest)
        padding = bytes(max(0, self._padded_lengths[layout.padding] - COMMAND_HEADER_LENGTH - length))
        return b"".join((_HEADER.pack(layout.number, 0, length), fixed, rest, padding))

    def decode(self, plaintext: bytes) -> Command:
        """Return the command in a frame's plaintext, padded to any length.

        Raises:
            CommandError: if it is too short, no command of this link, badly padded, or of a wrong length.
        """
        if len(plaintext) < COMMAND_HEADER_LENGTH:
            raise CommandError(f"a command has {len(plaintext)} bytes, at least {COMMAND_HEADER_LENGTH} expected")
        number, reserved, length = _HEADER.unpack_from(plaintext)
        if reserved != 0:
            raise CommandError(f"the reserved byte of a command is {reserved}, expected 0")
        end = COMMAND_HEADER_LENGTH + length
        if end > len(plaintext):
            raise CommandError(f"a command's body of {length} bytes is announced in {len(plaintext)} bytes")
        if plaintext[end:] != bytes(len(plaintext) - end):
            raise CommandError(f"the {len(plaintext) - end} bytes after a command are not all zero")
        layout = self._by_number.get(number)
        if layout is None:
            raise CommandError(f"id {number} is no command of this link")
        fixed_length = layout.fixed.size
        if length < fixed_length or (length > fixed_length and not layout.has_rest):
            expected = f"at least {fixed_length}" if layout.has_rest else str(fixed_length)
            name = layout.command.__name__
            raise CommandError(f"the body of {name} has {length} bytes, expected {expected}")
        values = layout.fixed.unpack_from(plaintext, COMMAND_HEADER_LENGTH)
        if layout.has_rest:
            values = (*values, plaintext[COMMAND_HEADER_LENGTH + fixed_length : end])
        command = layout.make(*values)
        self._check(command)
        return command

    def _check(self, command: Command) -> None:
        """Hold the two lengths that the fields' widths do not say."""
        if not isinstance(command, _WITH_SURB_ID):
            return
        if len(command.surb_id) != SURB_ID_LENGTH:
            raise CommandError(f"a SURB id has {len(command.surb_id)} bytes, expected {SURB_ID_LENGTH}")
        length = len(command.payload)
        if isinstance(command, Message) and length != self._message_payload_length:
            raise CommandError(f"the payload of Message has {length} bytes, expected {self._message_payload_length}")
