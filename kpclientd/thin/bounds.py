"""What a frame may hold, checked before anything is built from it: a few hostile bytes must not claim a lot of memory.

The decoder behind this understands all of CBOR; no client of any generation writes tags, and each of them is a way to
make a decoder work. Source: RFC 8949, "specification of the CBOR encoding"; the limits are the reference daemon's.
"""

from typing import Final

from kpclientd.thin.errors import FrameError

MAX_NESTING: Final = 32
"""Arrays and maps within each other."""

MAX_ITEMS: Final = 32_768
"""Data items of one frame. The reference allows four times as many elements in each array and map; no client of any
generation sends more than some dozens, and walking through so many keeps other applications waiting."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_MAJOR_SHIFT: Final = 5
_INFO_MASK: Final = 0x1F
_INFO_ONE_BYTE: Final = 24
_INFO_EIGHT_BYTES: Final = 27
_INFO_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_UNTIL_BREAK: Final = -1


def check_bounds(body: bytes) -> None:
    """Walk through `body` without building anything.

    Raises:
        FrameError: if it is not exactly one complete CBOR item, or one that is too large, too deep or tagged.
    """
    offset = 0
    items = 0
    pending = [1]  # items still to come, at each level of nesting
    while pending:
        if pending[-1] == 0:
            pending.pop()
            continue
        if offset >= len(body):
            raise FrameError(f"CBOR cut short after {offset} bytes")
        if pending[-1] == _UNTIL_BREAK and body[offset] == _BREAK:
            pending.pop()
            offset += 1
            continue
        if pending[-1] != _UNTIL_BREAK:
            pending[-1] -= 1
        items += 1
        if items > MAX_ITEMS:
            raise FrameError(f"a frame holds more than {MAX_ITEMS} CBOR items")
        major, count, offset = _head(body, offset)
        if major in (_BYTES, _TEXT) and count != _UNTIL_BREAK:
            if count > len(body) - offset:
                raise FrameError(f"a CBOR string of {count} bytes with {len(body) - offset} left")
            offset += count
        elif major in (_BYTES, _TEXT, _ARRAY, _MAP):
            if len(pending) > MAX_NESTING:
                raise FrameError(f"CBOR nested deeper than {MAX_NESTING} levels")
            is_definite_map = major == _MAP and count != _UNTIL_BREAK
            pending.append(2 * count if is_definite_map else count)
    if offset != len(body):
        raise FrameError(f"{len(body) - offset} bytes follow the CBOR item of a frame")


def _head(body: bytes, offset: int) -> tuple[int, int, int]:
    """Return an item's major type, its argument (`_UNTIL_BREAK` for an indefinite length) and where its content is."""
    major = body[offset] >> _MAJOR_SHIFT
    info = body[offset] & _INFO_MASK
    offset += 1
    if major == _TAG:
        raise FrameError(f"a CBOR tag at byte {offset - 1}; the protocol uses none")
    if info < _INFO_ONE_BYTE:
        return major, info, offset
    if info == _INFO_INDEFINITE and major in (_BYTES, _TEXT, _ARRAY, _MAP):
        return major, _UNTIL_BREAK, offset
    if info > _INFO_EIGHT_BYTES:
        raise FrameError(f"a reserved CBOR length at byte {offset - 1}")
    width = 1 << (info - _INFO_ONE_BYTE)
    if width > len(body) - offset:
        raise FrameError(f"CBOR cut short after {len(body)} bytes")
    return major, int.from_bytes(body[offset : offset + width], "big"), offset + width
