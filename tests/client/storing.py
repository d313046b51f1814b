"""A daemon with storage on a virtual clock, and clients of it whose connections a test can cut."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
import trio

from kpclientd.client.client import Client, client_by
from kpclientd.client.connection import ThinClient
from kpclientd.client.session import PATIENCE_SECONDS
from kpclientd.pigeonhole import libraries
from sphinx.geometry import Geometry
from sphinx.randomness import seeded
from tests.localnet.storage.clients import at_once, quick_nike
from tests.support.world import World, world

SHORT_BOXES = Geometry.nike("x25519", 5, 600)
"""Boxes of 149 bytes: a stream of some kilobytes has many."""


@dataclass
class Station:
    """One application's way to the daemon of a world.

    Attributes:
        streams: its connections so far, the newest last.
    """

    world: World
    token: bytes
    streams: list[trio.abc.Stream] = field(default_factory=list)

    async def dial(self) -> ThinClient:
        stream = await self.world.raw()
        self.streams.append(stream)
        connection = ThinClient(stream)
        await connection.shake_hands(self.token)
        return connection

    async def cut(self) -> None:
        await trio.aclose_forcefully(self.streams[-1])

    @asynccontextmanager
    async def client(self, patience: float = PATIENCE_SECONDS) -> AsyncIterator[Client]:
        async with client_by(self.dial, seeded(b"client" + self.token), patience=patience) as client:
            yield client


@asynccontextmanager
async def storing(
    monkeypatch: pytest.MonkeyPatch, *, geometry: Geometry = SHORT_BOXES, **options: Any
) -> AsyncIterator[World]:
    """A world whose network stores, with a key exchange that takes no time."""
    monkeypatch.setattr(libraries, "nike", quick_nike)
    storage: dict[str, Any] = {"replicas": 3, "storage_nike": quick_nike(), "offload": at_once, "geometry": geometry}
    rates = {"lambda_p": 0.003, "lambda_l": 0.0001, "rate_limit": False}
    async with world(is_watched=False, **(storage | rates | options)) as result:
        yield result


@asynccontextmanager
async def storing_client(monkeypatch: pytest.MonkeyPatch, **options: Any) -> AsyncIterator[tuple[World, Client]]:
    async with storing(monkeypatch, **options) as here, Station(here, b"c" * 16).client() as client:
        yield here, client
