"""The Sphinx packets of the Loopix client: headers in headers, each one layer of AES-CTR and a MAC.

Neither padded nor safe: header and payload of a hop share one key stream. Source: the Nym 2019 Loopix client, "Sphinx
variant"; the names are its own.
"""

import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from kpclientd.loopix.agreement import agree, agree_as_node
from kpclientd.loopix.errors import NoPath, PacketError, UnknownRecipient
from kpclientd.loopix.messages_pb2 import Commands, GeneralPacket, Header, Hop, RoutingInfo, SphinxPacket
from kpclientd.loopix.nodes import KEY_LENGTH, ClientConfig, MixConfig
from kpclientd.loopix.protobuf import decode
from sphinx.errors import SphinxError

SECRET_LENGTH: Final = 32

ASSIGN: Final = b"\xa2"
"""A general packet that registers a client."""

TOKEN: Final = b"\xa9"
"""A general packet that answers a registration."""

COMM: Final = b"\xc6"
"""A general packet that holds a Sphinx packet."""

PULL: Final = b"\xff"
"""A general packet that asks for an inbox."""

RELAY: Final = b"\xf1"
LAST_HOP: Final = b"\xf0"

_LAYER_COUNTER: Final = b"0" * 16


@dataclass(frozen=True, slots=True)
class Processed:
    """What a node makes of a packet.

    Attributes:
        next_id: of the next node, or at the last hop the inbox; not to be trusted as a name of files.
        next_address: `host:port` of the next node.
        flag: `RELAY` or `LAST_HOP`.
        delay: seconds; genuine nodes wait only its whole ones.
        packet: the marshalled Sphinx packet to send on or to store.
    """

    next_id: str
    next_address: str
    flag: bytes
    delay: float
    packet: bytes = field(repr=False)


def wrap(
    path: Sequence[MixConfig], delays: Sequence[float], recipient: ClientConfig, message: bytes, secret: bytes
) -> bytes:
    """Build a packet.

    Args:
        path: the nodes in order, from the sender's provider to the recipient's.
        delays: seconds at each node; more than there are nodes are ignored, as the reference does.
        recipient: whose id and address the last node is told.
        message: of any length; see `longest_message`.
        secret: 32 random bytes, for this packet only.

    Returns:
        The marshalled Sphinx packet.

    Raises:
        NoPath: if the path is empty, there are fewer delays than nodes, or a node has no valid key.
        UnknownRecipient: if an id or address is no text that protobuf can carry.
    """
    if not path or len(delays) < len(path):
        raise NoPath(f"a path of {len(path)} nodes with {len(delays)} delays; expected a delay for each of 1 or more")
    alpha, keys = agree(secret, [node.public_key for node in path])
    try:
        hops = [Hop(Id=node.id, Address=node.address, PubKey=node.public_key) for node in path[1:]]
        hops.append(Hop(Id=recipient.id, Address=recipient.address))
    except ValueError:
        raise UnknownRecipient("an id or address on the path to the recipient is no valid UTF-8") from None
    flags = [RELAY] * (len(path) - 1) + [LAST_HOP]
    beta = mac = b""
    for hop, flag, delay, key in reversed(list(zip(hops, flags, delays, keys, strict=False))):
        commands = Commands(Delay=delay, Flag=flag)
        routing = RoutingInfo(NextHop=hop, RoutingCommands=commands, NextHopMetaData=beta, Mac=mac)
        beta, message = _crypt(key, routing.SerializeToString(), message)
        mac = _mac(key, beta)
    return SphinxPacket(Hdr=Header(Alpha=alpha, Beta=beta, Mac=mac), Pld=message).SerializeToString()


def process(private_key: bytes, packet: bytes) -> Processed:
    """Do a node's part.

    Args:
        private_key: the node's, 32 bytes.
        packet: a marshalled Sphinx packet.

    Raises:
        PacketError: if it is none, is not for this node, or tells it nothing that it could do.
    """
    parsed = decode(SphinxPacket, packet, PacketError)
    alpha = _alpha(parsed)
    try:
        key, next_alpha = agree_as_node(private_key, alpha)
    except SphinxError as error:
        raise PacketError(f"the packet's group element is of no use: {error}") from None
    if not hmac.compare_digest(_mac(key, parsed.Hdr.Beta), parsed.Hdr.Mac):
        raise PacketError("packet processing error: MACs are not matching")
    header, payload = _crypt(key, parsed.Hdr.Beta, parsed.Pld)
    routing = decode(RoutingInfo, header, PacketError)
    commands = routing.RoutingCommands
    if not routing.HasField("NextHop") or commands.Flag not in (RELAY, LAST_HOP):
        raise PacketError("the packet's header names no next hop, or has neither flag that a hop can have")
    if not (math.isfinite(commands.Delay) and commands.Delay >= 0):
        raise PacketError(f"the packet's header asks for a delay of {commands.Delay} s")
    next_header = Header(Alpha=next_alpha, Beta=routing.NextHopMetaData, Mac=routing.Mac)
    onward = SphinxPacket(Hdr=next_header, Pld=payload).SerializeToString()
    return Processed(routing.NextHop.Id, routing.NextHop.Address, commands.Flag, commands.Delay, onward)


def payload_of(stored: bytes) -> bytes:
    """Return the message that a provider's stored packet holds, whatever its length.

    Raises:
        PacketError: if it is no Sphinx packet with a header.
    """
    parsed = decode(SphinxPacket, stored, PacketError)
    _alpha(parsed)
    return parsed.Pld


def general(flag: bytes, data: bytes) -> bytes:
    """Return what goes over a connection: `data` with the flag that says what it is."""
    return GeneralPacket(Flag=flag, Data=data).SerializeToString()


def parse_general(data: bytes) -> tuple[bytes, bytes]:
    """Return flag and data of a general packet.

    Raises:
        PacketError: if it is none, or its flag is not one of the four.
    """
    packet = decode(GeneralPacket, data, PacketError)
    if packet.Flag not in (ASSIGN, TOKEN, COMM, PULL):
        raise PacketError(f"a general packet has a flag of {len(packet.Flag)} bytes that means nothing")
    return packet.Flag, packet.Data


def _alpha(packet: SphinxPacket) -> bytes:
    if len(packet.Hdr.Alpha) != KEY_LENGTH:
        raise PacketError(f"a packet's group element has {len(packet.Hdr.Alpha)} bytes, expected {KEY_LENGTH}")
    return packet.Hdr.Alpha


def _crypt(key: bytes, header: bytes, payload: bytes) -> tuple[bytes, bytes]:
    """Both under the same key stream, which is the format's gravest fault; encrypting is decrypting."""
    stream = Cipher(AES(key), CTR(_LAYER_COUNTER)).encryptor()
    crypted = stream.update(header)
    stream.reset_nonce(_LAYER_COUNTER)
    return crypted, stream.update(payload)


def _mac(key: bytes, data: bytes) -> bytes:
    return hmac.digest(key, data, "sha256")
