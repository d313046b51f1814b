"""The signature schemes of the directory authorities, by the names that the reference gives them.

One scheme serves a whole network. Names are found in any case; the canonical spelling is part of what is signed.
"""

from collections.abc import Mapping
from typing import Final

from pki.errors import UnsupportedSignatureSchemeError
from pki.signatures.hybrid import HybridScheme
from pki.signatures.plain import ED448, ED25519, ML_DSA_44, ML_DSA_65, ML_DSA_87
from pki.signatures.scheme import SignatureScheme, SigningKey

__all__ = ["SignatureScheme", "SigningKey", "signature_scheme"]

_SCHEMES: Final[tuple[SignatureScheme, ...]] = (
    ED25519,
    ED448,
    ML_DSA_44,
    ML_DSA_65,
    ML_DSA_87,
    HybridScheme("ML-DSA-44-Ed25519", ML_DSA_44, ED25519),
    HybridScheme("ML-DSA-65-Ed25519", ML_DSA_65, ED25519),
    HybridScheme("ML-DSA-87-Ed25519", ML_DSA_87, ED25519),
)
_BY_NAME: Final[Mapping[str, SignatureScheme]] = {scheme.name.casefold(): scheme for scheme in _SCHEMES}

_NOT_YET: Final = (
    "Sphincs+",
    "Ed25519 Sphincs+",
    "Ed25519-Sphincs+",
    "Ed448-Sphincs+",
    "Falcon-padded-512",
    "Falcon-padded-1024",
    "Falcon-padded-512-Ed25519",
    "Falcon-padded-1024-Ed25519",
)
_NEVER: Final = ("Ed25519-Dilithium2", "Ed448-Dilithium3")


def signature_scheme(name: str) -> SignatureScheme:
    """The scheme of that name, in any case.

    Raises:
        UnsupportedSignatureSchemeError: if there is none, or it is known but cannot be verified here.
    """
    folded = name.casefold()
    scheme = _BY_NAME.get(folded)
    if scheme is not None:
        return scheme
    for known in _NOT_YET:
        if known.casefold() == folded:
            raise UnsupportedSignatureSchemeError(f"the signature scheme {known!r} is not supported yet")
    for known in _NEVER:
        if known.casefold() == folded:
            raise UnsupportedSignatureSchemeError(
                f"the signature scheme {known!r} is built on round-3 Dilithium, which never became a standard: "
                "it is not supported; ML-DSA is its successor"
            )
    supported = ", ".join(scheme.name for scheme in _SCHEMES)
    raise UnsupportedSignatureSchemeError(f"unknown signature scheme {name[:64]!r}; expected one of {supported}")
