"""NIKE Sphinx over X25519 by the compiled engine: a packet, a SURB or an unwrapping in one call.

The same bytes, verdicts and errors as the steps of `sphinx.header`, `sphinx.surb` and `sphinx.unwrap`, which say what
is done; other threads of the interpreter run meanwhile.
"""

from collections.abc import Sequence
from typing import Final

from sphinx.commands import encode_next_hop
from sphinx.crypto.mac import replay_tag
from sphinx.crypto.nike import X25519
from sphinx.crypto.nike_base import Nike, weak
from sphinx.errors import PacketError
from sphinx.geometry import (
    HOP_COMMANDS_LENGTH,
    MAC_LENGTH,
    PAYLOAD_TAG_LENGTH,
    SPRP_KEY_MATERIAL_LENGTH,
    VERSION,
    Geometry,
)
from sphinx.header import encoded_commands
from sphinx.key_tables import KeyTables
from sphinx.native.library import EncodedPath, Library, Status
from sphinx.path import PathHop
from sphinx.randomness import Randomness
from sphinx.surb import NewSurb
from sphinx.unwrap import Unwrapped, at_last_hop, check_form, read_commands

_MAC_TO_COME: Final = bytes(MAC_LENGTH)


class CompiledX25519:
    """Packets of one geometry over X25519.

    Args:
        geometry: with that NIKE.
        nike: X25519.
        library: the compiled functions.

    Attributes:
        tables: of the nodes' keys that are in use.
    """

    __slots__ = ("_geometry", "_library", "_nike", "tables")

    tables: KeyTables

    def __init__(self, geometry: Geometry, nike: X25519, library: Library) -> None:
        self._geometry = geometry
        self._nike = nike
        self._library = library
        self.tables = KeyTables(library)

    def new_packet(self, path: Sequence[PathHop], payload: bytes, randomness: Randomness) -> bytes:
        """See `sphinx.packet.Sphinx.new_packet`; the payload has its length."""
        encoded = self._encoded(path, randomness)
        packet = bytearray(self._geometry.packet_length)
        packet[self._geometry.header_length + PAYLOAD_TAG_LENGTH :] = payload
        _check_keys(self._nike, self._library.new_packet(encoded, packet, self._geometry.header_length))
        return bytes(packet)

    def new_surb(self, path: Sequence[PathHop], randomness: Randomness) -> NewSurb:
        """See `sphinx.surb.new_surb`."""
        answer_keys = randomness.bytes(SPRP_KEY_MATERIAL_LENGTH)
        status, header, material = self._library.new_header(
            self._encoded(path, randomness), self._geometry.header_length
        )
        _check_keys(self._nike, status)
        return NewSurb(surb=header + path[0].node_id + answer_keys, keys=material + answer_keys)

    def unwrap(self, private_key: bytes, packet: bytes) -> Unwrapped:
        """See `sphinx.unwrap.unwrap`."""
        check_form(self._geometry, packet)
        self._nike.check(private_key)
        element = packet[len(VERSION) : len(VERSION) + self._nike.public_key_length]
        unwrapped = bytearray(packet)
        status, fragment = self._library.unwrap(self._geometry.nr_hops, private_key, unwrapped)
        if status is Status.WEAK_KEY:
            raise PacketError(f"a packet's group element is degenerate: {weak(self._nike.name)}")
        tag = replay_tag(element)
        if status is not Status.DONE:
            raise PacketError("a packet's header MAC is wrong", tag)
        commands, next_hop = read_commands(fragment, tag)
        if next_hop is None:
            return at_last_hop(commands, tag, bytes(memoryview(unwrapped)[self._geometry.header_length :]))
        return Unwrapped(commands, tag, bytes(unwrapped), None)

    def _encoded(self, path: Sequence[PathHop], randomness: Randomness) -> EncodedPath:
        fragments = encoded_commands(self._geometry, path)
        ephemeral = self._nike.generate(randomness.bytes)
        public_keys = [hop.public_key for hop in path]
        for public_key in public_keys:
            self._nike.check(ephemeral, public_key)
        macs_at = bytearray()
        for number, following in enumerate(path[1:]):
            fragments[number] += encode_next_hop(following.node_id, _MAC_TO_COME)
            macs_at.append(len(fragments[number]) - MAC_LENGTH)
        return self._library.path(
            self._geometry.nr_hops,
            len(path),
            ephemeral=ephemeral,
            keys=b"".join(public_keys),
            tables=self.tables.of(public_keys),
            fragments=b"".join([fragment.ljust(HOP_COMMANDS_LENGTH, b"\0") for fragment in fragments]),
            macs_at=macs_at,
            filler=randomness.bytes((self._geometry.nr_hops - len(path)) * HOP_COMMANDS_LENGTH),
        )


def _check_keys(nike: Nike, status: Status) -> None:
    if status is not Status.DONE:
        raise weak(nike.name)
