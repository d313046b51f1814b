"""Who is in a local network, and who may send to whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.localnet.keys import AuthorityKeys, KeyMaker, NodeKeys
from kpclientd.localnet.node import Node, Role
from pki.epoch import EpochClock
from pki.path import delay_cap_ms
from sphinx.geometry import Geometry
from sphinx.packet import Sphinx
from sphinx.types import NodeId

AUTHORITIES: Final = 3
MOST_AUTHORITIES: Final = 100
MOST_GATEWAYS: Final = 100
MOST_NODES: Final = 10_000

_ENDS: Final = 2
"""The hops that are not mix layers: gateway and service node."""


@dataclass(frozen=True, slots=True)
class Topology:
    """All members of a local network."""

    gateways: tuple[NodeKeys, ...]
    layers: tuple[tuple[NodeKeys, ...], ...]
    service: NodeKeys
    authorities: tuple[AuthorityKeys, ...]

    @property
    def gateway(self) -> NodeKeys:
        """The first gateway."""
        return self.gateways[0]

    def nodes(self, sphinx: Sphinx, clock: EpochClock, mu: float) -> dict[NodeId, Node]:
        """Return every node by its id, each knowing whom it may send to."""
        first = _ids(self.layers[0])
        ends = _ids((*self.gateways, self.service))
        cap = delay_cap_ms(mu)
        nodes = [Node(gateway, Role.GATEWAY, first, sphinx, clock, cap) for gateway in self.gateways]
        nodes.append(Node(self.service, Role.SERVICE, first, sphinx, clock, cap))
        for layer, following in zip(self.layers, (*self.layers[1:], None), strict=True):
            neighbours = ends if following is None else _ids(following)
            nodes += [Node(mix, Role.MIX, neighbours, sphinx, clock, cap) for mix in layer]
        return {node.node_id: node for node in nodes}


def layer_sizes(geometry: Geometry, nodes: int, gateways: int) -> tuple[int, ...]:
    """Spread mixes over the layers that a geometry has.

    Args:
        geometry: of the packets.
        nodes: how many there are in all: gateways, mixes, and one service node.
        gateways: how many of them are gateways.

    Raises:
        LocalNetworkError: if that leaves a layer without a mix.
    """
    layers = layers_of(geometry)
    mixes = nodes - gateways - 1
    if mixes < layers:
        raise LocalNetworkError(
            f"{nodes} nodes are too few: {gateways} gateways, a service node and a mix in each of {layers} layers are "
            f"{gateways + 1 + layers}"
        )
    return tuple((mixes + later) // layers for later in reversed(range(layers)))


def layers_of(geometry: Geometry) -> int:
    """How many layers of mixes packets of a geometry pass."""
    return geometry.nr_hops - _ENDS


def build(keys: KeyMaker, sizes: Sequence[int], gateways: int = 1, authorities: int = AUTHORITIES) -> Topology:
    """Make a network with one service node and as many mixes in each layer as `sizes` says."""
    return Topology(
        gateways=tuple(keys.node(gateway_name(number)) for number in range(gateways)),
        layers=mix_layers(keys, sizes),
        service=keys.node("servicenode1"),
        authorities=tuple(keys.authority(f"auth{number + 1}") for number in range(authorities)),
    )


def mix_layers(keys: KeyMaker, sizes: Sequence[int], generation: int = 0) -> tuple[tuple[NodeKeys, ...], ...]:
    """Make the mixes."""
    return tuple(
        tuple(keys.mix(f"mix{layer + 1}-{place + 1}", generation) for place in range(size))
        for layer, size in enumerate(sizes)
    )


def gateway_name(number: int) -> str:
    """What the gateway of that number, from 0, is called."""
    return f"gateway{number + 1}"


def _ids(keys: tuple[NodeKeys, ...]) -> frozenset[NodeId]:
    return frozenset(node.node_id for node in keys)
