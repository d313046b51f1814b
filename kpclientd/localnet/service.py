"""The services of the local network's service node: `echo` and `testdest`, which both answer what they were asked,
and whatever else it is given, such as the courier of the network's storage.

The terminal hop's delay is not enforced, as in the reference: a reply leaves at once.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from kpclientd.localnet.counters import DropReason
from kpclientd.localnet.node import Drop
from sphinx.errors import SphinxError
from sphinx.packet import Sphinx
from sphinx.plaintext import parse_plaintext
from sphinx.types import RECIPIENT_ID_LENGTH, NodeId, RecipientId

Handler = Callable[[bytes], bytes | None]
"""Takes a request's user payload, returns the answer: at most the geometry's user payload length, or None for none."""

ENDPOINTS: Final[Mapping[str, str]] = {"echo": "+echo", "testdest": "+testdest"}
"""Capability to endpoint, as the reference's test network publishes them."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer on its way: `packet` goes to `first_hop`."""

    first_hop: NodeId
    packet: bytes = field(repr=False)


def recipient_id(endpoint: str) -> RecipientId:
    """Return how packets name `endpoint`: its bytes, zero padded to 32."""
    return RecipientId(endpoint.encode().ljust(RECIPIENT_ID_LENGTH, b"\0"))


def echo(request: bytes) -> bytes:
    """Return the request."""
    return request


HANDLERS: Final[Mapping[str, Handler]] = {"+echo": echo, "+testdest": echo}
"""What answers at each endpoint."""


class Services:
    """All endpoints of a service node.

    Args:
        sphinx: makes reply packets of the network's geometry.
        handlers: what answers, by endpoint.
    """

    __slots__ = ("_handlers", "_sphinx")

    def __init__(self, sphinx: Sphinx, handlers: Mapping[str, Handler] = HANDLERS) -> None:
        self._sphinx = sphinx
        self._handlers = {recipient_id(endpoint): handler for endpoint, handler in handlers.items()}

    def handle(self, recipient: RecipientId, plaintext: bytes) -> Reply | Drop:
        """Serve one request.

        Args:
            recipient: the endpoint that the packet names (32 bytes).
            plaintext: the opened payload (the geometry's forward payload length).
        """
        handler = self._handlers.get(recipient)
        if handler is None:
            return Drop(DropReason.UNKNOWN_ENDPOINT)
        try:
            request = parse_plaintext(self._sphinx.geometry, plaintext)
        except SphinxError:
            return Drop(DropReason.MALFORMED_PLAINTEXT)
        if request.surb is None:
            return Drop(DropReason.NO_SURB)
        answer = handler(request.payload)
        if answer is None:
            return Drop(DropReason.NO_ANSWER)
        try:
            packet, first_hop = self._sphinx.packet_from_surb(request.surb, answer)
        except SphinxError:
            return Drop(DropReason.BAD_SURB)
        return Reply(first_hop, packet)
