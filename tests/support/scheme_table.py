"""Writes the table of schemes, docs/schemes.md: `python -m tests.support.scheme_table > docs/schemes.md`."""

import sys
from collections.abc import Iterable, Iterator
from typing import Final

from sphinx.geometry import Geometry
from sphinx.schemes import CTIDH_EXTRA, KEMS, NIKES, Scheme

_HOPS: Final = 5
_USER_PAYLOAD: Final = 2000

_INTRODUCTION: Final = """# Schemes

One scheme builds the headers of all packets of a network: its `[SphinxGeometry]` names it, in `NIKEName` or in
`KEMName`. Names are found in any case, but documents name a geometry by a digest that covers the name's spelling.
All that the reference knows stands here, supported or not: a geometry of each can be computed and compared.

`python -m tests.support.scheme_table` writes this file from the registry that the code uses (`sphinx.schemes`).
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
    return "\n".join([_INTRODUCTION, _EXTRAS, *_section("NIKE", NIKES.values()), *_section("KEM", KEMS.values())])


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
            reasons.setdefault(scheme.refusal, []).append(f"`{scheme.name}`")
    for reason, names in reasons.items():
        yield f"* {reason}: {', '.join(names)}"
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
