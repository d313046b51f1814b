"""Writes the table of schemes, docs/schemes.md: `python -m tests.support.scheme_table > docs/schemes.md`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Final

from pki.signatures import SIGNATURE_SCHEMES, UNSUPPORTED_SIGNATURE_SCHEMES, SignatureScheme
from pki.signatures.falcon import FalconScheme
from pki.signatures.hybrid import HybridScheme
from sphinx.geometry import Geometry
from sphinx.schemes import CTIDH_EXTRA, KEMS, NIKES, Scheme

_HOPS: Final = 5
_USER_PAYLOAD: Final = 2000
_FALCON_EXTRA: Final = "falcon"

_INTRODUCTION: Final = """# Schemes

One scheme builds the headers of all packets of a network: its `[SphinxGeometry]` names it, in `NIKEName` or in
`KEMName`. Names are found in any case, but documents name a geometry by a digest that covers the name's spelling.
All that the reference knows stands here, supported or not: a geometry of each can be computed and compared.

The directory authorities sign documents with keys of one more scheme, of which the last table tells.

`python -m tests.support.scheme_table` writes this file from the registries that the code uses (`sphinx.schemes`,
`pki.signatures`).
"""

_EXTRAS: Final = f"""## Optional dependencies

A scheme marked `{CTIDH_EXTRA}` needs `pip install 'kpclientd[{CTIDH_EXTRA}]'`, which builds the package `highctidh`
from C; that takes some minutes.

**Never use such a scheme on an event loop.** One CTIDH operation takes from a tenth of a second (511 bits) to many
seconds (2048), and a header for five hops takes twenty of them with a NIKE, ten with a KEM. Use a worker thread: the
library lets other threads run meanwhile. The daemon refuses these schemes in its configuration.
"""


def table() -> str:
    """Return docs/schemes.md."""
    packets = [*_section("NIKE", NIKES.values()), *_section("KEM", KEMS.values())]
    return "\n".join([_INTRODUCTION, _EXTRAS, *packets, *_signatures()])


_SIGNATURES: Final = f"""## Signatures of the authorities

Bytes. `PKISignatureScheme` beside each key names its scheme, in any case. A hybrid's keys and signatures are those of
its parts, one behind the other, and both parts must verify. All can be verified with what is installed anyway; the
compiled engine does SPHINCS+ in milliseconds, Python without it in some fifty. To sign, as the local network does, a
scheme marked `{_FALCON_EXTRA}` needs `pip install 'kpclientd[{_FALCON_EXTRA}]'`.

`Sphincs+` is SPHINCS+-SHAKE-256f-robust of round 3.1, not FIPS 205; `Ed25519 Sphincs+` and `Ed25519-Sphincs+` are the
older and the newer name of one pair, and since signers sign the name too, a network has either one or the other.

| scheme | parts, in order | public key | signature | needs, to sign |
| --- | --- | ---: | ---: | --- |"""


def _signatures() -> Iterator[str]:
    yield _SIGNATURES
    for scheme in SIGNATURE_SCHEMES:
        parts = f"{scheme.first.name}, {scheme.second.name}" if isinstance(scheme, HybridScheme) else ""
        needs = f"`{_FALCON_EXTRA}`" if _needs_falcon(scheme) else ""
        yield f"| `{scheme.name}` | {parts} | {scheme.public_key_length} | {scheme.signature_length} | {needs} |"
    yield "\nNot supported here, because ...\n"
    yield from (f"* {reason}: {_listed(names)}" for names, reason in UNSUPPORTED_SIGNATURE_SCHEMES)
    yield ""


def _needs_falcon(scheme: SignatureScheme) -> bool:
    if isinstance(scheme, HybridScheme):
        return _needs_falcon(scheme.first) or _needs_falcon(scheme.second)
    return isinstance(scheme, FalconScheme)


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _section(kind: str, schemes: Iterable[Scheme]) -> Iterator[str]:
    element = "public key" if kind == "NIKE" else "ciphertext"
    schemes = list(schemes)
    yield f"## {kind} Sphinx\n"
    yield f"Bytes, the packet's for {_HOPS} hops and {_USER_PAYLOAD} bytes of user payload.\n"
    if kind == "NIKE":
        yield f"| {kind} | parts, in order | {element} | packet | needs |\n| --- | --- | ---: | ---: | --- |"
    else:
        yield f"| {kind} | parts, in order | public key | {element} | packet | needs |"
        yield "| --- | --- | ---: | ---: | ---: | --- |"
    for scheme in schemes:
        if not scheme.refusal:
            yield _row(kind, scheme)
    yield "\nNot supported here, because ...\n"
    reasons: dict[str, list[str]] = {}
    for scheme in schemes:
        if scheme.refusal:
            reasons.setdefault(scheme.refusal, []).append(scheme.name)
    for reason, names in reasons.items():
        yield f"* {reason}: {_listed(names)}"
    yield ""


def _row(kind: str, scheme: Scheme) -> str:
    make = Geometry.nike if kind == "NIKE" else Geometry.kem
    packet = make(scheme.name, _HOPS, _USER_PAYLOAD).packet_length
    parts = ", ".join(scheme.component_names) if len(scheme.component_names) > 1 else ""
    lengths = [scheme.element_length] if kind == "NIKE" else [scheme.public_key_length, scheme.element_length]
    needs = f"`{scheme.extra}`" if scheme.extra else ""
    cells = [f"`{scheme.name}`", parts, *map(str, [*lengths, packet]), needs]
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.stdout.write(table())
