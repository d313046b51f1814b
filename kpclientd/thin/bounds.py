"""What a frame may hold, checked before anything is built from it: a few hostile bytes must not claim a lot of memory
or time.

The decoder behind this understands all of CBOR; no client of any generation writes tags, and each of them is a way to
make a decoder work. Source: RFC 8949, "specification of the CBOR encoding"; the nesting limit is the reference
daemon's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kpclientd.thin.errors import FrameError

MAX_NESTING: Final = 32
"""Arrays and maps within each other."""

MAX_ITEMS: Final = 1024
"""Data items of one frame, but for verbs that need more. The reference allows 131,072 elements in each array and map;
a request has some dozens, and walking through more keeps everybody waiting."""

STEP_ITEMS: Final = 256
"""Items after which the walk pauses, so that whoever drives it can let others have their turn."""

LONG_STRING: Final = 65_536
"""Bytes from which on a byte string is not copied, but seen where it is."""

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_MAJOR_SHIFT: Final = 5
_INFO_MASK: Final = 0x1F
_INFO_ONE_BYTE: Final = 24
_INFO_EIGHT_BYTES: Final = 27
_INFO_INDEFINITE: Final = 31
_BREAK: Final = 0xFF
_UNTIL_BREAK: Final = -1


@dataclass(slots=True)
class BoundsCheck:
    """Walks through a frame's body without building anything.

    Attributes:
        long_strings: head, start and end of each long byte string; the whole of it lies in the body.

    Args:
        body: what should be one CBOR item.
        allowances: items that a frame may have if a top-level key of it, with a map behind it, has this name.
    """

    body: bytes | bytearray
    allowances: Mapping[bytes, int] = field(default_factory=dict)
    long_strings: list[tuple[int, int, int]] = field(default_factory=list)

    def run(self) -> None:
        """Walk in one go.

        Raises:
            FrameError: as `steps`.
        """
        for _ in self.steps():
            pass

    def steps(self) -> Iterator[None]:
        """Walk, with a pause after each `STEP_ITEMS` items.

        Raises:
            FrameError: if the body is not exactly one complete CBOR item, or one that is too large, too deep or tagged.
        """
        body, length = self.body, len(self.body)
        offset = items = 0
        most_items = MAX_ITEMS
        pending = [1]  # items still to come, at each level of nesting
        key = b""
        pieces = 0  # the level at which the pieces of a string of indefinite length stand
        while pending:
            if len(pending) < pieces:
                pieces = 0
            if pending[-1] == 0:
                pending.pop()
                continue
            if offset >= length:
                raise FrameError(f"CBOR cut short after {offset} bytes")
            if pending[-1] == _UNTIL_BREAK and body[offset] == _BREAK:
                pending.pop()
                offset += 1
                continue
            if pending[-1] != _UNTIL_BREAK:
                pending[-1] -= 1
            items += 1
            if items > most_items:
                raise FrameError(f"a frame holds more than {most_items} CBOR items")
            if items % STEP_ITEMS == 0:
                yield
            head = offset
            major, count, offset = self._head(offset)
            if major in (_BYTES, _TEXT) and count != _UNTIL_BREAK:
                if count > length - offset:
                    raise FrameError(f"a CBOR string of {count} bytes with {length - offset} left")
                if major == _TEXT and len(pending) == 2 and self.allowances:
                    key = bytes(body[offset : offset + count]) if count < LONG_STRING else b""
                if major == _BYTES and count >= LONG_STRING and not pieces:
                    self.long_strings.append((head, offset, offset + count))
                offset += count
            elif major in (_BYTES, _TEXT, _ARRAY, _MAP):
                if len(pending) > MAX_NESTING:
                    raise FrameError(f"CBOR nested deeper than {MAX_NESTING} levels")
                if major == _MAP and len(pending) == 2:
                    most_items = max(most_items, self.allowances.get(key, 0))
                if major in (_BYTES, _TEXT) and not pieces:
                    pieces = len(pending) + 1
                is_definite_map = major == _MAP and count != _UNTIL_BREAK
                pending.append(2 * count if is_definite_map else count)
        if offset != length:
            raise FrameError(f"{length - offset} bytes follow the CBOR item of a frame")

    def _head(self, offset: int) -> tuple[int, int, int]:
        """An item's major type, its argument (`_UNTIL_BREAK` for an indefinite length) and where its content is."""
        body = self.body
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
