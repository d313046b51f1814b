"""CTIDH, the constant-time group action on isogeny classes (Banegas et al., 2021), through the package `highctidh`.

One operation takes from a tenth of a second to many seconds, and a five-hop header takes twenty of them: never run any
of this on an event loop. The library releases the interpreter's lock meanwhile, so that a worker thread serves.
"""

import importlib
from collections.abc import Callable
from typing import Any, Final

from sphinx.crypto.nike_base import Nike
from sphinx.errors import PrivateKeyError, UnsupportedSchemeError, WeakPublicKeyError
from sphinx.randomness import seeded
from sphinx.schemes import CTIDH_EXTRA

_PACKAGE: Final = "highctidh"


class Ctidh(Nike):
    """CTIDH over a prime of 511, 512, 1024 or 2048 bits; a secret is the encoding of the curve that both arrive at.

    Raises:
        UnsupportedSchemeError: if the package `highctidh` is missing, or does not load.
    """

    def __init__(self, bits: int) -> None:
        self.name = f"ctidh{bits}"
        try:
            self._module: Any = importlib.import_module(_PACKAGE)
            self._library: Any = self._module.ctidh(bits)
        except Exception as error:  # that one of its libraries does not load has a kind of its own
            raise UnsupportedSchemeError(
                f"{self.name} needs the package {_PACKAGE} (pip install 'kpclientd[{CTIDH_EXTRA}]'): {error!r}"
            ) from None
        self.public_key_length: int = self._library.pk_size
        self.private_key_length: int = self._library.sk_size

    def generate(self, read: Callable[[int], bytes]) -> bytes:
        """Return a private key from the library's rejection sampler, which asks `read` for as much as it wants."""
        faults: list[BaseException] = []
        discarded = seeded(b"of a key that nobody gets")

        def fill(buffer: memoryview, _context: object) -> None:
            # An exception can not pass through C, and after one the sampler must still come to its end.
            try:
                buffer[:] = discarded.bytes(len(buffer)) if faults else read(len(buffer))
            except BaseException as fault:
                faults.append(fault)
                buffer[:] = discarded.bytes(len(buffer))

        key = bytes(self._library.generate_secret_key(rng_bytes=fill))
        if faults:
            raise faults[0]
        return key

    def public_key(self, private: bytes) -> bytes:
        """See `Nike.public_key`.

        Raises:
            PrivateKeyError: if the key's exponents are out of range.
        """
        self.check(private)
        return bytes(self._private(private).derive_public_key())

    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        """See `Nike.shared_secret`; other curves than those of the group are refused.

        Raises:
            PrivateKeyError: if the private key's exponents are out of range.
        """
        self.check(private, public)
        secret = self._library.public_key()
        key = self._private(private)
        # The group action validates the curve by itself, except the starting curve: with that one, a secret would be
        # the public key of `private`.
        if not any(public):
            raise self._no_curve()
        try:
            self._library.csidh(secret, self._library.public_key.frombytes(public, validate=False), key)
        except self._module.CSIDHError:
            raise self._no_curve() from None
        return bytes(secret)

    def _private(self, private: bytes) -> Any:
        try:
            return self._library.private_key_from_bytes(private)
        except self._module.DecodingError as error:
            raise PrivateKeyError(f"an unusable private {self.name} key: {error}") from None

    def _no_curve(self) -> WeakPublicKeyError:
        return WeakPublicKeyError(f"a public {self.name} key is no other curve of the group")
