"""The compiled engine's functions, with Python's types; lengths are the callers' to check."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Final

from sphinx.geometry import MAC_LENGTH, PAYLOAD_TAG_LENGTH, SPRP_KEY_MATERIAL_LENGTH

_BYTES: Final = "uint8_t[]"

SPHINCS_NODE: Final = 32
"""Bytes of a node of SPHINCS+'s trees, of its seeds and of the random string that a signature begins with."""


class Status(Enum):
    """What the functions for whole packets return: `KP_` and the name in sphinx.h, which has the numbers."""

    DONE = auto()
    WEAK_KEY = auto()
    WRONG_MAC = auto()
    WRONG_TAG = auto()
    WRONG_SHAPE = auto()


class EncodedPath:
    """All that a header over X25519 is made from, as C has it.

    Args:
        pointer: to the structure.
        held: the bytes that it points to, which must live as long.
    """

    __slots__ = ("_held", "hops", "pointer")

    def __init__(self, hops: int, pointer: Any, held: Sequence[Any]) -> None:
        self.hops = hops
        self.pointer = pointer
        self._held = held


class Library:
    """One set of primitives of the compiled module, behind the functions that use them.

    Args:
        module: the compiled module.
        primitives: chosen from it; see `portable` and `aes_ni`.
    """

    __slots__ = ("_from_buffer", "_lib", "_new", "_primitives", "_statuses", "most_hops")

    most_hops: int

    def __init__(self, module: Any, primitives: Any) -> None:
        self._from_buffer = module.ffi.from_buffer
        self._new = module.ffi.new
        self._lib = module.lib
        self._primitives = primitives
        self._statuses = {getattr(module.lib, f"KP_{status.name}"): status for status in Status}
        self.most_hops = module.lib.KP_MOST_HOPS

    @classmethod
    def portable(cls, module: Any) -> "Library":
        """The primitives for any processor."""
        primitives = module.ffi.new("kp_engine *")
        module.lib.kp_engine_portable(primitives)
        return cls(module, primitives)

    @classmethod
    def aes_ni(cls, module: Any) -> "Library | None":
        """Those with x86's instructions for AES, and what else this processor has; None if it has them not."""
        primitives = module.ffi.new("kp_engine *")
        return cls(module, primitives) if module.lib.kp_engine_aes_ni(primitives) else None

    def layers(self, material: bytes, count: int, encipher: int, payload: bytes) -> bytes:
        """Apply `count` layers, of which the first `encipher` encipher."""
        buffer = bytearray(payload)
        view = self._from_buffer(_BYTES, buffer)
        self._lib.kp_apply_layers(self._primitives, material, count, encipher, view, len(buffer))
        return bytes(buffer)

    def open_reply(self, material: bytes, count: int, payload: bytes) -> bytes | None:
        """Take `count` layers, 1 at least, off a reply; None if its tag is wrong."""
        buffer = bytearray(payload)
        view = self._from_buffer(_BYTES, buffer)
        status = self._lib.kp_open_reply(self._primitives, material, count, view, len(buffer))
        return bytes(memoryview(buffer)[PAYLOAD_TAG_LENGTH:]) if status == self._lib.KP_DONE else None

    def path(
        self,
        nr_hops: int,
        hops: int,
        *,
        ephemeral: bytes,
        keys: bytes,
        fragments: bytes,
        macs_at: bytes | bytearray,
        filler: bytes,
    ) -> EncodedPath:
        """Gather what a header is made from.

        Args:
            nr_hops: of the geometry.
            hops: of the path.
            ephemeral: the maker's private key (32 bytes).
            keys: the hops' public keys (32 bytes each).
            fragments: the hops' commands (82 bytes each); zeros where the next hop's MAC will be.
            macs_at: where in its fragment that is, for each hop but the last.
            filler: 82 bytes for each hop that the path does not use.
        """
        held = [self._from_buffer(_BYTES, part) for part in (ephemeral, keys, fragments, macs_at, filler)]
        return EncodedPath(hops, self._new("kp_path *", [nr_hops, hops, *held]), held)

    def new_packet(self, path: EncodedPath, packet: bytearray, header_length: int) -> Status:
        """Write a header into `packet`, and encipher what stands behind it, tag included."""
        view = self._from_buffer(_BYTES, packet)
        status = self._lib.kp_new_packet(self._primitives, path.pointer, view, len(packet) - header_length)
        return self._statuses[status]

    def new_header(self, path: EncodedPath, header_length: int) -> tuple[Status, bytes, bytes]:
        """Return a header, and the payload's keys and nonces (64 bytes each) from the last hop to the first."""
        header, material = bytearray(header_length), bytearray(path.hops * SPRP_KEY_MATERIAL_LENGTH)
        views = [self._from_buffer(_BYTES, buffer) for buffer in (header, material)]
        status = self._lib.kp_new_header(self._primitives, path.pointer, *views)
        return self._statuses[status], bytes(header), bytes(material)

    def unwrap(self, nr_hops: int, private_key: bytes, packet: bytearray) -> tuple[Status, bytes]:
        """Take one layer off `packet`, which holds a whole header, in place; return the hop's commands."""
        fragment = bytearray(self._lib.KP_FRAGMENT)
        view, commands = (self._from_buffer(_BYTES, buffer) for buffer in (packet, fragment))
        status = self._lib.kp_unwrap(self._primitives, nr_hops, private_key, view, len(packet), commands)
        return self._statuses[status], bytes(fragment)

    def sphincs_root(self, public_seed: bytes, digest: bytes, signature: bytes) -> bytes:
        """The root (32 bytes) to which a SPHINCS+ signature leads for a message of that digest (49 bytes)."""
        root = bytearray(SPHINCS_NODE)
        view = self._from_buffer(_BYTES, root)
        self._lib.kp_sphincs_root(self._primitives, public_seed, digest, signature, view)
        return bytes(root)

    def sphincs_generate(self, secret_seed: bytes, public_seed: bytes) -> bytes:
        """The root of the SPHINCS+ key that belongs to two seeds of 32 bytes."""
        root = bytearray(SPHINCS_NODE)
        self._lib.kp_sphincs_generate(self._primitives, secret_seed, public_seed, self._from_buffer(_BYTES, root))
        return bytes(root)

    def sphincs_sign(self, secret_seed: bytes, public_seed: bytes, digest: bytes) -> bytes:
        """A SPHINCS+ signature over a digest (49 bytes), without the random string before it."""
        signature = bytearray(self._lib.KP_SPHINCS_SIGNATURE)
        view = self._from_buffer(_BYTES, signature)
        self._lib.kp_sphincs_sign(self._primitives, secret_seed, public_seed, digest, view)
        return bytes(memoryview(signature)[SPHINCS_NODE:])

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        """X25519 (RFC 7748, 5); all zero where the point's order is low."""
        product = bytearray(len(point))
        view = self._from_buffer(_BYTES, product)
        self._lib.kp_x25519(self._primitives, view, scalar, point)
        return bytes(product)

    def multiply_base(self, scalar: bytes) -> bytes:
        """X25519 with the base point."""
        product = bytearray(len(scalar))
        self._lib.kp_x25519_base(self._primitives, self._from_buffer(_BYTES, product), scalar)
        return bytes(product)

    def authenticate(self, key: bytes, data: bytes) -> bytes:
        """HMAC-SHA-256 under a key of at most 64 bytes."""
        mac = bytearray(MAC_LENGTH)
        view = self._from_buffer(_BYTES, mac)
        self._lib.kp_authenticate(self._primitives, key, len(key), data, len(data), view)
        return bytes(mac)

    def key_stream(self, key: bytes, counter: bytes, length: int) -> bytes:
        """`length` bytes of the key stream of AES-256-CTR from `counter` (16 bytes) on."""
        stream = bytearray(length)
        self._lib.kp_key_stream(self._primitives, key, counter, self._from_buffer(_BYTES, stream), length)
        return bytes(stream)
