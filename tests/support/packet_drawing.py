"""Draws the packet of a geometry: `python -m tests.support.packet_drawing [--kem] [SCHEME [HOPS [USER_PAYLOAD]]]`.

The drawings of docs/sphinx.md are made here, so that they can not drift from the code.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from sphinx.errors import GeometryError
from sphinx.geometry import (
    COMMAND_TAG_LENGTH,
    HOP_COMMANDS_LENGTH,
    MAC_LENGTH,
    SPRP_KEY_LENGTH,
    SPRP_NONCE_LENGTH,
    VERSION,
    Geometry,
)
from sphinx.types import NODE_ID_LENGTH, SURB_ID_LENGTH

DEFAULT_SCHEME: Final = "x25519"
DEFAULT_HOPS: Final = 5
DEFAULT_USER_PAYLOAD: Final = 2000

_WIDTH: Final = 74
_USAGE: Final = "usage: python -m tests.support.packet_drawing [--kem] [SCHEME [HOPS [USER_PAYLOAD]]]"


@dataclass(frozen=True, slots=True)
class Field:
    """A run of bytes with one meaning.

    Attributes:
        name: what it is.
        length: in bytes.
        note: what keeps or changes it.
    """

    name: str
    length: int
    note: str = ""


def header_fields(geometry: Geometry) -> tuple[Field, ...]:
    """Return a header's fields in order; their lengths sum to header_length."""
    fixed = len(VERSION) + geometry.routing_info_length + MAC_LENGTH
    element = "group element" if geometry.nike_name else "KEM ciphertext"
    scheme = geometry.nike_name or geometry.kem_name
    return (
        Field("version", len(VERSION), "zeros"),
        Field(element, geometry.header_length - fixed, f"{scheme}, for this hop alone"),
        Field(
            "routing information",
            geometry.routing_info_length,
            f"{geometry.nr_hops} x {geometry.per_hop_routing_info_length}, a stream cipher for each hop",
        ),
        Field("MAC", MAC_LENGTH, "over all above, for this hop"),
    )


def payload_fields(geometry: Geometry) -> tuple[Field, ...]:
    """Return a payload's fields in order, as they are beneath all layers of its cipher."""
    fields = [Field("tag", geometry.payload_tag_length, "zeros")]
    if geometry.forward_payload_length > geometry.user_forward_payload_length:
        fields += [
            Field("flags, reserved", geometry.sphinx_plaintext_header_length, "1 with a SURB, else 0; zero"),
            Field("SURB", geometry.surb_length, "or zeros"),
        ]
    fields.append(Field("message", geometry.user_forward_payload_length, "zeros behind its end"))
    return tuple(fields)


def surb_fields(geometry: Geometry) -> tuple[Field, ...]:
    """Return a SURB's fields in order; their lengths sum to surb_length."""
    return (
        Field("header", geometry.header_length, "of the reply, complete"),
        Field("first hop", NODE_ID_LENGTH, "node to hand the reply to"),
        Field("payload key", SPRP_KEY_LENGTH, "for the answer's own layer"),
        Field("payload nonce", SPRP_NONCE_LENGTH),
    )


def fragment_fields(geometry: Geometry) -> tuple[Field, ...]:
    """Return one hop's share of the routing information: the most that its commands take."""
    spare = COMMAND_TAG_LENGTH + SURB_ID_LENGTH
    fields = [
        Field("commands", spare, f"at most; at the last hop at most {HOP_COMMANDS_LENGTH}"),
        Field("next hop", geometry.next_node_hop_length, "its id, and the MAC it will check"),
    ]
    element = geometry.per_hop_routing_info_length - HOP_COMMANDS_LENGTH
    if element:
        fields.append(Field("KEM ciphertext", element, "of the next hop"))
    return tuple(fields)


def drawing(geometry: Geometry) -> str:
    """Return the drawing of the geometry's packet, SURB and routing information, lines of ASCII."""
    scheme = f"NIKE {geometry.nike_name}" if geometry.nike_name else f"KEM {geometry.kem_name}"
    payload = geometry.payload_tag_length + geometry.forward_payload_length
    lines = [
        f"Sphinx packet of {geometry.packet_length} bytes: {scheme}, {geometry.nr_hops} hops, "
        f"{geometry.user_forward_payload_length} bytes of message",
        "",
        *_column(f"header, {geometry.header_length}", header_fields(geometry), 0),
        *_column(f"payload, {payload}, one cipher block", payload_fields(geometry), geometry.header_length),
        _end(geometry.packet_length),
        "",
        f"SURB of {geometry.surb_length} bytes",
        "",
        *_column("", surb_fields(geometry), 0),
        _end(geometry.surb_length),
        "",
        f"one hop's fragment of {geometry.per_hop_routing_info_length} bytes",
        "",
        *_column("", fragment_fields(geometry), 0),
        _end(geometry.per_hop_routing_info_length),
        "",
        "routing information at each hop: its own fragment, those of later hops, padding by earlier ones",
        "",
        *_shifts(geometry),
    ]
    return "\n".join(lines) + "\n"


def _column(title: str, fields: Sequence[Field], offset: int) -> Iterator[str]:
    """Fields below each other, each line above one with the offset at which it begins."""
    rule = f"-- {title} " if title else ""
    for field in fields:
        yield f"{offset:>7} +{rule.ljust(_WIDTH, '-')}+"
        yield f"{'':>7} | {field.name:<20} {field.length:>6}  {field.note:<{_WIDTH - 31}} |"
        offset += field.length
        rule = ""


def _end(offset: int) -> str:
    return f"{offset:>7} +{'-' * _WIDTH}+"


def _shifts(geometry: Geometry) -> Iterator[str]:
    width = len(f" f{geometry.nr_hops - 1} ")
    for hop in range(geometry.nr_hops):
        fragments = [f"f{later}" for later in range(hop, geometry.nr_hops)]
        paddings = [f"p{earlier}" for earlier in range(hop)]
        cells = "|".join(cell.center(width) for cell in fragments + paddings)
        yield f"  hop {hop:<2} |{cells}| MAC {hop}"


def main(arguments: Sequence[str]) -> int:
    """Print the drawing that the command line asks for; returns the exit status."""
    kem = list(arguments[:1]) == ["--kem"]
    words = arguments[1:] if kem else arguments
    scheme, *numbers = words or (DEFAULT_SCHEME,)
    try:
        hops, user_payload = [int(number) for number in numbers] + [DEFAULT_HOPS, DEFAULT_USER_PAYLOAD][len(numbers) :]
        geometry = (Geometry.kem if kem else Geometry.nike)(scheme, hops, user_payload)
    except GeometryError as error:
        print(error, file=sys.stderr)
        return 1
    except ValueError:
        print(_USAGE, file=sys.stderr)
        return 2
    print(drawing(geometry), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
