"""The signature schemes of the directory authorities, by the names that the reference gives them.

One scheme serves a whole network. Names are found in any case; the canonical spelling is part of what is signed.
"""

from collections.abc import Mapping
from typing import Final

from pki.errors import UnsupportedSignatureSchemeError
from pki.signatures.falcon import FALCON_512, FALCON_1024
from pki.signatures.hybrid import HybridScheme
from pki.signatures.plain import ED448, ED25519, ML_DSA_44, ML_DSA_65, ML_DSA_87
from pki.signatures.scheme import SignatureScheme, SigningKey
from pki.signatures.sphincs import SPHINCS

__all__ = ["SIGNATURE_SCHEMES", "UNSUPPORTED_SIGNATURE_SCHEMES", "SignatureScheme", "SigningKey", "signature_scheme"]

SIGNATURE_SCHEMES: Final[tuple[SignatureScheme, ...]] = (
    ED25519,
    ED448,
    ML_DSA_44,
    ML_DSA_65,
    ML_DSA_87,
    SPHINCS,
    FALCON_512,
    FALCON_1024,
    HybridScheme("ML-DSA-44-Ed25519", ML_DSA_44, ED25519),
    HybridScheme("ML-DSA-65-Ed25519", ML_DSA_65, ED25519),
    HybridScheme("ML-DSA-87-Ed25519", ML_DSA_87, ED25519),
    # Two names of the same pair: a certificate's signers sign its name too, so neither stands for the other.
    HybridScheme("Ed25519 Sphincs+", ED25519, SPHINCS),
    HybridScheme("Ed25519-Sphincs+", ED25519, SPHINCS),
    HybridScheme("Ed448-Sphincs+", ED448, SPHINCS),
    HybridScheme("Falcon-padded-512-Ed25519", FALCON_512, ED25519),
    HybridScheme("Falcon-padded-1024-Ed25519", FALCON_1024, ED25519),
)
"""All that can be verified here."""

_BY_NAME: Final[Mapping[str, SignatureScheme]] = {scheme.name.casefold(): scheme for scheme in SIGNATURE_SCHEMES}

UNSUPPORTED_SIGNATURE_SCHEMES: Final = (
    (
        ("Ed25519-Dilithium2", "Ed448-Dilithium3"),
        "it is built on round-3 Dilithium, which never became a standard, and whose successor is ML-DSA",
    ),
)
"""Names that the reference knows, and why nothing here verifies what they stand for."""


def signature_scheme(name: str) -> SignatureScheme:
    """The scheme of that name, in any case.

    Raises:
        UnsupportedSignatureSchemeError: if there is none, or it is known but cannot be verified here.
    """
    folded = name.casefold()
    scheme = _BY_NAME.get(folded)
    if scheme is not None:
        return scheme
    for names, reason in UNSUPPORTED_SIGNATURE_SCHEMES:
        for known in names:
            if known.casefold() == folded:
                raise UnsupportedSignatureSchemeError(f"the signature scheme {known!r} is not supported: {reason}")
    supported = ", ".join(scheme.name for scheme in SIGNATURE_SCHEMES)
    raise UnsupportedSignatureSchemeError(f"unknown signature scheme {name[:64]!r}; expected one of {supported}")
