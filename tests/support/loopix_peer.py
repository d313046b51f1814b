"""A client of a Loopix network without streams or covers: it does one thing when it is told to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import trio

from kpclientd.loopix.composer import Composer
from kpclientd.loopix.exchange import Dial, dial_tcp, exchange
from kpclientd.loopix.identity import generate
from kpclientd.loopix.inbox import Pulled, read_pulled
from kpclientd.loopix.nodes import ClientConfig, MixConfig
from kpclientd.loopix.registration import pull_packet, registration_packet, token_of
from kpclientd.loopix.simulator import LoopixNetwork
from kpclientd.loopix.topology import Topology
from sphinx.randomness import Randomness, seeded

SETTLED = 5.0
"""Seconds after which no packet is under way any more."""


@dataclass(slots=True)
class Peer:
    """A registered client."""

    network: LoopixNetwork
    dial: Dial
    config: ClientConfig
    provider: MixConfig
    randomness: Randomness = field(repr=False)
    token: bytes = field(default=b"", repr=False)

    async def register(self) -> None:
        self.token = token_of(await self.exchange(registration_packet(self.config)))

    async def exchange(self, packet: bytes) -> bytes:
        return await exchange(self.dial, self.provider, packet)

    async def topology(self) -> Topology:
        return Topology.parse(await self.network.get_topology())

    async def compose(self, message: bytes, recipient: "Peer") -> bytes:
        composer = Composer(self.provider, self.network.profile, self.randomness)
        return composer.message(await self.topology(), recipient.config, message)

    async def send(self, message: bytes, recipient: "Peer") -> None:
        assert await self.exchange(await self.compose(message, recipient)) == b""

    async def pull(self) -> Pulled:
        return read_pulled(await self.exchange(pull_packet(self.token, self.config.public_key)))


async def join(network: LoopixNetwork, name: str, provider: int = 0, *, tcp: bool = False) -> Peer:
    """Register a new client with one of the network's providers."""
    randomness = seeded(name.encode())
    identity = generate(randomness)
    node = network.providers[provider].config
    config = ClientConfig(id=identity.client_id, public_key=identity.public_key, provider=node)
    peer = Peer(network, dial_tcp if tcp else network.dial, config, node, randomness)
    await peer.register()
    return peer


@asynccontextmanager
async def running(**options: Any) -> AsyncIterator[LoopixNetwork]:
    """A running network without sockets, unless `tcp` says otherwise."""
    defaults: dict[str, Any] = {"seed": b"tests", "tcp": False}
    network = LoopixNetwork(**(defaults | options))
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        yield network
        nursery.cancel_scope.cancel()


@asynccontextmanager
async def couple(**options: Any) -> AsyncIterator[tuple[LoopixNetwork, Peer, Peer]]:
    """Two clients, each with a provider of its own."""
    async with running(providers=2, **options) as network:
        yield network, await join(network, "alice", 0), await join(network, "bob", 1)


async def received(peer: Peer) -> tuple[bytes, ...]:
    await trio.sleep(SETTLED)
    return (await peer.pull()).messages
