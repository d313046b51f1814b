"""Frames of the thin-client protocol: a four-byte big-endian length, then one CBOR map.

Source: the Katzenpost thin-client protocol, "framing"; limits are the reference daemon's.
"""

from collections.abc import Mapping
from io import BytesIO
from typing import Any, Final

import cbor2

from kpclientd.thin.errors import FrameError

MAX_FRAME: Final = 40 * 1024 * 1024
"""Longest body of a frame (bytes), in both directions."""

MAX_NESTING: Final = 32
LENGTH_BYTES: Final = 4


def encode_frame(message: Mapping[str, object]) -> bytes:
    """Return `message` as one frame.

    Raises:
        FrameError: if its encoding is longer than `MAX_FRAME`.
    """
    body = cbor2.dumps(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} bytes is longer than a frame may be ({MAX_FRAME})")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_body(body: bytes) -> dict[Any, Any]:
    """Return the map that a frame's body holds.

    Raises:
        FrameError: if it is not exactly one well-formed CBOR map.
    """
    stream = BytesIO(body)
    try:
        message = cbor2.CBORDecoder(stream, max_depth=MAX_NESTING).decode()
    except (cbor2.CBORDecodeError, ValueError, TypeError, OverflowError, RecursionError) as error:
        raise FrameError(f"a frame of {len(body)} bytes is not well-formed CBOR: {error}") from None
    if stream.tell() != len(body):
        raise FrameError(f"{len(body) - stream.tell()} bytes follow the CBOR item of a frame")
    if not isinstance(message, dict):
        raise FrameError(f"a frame holds a {type(message).__name__} where a map belongs")
    return message


class FrameReader:
    """Cuts a byte stream into frames, however it arrives.

    A declared length is checked before anything is kept for it, and only bytes that have come take memory.

    Args:
        max_length: longest body to accept (bytes).
    """

    __slots__ = ("_buffer", "_max_length", "_wanted")

    def __init__(self, max_length: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._max_length = max_length
        self._wanted: int | None = None

    def feed(self, data: bytes) -> list[dict[Any, Any]]:
        """Take the next bytes of the stream and return the messages that they complete, in order.

        Raises:
            FrameError: at a length over the limit or a body that is not a map; the stream cannot go on then.
        """
        self._buffer += data
        messages = []
        position = 0
        while True:
            if self._wanted is None:
                if len(self._buffer) - position < LENGTH_BYTES:
                    break
                self._wanted = self._checked(position)
                position += LENGTH_BYTES
            end = position + self._wanted
            if len(self._buffer) < end:
                break
            messages.append(decode_body(bytes(memoryview(self._buffer)[position:end])))
            position = end
            self._wanted = None
        del self._buffer[:position]
        return messages

    def _checked(self, position: int) -> int:
        length = int.from_bytes(self._buffer[position : position + LENGTH_BYTES], "big")
        if not 0 < length <= self._max_length:
            raise FrameError(f"a frame declares {length} bytes; 1 to {self._max_length} are allowed")
        return length
