"""The client: it learns the network, registers, and then sends and pulls until it is stopped.

    applications -> request handler, library -> sender  -> own provider -> mixes -> ...
    applications <- request handler, library <- fetcher <- own provider <- mixes <- ...
                                                account    registered, and kept so
                                                view       the network, anew every half minute

Source: the Nym 2019 Loopix client, "start sequence and topology" and "traffic loops".
"""

import enum
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

import trio

from kpclientd.loopix.account import Account
from kpclientd.loopix.composer import Composer
from kpclientd.loopix.config import LoopixConfig
from kpclientd.loopix.directory_client import DirectoryClient
from kpclientd.loopix.errors import DirectoryError, LoopixError, NotRunning
from kpclientd.loopix.exchange import Dial, dial_tcp, exchange
from kpclientd.loopix.failure_log import FailureLog
from kpclientd.loopix.fetcher import Fetcher, FetchStatistics
from kpclientd.loopix.identity import Identity, load_identity
from kpclientd.loopix.inbox import ReceiveBuffer
from kpclientd.loopix.logs import CLIENT
from kpclientd.loopix.loops import WANTED_SHARE, HardenedLoops, LoopWatch, PlainLoops
from kpclientd.loopix.nodes import ClientConfig, MixConfig
from kpclientd.loopix.schedule import stream_rate
from kpclientd.loopix.sealed import open_box
from kpclientd.loopix.sender import OTHER_KEY, Rates, Sender, SendStatistics
from kpclientd.loopix.topology import Topology
from kpclientd.loopix.view import Fetch, NetworkView
from sphinx.randomness import Randomness

log = logging.getLogger(CLIENT)

WARNING: Final = (
    "experimental, with broken anonymity: for history, teaching and interoperability tests only; whoever watches the "
    "network can read messages"
)

REFRESH_SECONDS: Final = 30.0
"""Half of the age at which the reference takes its view for stale."""

WAIT_SECONDS: Final = 1.0
"""Between two looks at a directory that lists no client yet."""

WATCH_SECONDS: Final = 10.0


class _State(enum.Enum):
    NEW = enum.auto()
    STARTING = enum.auto()
    RUNNING = enum.auto()
    STOPPED = enum.auto()


class LoopixClient:
    """A client of the Loopix network, in trio. It runs once: `async with client.running():`.

    Args:
        config: of the client.
        identity: its keys; those of its files by default.
        dial: connects to nodes.
        fetch: asks the directory; that of the configuration by default.
        randomness: for all that is drawn; the operating system's by default.

    Attributes:
        provider: where the client is registered. Set before the start, it counts more than the configuration's.

    Raises:
        KeyFileError: if the key files cannot be used.
        DirectoryError: if the directory's address makes no sense.
    """

    def __init__(
        self,
        config: LoopixConfig,
        identity: Identity | None = None,
        *,
        dial: Dial = dial_tcp,
        fetch: Fetch | None = None,
        randomness: Randomness | None = None,
    ) -> None:
        self.config = config
        self.provider: MixConfig | None = None
        self._identity = identity or load_identity(config.private_key_file, config.public_key_file)
        self._dial = dial
        self._randomness = randomness or Randomness(os.urandom)
        self._view = NetworkView(fetch or DirectoryClient(config.topology_url).fetch)
        self._refreshing = FailureLog(log, "asking the directory")
        self._loops = HardenedLoops(self._randomness.fork()) if config.hardened_loops else PlainLoops()
        self._watch = LoopWatch()
        self._received = ReceiveBuffer(config.receive_buffer)
        self._sender: Sender | None = None
        self._fetcher: Fetcher | None = None
        self._account: Account | None = None
        self._looping = FailureLog(log, "getting loops back")
        self._is_provider_listed = True
        self._state = _State.NEW
        self._refresh_now = trio.Event()
        self._scope = trio.CancelScope()
        self._stopped = trio.Event()

    @property
    def public_key(self) -> bytes:
        """The client's public key, 32 bytes."""
        return self._identity.public_key

    @property
    def client_id(self) -> str:
        """The client's address in the network: its public key in base64url."""
        return self._identity.client_id

    @property
    def topology(self) -> Topology:
        """The network as last seen.

        Raises:
            NotRunning: if it was never seen.
        """
        return self._view.topology

    @property
    def send_statistics(self) -> SendStatistics:
        """Counts of what was sent."""
        return self._running_sender().statistics

    @property
    def fetch_statistics(self) -> FetchStatistics:
        """Counts of what was pulled."""
        if self._fetcher is None:
            raise NotRunning("the client was not started")
        return self._fetcher.statistics

    @asynccontextmanager
    async def running(self) -> AsyncIterator["LoopixClient"]:
        """Start the client, and stop it when the block ends.

        Raises:
            LoopixError: if it cannot start.
        """
        try:
            async with trio.open_nursery() as nursery:
                await nursery.start(self.run)
                try:
                    yield self
                finally:
                    self.close()
        except BaseExceptionGroup as group:
            if len(group.exceptions) > 1:
                raise
            raise group.exceptions[0] from None  # the block's own error, as it was raised there

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Start, report so once traffic runs, and run until stopped or cancelled.

        Raises:
            NotRunning: if it was started before, or is stopped before it has started.
            LoopixError: if it cannot start.
        """
        if self._state is not _State.NEW:
            raise NotRunning("a client runs only once; make another one")
        self._state = _State.STARTING
        try:
            with self._scope:
                await self._start()
                await self._run_traffic(task_status)
            if self._state is _State.STARTING:
                raise NotRunning("the client was stopped before it had started")
        finally:
            self._state = _State.STOPPED
            self._stopped.set()

    def close(self) -> None:
        """Stop; harmless if it has stopped or never ran."""
        self._scope.cancel()
        if self._state is _State.NEW:
            self._state = _State.STOPPED
            self._stopped.set()

    async def wait(self) -> None:
        """Wait until the client has stopped."""
        await self._stopped.wait()

    async def send_message(self, message: bytes, recipient: ClientConfig) -> None:
        """Send a message; returns when the out queue has taken it, which says nothing of its delivery.

        Args:
            message: how long it may be depends on the path; `MessageTooLong` says.
            recipient: its id or key, and its provider's key, host and port.

        Raises:
            SendError: if it cannot be sent: its recipient, its length, no path.
            NotRunning: before the start and after the end.
        """
        await self._running_sender().send(message, recipient)

    def open_sealed(self, box: bytes) -> bytes:
        """Return the message in a sealed box for this client; see `kpclientd.loopix.sealed`.

        Raises:
            SealedBoxError: if it is none, or was changed on its way.
        """
        return open_box(self._identity, box)

    def get_received_messages(self) -> list[bytes]:
        """Return what was received since the last time, in order, without waiting."""
        return self._received.take_all()

    def take_received(self, length: int) -> list[bytes]:
        """Return the oldest received messages, at most `length` bytes together, and forget them."""
        return self._received.take_up_to(length)

    def own_details(self) -> ClientConfig:
        """Return what others need to know to send messages here.

        Raises:
            NotRunning: before the provider is known.
        """
        if self.provider is None:
            raise NotRunning("the client has no provider yet")
        return ClientConfig(id=self.client_id, public_key=self.public_key, provider=self.provider)

    async def all_recipients(self) -> list[ClientConfig]:
        """Ask the directory who is registered, oneself included; nobody if it cannot be asked."""
        try:
            await self.update_network_view()
        except DirectoryError as error:
            self._refreshing.failed(error)
            return []
        return list(self.topology.clients)

    async def update_network_view(self) -> None:
        """Learn the network anew.

        Raises:
            DirectoryError: if the directory cannot be asked, or answers with nothing of use; the view stays.
        """
        await self._view.refresh()
        self._refreshing.worked()

    def load_topology(self, topology: Topology) -> None:
        """Use a given topology, until the next time that the directory is asked.

        Raises:
            TopologyError: if there is no path in it although there is one in the present one.
        """
        self._view.load(topology)

    async def _start(self) -> None:
        log.warning("This mode is %s.", WARNING)
        topology = await self._view.refresh()
        if self.provider is None:
            self.provider = topology.provider(self.config.provider_id).node
        self._account = Account(self.own_details(), self.provider, self._loops, self._dial)
        await self._account.register()
        while not (await self._view.refresh()).clients:
            await trio.sleep(WAIT_SECONDS)

    async def _run_traffic(self, task_status: trio.TaskStatus[None]) -> None:
        assert self.provider is not None and self._account is not None
        config, own = self.config, self.own_details()
        rates = Rates(
            stream_rate(config.message_sending_rate),
            stream_rate(config.loop_cover_traffic_rate),
            covers=not config.covers_disabled,
        )
        composer = Composer(self.provider, config.profile, self._randomness.fork())
        self._sender = Sender(composer, own, self._loops, self._view, self._hand_over, rates, self._randomness)
        self._fetcher = Fetcher(self._account, self._received, self._on_covers, self._randomness)
        fetch_rate = stream_rate(config.fetch_message_rate)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._sender.run)
            if fetch_rate is not None:
                nursery.start_soon(self._fetcher.run, fetch_rate)
                nursery.start_soon(self._watch_loops)
            nursery.start_soon(self._account.keep_registered)
            nursery.start_soon(self._keep_view, self._account, own, self.provider)
            self._state = _State.RUNNING
            log.info("started, with provider %s", self.provider.address)
            task_status.started()

    async def _hand_over(self, packet: bytes) -> None:
        assert self.provider is not None
        await exchange(self._dial, self.provider, packet)

    def _on_covers(self, count: int) -> None:
        self._watch.returned += count

    async def _keep_view(self, account: Account, own: ClientConfig, provider: MixConfig) -> None:
        while True:
            with trio.move_on_after(REFRESH_SECONDS):
                await self._refresh_now.wait()
            self._refresh_now = trio.Event()
            try:
                await self.update_network_view()
            except DirectoryError as error:
                self._refreshing.failed(error)
                continue
            listed = self._view.is_registered(own, provider)
            account.note_listing(listed)
            self._say_provider(provider, is_listed=listed is not None)

    def _say_provider(self, provider: MixConfig, *, is_listed: bool) -> None:
        """Say what the directory makes of the provider, when that has changed."""
        if is_listed == self._is_provider_listed:
            return
        self._is_provider_listed = is_listed
        if is_listed:
            log.info("the directory lists the provider %s with its key again", provider.address)
        elif self._view.has_other_key(provider):
            log.warning("provider %s: %s", provider.address, OTHER_KEY)
        else:
            log.warning("the directory does not list the provider %s with its key any more", provider.address)

    async def _watch_loops(self) -> None:
        covers = 0
        while True:
            await trio.sleep(WATCH_SECONDS)
            sent = self.send_statistics.covers
            self._watch.sent, covers = sent - covers, sent
            share = self._watch.end_period()
            if share is None:
                continue
            if share >= WANTED_SHARE:
                self._looping.worked()
                continue
            fault = f"only {100 * share:.0f} % of the loops come back: packets are being lost on the way"
            self._looping.failed(LoopixError(fault))
            self._refresh_now.set()

    def _running_sender(self) -> Sender:
        if self._sender is None or self._state is not _State.RUNNING:
            raise NotRunning("the client is not running")
        return self._sender
