"""Pings through a mixnet whose gateway is reached by each of the ways."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio

from kpclientd.localnet import LocalNetwork
from kpclientd.localnet.quic_listener import open_quic_listener
from kpclientd.transports import UpstreamProxy
from kpclientd.transports.dialler import Dialler
from sphinx.randomness import seeded
from tests.support.localnet_client import connect
from tests.transports.socks_server import SocksServer, listening


@asynccontextmanager
async def running(port: int | None) -> AsyncIterator[tuple[LocalNetwork, trio.Nursery]]:
    network = LocalNetwork(epoch_period=1200.0, seed=b"links", mu=1.0, rate_limit=False, port=port)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        yield network, nursery
        nursery.cancel_scope.cancel()


async def pinged(network: LocalNetwork, proxy: UpstreamProxy, *addresses: str) -> None:
    dialler = Dialler(proxy, hostnames_allowed=False, randomness=seeded(b"dialler"))
    gateway = network.topology.gateway.node_id
    with trio.fail_after(60):
        async with await dialler.dial(addresses, isolation=gateway) as stream:
            client = await connect(network, stream)
            document = (await client.document()).document
            for word in (b"one", b"two"):
                assert await client.ping(document, word) == word


async def test_over_quic() -> None:
    async with running(None) as (network, nursery):
        listener = await open_quic_listener()
        nursery.start_soon(trio.serve_listeners, network.gateway.serve, [listener])
        await pinged(network, UpstreamProxy(), f"quic://127.0.0.1:{listener.port}")
        with trio.fail_after(5):
            while network.gateway.connections or listener.connections:
                await trio.sleep(0.01)


@pytest.mark.parametrize("kind", ["socks5", "tor+socks5"])
async def test_through_a_proxy(tmp_path: Path, kind: str) -> None:
    async with running(0) as (network, _):

        async def forward(request: bytes) -> trio.abc.Stream:
            return await trio.open_tcp_stream(*network.gateway_address)

        async with listening(SocksServer(forward=forward), tmp_path / "proxy") as server:
            proxy = UpstreamProxy(kind, "unix", server.address)
            onion = ["onion://name.onion:1"] if kind == "tor+socks5" else []
            await pinged(network, proxy, *onion, "quic://127.0.0.1:1", network.gateway_url)
