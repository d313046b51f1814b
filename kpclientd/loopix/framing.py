"""Frames of the TCP socket: a length, then one protobuf message.

The length is Go's signed varint (zig-zag) in the first generation, eight bytes big-endian afterwards. Source: the Nym
2019 Loopix client, "socket mode, TCP"; Go's encoding/binary.
"""

from typing import Final

from kpclientd.loopix.errors import FrameError
from kpclientd.loopix.profile import Profile

MAX_BODY: Final = 1_048_576
"""Longest body of a frame (bytes), in both directions."""

LENGTH_BYTES: Final = 8
MAX_VARINT_BYTES: Final = 10
_VARINT_BITS: Final = 7
_MORE: Final = 0x80
_LAST_OF_TEN: Final = 1
"""The tenth byte of a varint holds the 64th bit alone."""


def encode_frame(profile: Profile, body: bytes) -> bytes:
    """Return `body` as one frame.

    Raises:
        FrameError: if it is longer than `MAX_BODY`.
    """
    if len(body) > MAX_BODY:
        raise FrameError(f"a message of {len(body)} bytes is longer than a frame may be ({MAX_BODY})")
    if profile.framing == "be64":
        return len(body).to_bytes(LENGTH_BYTES, "big") + body
    return _zigzag_varint(len(body)) + body


class FrameReader:
    """Cuts a byte stream into frames, however it arrives.

    A declared length is checked before anything is kept for it, and only bytes that have come take memory.

    Args:
        profile: the generation whose frames they are.
    """

    __slots__ = ("_buffer", "_fault", "_fixed", "_wanted")

    def __init__(self, profile: Profile) -> None:
        self._buffer = bytearray()
        self._fixed = profile.framing == "be64"
        self._wanted: int | None = None
        self._fault: str | None = None

    def feed(self, data: bytes) -> list[bytes]:
        """Take the next bytes of the stream and return the bodies that they complete, in order.

        Raises:
            FrameError: when a length is negative, over the limit or not a number of 64 bits, now and ever after. Its
                `bodies` are those that were complete before.
        """
        bodies: list[bytes] = []
        try:
            if self._fault is not None:
                raise FrameError(self._fault)
            self._buffer += data
            while (body := self._next_body()) is not None:
                bodies.append(body)
        except FrameError as error:
            self._fault = str(error)
            self._buffer.clear()
            error.bodies = tuple(bodies)
            raise
        return bodies

    @property
    def midway(self) -> bool:
        """Whether a frame has begun and is not complete: a stream that ends now is cut short."""
        return self._wanted is not None or bool(self._buffer)

    def _next_body(self) -> bytes | None:
        if self._wanted is None:
            self._wanted = self._fixed_length() if self._fixed else self._varint_length()
        if self._wanted is None or len(self._buffer) < self._wanted:
            return None
        body = self._take(self._wanted)
        self._wanted = None
        return body

    def _fixed_length(self) -> int | None:
        if len(self._buffer) < LENGTH_BYTES:
            return None
        return _checked(int.from_bytes(self._take(LENGTH_BYTES), "big"))

    def _varint_length(self) -> int | None:
        number = 0
        for place, octet in enumerate(self._buffer[:MAX_VARINT_BYTES]):
            if place == MAX_VARINT_BYTES - 1 and octet > _LAST_OF_TEN:
                raise FrameError("a frame's length does not end, or is not a number of 64 bits")
            number |= (octet & ~_MORE) << (_VARINT_BITS * place)
            if octet < _MORE:
                del self._buffer[: place + 1]
                return _checked(number >> 1 if number % 2 == 0 else -(number >> 1) - 1)
        return None

    def _take(self, length: int) -> bytes:
        taken = bytes(memoryview(self._buffer)[:length])
        del self._buffer[:length]
        return taken


def _zigzag_varint(number: int) -> bytes:
    doubled = number << 1
    encoded = bytearray()
    while doubled >= _MORE:
        encoded.append(doubled % _MORE | _MORE)
        doubled >>= _VARINT_BITS
    encoded.append(doubled)
    return bytes(encoded)


def _checked(length: int) -> int:
    if not 0 <= length <= MAX_BODY:
        raise FrameError(f"a frame declares {length} bytes; 0 to {MAX_BODY} are allowed")
    return length
