"""Loop decoys: packets to an echo service whose reply comes back to us and is thrown away."""

from dataclasses import dataclass, field
from typing import Final

from pki import Document
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness
from sphinx.types import RECIPIENT_ID_LENGTH, NodeId, RecipientId

ECHO_CAPABILITY: Final = "echo"


@dataclass(frozen=True, slots=True)
class Decoy:
    """Where a loop decoy goes, and what it carries."""

    destination: NodeId
    recipient: RecipientId
    payload: bytes = field(repr=False)


def choose_decoy(document: Document, geometry: Geometry, randomness: Randomness) -> Decoy | None:
    """A decoy to a uniformly random echo service of `document`, or None if it offers none."""
    services = document.services(ECHO_CAPABILITY)
    if not services:
        return None
    service = randomness.choice(services)
    recipient = RecipientId(service.endpoint.ljust(RECIPIENT_ID_LENGTH, b"\0"))
    return Decoy(service.node_id, recipient, bytes(geometry.user_forward_payload_length))
