"""The KEMs by name: the link's, and those that KEM Sphinx builds its headers with."""

import functools
from collections.abc import Callable, Mapping
from typing import Final

from sphinx.crypto.kem_base import Kem, KemPrivateKey
from sphinx.crypto.kem_combiner import CombinedKem
from sphinx.crypto.mlkem import Kyber768, MlKem768
from sphinx.crypto.nike import group
from sphinx.crypto.nike_kem import NikeKem
from sphinx.crypto.xwing import XWing
from sphinx.native.curve import fastest_x25519
from sphinx.schemes import KEMS, supported

__all__ = ["KEM_NAMES", "Kem", "KemPrivateKey", "kem_scheme"]

KEM_NAMES: Final = tuple(scheme.name for scheme in KEMS.values() if not (scheme.refusal or scheme.extra))
"""The canonical names, as they appear in protocol names, of all that need no optional dependency."""

_BY_THEMSELVES: Final[Mapping[str, Callable[[], Kem]]] = {
    "XWING": lambda: XWing(fastest_x25519()),
    "x25519": lambda: NikeKem(fastest_x25519()),
    "MLKEM768": MlKem768,
    "Kyber768": Kyber768,
}


def kem_scheme(name: str) -> Kem:
    """Return the KEM that the reference knows by `name`, in any case of letters.

    Raises:
        UnsupportedSchemeError: if there is none, if it is registered but not supported here, and why, or if the
            optional dependency that it needs is missing, and which.
    """
    scheme = supported("KEM", name)
    kems = [_component(component) for component in scheme.component_names]
    return kems[0] if len(kems) == 1 else CombinedKem(scheme.name, *kems)


@functools.cache
def _component(name: str) -> Kem:
    own = _BY_THEMSELVES.get(name)
    return own() if own else NikeKem(group(name))
