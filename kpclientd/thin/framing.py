"""Frames of the thin-client protocol: a four-byte big-endian length, then one CBOR map.

Source: the Katzenpost thin-client protocol, "framing"; limits are the reference daemon's.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import cbor2

from kpclientd.thin.bounds import MAX_NESTING, BoundsCheck
from kpclientd.thin.errors import FrameError

MAX_FRAME: Final = 40 * 1024 * 1024
"""Longest body of a frame (bytes), in both directions."""

LENGTH_BYTES: Final = 4

_PLACEHOLDER_TAG: Final = 0x4B70
"""Stands, in what is decoded, for a long byte string; a frame with tags of its own is refused before."""


def encode_frame(message: Mapping[str, object]) -> bytes:
    """Return `message` as one frame.

    Raises:
        FrameError: if its encoding is longer than `MAX_FRAME`.
    """
    body = cbor2.dumps(message)
    if len(body) > MAX_FRAME:
        raise FrameError(f"a message of {len(body)} bytes is longer than a frame may be ({MAX_FRAME})")
    return len(body).to_bytes(LENGTH_BYTES, "big") + body


def decode_body(body: bytes | bytearray) -> dict[Any, Any]:
    """Return the map that a frame's body holds.

    Raises:
        FrameError: if it is not exactly one well-formed CBOR map, or is more than a request can need: too many
            items, too deep, tagged, or with map keys that are not text.
    """
    check = BoundsCheck(body)
    check.run()
    return decode_checked(check)


def decode_checked(check: BoundsCheck) -> dict[Any, Any]:
    """Return the map in a body whose bounds were checked; long byte strings are views of the body, not copies.

    Raises:
        FrameError: if it is not a well-formed map.
    """
    views: list[memoryview] = []
    body: bytes | bytearray = check.body
    if check.long_strings:
        body = _with_placeholders(check, views)
    try:
        # A key that is no text or byte string could be one of many that collide.
        message = cbor2.loads(
            body,
            max_depth=MAX_NESTING + 2,
            strict_hashable_types=True,
            tag_hook=lambda tag, _immutable: views[tag.value],
        )
    except (cbor2.CBORDecodeError, ValueError, OverflowError) as error:
        raise FrameError(f"a frame of {len(body)} bytes is not well-formed CBOR: {type(error).__name__}") from None
    if not isinstance(message, dict):
        raise FrameError(f"a frame holds a {type(message).__name__} where a map belongs")
    return message


def _with_placeholders(check: BoundsCheck, views: list[memoryview]) -> bytes:
    whole = memoryview(check.body)
    parts: list[bytes | memoryview] = []
    copied = 0
    for head, start, end in check.long_strings:
        parts += [whole[copied:head], cbor2.dumps(cbor2.CBORTag(_PLACEHOLDER_TAG, len(views)))]
        views.append(whole[start:end])
        copied = end
    parts.append(whole[copied:])
    return b"".join(parts)


class FrameReader:
    """Cuts a byte stream into frames, however it arrives.

    A declared length is checked before anything is kept for it, only bytes that have come take memory, and a body is
    never copied whole.

    Args:
        max_length: longest body to accept (bytes).
    """

    __slots__ = ("_buffer", "_max_length", "_wanted", "_whole")

    def __init__(self, max_length: int = MAX_FRAME) -> None:
        self._buffer = bytearray()
        self._whole = 0  # bytes at the front that are known to be whole frames
        self._max_length = max_length
        self._wanted: int | None = None

    @property
    def unfinished(self) -> int:
        """Bytes that have come and are no whole frame yet, or were not asked for."""
        return len(self._buffer)

    @property
    def has_begun(self) -> bool:
        """Whether a frame has begun and its end has not come."""
        return bool(self._buffer) or self._wanted is not None

    def ends_inside_frame(self) -> bool:
        """Whether the last frame of all that came is not whole, however many stand before it."""
        while (length := self._length_at(self._whole)) is not None and self._whole + length <= len(self._buffer):
            self._whole += length
        return self._whole < len(self._buffer) or (self._wanted is not None and not self._whole)

    def _length_at(self, offset: int) -> int | None:
        """Bytes of the frame that begins at `offset` of the buffer, or of the rest of the first one."""
        if self._wanted is not None and not offset:
            return self._wanted
        if len(self._buffer) - offset < LENGTH_BYTES:
            return None
        return LENGTH_BYTES + int.from_bytes(self._buffer[offset : offset + LENGTH_BYTES], "big")

    def add(self, data: bytes | bytearray) -> None:
        """Take the next bytes of the stream."""
        self._buffer += data

    def next_body(self) -> bytearray | None:
        """The next whole body, once; None where more bytes are needed.

        Raises:
            FrameError: when a frame's length is over the limit; the stream cannot go on then.
        """
        if self._wanted is None:
            if len(self._buffer) < LENGTH_BYTES:
                return None
            self._wanted = self._checked(int.from_bytes(self._take(LENGTH_BYTES), "big"))
        if len(self._buffer) < self._wanted:
            return None
        body = self._take(self._wanted)
        self._wanted = None
        return body

    def feed(self, data: bytes) -> Iterator[dict[Any, Any]]:
        """Take the next bytes of the stream and give the messages that they complete, in order.

        Each is decoded when it is asked for, so what comes before a bad frame is given whatever it came together with.

        Raises:
            FrameError: when a frame's length is over the limit or its body is not a map; the stream cannot go on then.
        """
        self.add(data)
        return self._messages()

    def _messages(self) -> Iterator[dict[Any, Any]]:
        while (body := self.next_body()) is not None:
            yield decode_body(body)

    def _take(self, length: int) -> bytearray:
        self._whole = max(0, self._whole - length)
        if length < len(self._buffer) - length:
            taken = self._buffer[:length]
            del self._buffer[:length]
            return taken
        rest = self._buffer[length:]
        taken, self._buffer = self._buffer, rest
        del taken[length:]
        return taken

    def _checked(self, length: int) -> int:
        if not 0 < length <= self._max_length:
            raise FrameError(f"a frame declares {length} bytes; 1 to {self._max_length} are allowed")
        return length
