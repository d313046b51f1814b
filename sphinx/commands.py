"""Per-hop routing commands: what a header tells each node on its path."""

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

from sphinx.errors import CommandError
from sphinx.geometry import COMMAND_TAG_LENGTH, MAC_LENGTH
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId

_DELAY: Final = struct.Struct(">I")
MAX_DELAY_MS: Final = 0xFFFFFFFF


class CommandId(IntEnum):
    """The byte that begins each command ("Routing commands" in the Katzenpost Sphinx specification)."""

    NULL = 0x00
    NEXT_NODE_HOP = 0x01
    RECIPIENT = 0x02
    SURB_REPLY = 0x03
    NODE_DELAY = 0x80


@dataclass(frozen=True, slots=True)
class NextNodeHop:
    """Forward the packet; only the header's builder makes these.

    Attributes:
        node_id: the next node (32 bytes).
        mac: the header MAC as that node will see it (32 bytes).
    """

    node_id: NodeId
    mac: bytes = field(repr=False)

    def __post_init__(self) -> None:
        _check_length("NextNodeHop's node id", self.node_id, NODE_ID_LENGTH)
        _check_length("NextNodeHop's MAC", self.mac, MAC_LENGTH)


@dataclass(frozen=True, slots=True)
class Recipient:
    """Deliver the payload to this service endpoint or client queue (32 bytes)."""

    recipient_id: RecipientId

    def __post_init__(self) -> None:
        _check_length("Recipient's id", self.recipient_id, RECIPIENT_ID_LENGTH)


@dataclass(frozen=True, slots=True)
class SurbReply:
    """The payload answers the SURB that its maker knows by this id (16 bytes)."""

    surb_id: SurbId

    def __post_init__(self) -> None:
        _check_length("SurbReply's id", self.surb_id, SURB_ID_LENGTH)


@dataclass(frozen=True, slots=True)
class NodeDelay:
    """Hold the packet for this many milliseconds before it is sent on."""

    milliseconds: int

    def __post_init__(self) -> None:
        if not 0 <= self.milliseconds <= MAX_DELAY_MS:
            raise CommandError(f"a delay of {self.milliseconds} ms does not fit 32 bits")


RoutingCommand: TypeAlias = NextNodeHop | Recipient | SurbReply | NodeDelay

_DELAY_COMMAND: Final = struct.Struct(">BI")

# Plain numbers: an enumeration's members take several times as long to compare and to find.
_NULL: Final = int(CommandId.NULL)
_NEXT_NODE_HOP: Final = int(CommandId.NEXT_NODE_HOP)
_RECIPIENT: Final = int(CommandId.RECIPIENT)
_SURB_REPLY: Final = int(CommandId.SURB_REPLY)
_NODE_DELAY: Final = int(CommandId.NODE_DELAY)

_NEXT_NODE_HOP_TAG: Final = bytes([_NEXT_NODE_HOP])
_RECIPIENT_TAG: Final = bytes([_RECIPIENT])
_SURB_REPLY_TAG: Final = bytes([_SURB_REPLY])

_BODY_LENGTHS: Final = {
    _NEXT_NODE_HOP: NODE_ID_LENGTH + MAC_LENGTH,
    _RECIPIENT: RECIPIENT_ID_LENGTH,
    _SURB_REPLY: SURB_ID_LENGTH,
    _NODE_DELAY: _DELAY.size,
}


def encode_commands(commands: Sequence[RoutingCommand]) -> bytes:
    """Return the commands' bytes one after the other, without terminator or padding."""
    return b"".join([_encode(command) for command in commands])


def decode_commands(fragment: bytes) -> tuple[RoutingCommand, ...]:
    """Parse one hop's fragment up to its end or to the zeros that terminate it.

    Raises:
        CommandError: at an unknown id, a command cut off, or anything but zeros behind the terminator.
    """
    commands: list[RoutingCommand] = []
    offset = 0
    while offset < len(fragment):
        tag = fragment[offset]
        offset += COMMAND_TAG_LENGTH
        if tag == _NULL:
            if fragment[offset:].strip(b"\0"):
                raise CommandError(f"other bytes than zeros follow the terminator at offset {offset - 1}")
            break
        length = _BODY_LENGTHS.get(tag)
        if length is None:
            raise CommandError(f"unknown routing command 0x{tag:02x} at offset {offset - 1}")
        body = fragment[offset : offset + length]
        if len(body) < length:
            raise CommandError(f"{CommandId(tag).name} is cut off: {len(body)} of {length} bytes of its body")
        commands.append(_decode(tag, body))
        offset += length
    return tuple(commands)


def _encode(command: RoutingCommand) -> bytes:
    match command:
        case NodeDelay():  # the first, since nearly every hop has one
            return _DELAY_COMMAND.pack(_NODE_DELAY, command.milliseconds)
        case Recipient():
            return _RECIPIENT_TAG + command.recipient_id
        case SurbReply():
            return _SURB_REPLY_TAG + command.surb_id
        case NextNodeHop():
            return encode_next_hop(command.node_id, command.mac)


def encode_next_hop(node_id: NodeId, mac: bytes) -> bytes:
    """Return the bytes of a `NextNodeHop`.

    Args:
        node_id: 32 bytes.
        mac: 32 bytes.

    Raises:
        CommandError: if one has another length.
    """
    _check_length("NextNodeHop's node id", node_id, NODE_ID_LENGTH)
    _check_length("NextNodeHop's MAC", mac, MAC_LENGTH)
    return _NEXT_NODE_HOP_TAG + node_id + mac


def _decode(tag: int, body: bytes) -> RoutingCommand:
    if tag == _NODE_DELAY:
        return NodeDelay(*_DELAY.unpack(body))
    if tag == _NEXT_NODE_HOP:
        return NextNodeHop(NodeId(body[:NODE_ID_LENGTH]), body[NODE_ID_LENGTH:])
    if tag == _RECIPIENT:
        return Recipient(RecipientId(body))
    return SurbReply(SurbId(body))


def _check_length(what: str, value: bytes, expected: int) -> None:
    if len(value) != expected:
        raise CommandError(f"{what} has {len(value)} bytes, expected {expected}")
