"""Builds packet headers: one layer for each hop, nested from the last to the first.

Danezis and Goldberg, "Sphinx: A Compact and Provably Secure Mix Format" (2009), in the form of the Katzenpost Sphinx
specification, "Header creation".
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sphinx.agreement import Agreement
from sphinx.commands import NextNodeHop, encode_commands
from sphinx.crypto.kdf import HopKeys
from sphinx.crypto.mac import header_mac
from sphinx.crypto.stream import header_stream, xor
from sphinx.errors import CommandError, PathError
from sphinx.geometry import HOP_COMMANDS_LENGTH, NEXT_NODE_HOP_LENGTH, VERSION, Geometry
from sphinx.path import PathHop
from sphinx.randomness import Randomness
from sphinx.types import NODE_ID_LENGTH


@dataclass(frozen=True, slots=True)
class Header:
    """A header and what its maker must know of it.

    Attributes:
        encoded: the header (header_length bytes).
        payload_keys: key material of the payload's layers (64 bytes each), in the order of the hops.
    """

    encoded: bytes = field(repr=False)
    payload_keys: tuple[bytes, ...] = field(repr=False)


def build_header(geometry: Geometry, agreement: Agreement, path: Sequence[PathHop], randomness: Randomness) -> Header:
    """Build the header of a packet that takes `path`.

    Args:
        geometry: of the network.
        agreement: of the geometry's scheme.
        path: 1 to nr_hops hops.
        randomness: drawn on for the ephemeral keys, then for the filler of the hops that the path does not use.

    Raises:
        PathError: if the path is empty or too long, or a node id has a wrong length.
        CommandError: if a hop's commands do not fit, or hold a `NextNodeHop`.
        KeyLengthError: if a hop's public key has a wrong length.
        WeakPublicKeyError: if a hop's public key is degenerate.
        KemError: if a hop's public key is none of its KEM's.
    """
    commands = encoded_commands(geometry, path)
    elements, keys = agreement.with_hops([hop.public_key for hop in path], randomness)
    streams, paddings = _streams(geometry, keys)

    per_hop = geometry.per_hop_routing_info_length
    carried = per_hop - HOP_COMMANDS_LENGTH  # room for the next hop's ciphertext; none where elements are blinded
    routing_info = randomness.bytes((geometry.nr_hops - len(path)) * per_hop)
    mac = b""
    for number in reversed(range(len(path))):
        fragment = commands[number]
        if number < len(path) - 1:
            fragment += encode_commands([NextNodeHop(path[number + 1].node_id, mac)])
            fragment = fragment.ljust(HOP_COMMANDS_LENGTH, b"\0") + elements[number + 1][:carried]
        routing_info = xor(fragment.ljust(per_hop, b"\0") + routing_info, streams[number])
        padding = paddings[number - 1] if number else b""
        mac = header_mac(keys[number].mac_key, VERSION, elements[number], routing_info, padding)
    return Header(
        encoded=VERSION + elements[0] + routing_info + mac,
        payload_keys=tuple(hop.payload_material for hop in keys),
    )


def encoded_commands(geometry: Geometry, path: Sequence[PathHop]) -> list[bytes]:
    """Check a path, and return each hop's commands as bytes, without the `NextNodeHop` that the builder adds.

    Raises:
        PathError: if the path is empty or too long, or a node id has a wrong length.
        CommandError: if a hop's commands do not fit, or hold a `NextNodeHop`.
    """
    if not 1 <= len(path) <= geometry.nr_hops:
        raise PathError(f"a path has {len(path)} hops, expected 1 to {geometry.nr_hops}")
    last = len(path) - 1
    return [_encoded(hop, number, last=number == last) for number, hop in enumerate(path)]


def _encoded(hop: PathHop, number: int, *, last: bool) -> bytes:
    if len(hop.node_id) != NODE_ID_LENGTH:
        raise PathError(f"the node id of hop {number} has {len(hop.node_id)} bytes, expected {NODE_ID_LENGTH}")
    for command in hop.commands:
        if isinstance(command, NextNodeHop):
            raise CommandError(f"hop {number} is given a NextNodeHop, which is the builder's to add")
    encoded = encode_commands(hop.commands)
    room = HOP_COMMANDS_LENGTH - (0 if last else NEXT_NODE_HOP_LENGTH)
    if len(encoded) > room:
        raise CommandError(f"the commands of hop {number} have {len(encoded)} bytes, expected at most {room}")
    return encoded


def _streams(geometry: Geometry, keys: Sequence[HopKeys]) -> tuple[list[bytes], list[bytes]]:
    """Each hop's key stream over the routing information that the builder writes, and the padding behind it.

    A hop appends zeros before it deciphers, and so creates padding that the next hop's MAC covers: it must be known
    before it exists.
    """
    per_hop = geometry.per_hop_routing_info_length
    length = geometry.routing_info_length + per_hop
    streams: list[bytes] = []
    paddings: list[bytes] = []
    padding = b""
    for number, hop in enumerate(keys, start=1):
        stream = header_stream(hop.header_key, hop.iv, length)
        cut = length - number * per_hop
        streams.append(stream[:cut])
        padding = xor(stream[cut:], padding + bytes(per_hop))
        paddings.append(padding)
    return streams, paddings
