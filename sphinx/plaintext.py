"""The plaintext of a request to a service: an optional SURB for its answer, and the application's message."""

from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

from sphinx.errors import PayloadLengthError, PlaintextError, SurbError
from sphinx.geometry import PLAINTEXT_HEADER_LENGTH, Geometry

_RESERVED: Final = 0


class Flags(IntEnum):
    """The first byte of a plaintext."""

    NO_SURB = 0
    WITH_SURB = 1


@dataclass(frozen=True, slots=True)
class Request:
    """What a service reads.

    Attributes:
        surb: to answer with (surb_length bytes), if the sender wants an answer.
        payload: user_forward_payload_length bytes; only the application knows where its message ends in it.
    """

    surb: bytes | None = field(repr=False)
    payload: bytes = field(repr=False)


def compose_plaintext(geometry: Geometry, user_payload: bytes, surb: bytes | None) -> bytes:
    """Return the plaintext (forward_payload_length bytes) of a request.

    Without a SURB its room stays, filled with zeros: the reference's client leaves it out, and its services then
    misread the message.

    Args:
        geometry: of the network.
        user_payload: up to user_forward_payload_length bytes; zeros fill the rest.
        surb: surb_length bytes, or None.

    Raises:
        PayloadLengthError: if the payload is too long.
        SurbError: if the SURB has a wrong length.
    """
    limit = geometry.user_forward_payload_length
    if len(user_payload) > limit:
        raise PayloadLengthError(f"a message has {len(user_payload)} bytes, expected at most {limit}")
    if surb is not None and len(surb) != geometry.surb_length:
        raise SurbError(f"a SURB has {len(surb)} bytes, expected {geometry.surb_length}")
    flags = Flags.NO_SURB if surb is None else Flags.WITH_SURB
    return bytes([flags, _RESERVED]) + (surb or bytes(geometry.surb_length)) + user_payload.ljust(limit, b"\0")


def parse_plaintext(geometry: Geometry, plaintext: bytes) -> Request:
    """Read a request as services do.

    Raises:
        PlaintextError: if length, flags or reserved byte are wrong.
    """
    expected = geometry.forward_payload_length
    if len(plaintext) != expected:
        raise PlaintextError(f"a request has {len(plaintext)} bytes, expected {expected}")
    payload_at = PLAINTEXT_HEADER_LENGTH + geometry.surb_length
    if expected - payload_at != geometry.user_forward_payload_length:
        raise PlaintextError("a request can not be read: this geometry has no room for SURBs")
    flags, reserved = plaintext[:PLAINTEXT_HEADER_LENGTH]
    if reserved != _RESERVED:
        raise PlaintextError(f"a request's reserved byte is 0x{reserved:02x}, expected 0x{_RESERVED:02x}")
    if flags not in tuple(Flags):
        raise PlaintextError(f"a request's flags are 0x{flags:02x}, expected 0x00 or 0x01")
    surb = plaintext[PLAINTEXT_HEADER_LENGTH:payload_at] if flags == Flags.WITH_SURB else None
    return Request(surb, plaintext[payload_at:])
