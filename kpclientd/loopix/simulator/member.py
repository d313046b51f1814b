"""A node with its place in the network: where it is reached, and how it makes itself known."""

import json
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from kpclientd.addresses import LOOPBACK
from kpclientd.loopix.nodes import PROVIDER_LAYER, MixConfig
from kpclientd.loopix.simulator.directory_server import PRESENCE_PATH, HttpRequest
from kpclientd.loopix.simulator.mix import Mix
from kpclientd.loopix.simulator.presence import Kind
from kpclientd.loopix.simulator.provider import Provider
from kpclientd.loopix.simulator.server import NodeServer

ANNOUNCE_SECONDS: Final = 2.0
"""The pause between two announcements of a node."""

NodeKind = TypeVar("NodeKind", Mix, Provider)


@dataclass(slots=True)
class Member(Generic[NodeKind]):
    """One node of the network.

    Attributes:
        node: what it does.
        server: its connections.
        layer: 1 to 3, or `PROVIDER_LAYER`.
        port: where it listens.
    """

    node: NodeKind
    server: NodeServer
    layer: int
    port: int

    @property
    def name(self) -> str:
        """By which faults call it."""
        return self.node.keys.name

    @property
    def host(self) -> str:
        """Its address as the topology has it."""
        return f"{LOOPBACK}:{self.port}"

    @property
    def config(self) -> MixConfig:
        """How packets and clients describe it."""
        keys = self.node.keys
        identifier = self.host if self.layer == PROVIDER_LAYER else keys.key_text
        return MixConfig(identifier, LOOPBACK, str(self.port), keys.public_key, self.layer)

    def announcement(self) -> HttpRequest:
        """What it posts to the directory; a provider tells who is registered with it."""
        body: dict[str, object] = {"pubKey": self.node.keys.key_text, "host": self.host}
        if isinstance(self.node, Provider):
            kind = Kind.MIXPROVIDERS
            body["registeredClients"] = [{"pubKey": client} for client in self.node.clients]
        else:
            kind = Kind.MIXNODES
            body["layer"] = self.layer
        return HttpRequest("POST", PRESENCE_PATH + kind, json.dumps(body).encode(), LOOPBACK)
