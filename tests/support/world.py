"""A daemon on a local network, joined without sockets, on whatever clock trio runs on.

On a virtual clock (`autojump_clock`) hours pass in seconds and every run with the same seed is the same run.
"""

import gc
import hashlib
import itertools
import math
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from types import MappingProxyType
from typing import Any

import trio
import trio.testing

from kpclientd.client.connection import ThinClient
from kpclientd.config.load import load_config
from kpclientd.config.model import ClientConfig
from kpclientd.daemon import Daemon
from kpclientd.localnet.files import CLIENT_FILE
from kpclientd.localnet.in_flight import Arrival
from kpclientd.localnet.network import LocalNetwork
from kpclientd.state.keeper import StateKeeper
from kpclientd.state.state_file import opened
from kpclientd.state.written_page import WrittenPage
from pki import ServiceEndpoint
from sphinx.native.engines import PythonEngine, engine_name
from sphinx.randomness import seeded
from sphinx.types import SurbId
from tests.support.loop_watch import InlineWorkers, LoopWatch, StepCost, TaskTree

GENESIS = 1_800_000_000.0
"""Unix seconds at which virtual worlds begin."""


@dataclass
class App:
    """An application as a test drives it: sends, and collects what it is told."""

    client: ThinClient
    stream: trio.abc.Stream
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

    async def hang_up(self) -> None:
        """End the connection without a word."""
        await trio.aclose_forcefully(self.stream)

    def unanswered(self, surb_ids: list[bytes]) -> list[bytes]:
        return [surb_id for surb_id in surb_ids if surb_id not in self.replies]


class WrittenStream(trio.abc.Stream):
    """A stream, and when how many bytes were written at once: what an observer of the link sees."""

    def __init__(self, stream: trio.abc.Stream, written: list[Arrival]) -> None:
        self._stream = stream
        self._written = written

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self._written.append(Arrival(trio.current_time(), len(data)))
        await self._stream.send_all(data)

    async def wait_send_all_might_not_block(self) -> None:
        await self._stream.wait_send_all_might_not_block()

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        return await self._stream.receive_some(max_bytes)

    async def aclose(self) -> None:
        await self._stream.aclose()


class MemoryDialler:
    """Opens streams to the gateways of a local network without sockets.

    Attributes:
        written: for each stream, when how many bytes were written at once.
    """

    def __init__(self, network: LocalNetwork) -> None:
        self.written: list[list[Arrival]] = []
        self._network = network

    def can_dial(self, url: str) -> bool:
        return True

    def renew(self, isolation: bytes) -> None:
        pass

    async def dial(self, addresses: Sequence[str], *, isolation: bytes, within: float) -> trio.abc.Stream:
        self.written.append([])
        return WrittenStream(await self._network.memory_dial(addresses, isolation=isolation), self.written[-1])


@dataclass
class World:
    """What a test needs at hand.

    Attributes:
        network: what the daemon is on.
        dialler: its way there.
        nursery: for the test's own tasks.
        daemon: the present one, see `restart`.
        at_start: called when there is another, before it runs.
    """

    network: LocalNetwork
    dialler: MemoryDialler
    nursery: trio.Nursery
    _new_daemon: Callable[[StateKeeper | None], Daemon]
    _opened_keeper: Callable[[], AbstractContextManager[StateKeeper | None]]
    daemon: Daemon = field(init=False)
    at_start: Callable[[], None] = lambda: None
    _process: trio.Nursery | None = None
    _ended: trio.Event = field(default_factory=trio.Event)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run a daemon, and all that belongs to its process, until it is restarted."""
        self._ended = trio.Event()
        with self._opened_keeper() as keeper:
            self.daemon = self._new_daemon(keeper)
            self.daemon.restore()
            self.at_start()
            async with trio.open_nursery() as self._process:
                self._process.start_soon(self._run_daemon, self._process.cancel_scope)
                task_status.started()
        self._ended.set()

    async def _run_daemon(self, process: trio.CancelScope) -> None:
        await self.daemon.run([])
        process.cancel()

    async def stop(self) -> None:
        """Tell the daemon to stop, and wait until it has."""
        self.daemon.stop()
        await self._ended.wait()

    async def restart(self) -> None:
        """End the daemon without a word to anybody, and start another with what it has written down."""
        if self._process is not None:
            self._process.cancel_scope.cancel()
        await self._ended.wait()
        await self.nursery.start(self.run)

    async def app(self, token: bytes | None = None) -> App:
        """A connected application, after its first messages."""
        stream = await self.raw()
        app = App(ThinClient(stream), stream)
        await app.client.shake_hands(token or self.daemon.randomness.bytes(16))
        self.nursery.start_soon(self._listen, app)
        return app

    async def raw(self) -> trio.abc.Stream:
        """The stream of an application that will write its own bytes."""
        ours, theirs = trio.testing.memory_stream_pair()
        self.serve(theirs)
        return ours

    def serve(self, stream: trio.abc.Stream) -> None:
        """Let the daemon serve an application at the other end of `stream`."""
        assert self._process is not None
        self._process.start_soon(self.daemon.serve_application, stream)

    def service(self, capability: str = "echo") -> ServiceEndpoint:
        """A service of the current document."""
        document = self.daemon.trusted.current(self.network.unix())
        assert document is not None
        return document.document.services(capability)[0]

    def is_sending(self) -> bool:
        """Whether the daemon has a link and a document."""
        status = self.daemon.status()
        return bool(status.link.gateway and status.document_epoch)

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
    limits: Mapping[str, int] = MappingProxyType({}),
    state: Path | None = None,
    is_watched: bool = True,
    step_seconds: float = 0.0,
    **network_options: Any,
) -> AsyncIterator[World]:
    """A running network and a daemon on it; with `connected`, after its first document.

    `clock_ahead` is how wrong the daemon's clock is (seconds), `jumped[0]` how far everybody's has jumped since the
    beginning; `debug` and `limits` set keys of the daemon's tables of these names; in the file `state` it keeps what is
    to outlive it. `is_watched`: no step of its tasks may hold up the event loop, see `loop_watch`. `step_seconds`: what
    each takes of a virtual clock's time.
    """
    options: dict[str, Any] = {"epoch_period": 1200.0, "mu": 0.02, "lambda_p": 0.001, "lambda_l": 0.0005}

    def unix() -> float:
        return virtual_unix() + jumped[0]

    network = LocalNetwork(seed=seed, port=None, unix=unix, **(options | network_options))
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        workers, dialler, numbers = InlineWorkers(), MemoryDialler(network), itertools.count()

        def new_daemon(keeper: StateKeeper | None) -> Daemon:
            randomness = seeded(seed + b" daemon %d" % next(numbers))
            config = _config(network, debug, limits)
            return Daemon(
                config,
                network.clock,
                dialler=dialler,
                wall_clock=lambda: unix() + clock_ahead,
                randomness=randomness,
                workers=workers,
                keeper=keeper,
            )

        tasks = TaskTree("Daemon.run", "Daemon.serve_application")
        watch = LoopWatch(tasks, workers)
        gc.collect()
        gc.freeze()
        if is_watched:
            trio.lowlevel.add_instrument(watch)
        if step_seconds:
            trio.lowlevel.add_instrument(StepCost(tasks, step_seconds))
        gc.callbacks.append(watch.collects)
        result = World(network, dialler, nursery, new_daemon, partial(_opened_keeper, state, seed, workers))
        await nursery.start(result.run)
        if connected:
            await result.until(result.is_sending, 60)
        yield result
        nursery.cancel_scope.cancel()
        if is_watched:
            trio.lowlevel.remove_instrument(watch)
        gc.callbacks.remove(watch.collects)
        gc.unfreeze()
    if is_watched and engine_name() != PythonEngine.name:
        watch.check()


def _config(network: LocalNetwork, debug: Mapping[str, bool], limits: Mapping[str, int]) -> ClientConfig:
    with TemporaryDirectory() as directory:
        network.write_files(Path(directory), 1)
        path = Path(directory) / CLIENT_FILE
        text = path.read_text()
        for key, value in debug.items():
            text = text.replace(f"{key} = {str(not value).lower()}", f"{key} = {str(value).lower()}")
        if limits:
            text += "\n".join(["\n[Limits]", *(f"  {key} = {most}" for key, most in limits.items()), ""])
        path.write_text(text)
        return load_config(path)


@contextmanager
def _opened_keeper(path: Path | None, seed: bytes, workers: InlineWorkers) -> Iterator[StateKeeper | None]:
    if path is None:
        yield None
        return
    with opened(path, lambda _: hashlib.sha256(seed).digest(), seeded(seed + b" state")) as file:
        yield StateKeeper(file, WrittenPage.opened(path, path.parent), partial(workers.run, None))
