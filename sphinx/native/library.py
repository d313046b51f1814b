"""The compiled engine's functions, with Python's types; lengths are the callers' to check."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from sphinx.geometry import PAYLOAD_TAG_LENGTH, SPRP_KEY_MATERIAL_LENGTH


class Status(IntEnum):
    """What the functions for whole packets return."""

    DONE = 0
    WEAK_KEY = 1
    WRONG_MAC = 2
    WRONG_TAG = 3
    WRONG_SHAPE = 4


@dataclass(frozen=True, slots=True)
class Plan:
    """All that a header over X25519 is made from.

    Attributes:
        nr_hops: of the geometry.
        ephemeral: the maker's private key (32 bytes).
        keys: the hops' public keys (32 bytes each).
        fragments: the hops' commands (82 bytes each); zeros where the next hop's MAC will be.
        macs_at: where in its fragment that is, for each hop but the last.
        filler: 82 bytes for each hop that the path does not use.
    """

    nr_hops: int
    ephemeral: bytes = field(repr=False)
    keys: Sequence[bytes]
    fragments: Sequence[bytes] = field(repr=False)
    macs_at: Sequence[int]
    filler: bytes = field(repr=False)


class Library:
    """One set of primitives of the compiled module, behind the functions that use them.

    Args:
        module: the compiled module.
        primitives: chosen from it; see `portable` and `aes_ni`.
    """

    __slots__ = ("_ffi", "_lib", "_primitives", "most_hops")

    most_hops: int

    def __init__(self, module: Any, primitives: Any) -> None:
        self._ffi = module.ffi
        self._lib = module.lib
        self._primitives = primitives
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
        view = self._ffi.from_buffer("uint8_t[]", buffer)
        self._lib.kp_apply_layers(self._primitives, material, count, encipher, view, len(buffer))
        return bytes(buffer)

    def open_reply(self, material: bytes, count: int, payload: bytes) -> bytes | None:
        """Take `count` layers, 1 at least, off a reply; None if its tag is wrong."""
        buffer = bytearray(payload)
        view = self._ffi.from_buffer("uint8_t[]", buffer)
        status = self._lib.kp_open_reply(self._primitives, material, count, view, len(buffer))
        return bytes(memoryview(buffer)[PAYLOAD_TAG_LENGTH:]) if status == Status.DONE else None

    def new_packet(self, plan: Plan, packet: bytearray, header_length: int) -> Status:
        """Write a header into `packet`, and encipher what stands behind it, tag included."""
        from_buffer = self._ffi.from_buffer
        path, _held = self._path(plan)
        view = from_buffer("uint8_t[]", packet)
        return Status(self._lib.kp_new_packet(self._primitives, path, view, len(packet) - header_length))

    def new_header(self, plan: Plan, header_length: int) -> tuple[Status, bytes, bytes]:
        """Return a header, and the payload's keys and nonces (64 bytes each) from the last hop to the first."""
        path, _held = self._path(plan)
        header, material = bytearray(header_length), bytearray(len(plan.keys) * SPRP_KEY_MATERIAL_LENGTH)
        views = (self._ffi.from_buffer("uint8_t[]", buffer) for buffer in (header, material))
        status = Status(self._lib.kp_new_header(self._primitives, path, *views))
        return status, bytes(header), bytes(material)

    def unwrap(self, nr_hops: int, private_key: bytes, packet: bytearray) -> tuple[Status, bytes]:
        """Take one layer off `packet`, which holds a whole header, in place; return the hop's commands."""
        fragment = bytearray(self._lib.KP_FRAGMENT)
        view, commands = (self._ffi.from_buffer("uint8_t[]", buffer) for buffer in (packet, fragment))
        status = self._lib.kp_unwrap(self._primitives, nr_hops, private_key, view, len(packet), commands)
        return Status(status), bytes(fragment)

    def multiply(self, scalar: bytes, point: bytes) -> bytes:
        """X25519 (RFC 7748, 5); all zero where the point's order is low."""
        product = bytearray(len(point))
        view = self._ffi.from_buffer("uint8_t[]", product)
        self._lib.kp_x25519(self._primitives, view, scalar, point)
        return bytes(product)

    def multiply_base(self, scalar: bytes) -> bytes:
        """X25519 with the base point."""
        product = bytearray(len(scalar))
        self._lib.kp_x25519_base(self._primitives, self._ffi.from_buffer("uint8_t[]", product), scalar)
        return bytes(product)

    def _path(self, plan: Plan) -> tuple[Any, Any]:
        """The plan as C has it, and what must live as long."""
        from_buffer = self._ffi.from_buffer
        parts = (plan.ephemeral, b"".join(plan.keys), b"".join(plan.fragments), bytes(plan.macs_at), plan.filler)
        views = [from_buffer("uint8_t[]", part) for part in parts]
        return self._ffi.new("kp_path *", [plan.nr_hops, len(plan.keys), *views]), views
