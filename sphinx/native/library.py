"""The compiled engine's functions, with Python's types.

Those for whole packets are `sphinx.compiled`'s, which has checked lengths; the others check them here, since C reads
and writes what it is told to.
"""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Any, Final

from sphinx.errors import KeyLengthError
from sphinx.geometry import MAC_LENGTH, PAYLOAD_TAG_LENGTH, SPRP_KEY_MATERIAL_LENGTH

_BYTES: Final = "uint8_t[]"
_HMAC_BLOCK: Final = 64
_AES_KEY: Final = 32
_AES_BLOCK: Final = 16

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

    __slots__ = (
        "_from_buffer",
        "_lib",
        "_new",
        "_null",
        "_primitives",
        "_statuses",
        "most_hops",
        "point_length",
        "table_bytes",
    )

    most_hops: int
    point_length: int
    table_bytes: int

    def __init__(self, module: Any, primitives: Any) -> None:
        self._from_buffer = module.ffi.from_buffer
        self._new = module.ffi.new
        self._null = module.ffi.NULL
        self._lib = module.lib
        self._primitives = primitives
        self._statuses = {getattr(module.lib, f"KP_{status.name}"): status for status in Status}
        self.most_hops = module.lib.KP_MOST_HOPS
        self.point_length = module.lib.KP_POINT
        self.table_bytes = module.ffi.sizeof("kp_table")

    @classmethod
    def portable(cls, module: Any) -> "Library":
        """The primitives for any 64-bit processor."""
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
        tables: Sequence[Any],
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
            tables: of these keys, see `table`, or None.
            fragments: the hops' commands (82 bytes each); zeros where the next hop's MAC will be.
            macs_at: where in its fragment that is, for each hop but the last.
            filler: 82 bytes for each hop that the path does not use.
        """
        held = [self._from_buffer(_BYTES, part) for part in (ephemeral, keys, fragments, macs_at, filler)]
        held.append(self._new("kp_table *[]", [table if table is not None else self._null for table in tables]))
        return EncodedPath(hops, self._new("kp_path *", [nr_hops, hops, *held]), (held, tables))

    def table(self, public_key: bytes) -> Any:
        """The table of multiples of a public key (32 bytes), or None where there can be none."""
        self._check("public key", public_key, self.point_length)
        table = self._new("kp_table *")
        return table if self._lib.kp_key_table(self._primitives, table, public_key) else None

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
        self._check("public seed", public_seed, SPHINCS_NODE)
        self._check("digest", digest, self._lib.KP_SPHINCS_DIGEST)
        self._check("signature", signature, self._lib.KP_SPHINCS_SIGNATURE)
        root = bytearray(SPHINCS_NODE)
        view = self._from_buffer(_BYTES, root)
        self._lib.kp_sphincs_root(self._primitives, public_seed, digest, signature, view)
        return bytes(root)

    def sphincs_generate(self, secret_seed: bytes, public_seed: bytes) -> bytes:
        """The root of the SPHINCS+ key that belongs to two seeds of 32 bytes."""
        self._check("secret seed", secret_seed, SPHINCS_NODE)
        self._check("public seed", public_seed, SPHINCS_NODE)
        root = bytearray(SPHINCS_NODE)
        self._lib.kp_sphincs_generate(self._primitives, secret_seed, public_seed, self._from_buffer(_BYTES, root))
        return bytes(root)

    def sphincs_sign(self, secret_seed: bytes, public_seed: bytes, digest: bytes) -> bytes:
        """A SPHINCS+ signature over a digest (49 bytes), without the random string before it."""
        self._check("secret seed", secret_seed, SPHINCS_NODE)
        self._check("public seed", public_seed, SPHINCS_NODE)
        self._check("digest", digest, self._lib.KP_SPHINCS_DIGEST)
        signature = bytearray(self._lib.KP_SPHINCS_SIGNATURE)
        view = self._from_buffer(_BYTES, signature)
        self._lib.kp_sphincs_sign(self._primitives, secret_seed, public_seed, digest, view)
        return bytes(memoryview(signature)[SPHINCS_NODE:])

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        """X25519 (RFC 7748, 5), of 32 bytes each; all zero where the point's order is low."""
        self._check("scalar", scalar, self.point_length)
        self._check("point", point, self.point_length)
        product = bytearray(self.point_length)
        view = self._from_buffer(_BYTES, product)
        self._lib.kp_x25519(self._primitives, view, scalar, point)
        return bytes(product)

    def multiply_base(self, scalar: bytes) -> bytes:
        """X25519 with the base point, of a scalar of 32 bytes."""
        self._check("scalar", scalar, self.point_length)
        product = bytearray(self.point_length)
        self._lib.kp_x25519_base(self._primitives, self._from_buffer(_BYTES, product), scalar)
        return bytes(product)

    def authenticate(self, key: bytes, data: bytes) -> bytes:
        """HMAC-SHA-256 under a key of at most 64 bytes."""
        if len(key) > _HMAC_BLOCK:
            raise KeyLengthError(f"a key has {len(key)} bytes, expected at most {_HMAC_BLOCK}")
        mac = bytearray(MAC_LENGTH)
        view = self._from_buffer(_BYTES, mac)
        self._lib.kp_authenticate(self._primitives, key, len(key), data, len(data), view)
        return bytes(mac)

    def key_stream(self, key: bytes, counter: bytes, length: int) -> bytes:
        """`length` bytes of the key stream of AES-256-CTR under a key of 32 bytes, from `counter` (16 bytes) on."""
        self._check("key", key, _AES_KEY)
        self._check("counter", counter, _AES_BLOCK)
        stream = bytearray(length)
        self._lib.kp_key_stream(self._primitives, key, counter, self._from_buffer(_BYTES, stream), length)
        return bytes(stream)

    @staticmethod
    def _check(what: str, value: bytes, length: int) -> None:
        if len(value) != length:
            raise KeyLengthError(f"a {what} has {len(value)} bytes, expected {length}")
