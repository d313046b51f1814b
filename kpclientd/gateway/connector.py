"""Runs the connection and the document worker: their wishes are carried out, and they are told what came of it.

The two machines decide everything (see `connection` and `document_worker`); here are the tasks, the streams and the
sleeps. What they ask of each other goes through here: a link that comes up wakes the worker, and the worker may want it
left.
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from kpclientd.document_store import DocumentStore
from kpclientd.gateway.choice import GatewayChoice
from kpclientd.gateway.connection import (
    Connection,
    ConnectionEvent,
    ConnectionState,
    Dial,
    Down,
    Failed,
    HangUp,
    Settled,
    Up,
)
from kpclientd.gateway.document_worker import (
    Ask,
    Current,
    DocumentWorker,
    Kept,
    Leave,
    Refused,
    Served,
    Verify,
    WorkerEvent,
)
from kpclientd.gateway.handshakes import Handshakes, HandshakesStatus
from kpclientd.gateway.link import GatewayLink
from kpclientd.gateway.notices import LinkNotices
from kpclientd.gateway.offline import OfflineNotice
from kpclientd.gateway.protocol import LinkLost, LinkProtocol
from kpclientd.network_watch import NetworkChange
from kpclientd.transports import DialError
from kpclientd.wire.consensus import Fetched, FetchResult
from kpclientd.wire.errors import ConsensusError
from pki import DocumentRejected, TrustedDocuments, VerifiedDocument
from sphinx.types import SurbId

log = logging.getLogger("client/conn")

Result = TypeVar("Result")

WhileConnected = Callable[[GatewayLink], Awaitable[None]]
"""A task that runs beside each link and is cancelled when it ends."""

ASLEEP_TOO_LONG_SECONDS: Final = 50.0
"""A gateway whose message is not acknowledged for a minute delivers nothing any more, and keeps the connection open.

So whoever slept for nearly as long has to leave it: packets would go, and no reply would come.
"""

LONGEST_SLEEP_SECONDS: Final = 10.0
"""Times of the wall clock are looked at again after this long, should nobody have noticed that it was stepped."""


class Dialling(Protocol):
    """What is needed to open streams."""

    def can_dial(self, url: str) -> bool:
        """Whether an address can be dialled from here at all."""

    async def dial(self, addresses: Sequence[str], *, isolation: bytes, within: float) -> trio.abc.Stream:
        """Open a stream to the first that answers within so many seconds, or raise DialError.

        What has another `isolation` shares no circuit of an anonymising proxy.
        """

    def renew(self, isolation: bytes) -> None:
        """Go another way from now on, where there are several."""


class Offload(Protocol):
    """Runs work that would hold up the event loop somewhere else."""

    async def __call__(self, work: Callable[[], Result], /) -> Result:
        """Run `work` and return its result, or raise its error."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """When a link, or a try for one, ended (Unix seconds in a status), with whom, and why."""

    at: float
    gateway: str
    reason: str


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What can be seen of the link.

    Attributes:
        state: what is being done.
        gateway: the name of the gateway that is connected, or None.
        since: Unix seconds.
        links: how many have been established since the start.
        failures: tries that led to none, since the start.
        last_end: how the last link, or the last try for one, ended.
        next_try: Unix seconds of the next try, where one is waited for.
        tokens: what the gateway's limiter surely has for us; None where there is no link or no limit.
        handshakes: since the start.
    """

    state: ConnectionState
    gateway: str | None
    since: float | None
    links: int
    failures: int
    last_end: LinkEnd | None
    next_try: float | None
    tokens: float | None
    handshakes: HandshakesStatus


class Connector:
    """Keeps a link, and follows the documents through it.

    Attributes:
        link: the present link, or None.

    Args:
        connection, worker: the machines.
        trusted: verifies documents.
        dialling: opens streams.
        wall_clock: this machine's clock, against which a gateway's is measured (Unix seconds).
        network_time: the network's time (Unix seconds).
        offload: runs the verification of a document.
        on_message: takes each delivered (SURB id, payload); must not block.
        on_up: called when a link is up, with our clock less the gateway's (seconds).
        on_down: called when a link was lost, or a try failed.
        store: keeps documents on disk, or None.
        on_current: takes the document that has become current, or None.
        on_refused: called when the gateway has no document of the present epoch.
        while_connected: run beside each link.
        way: what every connection goes through, for people: " through ...", or empty.
    """

    def __init__(
        self,
        connection: Connection,
        worker: DocumentWorker,
        trusted: TrustedDocuments,
        *,
        dialling: Dialling,
        wall_clock: Callable[[], float],
        network_time: Callable[[], float],
        offload: Offload,
        on_message: Callable[[SurbId, bytes], None],
        on_up: Callable[[float], None],
        on_down: Callable[[], None],
        store: DocumentStore | None,
        on_current: Callable[[VerifiedDocument | None], Awaitable[None]],
        on_refused: Callable[[], None],
        while_connected: Sequence[WhileConnected],
        way: str = "",
    ) -> None:
        self.link: GatewayLink | None = None
        self._connection = connection
        self._worker = worker
        self._trusted = trusted
        self._dialling = dialling
        self._wall_clock = wall_clock
        self._network_time = network_time
        self._offload = offload
        self._on_message = on_message
        self._on_up = on_up
        self._on_down = on_down
        self._store = store
        self._on_current = on_current
        self._on_refused = on_refused
        self._while_connected = while_connected
        self._nursery: trio.Nursery | None = None
        self._attempt = trio.CancelScope()
        self._sleep = trio.CancelScope()
        self._is_changed = False
        self._kept: list[VerifiedDocument] = []
        self._current: list[VerifiedDocument | None] = []
        self._any_document = trio.Event()
        self._links = self._failures = 0
        self._handshakes = Handshakes()
        self._last_end: LinkEnd | None = None
        self._next_try: float | None = None
        self._notices = LinkNotices()
        self._offline = OfflineNotice(connection, worker, trusted, way)

    async def run(self) -> None:
        """Keep a link and follow the epochs, for ever."""
        async with trio.open_nursery() as self._nursery:
            self._nursery.start_soon(self._tell_documents)
            if self._store is not None:
                self._nursery.start_soon(self._load_documents, self._store)
            while True:
                self._is_changed = False
                self._handle_timers()
                self._carry_out()
                self._offline.look(trio.current_time(), self._network_time())
                with trio.CancelScope(deadline=self._next_timer()) as self._sleep:
                    if not self._is_changed:
                        await trio.sleep_forever()
                await trio.lowlevel.checkpoint()

    def late(self, now: float) -> float:
        """For how many seconds its next look at the timers has been overdue; negative if it is not."""
        return now - self._sleep.deadline

    def clock_changed(self) -> None:
        """The network's time was stepped."""
        self._wake()

    def slept(self, seconds: float) -> None:
        """The machine slept for so long, or this process was stopped."""
        self._route_changed(link_is_cut=seconds >= ASLEEP_TOO_LONG_SECONDS)

    def network_changed(self, change: NetworkChange) -> None:
        """Addresses of this machine came or went."""
        is_cut = self.link is not None and self.link.local_address in change.gone
        if is_cut or change.is_new:
            self._route_changed(link_is_cut=is_cut)

    def lose(self, reason: str) -> None:
        """End the present link through no fault of its gateway's."""
        self._connection.lose(reason, trio.current_time())
        self._wake()

    def _route_changed(self, *, link_is_cut: bool) -> None:
        self._connection.route_changed(trio.current_time(), link_is_cut=link_is_cut)
        self._go_on()

    def status(self, network_time_offset: float) -> LinkStatus:
        """What can be seen; `network_time_offset` is the network's time less monotonic time (seconds)."""
        protocol = self._connection.protocol if self._connection.is_up else None
        end = self._last_end
        return LinkStatus(
            state=self._connection.state,
            gateway=protocol.choice.name if protocol is not None else None,
            since=self._connection.since + network_time_offset if protocol is not None else None,
            links=self._links,
            failures=self._failures,
            last_end=LinkEnd(end.at + network_time_offset, end.gateway, end.reason) if end is not None else None,
            next_try=self._next_try + network_time_offset if self._next_try is not None else None,
            tokens=self.link.tokens.level(trio.current_time()) if self.link is not None else None,
            handshakes=self._handshakes.status(),
        )

    # -- what the machines want

    def _wake(self) -> None:
        self._is_changed = True
        self._sleep.cancel()

    def _handle_timers(self) -> None:
        now = trio.current_time()
        if not self._is_minded_by_its_link:
            self._connection.handle_timers(now)
        self._worker.handle_timers(now, self._network_time())

    def _next_timer(self) -> float:
        now = trio.current_time()
        timers = [
            now + LONGEST_SLEEP_SECONDS,
            self._worker.next_timer(now, self._network_time()),
            self._offline.next_timer(),
        ]
        if not self._is_minded_by_its_link:
            timers.append(self._connection.next_timer())
        return min(timers)

    @property
    def _is_minded_by_its_link(self) -> bool:
        return self._connection.state in (ConnectionState.HANDSHAKE, ConnectionState.UP)

    def _go_on(self) -> None:
        """A machine was told something: do what the two want, and look at their timers again."""
        self._carry_out()
        self._wake()

    def _carry_out(self) -> None:
        """Do what the two machines want, until neither wants anything."""
        while True:
            if (event := self._connection.next_event()) is not None:
                self._carry_out_for_connection(event)
            elif (wish := self._worker.next_event()) is not None:
                self._carry_out_for_worker(wish)
            else:
                return
            self._wake()

    def _carry_out_for_connection(self, event: ConnectionEvent) -> None:
        assert self._nursery is not None, "nothing happens before run"
        match event:
            case Dial(protocol, within):
                self._next_try = None
                self._attempt = trio.CancelScope()
                self._nursery.start_soon(self._try, protocol, within, self._attempt)
            case HangUp():
                self._attempt.cancel()
            case Up(protocol):
                self._links += 1
                self._handshakes.ended(trio.current_time() - protocol.connected_at, None)
                self._notices.connected(protocol.choice)
                self._on_up(protocol.clock_skew)
                self._worker.link_up(protocol.choice, trio.current_time(), self._network_time())
            case Settled(choice):
                self._notices.settled(choice)
            case Down(choice, reason, next_try, is_way_bad):
                self._worker.link_down(trio.current_time())
                self._note_end(f'Lost the connection to gateway "{choice.name}"', choice, reason, next_try, is_way_bad)
            case Failed(tried, reason, next_try, is_way_bad, is_by_proxy):
                self._failures += 1
                if is_by_proxy:
                    what = "No gateway can be reached"
                else:
                    what = "There is no gateway" if tried is None else f'No connection to gateway "{tried.name}"'
                self._note_end(what, tried, reason, next_try, is_way_bad)

    def _note_end(
        self, what: str, choice: GatewayChoice | None, reason: str, next_try: float, is_way_bad: bool
    ) -> None:
        now = trio.current_time()
        if choice is not None and is_way_bad:
            self._dialling.renew(choice.node_id)
        self._last_end = LinkEnd(now, choice.name if choice is not None else "", reason)
        self._next_try = next_try
        self._notices.ended(what, reason, next_try - now)
        self._on_down()

    def _carry_out_for_worker(self, wish: WorkerEvent) -> None:
        assert self._nursery is not None, "nothing happens before run"
        match wish:
            case Ask(epoch):
                self._ask(epoch, self._nursery)
            case Verify(fetched):
                self._nursery.start_soon(self._verify, fetched)
            case Leave(reason):
                self._connection.leave(f"it is left, as {reason}", trio.current_time())
            case Served():
                self._connection.proved(trio.current_time())
            case Refused():
                self._on_refused()
            case Kept(document):
                self._kept.append(document)
                self._any_document.set()
            case Current(current):
                self._current = [current]
                self._any_document.set()

    # -- the link

    async def _try(self, protocol: LinkProtocol, within: float, scope: trio.CancelScope) -> None:
        choice = protocol.choice
        with scope:
            try:
                stream = await self._dialling.dial(choice.addresses, isolation=choice.node_id, within=within)
            except DialError as error:
                self._connection.not_opened(
                    str(error), trio.current_time(), is_refused=error.is_refused, is_by_proxy=error.is_by_proxy
                )
                self._carry_out()
                return
            async with trio.open_nursery() as beside:
                link = GatewayLink(
                    stream,
                    protocol,
                    wall_clock=self._wall_clock,
                    on_message=self._on_message,
                    on_answer=self._on_answer,
                    on_progress=lambda: self._progressed(link, protocol, beside),
                )
                self._connection.opened(trio.current_time())
                self._wake()
                try:
                    await link.run()
                finally:
                    if self.link is link:
                        self.link = None
                    if not protocol.was_up:
                        self._handshakes.ended(trio.current_time() - protocol.connected_at, protocol.failed_at)
                    beside.cancel_scope.cancel()

    def _progressed(self, link: GatewayLink, protocol: LinkProtocol, beside: trio.Nursery) -> None:
        if self._connection.protocol is not protocol:
            return
        self._connection.progressed(trio.current_time())
        is_new = self._connection.is_up and self.link is not link
        if is_new:
            self.link = link
        self._carry_out()
        if is_new and protocol.is_up:
            for task in self._while_connected:
                beside.start_soon(task, link)

    # -- documents

    def _ask(self, epoch: int, nursery: trio.Nursery) -> None:
        protocol, link = self._connection.protocol, self.link
        if protocol is None or link is None:
            return  # the link has just ended, and the worker will be told
        try:
            protocol.ask(epoch, trio.current_time())
        except LinkLost:
            return
        nursery.start_soon(link.flush)

    def _on_answer(self, result: FetchResult) -> None:
        self._worker.answered(result, trio.current_time(), self._network_time())
        self._go_on()

    async def _verify(self, fetched: Fetched) -> None:
        now = self._network_time()
        try:
            document = await self._offload(lambda: self._trusted.verify(fetched.decompress(), fetched.epoch, now))
        except (DocumentRejected, ConsensusError) as error:
            self._worker.rejected(error, trio.current_time(), self._network_time())
        else:
            self._worker.verified(document, trio.current_time(), self._network_time())
        self._go_on()

    async def _load_documents(self, store: DocumentStore) -> None:
        for stored in await self._offload(store.load):
            verify = partial(self._trusted.verify, stored.blob, stored.epoch, self._network_time())
            try:
                document = await self._offload(verify)
            except DocumentRejected as error:
                log.debug("the document of epoch %d on disk is of no use: %s", stored.epoch, error)
            else:
                self._worker.restored(document, trio.current_time(), self._network_time())
                self._go_on()

    async def _tell_documents(self) -> None:
        """Tell the parts above, and the disk, one after the other, without holding the machines up."""
        while True:
            await self._any_document.wait()
            self._any_document = trio.Event()
            current, self._current = self._current, []
            for document in current:
                await self._on_current(document)
            kept, self._kept = self._kept, []
            for kept_document in kept:
                if self._store is not None:
                    save = partial(self._store.save, kept_document.document.epoch, kept_document.certificate)
                    await self._offload(save)
