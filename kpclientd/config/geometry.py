"""The `[SphinxGeometry]` table: the sizes of the network's packets, which must agree with each other."""

from typing import Final

from kpclientd.config.table import Table
from sphinx.errors import SphinxError
from sphinx.geometry import Geometry
from sphinx.schemes import KEM_CIPHERTEXT_LENGTHS, NIKE_PUBLIC_KEY_LENGTHS, supported

_GEOMETRY_LENGTHS: Final = (
    "PacketLength",
    "NrHops",
    "HeaderLength",
    "RoutingInfoLength",
    "PerHopRoutingInfoLength",
    "SURBLength",
    "SphinxPlaintextHeaderLength",
    "PayloadTagLength",
    "ForwardPayloadLength",
    "UserForwardPayloadLength",
    "NextNodeHopLength",
    "SPRPKeyMaterialLength",
)
_NEVER_ZERO: Final = _GEOMETRY_LENGTHS[:5]
"""The lengths for which the reference has a message of its own."""


def read_geometry(root: Table) -> Geometry:
    """Read the table, refuse what the reference refuses, with its texts, and then any contradiction.

    Raises:
        ConfigError: the table is missing, incomplete or contradictory, or its scheme is not implemented.
    """
    table = root.table("SphinxGeometry")
    if table is None:
        fix = "copy the network's [SphinxGeometry] table, all 14 keys"
        raise root.fault("", "config: No SphinxGeometry block was present", fix)
    lengths = {name: table.integer(name) for name in _GEOMETRY_LENGTHS}
    _check_geometry_scheme(table, table.string("NIKEName"), table.string("KEMName"))
    for name in _NEVER_ZERO:
        if lengths[name] == 0:
            raise table.fault("", f"geometry has {name} of 0", "copy the network's table, all 14 keys")
    names = {"NIKEName": table.string("NIKEName"), "KEMName": table.string("KEMName")}
    try:
        return Geometry.from_fields({**lengths, **names})
    except SphinxError as error:
        raise table.fault("", f"geometry: {error}", "copy the network's table unchanged") from error


def _check_geometry_scheme(table: Table, nike_name: str, kem_name: str) -> None:
    if not nike_name and not kem_name:
        raise table.fault("", "geometry NIKEName or KEMName must be set", 'most networks have NIKEName = "x25519"')
    if nike_name and kem_name:
        raise table.fault("", "geometry NIKEName and KEMName must not both be set", "empty one of them")
    if kem_name:
        if kem_name.lower() not in KEM_CIPHERTEXT_LENGTHS:
            raise table.fault("KEMName", f"geometry has invalid KEM Scheme {kem_name}")
        raise table.fault("KEMName", "KEM Sphinx is not supported by this version")
    if nike_name.lower() not in NIKE_PUBLIC_KEY_LENGTHS:
        known = ", ".join(sorted(NIKE_PUBLIC_KEY_LENGTHS))
        raise table.fault("NIKEName", f"geometry has invalid NIKE Scheme {nike_name}", f"known are {known}")
    try:
        scheme = supported("NIKE", nike_name)
    except SphinxError as error:
        raise table.fault("NIKEName", f"{nike_name} is not supported by this version", str(error)) from error
    if scheme.slow:
        raise table.fault(
            "NIKEName", f"{nike_name} is not supported by this version", "it would hold up the daemon for every packet"
        )
