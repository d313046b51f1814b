"""Fields by their names in any case of letters, as the reference's decoders find them."""

from collections.abc import Mapping
from typing import Any


class AnyCase:
    """Values by name: of the key that matches exactly or, failing that, of the first one that matches in any case.

    Length and letters count as in Go's `strings.EqualFold` for the ASCII names that all fields have.

    Args:
        values: what was decoded; keys that are no text match nothing.
    """

    __slots__ = ("_lowered", "_values")

    def __init__(self, values: Mapping[Any, Any]) -> None:
        self._values = values
        self._lowered: dict[str, Any] | None = None

    def get(self, name: str) -> Any:
        """The value under `name`, or None."""
        if name in self._values:
            return self._values[name]
        if self._lowered is None:  # seldom needed: names are mostly spelt as they should be
            backwards = reversed(list(self._values.items()))  # so that the first key stays
            self._lowered = {key.lower(): value for key, value in backwards if isinstance(key, str)}
        return self._lowered.get(name.lower())
