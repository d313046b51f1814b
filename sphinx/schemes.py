"""How many bytes of a header each registered scheme takes: all that a geometry needs to know of it.

A scheme may stand here, so that a geometry can be computed and hashed, and yet have no implementation.
"""

from collections.abc import Mapping
from typing import Final

from sphinx.errors import UnsupportedSchemeError

_X25519 = 32
_X448 = 56
_CTIDH512 = 64
_CTIDH1024 = 128
_CTIDH2048 = 256
_MLKEM768 = 1088

NIKE_PUBLIC_KEY_LENGTHS: Final[Mapping[str, int]] = {
    "x25519": _X25519,
    "x448": _X448,
    "ctidh511": _CTIDH512,
    "ctidh512": _CTIDH512,
    "ctidh1024": _CTIDH1024,
    "ctidh2048": _CTIDH2048,
    "ctidh512-x25519": _CTIDH512 + _X25519,
    "ctidh512-x448": _CTIDH512 + _X448,
    "ctidh1024-x25519": _CTIDH1024 + _X25519,
    "x25519-ctidh1024": _CTIDH1024 + _X25519,
    "ctidh1024-x448": _CTIDH1024 + _X448,
    "ctidh2048-x448": _CTIDH2048 + _X448,
}
"""Lower-case NIKE name to the length of its public key, the group element of a header."""

_KEM_CIPHERTEXTS: Final[Mapping[str, int]] = {
    "x25519": _X25519,
    "x448": _X448,
    "ctidh511": _CTIDH512,
    "ctidh512": _CTIDH512,
    "ctidh1024": _CTIDH1024,
    "ctidh2048": _CTIDH2048,
    "mlkem768": _MLKEM768,
    "kyber768": _MLKEM768,
    "sntrup4591761": 1047,
    "hqc-128": 4433,
    "hqc-192": 8978,
    "hqc-256": 14421,
    "frodokem-640-shake": 9720,
    "mceliece348864": 96,
    "mceliece348864f": 96,
    "mceliece460896": 156,
    "mceliece460896f": 156,
    "mceliece6688128": 208,
    "mceliece6688128f": 208,
    "mceliece6960119": 194,
    "mceliece6960119f": 194,
    "mceliece8192128": 208,
    "mceliece8192128f": 208,
}

_KEM_HYBRIDS: Final[Mapping[str, str]] = {
    "xwing": "mlkem768+x25519",
    "kyber768-x25519": "kyber768+x25519",
    "mlkem768-x25519": "mlkem768+x25519",
    "mlkem768-x448": "mlkem768+x448",
    "ctidh512-x25519": "ctidh512+x25519",
    "ctidh1024-x448": "ctidh1024+x448",
    "frodokem-640-shake-x448": "frodokem-640-shake+x448",
    "sntrup4591761-x448": "sntrup4591761+x448",
    "hqc-128-x25519": "hqc-128+x25519",
    "hqc-192-x25519": "hqc-192+x25519",
    "hqc-256-x25519": "hqc-256+x25519",
    "hqc-256-x448": "hqc-256+x448",
    **{f"{name}-x25519": f"{name}+x25519" for name in _KEM_CIPHERTEXTS if name.startswith("mceliece")},
}

KEM_CIPHERTEXT_LENGTHS: Final[Mapping[str, int]] = {
    **{name: length for name, length in _KEM_CIPHERTEXTS.items() if name != "kyber768"},
    **{name: sum(_KEM_CIPHERTEXTS[part] for part in parts.split("+")) for name, parts in _KEM_HYBRIDS.items()},
}
"""Lower-case KEM name to the length of its ciphertext, the element of a KEM Sphinx header."""


def nike_element_length(name: str) -> int:
    """Return the public-key length of the NIKE called `name`, in any case.

    Raises:
        UnsupportedSchemeError: if there is no such NIKE.
    """
    return _look_up("NIKE", NIKE_PUBLIC_KEY_LENGTHS, name)


def kem_element_length(name: str) -> int:
    """Return the ciphertext length of the KEM called `name`, in any case.

    Raises:
        UnsupportedSchemeError: if there is no such KEM.
    """
    return _look_up("KEM", KEM_CIPHERTEXT_LENGTHS, name)


def _look_up(kind: str, lengths: Mapping[str, int], name: str) -> int:
    length = lengths.get(name.lower())
    if length is None:
        raise UnsupportedSchemeError(f"no {kind} is called {name!r}; known are {', '.join(sorted(lengths))}")
    return length
