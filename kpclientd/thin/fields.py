"""Typed access to the fields of a CBOR map, with the tolerances of the reference's decoder.

A key matches exactly or, failing that, in any case; a missing field and a null one are the type's zero value; an
array of small integers may stand for a byte string. Anything else of a wrong type ends the connection.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from kpclientd.thin.bounds import LONG_STRING
from kpclientd.thin.errors import MistypedField
from pki.any_case import AnyCase

UINT32_MAX: Final = 2**32 - 1
UINT64_MAX: Final = 2**64 - 1
OCTET_MAX: Final = 255


class Fields:
    """The fields of one request.

    Args:
        verb: the request's name, for error texts.
        values: the decoded map.
    """

    __slots__ = ("_values", "verb")

    def __init__(self, verb: str, values: Mapping[Any, Any]) -> None:
        self.verb = verb
        self._values = AnyCase(values)

    def raw(self, key: str) -> Any:
        """The value of `key` as it was decoded, or None."""
        return self._values.get(key)

    def octets(self, key: str) -> bytes | None:
        """A byte string, or None where there is none; a long one is cut, as no id or name is that long."""
        value = self.payload(key)
        return bytes(value[:LONG_STRING]) if isinstance(value, memoryview) else value

    def payload(self, key: str) -> bytes | memoryview | None:
        """A byte string of any length, or None where there is none; a long one is a view of its frame."""
        value = self.raw(key)
        if value is None or isinstance(value, (bytes, memoryview)):
            return value
        if isinstance(value, list):
            return self._from_integers(key, value)
        raise self._mistyped(key, value, "a byte string")

    def flag(self, key: str) -> bool:
        """A boolean; absent is false."""
        value = self.raw(key)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise self._mistyped(key, value, "a boolean")

    def text(self, key: str) -> str:
        """A text; absent is empty."""
        value = self.raw(key)
        if value is None or isinstance(value, str):
            return value or ""
        raise self._mistyped(key, value, "a text")

    def unsigned(self, key: str) -> int:
        """An integer of 64 bits; absent is 0."""
        value = self.raw(key)
        if value is None:
            return 0
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= UINT64_MAX:
            return value
        raise self._mistyped(key, value, "an unsigned integer of 64 bits")

    def _from_integers(self, key: str, value: Sequence[Any]) -> bytes:
        if all(type(octet) is int and 0 <= octet <= OCTET_MAX for octet in value):
            return bytes(value)
        raise self._mistyped(key, value, "a byte string")

    def _mistyped(self, key: str, value: object, wanted: str) -> MistypedField:
        return MistypedField(f"{self.verb}: {key} is of type {type(value).__name__} where {wanted} belongs")
