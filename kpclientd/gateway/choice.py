"""Which gateway to dial next, and at which addresses.

Source: the Katzenpost wire protocol, "choosing the gateway" and "transports".
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from kpclientd.addresses import scheme_of
from kpclientd.config.model import PinnedGateway
from kpclientd.gateway.errors import NoGateway
from kpclientd.transports import DIALLED_SCHEMES
from pki import Document, key_hash
from sphinx.randomness import Randomness
from sphinx.types import NodeId


@dataclass(frozen=True, slots=True)
class GatewayChoice:
    """A gateway that may be dialled.

    Attributes:
        name: for people.
        node_id: BLAKE2b-256 of its identity key (32 bytes); it must present this in the handshake.
        link_key: its key of the link KEM; it must own this.
        addresses: URLs that can be dialled, in order of preference.
    """

    name: str
    node_id: NodeId = field(repr=False)
    link_key: bytes = field(repr=False)
    addresses: tuple[str, ...]


def choose_from_document(document: Document, transports: Sequence[str], randomness: Randomness) -> GatewayChoice:
    """A uniformly random gateway of `document`.

    Raises:
        NoGateway: if it has none, or the chosen one has no address that can be dialled.
    """
    if not document.gateway_nodes:
        raise NoGateway("the consensus document lists no gateway")
    chosen = randomness.choice(document.gateway_nodes)
    return _choice(chosen.name, chosen.node_id, chosen.link_key, _in_order(chosen.addresses, transports))


def choose_from_pins(pins: Sequence[PinnedGateway], transports: Sequence[str], randomness: Randomness) -> GatewayChoice:
    """A uniformly random gateway of the configuration.

    Raises:
        NoGateway: if none is pinned, or the chosen one has no address that can be dialled.
    """
    if not pins:
        raise NoGateway("the configuration pins no gateway, and no consensus document is at hand")
    chosen = randomness.choice(pins)
    by_scheme: dict[str, list[str]] = {}
    for address in chosen.addresses:
        by_scheme.setdefault(scheme_of(address), []).append(address)
    return _choice(
        chosen.name, NodeId(key_hash(chosen.identity_key)), chosen.link_key, _in_order(by_scheme, transports)
    )


def _in_order(addresses: Mapping[str, Sequence[str]], transports: Sequence[str]) -> tuple[str, ...]:
    return tuple(url for transport in transports for url in addresses.get(transport, ()))


def _choice(name: str, node_id: NodeId, link_key: bytes, addresses: tuple[str, ...]) -> GatewayChoice:
    dialled = tuple(url for url in addresses if scheme_of(url) in DIALLED_SCHEMES)
    if not dialled:
        offered, dials = ", ".join(addresses) or "none", ", ".join(DIALLED_SCHEMES)
        raise NoGateway(f"gateway {name!r} has no address that can be dialled (by {dials}); it offers {offered}")
    return GatewayChoice(name, node_id, link_key, dialled)
