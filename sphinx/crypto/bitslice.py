"""AES rounds on many blocks at once, without tables, on Python's big integers.

The blocks are dealt into eight groups, and the 8x8 bit matrices across the groups transposed: then group b holds bit b
of every byte ("plane" b), and one operation on whole integers serves all blocks. No index and no branch depends on
data; still, Python's integers promise no constant time.
"""

import functools
from collections.abc import Iterable
from typing import Final

from sphinx.crypto.s_box import s_box

BLOCK_LENGTH: Final = 16
BLOCK_BITS: Final = 8 * BLOCK_LENGTH
PLANES: Final = 8

_COLUMNS: Final = 4
_ROWS: Final = 4
_ROW_BITS: Final = 8
_COLUMN_BITS: Final = _ROWS * _ROW_BITS
_REDUCTION_PLANES: Final = (0, 1, 3, 4)
"""The set bits of x^8 mod AES's polynomial."""
_AFFINE: Final = int.from_bytes(b"\x63" * BLOCK_LENGTH)
"""The S-box's constant. A constant byte passes ShiftRows and MixColumns unchanged, so that it joins the key."""
_SWAPS: Final = ((1, 0xAA), (2, 0xCC), (4, 0xF0))
"""Distance of each level of the transposition, and the bits of a byte that change places with lower ones."""


class Lanes:
    """Room for `count` blocks side by side in one integer, and AES rounds on all of them.

    A state is what `plane` makes of the blocks' concatenation; `blocks` takes it back.

    Args:
        groups: blocks in each of the eight groups.
    """

    __slots__ = ("_columns", "_full", "_group_bits", "_plane", "_rows", "_swaps", "count", "ones")

    def __init__(self, groups: int) -> None:
        self.count: Final = PLANES * groups
        self.ones: Final = _repeated(1, BLOCK_BITS, self.count)
        bits = BLOCK_BITS * groups
        self._group_bits = bits
        self._plane = (1 << bits) - 1
        self._full = (1 << (PLANES * bits)) - 1
        self._swaps = tuple(
            (
                distance * (bits - 1),
                sum(_repeated(mask, 8, bits // 8) << (group * bits) for group in range(PLANES) if not group & distance),
            )
            for distance, mask in _SWAPS
        )
        self._rows = tuple(
            (
                row * _COLUMN_BITS,
                self.ones * _bytes_mask([row], range(_COLUMNS - row)),
                (_COLUMNS - row) * _COLUMN_BITS,
                self.ones * _bytes_mask([row], range(_COLUMNS - row, _COLUMNS)),
            )
            for row in range(_ROWS)
        )
        self._columns = tuple(
            (
                step * _ROW_BITS,
                self.ones * _bytes_mask(range(_ROWS - step), range(_COLUMNS)),
                (_ROWS - step) * _ROW_BITS,
                self.ones * _bytes_mask(range(_ROWS - step, _ROWS), range(_COLUMNS)),
            )
            for step in (1, 2)
        )

    def plane(self, blocks: int) -> int:
        """Transpose blocks into planes, or planes into blocks: the map is its own inverse."""
        for shift, mask in self._swaps:
            swapped = ((blocks >> shift) ^ blocks) & mask
            blocks ^= swapped ^ (swapped << shift)
        return blocks

    def key(self, key: int) -> int:
        """Return the round key `key` (one block) for all lanes, in planes, the S-box's constant included."""
        return self.plane((key ^ _AFFINE) * self.ones)

    def rounds(self, blocks: int, keys: Iterable[int]) -> int:
        """Apply one full AES round (MixColumns included, no whitening) for each key made by `key`."""
        state = self.plane(blocks)
        bits, plane = self._group_bits, self._plane
        (_, row0, _, _), (l1, m1, r1, n1), (l2, m2, r2, n2), (l3, m3, r3, n3) = self._rows
        (step1, upper1, back1, lower1), (step2, upper2, back2, lower2) = self._columns
        for key in keys:
            planes = [(state >> (bits * index)) & plane for index in range(PLANES)]
            state = 0
            for value in reversed(s_box(planes)):
                state = (state << bits) | value
            state = (
                (state & row0)
                | ((state << l1) & m1)
                | ((state >> r1) & n1)
                | ((state << l2) & m2)
                | ((state >> r2) & n2)
                | ((state << l3) & m3)
                | ((state >> r3) & n3)
            )
            rotated = ((state << step1) & upper1) | ((state >> back1) & lower1)
            mixed = state ^ rotated
            opposite = ((mixed << step2) & upper2) | ((mixed >> back2) & lower2)
            top = mixed >> (bits * (PLANES - 1))
            doubled = (mixed << bits) & self._full
            for index in _REDUCTION_PLANES:
                doubled ^= top << (bits * index)
            state = doubled ^ rotated ^ opposite ^ key
        return self.plane(state)


@functools.cache
def lanes(count: int) -> Lanes:
    """Return the smallest `Lanes` with room for `count` blocks."""
    return Lanes((count + PLANES - 1) // PLANES)


def _repeated(value: int, bits: int, count: int) -> int:
    return value * (((1 << (bits * count)) - 1) // ((1 << bits) - 1))


def _bytes_mask(rows: Iterable[int], columns: Iterable[int]) -> int:
    columns = tuple(columns)
    mask = bytearray(BLOCK_LENGTH)
    for row in rows:
        for column in columns:
            mask[_ROWS * column + row] = 0xFF
    return int.from_bytes(mask)
