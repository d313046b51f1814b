"""Single-use reply blocks: a ready-made header that lets another answer without knowing whom."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from sphinx.agreement import Agreement
from sphinx.errors import PayloadLengthError, PayloadTagError, SurbError
from sphinx.geometry import PAYLOAD_TAG_LENGTH, SPRP_KEY_MATERIAL_LENGTH, Geometry
from sphinx.header import build_header
from sphinx.native import Engine
from sphinx.path import PathHop
from sphinx.randomness import Randomness
from sphinx.types import NODE_ID_LENGTH, NodeId


@dataclass(frozen=True, slots=True)
class NewSurb:
    """A SURB and what its maker keeps to open the answer.

    Attributes:
        surb: goes to whoever shall answer (surb_length bytes).
        keys: the layers' key material: the hops' from the last to the first, the answerer's own behind them (64
            bytes each).
    """

    surb: bytes = field(repr=False)
    keys: bytes = field(repr=False)


def new_surb(geometry: Geometry, agreement: Agreement, path: Sequence[PathHop], randomness: Randomness) -> NewSurb:
    """Create a SURB whose answer takes `path`; errors as for `sphinx.header.build_header`."""
    answer_keys = randomness.bytes(SPRP_KEY_MATERIAL_LENGTH)
    header = build_header(geometry, agreement, path, randomness)
    return NewSurb(
        surb=header.encoded + path[0].node_id + answer_keys,
        keys=b"".join(reversed(header.payload_keys)) + answer_keys,
    )


def packet_from_surb(geometry: Geometry, engine: Engine, surb: bytes, answer: bytes) -> tuple[bytes, NodeId]:
    """Make the packet that carries `answer`, and return it with the node to hand it to.

    Args:
        geometry: of the network.
        engine: for the payload.
        surb: surb_length bytes.
        answer: up to forward_payload_length bytes; zeros fill the rest.

    Raises:
        SurbError: if the SURB has a wrong length.
        PayloadLengthError: if the answer is too long.
    """
    if len(surb) != geometry.surb_length:
        raise SurbError(f"a SURB has {len(surb)} bytes, expected {geometry.surb_length}")
    if len(answer) > geometry.forward_payload_length:
        raise PayloadLengthError(
            f"an answer has {len(answer)} bytes, expected at most {geometry.forward_payload_length}"
        )
    header, rest = surb[: geometry.header_length], surb[geometry.header_length :]
    first_hop, keys = rest[:NODE_ID_LENGTH], rest[NODE_ID_LENGTH:]
    payload = bytes(PAYLOAD_TAG_LENGTH) + answer.ljust(geometry.forward_payload_length, b"\0")
    return header + engine.encipher(keys, payload), NodeId(first_hop)


def open_reply(geometry: Geometry, engine: Engine, keys: bytes, payload: bytes) -> bytes:
    """Take all layers off an answer: each hop deciphered once more, so that enciphering brings it back.

    Args:
        geometry: of the network.
        engine: for the payload.
        keys: as in `NewSurb`.
        payload: as the gateway delivers it (payload_tag_length + forward_payload_length bytes).

    Returns:
        forward_payload_length bytes, zeros behind the answer included.

    Raises:
        SurbError: if the keys have an impossible length.
        PayloadLengthError: if the payload has a wrong length.
        PayloadTagError: if the answer was altered on its way or belongs to another SURB.
    """
    layers, rest = divmod(len(keys), SPRP_KEY_MATERIAL_LENGTH)
    if rest or not 1 <= layers <= geometry.nr_hops + 1:
        raise SurbError(
            f"SURB keys have {len(keys)} bytes, expected 1 to {geometry.nr_hops + 1} times {SPRP_KEY_MATERIAL_LENGTH}"
        )
    expected = geometry.payload_tag_length + geometry.forward_payload_length
    if len(payload) != expected:
        raise PayloadLengthError(f"a reply has {len(payload)} bytes, expected {expected}")
    opened = engine.open_reply(keys, payload)
    if opened is None:
        raise PayloadTagError("a reply's tag is not zero: it was altered, or belongs to another SURB")
    return opened
