"""The registry of schemes: each that the reference knows, what it is made of, and whether it is implemented here.

A scheme may stand here, so that a geometry can be computed and hashed, and yet be refused when packets are wanted; why,
stands beside it. The table in `docs/schemes.md` is made from these values.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sphinx.errors import UnsupportedSchemeError

CTIDH_EXTRA: Final = "ctidh"
"""The optional dependencies that CTIDH needs, by the name in this project's metadata."""


@dataclass(frozen=True, slots=True)
class Component:
    """One scheme that is no combination.

    Attributes:
        public_key_length: in bytes.
        element_length: bytes of the group element or KEM ciphertext in a header.
        extra: the optional dependency that it needs, if any.
        slow: whether one operation takes so long (a tenth of a second to seconds) that no event loop may wait for it.
        refusal: why it is not supported here, if it is not.
    """

    public_key_length: int
    element_length: int
    extra: str = ""
    slow: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class Scheme:
    """One scheme of the registry.

    Attributes:
        name: as the reference spells it; it is found by that name in any case.
        component_names: what it is made of, in the order in which their keys and elements stand.
        public_key_length, element_length, extra, slow, refusal: as in `Component`, of all components together.
    """

    name: str
    component_names: tuple[str, ...]
    public_key_length: int
    element_length: int
    extra: str
    slow: bool
    refusal: str


_BLINDED_BY_ANOTHER_SAMPLER: Final = (
    "nodes of the reference draw its blinding factors with the sampler of whichever CTIDH was linked first, usually "
    "that of ctidh1024"
)
_NO_SNTRUP: Final = "the libraries kept for Python have the later parameters of Streamlined NTRU Prime, not 4591761"
_NO_HQC: Final = "the library kept for Python (pqcrypto) follows another draft of HQC and derives other secrets"
_NO_FRODO: Final = (
    "of the libraries for Python only liboqs-python has it, which downloads and builds C at its first import"
)
_NO_MCELIECE: Final = (
    "no recorded ciphertext proves that a library's bytes are the reference's, and public keys of 0.26 to 1.36 MB "
    "would stand in each document three times for every node"
)

_NIKE_COMPONENTS: Final[Mapping[str, Component]] = {
    "x25519": Component(32, 32),
    "x448": Component(56, 56),
    "ctidh511": Component(64, 64, CTIDH_EXTRA, slow=True, refusal=_BLINDED_BY_ANOTHER_SAMPLER),
    "ctidh512": Component(64, 64, CTIDH_EXTRA, slow=True, refusal=_BLINDED_BY_ANOTHER_SAMPLER),
    "ctidh1024": Component(128, 128, CTIDH_EXTRA, slow=True),
    "ctidh2048": Component(256, 256, CTIDH_EXTRA, slow=True, refusal=_BLINDED_BY_ANOTHER_SAMPLER),
}

# The order is not always that of the name.
_NIKE_HYBRIDS: Final[Mapping[str, tuple[str, str]]] = {
    "CTIDH512-X25519": ("ctidh512", "x25519"),
    "CTIDH512-X448": ("x448", "ctidh512"),
    "CTIDH1024-X25519": ("x25519", "ctidh1024"),
    "X25519-CTIDH1024": ("x25519", "ctidh1024"),
    "CTIDH1024-X448": ("ctidh1024", "x448"),
    "CTIDH2048-X448": ("ctidh2048", "x448"),
}

_KYBER768: Final = "Kyber768"
"""A component only: the reference registers it in combination with X25519."""

_MCELIECE: Final[Mapping[str, tuple[int, int]]] = {
    "mceliece348864": (261120, 96),
    "mceliece460896": (524160, 156),
    "mceliece6688128": (1044992, 208),
    "mceliece6960119": (1047319, 194),
    "mceliece8192128": (1357824, 208),
}
_KEM_COMPONENTS: Final[Mapping[str, Component]] = {
    "MLKEM768": Component(1184, 1088),
    "XWING": Component(1216, 1120),
    _KYBER768: Component(1184, 1088),
    "x25519": Component(32, 32),
    "x448": Component(56, 56),
    # As a KEM, CTIDH blinds nothing: all sizes interoperate.
    "ctidh511": Component(64, 64, CTIDH_EXTRA, slow=True),
    "ctidh512": Component(64, 64, CTIDH_EXTRA, slow=True),
    "ctidh1024": Component(128, 128, CTIDH_EXTRA, slow=True),
    "ctidh2048": Component(256, 256, CTIDH_EXTRA, slow=True),
    "sntrup4591761": Component(1218, 1047, refusal=_NO_SNTRUP),
    "FrodoKEM-640-SHAKE": Component(9616, 9720, refusal=_NO_FRODO),
    "HQC-128": Component(2241, 4433, refusal=_NO_HQC),
    "HQC-192": Component(4514, 8978, refusal=_NO_HQC),
    "HQC-256": Component(7237, 14421, refusal=_NO_HQC),
    **{
        name + form: Component(public_key, ciphertext, refusal=_NO_MCELIECE)
        for name, (public_key, ciphertext) in _MCELIECE.items()
        for form in ("", "f")
    },
}

# The curve comes first, except beside CTIDH.
_KEM_HYBRIDS: Final[Mapping[str, tuple[str, str]]] = {
    "MLKEM768-X25519": ("x25519", "MLKEM768"),
    "MLKEM768-X448": ("x448", "MLKEM768"),
    "Kyber768-X25519": ("x25519", _KYBER768),
    "CTIDH512-X25519": ("ctidh512", "x25519"),
    "CTIDH1024-X448": ("ctidh1024", "x448"),
    "sntrup4591761-X448": ("x448", "sntrup4591761"),
    "FrodoKEM-640-SHAKE-X448": ("x448", "FrodoKEM-640-SHAKE"),
    "HQC-128-X25519": ("x25519", "HQC-128"),
    "HQC-192-X25519": ("x25519", "HQC-192"),
    "HQC-256-X25519": ("x25519", "HQC-256"),
    "HQC-256-X448": ("x448", "HQC-256"),
    **{f"{name}-X25519": ("x25519", name) for name in _KEM_COMPONENTS if name.startswith("mceliece")},
}


def _registry(components: Mapping[str, Component], combined: Mapping[str, tuple[str, ...]]) -> dict[str, Scheme]:
    alone = {name: (name,) for name in components if name != _KYBER768}
    schemes: dict[str, Scheme] = {}
    for name, names in (alone | dict(combined)).items():
        parts = [components[part] for part in names]
        schemes[name.lower()] = Scheme(
            name=name,
            component_names=names,
            public_key_length=sum(part.public_key_length for part in parts),
            element_length=sum(part.element_length for part in parts),
            extra=next((part.extra for part in parts if part.extra), ""),
            slow=any(part.slow for part in parts),
            refusal=next((part.refusal for part in parts if part.refusal), ""),
        )
    return schemes


NIKES: Final[Mapping[str, Scheme]] = _registry(_NIKE_COMPONENTS, _NIKE_HYBRIDS)
"""The NIKEs by their names in lower case."""

KEMS: Final[Mapping[str, Scheme]] = _registry(_KEM_COMPONENTS, _KEM_HYBRIDS)
"""The KEMs by their names in lower case."""

NIKE_PUBLIC_KEY_LENGTHS: Final[Mapping[str, int]] = {name: scheme.element_length for name, scheme in NIKES.items()}
"""Lower-case NIKE name to the length of its public key, the group element of a header."""

KEM_CIPHERTEXT_LENGTHS: Final[Mapping[str, int]] = {name: scheme.element_length for name, scheme in KEMS.items()}
"""Lower-case KEM name to the length of its ciphertext, the element of a KEM Sphinx header."""


def registered(kind: str, name: str) -> Scheme:
    """Return the scheme called `name`, in any case, whether or not it is implemented here.

    Args:
        kind: "NIKE" or "KEM".
        name: as the reference knows it.

    Raises:
        UnsupportedSchemeError: if there is none of this name; the message lists those that are supported.
    """
    schemes = NIKES if kind == "NIKE" else KEMS
    scheme = schemes.get(name.lower())
    if scheme is None:
        supported = ", ".join(scheme.name for scheme in schemes.values() if not scheme.refusal)
        raise UnsupportedSchemeError(f"no {kind} is called {name!r}; supported are {supported}")
    return scheme


def supported(kind: str, name: str) -> Scheme:
    """Return the scheme called `name` if it is implemented here; otherwise as `registered`.

    Raises:
        UnsupportedSchemeError: if there is none of this name, or it is not supported, and why.
    """
    scheme = registered(kind, name)
    if scheme.refusal:
        raise UnsupportedSchemeError(f"the {kind} {scheme.name} is not supported here, because {scheme.refusal}")
    return scheme


def nike_element_length(name: str) -> int:
    """Return the public-key length of the NIKE called `name`, in any case.

    Raises:
        UnsupportedSchemeError: if there is no such NIKE.
    """
    return registered("NIKE", name).element_length


def kem_element_length(name: str) -> int:
    """Return the ciphertext length of the KEM called `name`, in any case.

    Raises:
        UnsupportedSchemeError: if there is no such KEM.
    """
    return registered("KEM", name).element_length
