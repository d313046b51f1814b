"""A daemon on a local network, joined without sockets, on whatever clock trio runs on.

On a virtual clock (`autojump_clock`) hours pass in seconds and every run with the same seed is the same run.
"""

import gc
import math
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import trio
import trio.testing

from kpclientd.config.load import load_config
from kpclientd.daemon import Daemon
from kpclientd.localnet.files import CLIENT_FILE
from kpclientd.localnet.network import LocalNetwork
from kpclientd.thin.client import ThinClient
from pki import ServiceEndpoint
from sphinx.native.engines import PythonEngine, engine_name
from sphinx.randomness import seeded
from sphinx.types import SurbId
from tests.support.loop_watch import InlineWorkers, LoopWatch

GENESIS = 1_800_000_000.0
"""Unix seconds at which virtual worlds begin."""


@dataclass
class App:
    """An application as a test drives it: sends, and collects what it is told."""

    client: ThinClient
    sent: list[bytes] = field(default_factory=list)
    refused: dict[bytes, str] = field(default_factory=dict)
    replies: dict[bytes, list[bytes]] = field(default_factory=dict)
    events: list[dict[str, Any]] = field(default_factory=list)

    async def listen(self) -> None:
        """Collect events for ever."""
        while True:
            message = await self.client.receive()
            self.events.append(message)
            if sent := message.get("message_sent_event"):
                if sent.get("err"):
                    self.refused[sent["surbid"]] = sent["err"]
                else:
                    self.sent.append(sent["surbid"])
            if reply := message.get("message_reply_event"):
                self.replies.setdefault(reply["message_id"] or reply["surbid"], []).append(reply["payload"])

    async def send(self, service: ServiceEndpoint, payload: bytes, surb_id: bytes) -> None:
        await self.client.send_message(service.node_id, service.endpoint, payload, SurbId(surb_id))

    def unanswered(self, surb_ids: list[bytes]) -> list[bytes]:
        return [surb_id for surb_id in surb_ids if surb_id not in self.replies]


class MemoryDialler:
    """Opens streams to the gateways of a local network without sockets."""

    def __init__(self, network: LocalNetwork) -> None:
        self._network = network

    def can_dial(self, url: str) -> bool:
        return True

    def renew(self, isolation: bytes) -> None:
        pass

    async def dial(self, addresses: Sequence[str], *, isolation: bytes, within: float) -> trio.abc.Stream:
        return await self._network.memory_dial(addresses, isolation=isolation)


@dataclass
class World:
    """What a test needs at hand."""

    network: LocalNetwork
    daemon: Daemon
    nursery: trio.Nursery

    async def app(self, token: bytes | None = None) -> App:
        """A connected application, after its first messages."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.daemon.serve_application, theirs)
        app = App(ThinClient(ours))
        await app.client.shake_hands(token or self.daemon.randomness.bytes(16))
        self.nursery.start_soon(self._listen, app)
        return app

    async def raw(self) -> trio.abc.Stream:
        """The stream of an application that will write its own bytes."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.nursery.start_soon(self.daemon.serve_application, theirs)
        return ours

    def service(self, capability: str = "echo") -> ServiceEndpoint:
        """A service of the current document."""
        document = self.daemon.trusted.current(self.network.unix())
        assert document is not None
        return document.document.services(capability)[0]

    async def until(self, condition: Callable[[], object], seconds: float = math.inf, step: float = 0.05) -> None:
        """Wait until `condition` holds; the test fails if it does not in time."""
        with trio.fail_after(seconds):
            while not condition():
                await trio.sleep(step)

    @staticmethod
    async def _listen(app: App) -> None:
        try:
            await app.listen()
        except Exception as error:
            app.events.append({"end": str(error)})


def virtual_unix() -> float:
    """Wall-clock time that follows trio's clock."""
    return GENESIS + trio.current_time()


@asynccontextmanager
async def world(
    *,
    seed: bytes = b"world",
    connected: bool = True,
    clock_ahead: float = 0.0,
    jumped: Sequence[float] = (0.0,),
    debug: Mapping[str, bool] = MappingProxyType({}),
    is_watched: bool = True,
    **network_options: Any,
) -> AsyncIterator[World]:
    """A running network and a daemon on it; with `connected`, after its first document.

    `clock_ahead` is how wrong the daemon's clock is (seconds), `jumped[0]` how far everybody's has jumped since the
    beginning; `debug` sets keys of the daemon's `[Debug]` table. `is_watched`: no step of the daemon's tasks may hold
    up the event loop, see `loop_watch`.
    """
    options: dict[str, Any] = {"epoch_period": 1200.0, "mu": 0.02, "lambda_p": 0.001, "lambda_l": 0.0005}

    def unix() -> float:
        return virtual_unix() + jumped[0]

    network = LocalNetwork(seed=seed, port=None, unix=unix, **(options | network_options))
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        workers = InlineWorkers()
        daemon = _daemon(network, seed, debug, lambda: unix() + clock_ahead, workers)
        watch = LoopWatch(lambda task: task.name.endswith("Daemon.run"), workers)
        gc.collect()
        gc.freeze()
        trio.lowlevel.add_instrument(watch)
        gc.callbacks.append(watch.collects)
        nursery.start_soon(daemon.run, [])
        result = World(network, daemon, nursery)
        if connected:
            await result.until(lambda: daemon.status().link.gateway and daemon.status().document_epoch, 60)
        yield result
        nursery.cancel_scope.cancel()
        trio.lowlevel.remove_instrument(watch)
        gc.callbacks.remove(watch.collects)
        gc.unfreeze()
    if is_watched and engine_name() != PythonEngine.name:
        watch.check()


def _daemon(
    network: LocalNetwork, seed: bytes, debug: Mapping[str, bool], unix: Callable[[], float], workers: InlineWorkers
) -> Daemon:
    with TemporaryDirectory() as directory:
        network.write_files(Path(directory), 1)
        path = Path(directory) / CLIENT_FILE
        text = path.read_text()
        for key, value in debug.items():
            text = text.replace(f"{key} = {str(not value).lower()}", f"{key} = {str(value).lower()}")
        path.write_text(text)
        config = load_config(path)
    return Daemon(
        config,
        network.clock,
        dialler=MemoryDialler(network),
        wall_clock=unix,
        randomness=seeded(seed + b" daemon"),
        workers=workers,
    )
