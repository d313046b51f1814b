"""Clients on a local Loopix network, joined without sockets, on whatever clock trio runs on."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import trio

from kpclientd.loopix.client import LoopixClient
from kpclientd.loopix.config import LoopixConfig, new_config
from kpclientd.loopix.identity import generate
from kpclientd.loopix.nodes import key_text
from kpclientd.loopix.simulator import LoopixNetwork
from sphinx.randomness import seeded


@dataclass
class World:
    """A running network, and clients on it."""

    network: LoopixNetwork
    stack: AsyncExitStack

    def make(self, name: str, provider: int = 0, **settings: Any) -> LoopixClient:
        """A client that was not started; its randomness and keys are those of its name."""
        randomness = seeded(name.encode())
        return LoopixClient(
            self.config(name, provider, **settings),
            generate(randomness),
            dial=self.network.dial,
            fetch=self.network.get_topology,
            randomness=randomness,
        )

    async def client(self, name: str, provider: int = 0, **settings: Any) -> LoopixClient:
        """A running client; it stops with the world."""
        client = self.make(name, provider, **settings)
        return await self.stack.enter_async_context(client.running())

    def config(self, name: str, provider: int = 0, **settings: Any) -> LoopixConfig:
        provider_id = key_text(self.network.providers[provider].node.keys.public_key)
        return replace(new_config(name, Path("/nowhere"), provider_id, profile=self.network.profile), **settings)


async def until(condition: Callable[[], object], seconds: float, step: float = 0.05) -> None:
    """Wait until `condition` holds; the test fails if it does not in time."""
    with trio.fail_after(seconds):
        while not condition():
            await trio.sleep(step)


@asynccontextmanager
async def world(seed: bytes = b"loopix world", **options: Any) -> AsyncIterator[World]:
    """A running network without sockets."""
    network = LoopixNetwork(seed=seed, tcp=False, **options)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        async with AsyncExitStack() as stack:
            yield World(network, stack)
        nursery.cancel_scope.cancel()
