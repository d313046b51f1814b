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
    kind, key, name = ("KEM", "KEMName", kem_name) if kem_name else ("NIKE", "NIKEName", nike_name)
    registered = KEM_CIPHERTEXT_LENGTHS if kem_name else NIKE_PUBLIC_KEY_LENGTHS
    if name.lower() not in registered:
        raise table.fault(
            key, f"geometry has invalid {kind} Scheme {name}", f"known are {', '.join(sorted(registered))}"
        )
    try:
        scheme = supported(kind, name)
    except SphinxError as error:
        raise table.fault(key, f"{name} is not supported by this version", str(error)) from error
    if scheme.slow:
        fix = "it would hold up the daemon for every packet"
        raise table.fault(key, f"{name} is not supported by this version", fix)
