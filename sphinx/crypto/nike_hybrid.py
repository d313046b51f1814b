"""Two groups as one: a secret is safe while either of them is."""

from collections.abc import Callable

from sphinx.crypto.nike_base import Nike


class HybridNike(Nike):
    """The product of two groups: keys and secrets are the halves', one behind the other.

    Args:
        name: as the reference calls it.
        first: the group whose bytes stand in front; that is not always the one that the name begins with.
        second: the other.
    """

    def __init__(self, name: str, first: Nike, second: Nike) -> None:
        self.name = name
        self._first = first
        self._second = second
        self.public_key_length = first.public_key_length + second.public_key_length
        self.private_key_length = first.private_key_length + second.private_key_length

    def generate(self, read: Callable[[int], bytes]) -> bytes:
        """See `Nike.generate`; the first half reads first."""
        first = self._first.generate(read)
        return first + self._second.generate(read)

    def public_key(self, private: bytes) -> bytes:
        """See `Nike.public_key`."""
        self.check(private)
        cut = self._first.private_key_length
        return self._first.public_key(private[:cut]) + self._second.public_key(private[cut:])

    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        """See `Nike.shared_secret`."""
        self.check(private, public)
        private_cut, public_cut = self._first.private_key_length, self._first.public_key_length
        first = self._first.shared_secret(private[:private_cut], public[:public_cut])
        return first + self._second.shared_secret(private[private_cut:], public[public_cut:])
