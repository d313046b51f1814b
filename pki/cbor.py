"""CBOR as the directory authorities write it: canonical out, bounded and type-checked in.

Structure is walked before anything is built from it: a few hostile bytes claim neither much memory nor much time.
The tolerances are the reference's: unknown keys are ignored, a missing key and null are the zero value, an integer
may stand for a float, and a key may differ in case.
"""

from collections.abc import Collection, Iterator, Mapping
from typing import Any, Final

import cbor2

from pki.any_case import AnyCase
from pki.errors import EncodingError

NESTING: Final = 32
"""Levels of arrays and maps that hold anything; the reference's decoder's own limit."""

ELEMENTS: Final = 131_072
"""Elements of one array or pairs of one map; the reference's decoder's own limit."""

FEW_PAIRS: Final = 32
"""Pairs of a map whose keys need not be strings. Keys for epochs are numbers, three or so in a map; the hashes of
numbers collide as whoever chooses them likes, so that a map of many takes seconds."""

UINT64: Final = 1 << 64

_UNSIGNED, _NEGATIVE, _BYTES, _TEXT, _ARRAY, _MAP, _TAG, _SIMPLE = range(8)
_MAJOR_SHIFT: Final = 5
_INFO_MASK: Final = 0x1F
_INFO_ONE_BYTE: Final = 24
_INFO_EIGHT_BYTES: Final = 27
_SIMPLE_FALSE: Final = 20
_SIMPLE_NULL: Final = 22


def _step(head: int) -> int:
    """How many bytes the item has that begins with `head`, if that alone says it and it is allowed; else 0."""
    major, info = head >> _MAJOR_SHIFT, head & _INFO_MASK
    argument = 1 << (info - _INFO_ONE_BYTE) if info >= _INFO_ONE_BYTE else 0
    if info > _INFO_EIGHT_BYTES or major == _TAG:
        return 0
    if major in (_UNSIGNED, _NEGATIVE):
        return 1 + argument
    if major in (_BYTES, _TEXT):
        return 1 + info if not argument else 0
    if major in (_ARRAY, _MAP):
        return 1 if info == 0 else 0
    if info > _INFO_ONE_BYTE:  # a float
        return 1 + argument
    return 1 if _SIMPLE_FALSE <= info <= _SIMPLE_NULL else 0


_STEPS: Final = bytes(_step(head) for head in range(256))
_IS_STRING: Final = bytes(head >> _MAJOR_SHIFT in (_BYTES, _TEXT) for head in range(256))


class Allowance:
    """How many data items may still be read, in one blob or in several.

    Args:
        items: that many.
    """

    __slots__ = ("_left",)

    def __init__(self, items: int) -> None:
        self._left = items

    def take(self, items: int, what: str) -> None:
        """Take some.

        Raises:
            EncodingError: if there are fewer; `what` names the thing that has too many.
        """
        self._left -= items
        if self._left < 0:
            raise EncodingError(f"{what}: more CBOR items than are read")


def encode(value: object) -> bytes:
    """Canonical CBOR of `value` (RFC 7049, section 3.9: what the reference signs and hashes)."""
    return cbor2.dumps(value, canonical=True)


def decode(blob: bytes, what: str, *, longest: int, allowance: Allowance, integer_keys: bool = True) -> "Record":
    """The map that is encoded in `blob`, whole.

    Args:
        blob: untrusted bytes.
        what: names the thing in error messages, for instance "mix descriptor".
        longest: the most bytes that are looked at.
        allowance: how many data items are read; they are taken from it.
        integer_keys: whether maps may have integers as keys, `FEW_PAIRS` of them at most. Leave them out where the
            format has none.

    Raises:
        EncodingError: if the bytes are too many, nested too deep, not well-formed CBOR, indefinite in length,
            tagged, trailed by others, hold a key twice, or are no map.
    """
    if len(blob) > longest:
        raise EncodingError(f"{what}: {len(blob)} bytes; at most {longest} are read")
    _walk(blob, what, allowance)
    try:
        value: object = cbor2.loads(
            blob,
            max_depth=NESTING + 1,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            strict_hashable_types=not integer_keys,
        )
    except (cbor2.CBORDecodeError, ValueError) as error:  # a TypeError would be a mistake of the call, not of the peer
        raise EncodingError(f"{what}: not decodable as CBOR: {type(error).__name__}") from None
    return Record(value, what)


def _walk(blob: bytes, what: str, allowance: Allowance) -> None:
    """Check every bound of `blob` without building anything."""
    end = len(blob)
    offset = 0
    left = 1  # items still to come at this level
    strings_only = False  # as this level's keys
    above: list[tuple[int, bool]] = []  # the same of the levels above it
    try:
        while True:
            while left:
                left -= 1
                head = blob[offset]
                if strings_only and left & 1 and not _IS_STRING[head]:
                    raise EncodingError(f"{what}: a map of more than {FEW_PAIRS} pairs whose keys are no strings")
                if step := _STEPS[head]:
                    offset += step
                    continue
                major, argument = head >> _MAJOR_SHIFT, head & _INFO_MASK
                offset += 1
                if argument > _INFO_EIGHT_BYTES:
                    raise EncodingError(f"{what}: indefinite or reserved CBOR length at byte {offset - 1}")
                if argument >= _INFO_ONE_BYTE:
                    width = 1 << (argument - _INFO_ONE_BYTE)
                    argument = int.from_bytes(blob[offset : offset + width], "big")
                    offset += width
                if major in (_BYTES, _TEXT):
                    offset += argument
                    if offset > end:
                        raise EncodingError(f"{what}: a string of {argument} bytes that is cut short")
                elif major in (_ARRAY, _MAP):
                    if argument > ELEMENTS:
                        raise EncodingError(f"{what}: {argument} elements at one level; at most {ELEMENTS} are read")
                    if len(above) >= NESTING:
                        raise EncodingError(f"{what}: nested deeper than {NESTING} levels")
                    above.append((left, strings_only))
                    left = argument if major == _ARRAY else 2 * argument
                    strings_only = major == _MAP and argument > FEW_PAIRS
                    allowance.take(left, what)
                    if left > end - offset:
                        raise EncodingError(f"{what}: {argument} elements, which are cut short")
                elif major == _TAG:
                    raise EncodingError(f"{what}: a CBOR tag; the protocol uses none")
                else:
                    raise EncodingError(f"{what}: an unknown simple value")
            if not above:
                break
            left, strings_only = above.pop()
    except IndexError:
        raise EncodingError(f"{what}: CBOR cut short at byte {end}") from None
    if offset > end:
        raise EncodingError(f"{what}: CBOR cut short at byte {end}")
    if offset < end:
        raise EncodingError(f"{what}: {end - offset} bytes after the end of the CBOR")


def _kind(value: object) -> str:
    names = {bytes: "a byte string", str: "text", list: "an array", dict: "a map", bool: "a boolean"}
    return names.get(type(value), f"a {type(value).__name__}")


class Record:
    """A decoded map, read field by field; each getter takes absent and null alike as the zero value.

    Args:
        value: what was decoded.
        what: names the thing in error messages.

    Raises:
        EncodingError: by the constructor if `value` is no map, by a getter if a field has another type.
    """

    __slots__ = ("_fields", "_values", "_what")

    def __init__(self, value: object, what: str) -> None:
        if not isinstance(value, dict):
            raise EncodingError(f"{what}: {_kind(value)}; expected a map")
        self._fields: dict[Any, Any] = value
        self._values = AnyCase(value)
        self._what = what

    def _get(self, name: str, kind: type, expected: str, other: type | None = None) -> Any:
        value = self._fields.get(name)
        if type(value) is kind:  # which it nearly always is
            return value
        value = self._values.get(name)
        if value is None or type(value) is kind or type(value) is other:
            return value
        raise self.fault(name, f"{_kind(value)}; expected {expected}")

    @property
    def value(self) -> dict[Any, Any]:
        """The map itself."""
        return self._fields

    def fault(self, name: str, fault: str) -> EncodingError:
        """The error that says what is wrong with the field `name`."""
        return EncodingError(f"{self._what}, {name}: {fault}")

    def text(self, name: str) -> str:
        """A text string."""
        return self._get(name, str, "text") or ""

    def note(self, name: str, longest: int) -> str:
        """Text for people, of printable ASCII; empty if it is absent, longer than `longest`, or anything else.

        What nobody computes with is never a reason to refuse the rest.
        """
        value = self._values.get(name)
        fine = isinstance(value, str) and len(value) <= longest and value.isascii() and value.isprintable()
        return value if fine else ""

    def octets_or_none(self, name: str, lengths: Collection[int]) -> bytes:
        """A byte string of one of these lengths (bytes); empty if it is absent or anything else."""
        value = self._values.get(name)
        return value if isinstance(value, bytes) and len(value) in lengths else b""

    def octets(self, name: str, length: int | None = None) -> bytes:
        """A byte string; of exactly `length` bytes, where given (as many zeros if it is absent)."""
        value: bytes | None = self._get(name, bytes, "a byte string")
        if value is None:
            return bytes(length or 0)
        if length is not None and len(value) != length:
            raise self.fault(name, f"{len(value)} bytes; expected {length}")
        return value

    def unsigned(self, name: str, bound: int = UINT64) -> int:
        """An integer in [0, bound)."""
        value: int = self._get(name, int, "an unsigned integer") or 0
        if not 0 <= value < bound:
            raise self.fault(name, f"an integer of {value.bit_length()} bits; expected one in [0, {bound})")
        return value

    def number(self, name: str) -> float:
        """A float, or an integer that stands for one."""
        return float(self._get(name, float, "a number", int) or 0.0)

    def boolean(self, name: str) -> bool:
        """True or false."""
        return bool(self._get(name, bool, "a boolean"))

    def array(self, name: str) -> list[Any]:
        """An array; empty if it is absent."""
        return self._get(name, list, "an array") or []

    def octet_strings(self, name: str, length: int | None = None) -> tuple[bytes, ...]:
        """An array of byte strings, each of `length` bytes where given."""
        return tuple(self._octet_string(name, value, length) for value in self.array(name))

    def mapping(self, name: str) -> dict[Any, Any] | None:
        """A map, or None: some fields tell null from an empty map."""
        value: dict[Any, Any] | None = self._get(name, dict, "a map")
        return value

    def octet_strings_by_epoch(self, name: str) -> Mapping[int, bytes]:
        """A map from unsigned integers to byte strings."""
        pairs = (self.mapping(name) or {}).items()
        for key, value in pairs:
            if type(key) is not int or not 0 <= key < UINT64:
                raise self.fault(name, f"a key that is {_kind(key)}; expected an unsigned integer")
            if type(value) is not bytes:
                raise self.fault(name, f"{_kind(value)} inside; expected byte strings")
        return dict(pairs)

    def by_octets(self, name: str, length: int) -> Iterator[tuple[bytes, Any]]:
        """The pairs of a map whose keys are byte strings of `length` bytes."""
        for key, value in (self.mapping(name) or {}).items():
            yield self._octet_string(name, key, length), value

    def by_text(self, name: str) -> Iterator[tuple[str, Any]]:
        """The pairs of a map whose keys are text."""
        for key, value in (self.mapping(name) or {}).items():
            if not isinstance(key, str):
                raise self.fault(name, f"a key that is {_kind(key)}; expected text")
            yield key, value

    def _octet_string(self, name: str, value: object, length: int | None) -> bytes:
        if not isinstance(value, bytes):
            raise self.fault(name, f"{_kind(value)} inside; expected byte strings")
        if length is not None and len(value) != length:
            raise self.fault(name, f"{len(value)} bytes inside; expected {length}")
        return value
