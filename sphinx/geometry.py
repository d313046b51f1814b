"""The packet geometry: every length that all nodes and clients of one network agree on.

A scheme, the number of hops and the length of a message are chosen; everything else follows. A geometry that
contradicts the formulas is refused, because every offset of a packet is taken from these fields.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

import cbor2

from sphinx.errors import GeometryError, UnsupportedSchemeError
from sphinx.schemes import kem_element_length, nike_element_length
from sphinx.types import NODE_ID_LENGTH, SURB_ID_LENGTH

VERSION: Final = bytes(2)
"""The additional data at the front of each header; it doubles as a version number."""

MAC_LENGTH: Final = 32
SPRP_KEY_LENGTH: Final = 48
SPRP_NONCE_LENGTH: Final = 16
SPRP_KEY_MATERIAL_LENGTH: Final = SPRP_KEY_LENGTH + SPRP_NONCE_LENGTH
PAYLOAD_TAG_LENGTH: Final = 32
PLAINTEXT_HEADER_LENGTH: Final = 2
COMMAND_TAG_LENGTH: Final = 1
NEXT_NODE_HOP_LENGTH: Final = COMMAND_TAG_LENGTH + NODE_ID_LENGTH + MAC_LENGTH
HOP_COMMANDS_LENGTH: Final = NEXT_NODE_HOP_LENGTH + COMMAND_TAG_LENGTH + SURB_ID_LENGTH
"""Room for one hop's commands: a bound that every real combination fits."""

DIGEST_LENGTH: Final = 32

MAX_HOPS: Final = 20
"""Of a path; the reference has no bound, and real networks have five."""

MAX_PACKET_LENGTH: Final = 500_000_000
"""Longer than the reference's longest wire message, a packet could not be sent."""

_FIELD_NAMES: Final[Mapping[str, str]] = {
    "packet_length": "PacketLength",
    "nr_hops": "NrHops",
    "header_length": "HeaderLength",
    "routing_info_length": "RoutingInfoLength",
    "per_hop_routing_info_length": "PerHopRoutingInfoLength",
    "surb_length": "SURBLength",
    "sphinx_plaintext_header_length": "SphinxPlaintextHeaderLength",
    "payload_tag_length": "PayloadTagLength",
    "forward_payload_length": "ForwardPayloadLength",
    "user_forward_payload_length": "UserForwardPayloadLength",
    "next_node_hop_length": "NextNodeHopLength",
    "sprp_key_material_length": "SPRPKeyMaterialLength",
    "nike_name": "NIKEName",
    "kem_name": "KEMName",
}
_SCHEME_FIELDS: Final = ("NIKEName", "KEMName")


@dataclass(frozen=True, slots=True)
class Geometry:
    """The lengths (bytes) and the scheme of one network's packets; exactly one of the two names is set.

    Make one with `nike`, `kem` or `from_fields`, which hold to the formulas of the Katzenpost Sphinx
    specification, "Geometry".
    """

    packet_length: int
    nr_hops: int
    header_length: int
    routing_info_length: int
    per_hop_routing_info_length: int
    surb_length: int
    sphinx_plaintext_header_length: int
    payload_tag_length: int
    forward_payload_length: int
    user_forward_payload_length: int
    next_node_hop_length: int
    sprp_key_material_length: int
    nike_name: str
    kem_name: str

    @classmethod
    def nike(cls, scheme: str, hops: int, user_forward_payload_length: int, *, with_surb: bool = True) -> "Geometry":
        """Compute the geometry of NIKE Sphinx.

        Args:
            scheme: the NIKE's name in any case; kept literally, since the digest covers it.
            hops: the longest path, gateway and service node included.
            user_forward_payload_length: bytes of an application's message.
            with_surb: whether a payload has room for a SURB beside the message, as in all deployed networks.

        Raises:
            GeometryError: if the scheme is unknown or a number is out of range.
        """
        return cls._compute(scheme, "", hops, user_forward_payload_length, with_surb)

    @classmethod
    def kem(cls, scheme: str, hops: int, user_forward_payload_length: int, *, with_surb: bool = True) -> "Geometry":
        """Compute the geometry of KEM Sphinx; arguments and errors as for `nike`."""
        return cls._compute("", scheme, hops, user_forward_payload_length, with_surb)

    @classmethod
    def from_fields(cls, given: Mapping[str, object]) -> "Geometry":
        """Check the fields of a `[SphinxGeometry]` table and return the geometry they describe.

        Names are matched in any case and unknown names ignored, as the reference's TOML reader does.

        Raises:
            GeometryError: naming the field, its value and what was expected.
        """
        known = {name.lower(): name for name in _FIELD_NAMES.values()}
        values: dict[str, object] = {}
        for key, value in given.items():
            name = known.get(key.lower())
            if name is None:
                continue
            if name in values:
                raise GeometryError(f"{name} is given twice")
            values[name] = value
        nike_name, kem_name = (_text(values, name) for name in _SCHEME_FIELDS)
        numbers = {name: _number(values, name) for name in known.values() if name not in _SCHEME_FIELDS}
        user_length = numbers["UserForwardPayloadLength"]
        computed = cls._compute(
            nike_name,
            kem_name,
            numbers["NrHops"],
            user_length,
            with_surb=numbers["ForwardPayloadLength"] != user_length,
        )
        for name, expected in computed.fields().items():
            if name in numbers and numbers[name] != expected:
                scheme = nike_name or kem_name
                raise GeometryError(
                    f"{name} is {numbers[name]}, expected {expected} for {scheme}, {computed.nr_hops} hops "
                    f"and {user_length} bytes of user payload"
                )
        return computed

    @classmethod
    def _compute(cls, nike_name: str, kem_name: str, hops: int, user_length: int, with_surb: bool) -> "Geometry":
        if bool(nike_name) == bool(kem_name):
            fault = "both are set" if nike_name else "both are empty"
            raise GeometryError(f"exactly one of NIKEName and KEMName must be set: {fault}")
        if not 1 <= hops <= MAX_HOPS:
            raise GeometryError(f"NrHops is {hops}, expected 1 to {MAX_HOPS}")
        if not 0 <= user_length <= MAX_PACKET_LENGTH:
            raise GeometryError(f"UserForwardPayloadLength is {user_length}, expected 0 to {MAX_PACKET_LENGTH}")
        try:
            element = nike_element_length(nike_name) if nike_name else kem_element_length(kem_name)
        except UnsupportedSchemeError as error:
            raise GeometryError(f"{'NIKEName' if nike_name else 'KEMName'}: {error}") from None
        per_hop = HOP_COMMANDS_LENGTH + (0 if nike_name else element)
        routing_info = hops * per_hop
        header = len(VERSION) + element + routing_info + MAC_LENGTH
        surb = header + NODE_ID_LENGTH + SPRP_KEY_MATERIAL_LENGTH
        forward_payload = user_length + (PLAINTEXT_HEADER_LENGTH + surb if with_surb else 0)
        packet = header + PAYLOAD_TAG_LENGTH + forward_payload
        if packet > MAX_PACKET_LENGTH:
            raise GeometryError(
                f"UserForwardPayloadLength is {user_length}, which makes packets of {packet} bytes, "
                f"expected at most {MAX_PACKET_LENGTH}"
            )
        return cls(
            packet_length=packet,
            nr_hops=hops,
            header_length=header,
            routing_info_length=routing_info,
            per_hop_routing_info_length=per_hop,
            surb_length=surb,
            sphinx_plaintext_header_length=PLAINTEXT_HEADER_LENGTH,
            payload_tag_length=PAYLOAD_TAG_LENGTH,
            forward_payload_length=forward_payload,
            user_forward_payload_length=user_length,
            next_node_hop_length=NEXT_NODE_HOP_LENGTH,
            sprp_key_material_length=SPRP_KEY_MATERIAL_LENGTH,
            nike_name=nike_name,
            kem_name=kem_name,
        )

    def fields(self) -> dict[str, int | str]:
        """Return the 14 fields under the names of the reference, in its order."""
        return {_FIELD_NAMES[field.name]: getattr(self, field.name) for field in fields(self)}

    def toml(self) -> str:
        """Return the `[SphinxGeometry]` table as the reference writes it."""
        lines = ["[SphinxGeometry]"]
        for name, value in self.fields().items():
            written = f'"{value}"' if isinstance(value, str) else str(value)
            lines.append(f"  {name} = {written}")
        return "\n".join(lines) + "\n"

    def digest(self) -> bytes:
        """Return the 32 bytes by which documents name this geometry.

        BLAKE2b-256 of the fields as a canonical CBOR map; keys in the order of RFC 7049, section 3.9: shorter first.
        """
        ordered = sorted(self.fields().items(), key=lambda item: (len(item[0]), item[0]))
        encoded = cbor2.dumps(dict(ordered))
        return hashlib.blake2b(encoded, digest_size=DIGEST_LENGTH).digest()


def _text(values: Mapping[str, object], name: str) -> str:
    value = values.get(name, "")
    if not isinstance(value, str):
        raise GeometryError(f"{name} is {value!r}, expected a string")
    return value


def _number(values: Mapping[str, object], name: str) -> int:
    if name not in values:
        raise GeometryError(f"{name} is missing")
    value = values[name]
    if not isinstance(value, int) or isinstance(value, bool):
        raise GeometryError(f"{name} is {value!r}, expected an integer")
    return value
