"""The KEMs by name: the link's, and those that KEM Sphinx builds its headers with."""

from typing import Final

from sphinx.crypto.curve_kem import X448, X25519
from sphinx.crypto.kem_base import Kem, KemPrivateKey
from sphinx.crypto.kem_combiner import CombinedKem
from sphinx.crypto.mlkem import Kyber768, MlKem768
from sphinx.crypto.xwing import XWing
from sphinx.errors import UnsupportedSchemeError

__all__ = ["KEM_NAMES", "Kem", "KemPrivateKey", "kem_scheme"]

# In the combined schemes the curve comes first; X-Wing, of the same lengths, has the lattice first.
_SCHEMES: Final[tuple[Kem, ...]] = (
    XWing(),
    CombinedKem("Kyber768-X25519", X25519, Kyber768()),
    CombinedKem("MLKEM768-X25519", X25519, MlKem768()),
    CombinedKem("MLKEM768-X448", X448, MlKem768()),
    MlKem768(),
    X25519,
    X448,
)
_BY_NAME: Final = {scheme.name.lower(): scheme for scheme in _SCHEMES}

KEM_NAMES: Final = tuple(scheme.name for scheme in _SCHEMES)
"""The canonical names, as they appear in protocol names."""


def kem_scheme(name: str) -> Kem:
    """Return the KEM that the reference knows by `name`, in any case of letters.

    Raises:
        UnsupportedSchemeError: if there is none; the message lists the names there are.
    """
    scheme = _BY_NAME.get(name.lower())
    if scheme is None:
        raise UnsupportedSchemeError(f"no KEM is called {name!r}; the supported ones are {', '.join(KEM_NAMES)}")
    return scheme
