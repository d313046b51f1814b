"""What a node does with a packet: check its header, take one layer off, read its commands."""

from dataclasses import dataclass, field
from typing import TypeVar

from sphinx.agreement import Agreement, PrivateKey
from sphinx.commands import NextNodeHop, RoutingCommand, SurbReply, decode_commands
from sphinx.crypto.kdf import HopKeys
from sphinx.crypto.mac import constant_time_equal, header_mac, replay_tag
from sphinx.crypto.stream import header_stream, xor
from sphinx.errors import CommandError, PacketError, PayloadTagError
from sphinx.geometry import HOP_COMMANDS_LENGTH, MAC_LENGTH, PAYLOAD_TAG_LENGTH, VERSION, Geometry
from sphinx.native import Engine

Command = TypeVar("Command", NextNodeHop, SurbReply)


@dataclass(frozen=True, slots=True)
class Unwrapped:
    """A packet with one layer off: exactly one of `packet` and `payload` is there.

    Attributes:
        commands: what the header tells this node, in order.
        replay_tag: names the packet at this node (32 bytes): a second packet with the same tag is a replay.
        packet: the packet to send on, where a `NextNodeHop` says so.
        payload: the payload at its last hop: the plaintext, or for a `SurbReply` the payload that only the SURB's
            maker can open, tag included.
    """

    commands: tuple[RoutingCommand, ...]
    replay_tag: bytes
    packet: bytes | None = field(repr=False)
    payload: bytes | None = field(repr=False)


def unwrap(
    geometry: Geometry, agreement: Agreement, engine: Engine, private_key: PrivateKey, packet: bytes
) -> Unwrapped:
    """Take off the layer that is for the owner of `private_key` ("Unwrap" in the Katzenpost Sphinx specification).

    Args:
        geometry: of the network.
        agreement: of the geometry's scheme.
        engine: for the payload.
        private_key: the node's mix key; for KEM Sphinx either loaded or as `Kem.load` takes it.
        packet: as received; nodes accept packet_length bytes only, which is theirs to check.

    Raises:
        PacketError: if the packet is not for this key, was altered, or its commands are malformed.
        KeyLengthError: if the private key has a wrong length.
    """
    check_form(geometry, packet)
    header, payload = packet[: geometry.header_length], packet[geometry.header_length :]
    routing_info_at = len(VERSION) + agreement.element_length
    element = header[len(VERSION) : routing_info_at]
    keys = agreement.at_hop(private_key, element)
    tag = replay_tag(element)
    if not constant_time_equal(header[-MAC_LENGTH:], header_mac(keys.mac_key, header[:-MAC_LENGTH])):
        raise PacketError("a packet's header MAC is wrong", tag)

    fragment, routing_info = _routing(geometry, keys, header[routing_info_at:-MAC_LENGTH])
    commands, next_hop = read_commands(fragment, tag)
    payload = engine.decipher(keys.payload_material, payload)
    if next_hop is None:
        return at_last_hop(commands, tag, payload)
    element = agreement.next_element(element, keys, fragment[HOP_COMMANDS_LENGTH:])
    return Unwrapped(commands, tag, VERSION + element + routing_info + next_hop.mac + payload, None)


def check_form(geometry: Geometry, packet: bytes) -> None:
    """Refuse what can be seen to be no packet without any key.

    Raises:
        PacketError: if the packet is shorter than a header, or of another version.
    """
    if len(packet) < geometry.header_length:
        raise PacketError(f"a packet has {len(packet)} bytes, expected at least {geometry.header_length}")
    version = packet[: len(VERSION)]
    if not constant_time_equal(version, VERSION):
        raise PacketError(f"a packet has version {version.hex()}, expected {VERSION.hex()}")


def read_commands(fragment: bytes, tag: bytes) -> tuple[tuple[RoutingCommand, ...], NextNodeHop | None]:
    """Parse one hop's fragment, and say where the packet goes on to, if it does.

    Args:
        fragment: the commands, and for KEM Sphinx the next ciphertext behind them.
        tag: the packet's replay tag, for the error.

    Raises:
        PacketError: if the commands are malformed, or contradict each other.
    """
    try:
        commands = decode_commands(fragment[:HOP_COMMANDS_LENGTH])
    except CommandError as error:
        raise PacketError(f"a packet's routing commands are malformed: {error}", tag) from None
    return commands, _only(commands, NextNodeHop, tag)


def at_last_hop(commands: tuple[RoutingCommand, ...], tag: bytes, payload: bytes) -> Unwrapped:
    """Check the deciphered payload where the path ends.

    Raises:
        PacketError: if it is too short.
        PayloadTagError: if it was altered, as far as this hop can know.
    """
    if len(payload) < PAYLOAD_TAG_LENGTH:
        raise PacketError(f"a payload has {len(payload)} bytes, expected at least {PAYLOAD_TAG_LENGTH}", tag)
    if _only(commands, SurbReply, tag) is not None:
        return Unwrapped(commands, tag, None, payload)
    if not constant_time_equal(payload[:PAYLOAD_TAG_LENGTH], bytes(PAYLOAD_TAG_LENGTH)):
        raise PayloadTagError("a payload's tag is not zero: it was altered on its way", tag)
    return Unwrapped(commands, tag, None, payload[PAYLOAD_TAG_LENGTH:])


def _routing(geometry: Geometry, keys: HopKeys, encrypted: bytes) -> tuple[bytes, bytes]:
    """This hop's fragment, and the next hop's routing information."""
    per_hop = geometry.per_hop_routing_info_length
    stream = header_stream(keys.header_key, keys.iv, geometry.routing_info_length + per_hop)
    plain = xor(encrypted + bytes(per_hop), stream)
    return plain[:per_hop], plain[per_hop:]


def _only(commands: tuple[RoutingCommand, ...], kind: type[Command], tag: bytes) -> Command | None:
    found = [command for command in commands if isinstance(command, kind)]
    if len(found) > 1:
        raise PacketError(f"a packet has {len(found)} {kind.__name__} commands, expected at most one", tag)
    return found[0] if found else None
