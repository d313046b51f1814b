"""The `[SphinxGeometry]` table: the sizes of the network's packets, which must agree with each other."""

from typing import Final

import msgspec

from kpclientd.config.client_file import GeometryTable
from kpclientd.config.place import Place
from sphinx.errors import SphinxError
from sphinx.geometry import Geometry
from sphinx.schemes import KEM_CIPHERTEXT_LENGTHS, NIKE_PUBLIC_KEY_LENGTHS, supported

_NEVER_ZERO: Final = ("PacketLength", "NrHops", "HeaderLength", "RoutingInfoLength", "PerHopRoutingInfoLength")
"""The lengths for which the reference has a message of its own."""


def read_geometry(table: GeometryTable | None, root: Place) -> Geometry:
    """Refuse what the reference refuses, with its texts, and then any contradiction.

    Raises:
        ConfigError: the table is missing, incomplete or contradictory, or its scheme is not implemented.
    """
    if table is None:
        fix = "copy the network's [SphinxGeometry] table, all 14 keys"
        raise root.fault("", "config: No SphinxGeometry block was present", fix)
    place = root.tables["SphinxGeometry"]
    _check_geometry_scheme(place, table.nike_name, table.kem_name)
    fields: dict[str, object] = msgspec.to_builtins(table)
    for name in _NEVER_ZERO:
        if fields[name] == 0:
            raise place.fault("", f"geometry has {name} of 0", "copy the network's table, all 14 keys")
    try:
        return Geometry.from_fields(fields)
    except SphinxError as error:
        raise place.fault("", f"geometry: {error}", "copy the network's table unchanged") from error


def _check_geometry_scheme(place: Place, nike_name: str, kem_name: str) -> None:
    if not nike_name and not kem_name:
        raise place.fault("", "geometry NIKEName or KEMName must be set", 'most networks have NIKEName = "x25519"')
    if nike_name and kem_name:
        raise place.fault("", "geometry NIKEName and KEMName must not both be set", "empty one of them")
    kind, key, name = ("KEM", "KEMName", kem_name) if kem_name else ("NIKE", "NIKEName", nike_name)
    registered = KEM_CIPHERTEXT_LENGTHS if kem_name else NIKE_PUBLIC_KEY_LENGTHS
    if name.lower() not in registered:
        raise place.fault(
            key, f"geometry has invalid {kind} Scheme {name}", f"known are {', '.join(sorted(registered))}"
        )
    try:
        scheme = supported(kind, name)
    except SphinxError as error:
        raise place.fault(key, f"{name} is not supported by this version", str(error)) from error
    if scheme.slow:
        fix = "it would hold up the daemon for every packet"
        raise place.fault(key, f"{name} is not supported by this version", fix)
