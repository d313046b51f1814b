"""Who is in a local network, and who may send to whom."""

from dataclasses import dataclass
from typing import Final

from kpclientd.localnet.keys import AuthorityKeys, KeyTree, NodeKeys, authority_keys, node_keys
from kpclientd.localnet.node import Node, Role
from pki.epoch import EpochClock
from pki.path import delay_cap_ms
from pki.signatures import SignatureScheme
from sphinx.crypto.kem import Kem
from sphinx.packet import Sphinx
from sphinx.types import NodeId

AUTHORITIES: Final = 3

_ENDS: Final = 2
"""The hops that are not mix layers: gateway and service node."""


@dataclass(frozen=True, slots=True)
class Topology:
    """All members of a local network."""

    gateway: NodeKeys
    layers: tuple[tuple[NodeKeys, ...], ...]
    service: NodeKeys
    authorities: tuple[AuthorityKeys, ...]

    def nodes(self, sphinx: Sphinx, clock: EpochClock, mu: float) -> dict[NodeId, Node]:
        """Return every node by its id, each knowing whom it may send to."""
        first = _ids(self.layers[0])
        ends = frozenset({self.gateway.node_id, self.service.node_id})
        cap = delay_cap_ms(mu)
        nodes = [
            Node(self.gateway, Role.GATEWAY, first, sphinx, clock, cap),
            Node(self.service, Role.SERVICE, first, sphinx, clock, cap),
        ]
        for layer, following in zip(self.layers, (*self.layers[1:], None), strict=True):
            neighbours = ends if following is None else _ids(following)
            nodes += [Node(mix, Role.MIX, neighbours, sphinx, clock, cap) for mix in layer]
        return {node.node_id: node for node in nodes}


def build(tree: KeyTree, sphinx: Sphinx, kem: Kem, signatures: SignatureScheme, mixes_per_layer: int) -> Topology:
    """Make a network of one gateway, one service node, three authorities and as many layers as the geometry has."""

    def make(name: str) -> NodeKeys:
        return node_keys(tree, name, sphinx, kem, signatures)

    layers = sphinx.geometry.nr_hops - _ENDS
    return Topology(
        gateway=make("gateway1"),
        layers=tuple(
            tuple(make(f"mix{layer + 1}-{place + 1}") for place in range(mixes_per_layer)) for layer in range(layers)
        ),
        service=make("servicenode1"),
        authorities=tuple(authority_keys(tree, f"auth{number + 1}", kem, signatures) for number in range(AUTHORITIES)),
    )


def _ids(keys: tuple[NodeKeys, ...]) -> frozenset[NodeId]:
    return frozenset(node.node_id for node in keys)
