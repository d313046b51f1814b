"""The daemon: its parts, and how they are joined. There is no logic of its own here.

applications --> thin.connection --> thin.verbs --> arq.engine --> traffic.queues --> traffic.sender --> gateway.link
applications <-- thin.outbox <-- thin.notifier <-- arq.engine <------------------------------------ gateway.link
applications <-- thin.announcements <-- gateway.document_worker <---- gateway.connector <----------- gateway.link
"""

import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import trio

from arq import AppId, Engine, Operation, Policy
from kpclientd.config.client_file import Limits
from kpclientd.config.model import ClientConfig
from kpclientd.document_store import DocumentStore
from kpclientd.gateway.choice import GatewayChoice, GatewayPool
from kpclientd.gateway.connection import HURRIED_DIAL_SECONDS, Connection
from kpclientd.gateway.connector import Connector, Dialling
from kpclientd.gateway.document_worker import DocumentWorker
from kpclientd.gateway.protocol import LinkProtocol
from kpclientd.log_levels import NOTICE
from kpclientd.network_time import ClockChange, NetworkTime
from kpclientd.network_watch import watch_network
from kpclientd.storage.query_maker import QueryMaker
from kpclientd.storage.resender import Resender
from kpclientd.thin.admission import RESERVED_DESCRIPTORS, Admission
from kpclientd.thin.announcements import Announcements, document_frame
from kpclientd.thin.budget import FrameBudget
from kpclientd.thin.connection import AppConnection
from kpclientd.thin.errors import FrameError
from kpclientd.thin.notifier import Notifier
from kpclientd.thin.sessions import SessionBounds, Sessions, no_commit
from kpclientd.thin.turns import AppTurns
from kpclientd.thin.verbs.verb import Services
from kpclientd.thin.workers import Workers
from kpclientd.timers import Timekeeper
from kpclientd.traffic.composer import Composer
from kpclientd.traffic.queues import FairQueues
from kpclientd.traffic.sender import Sender
from kpclientd.transports.dialler import Dialler
from kpclientd.version import release
from kpclientd.wire.commands import DOCUMENT_LIMIT
from pki import (
    EpochClock,
    TrustedDocuments,
    VerifiedDocument,
)
from pki.epoch import DEFAULT_PERIOD_SOURCE
from sphinx import Sphinx
from sphinx.crypto.kem import kem_scheme
from sphinx.randomness import Randomness
from sphinx.types import SurbId

if TYPE_CHECKING:
    from kpclientd.state.keeper import StateKeeper
    from kpclientd.status import DaemonStatus

log = logging.getLogger("katzenpost/client")

INSTANCE_TOKEN_LENGTH: Final = 16

OVERDUE_SECONDS: Final = 90.0
"""What has not been done for so long will not be: a write to a gateway may take a minute, nothing else as much."""

HURRIED_DIAL_SECONDS_BY_PROXY: Final = 15.0

STORAGE_NICENESS: Final = 15
"""By how much the operating system prefers all else to the keys of storage, of half a second each."""

DOCUMENTS: Final = "documents"
PACKETS: Final = "packets"
"""Whose work it is when a document is verified, or a packet composed, beside that of applications."""


class Daemon:
    """A client daemon, ready to run.

    Args:
        config: what its file says.
        clock: the network's epochs.
        dialler: opens streams to gateways; by default as the configuration says.
        wall_clock: in Unix seconds.
        elapsed_clock: monotonic seconds that go on while the machine sleeps, asked from any thread; by default the
            system's, or trio's where `workers` are given, as virtual clocks need it.
        randomness: the system's, but for tests.
        workers: run what would hold up the event loop.
        descriptors: how many this process may have, or None where that is no concern.
        keeper: keeps what is to outlive the process, or None where nothing is.
        source_of_period: where the period of the epochs comes from, for people.
        on_link_change: called when the link, or the document, has changed.
    """

    def __init__(
        self,
        config: ClientConfig,
        clock: EpochClock,
        *,
        dialler: Dialling | None = None,
        wall_clock: Callable[[], float] = time.time,
        elapsed_clock: Callable[[], float] | None = None,
        randomness: Randomness | None = None,
        workers: Workers | None = None,
        descriptors: int | None = None,
        keeper: "StateKeeper | None" = None,
        source_of_period: str = DEFAULT_PERIOD_SOURCE,
        on_link_change: Callable[[], None] = lambda: None,
    ) -> None:
        limits = config.limits
        self._on_link_change = on_link_change
        self.randomness = randomness or Randomness(os.urandom)
        self.config = config
        self.clock = clock
        self.keeper = keeper
        self.network_time = NetworkTime(
            wall_clock,
            trio.current_time,
            elapsed=elapsed_clock or (_elapsed_clock() if workers is None else trio.current_time),
            period=clock.period,
            beginning=clock.start(0),
            correct=config.debug.enable_time_sync,
        )
        self.started = 0.0
        self._stopping = trio.Event()
        self._instance_token = self.randomness.bytes(INSTANCE_TOKEN_LENGTH)

        sphinx = Sphinx(config.geometry)
        self.trusted = TrustedDocuments(
            clock, [authority.verifier() for authority in config.authorities], config.geometry
        )
        self.engine = Engine(
            sphinx.open_reply,
            self.randomness,
            _policy(limits),
            on_change=keeper.journal.operation_changed if keeper is not None else _nobody_cares,
        )
        self.queues: FairQueues[AppId, Operation] = FairQueues()
        self.sessions = Sessions(
            self.randomness,
            _session_bounds(config),
            destroy=self._destroy,
            on_away=self.queues.set_away,
            on_merge=self._merge,
            bytes_of=self.engine.bytes_of,
            on_change=keeper.journal.session_changed if keeper is not None else _nobody_cares,
            next_commit=keeper.journal.next_commit if keeper is not None else no_commit,
            marks=keeper.marks if keeper is not None else None,
        )
        self.workers = workers or Workers()
        self.query_maker = QueryMaker(
            config.pigeonhole_geometry,
            self.trusted,
            clock,
            self.network_time,
            self.randomness,
            (workers or Workers(niceness=STORAGE_NICENESS)).run,
        )
        self.resender = Resender(self.engine, self.query_maker, self.sessions.deliver, lambda: self.notifier.pump())
        self.notifier = Notifier(
            self.engine,
            self.sessions,
            self.queues,
            self.network_time,
            self.resender,
            tell_routes=config.tell_routes,
        )
        self.turns = AppTurns()
        self.budget = FrameBudget(limits.unfinished_frame_bytes)
        self.announcements = Announcements(
            self.sessions,
            instance_token=self._instance_token,
            sphinx_geometry=config.geometry.fields(),
            pigeonhole_geometry=config.pigeonhole_geometry.fields(),
        )
        self.services = Services(
            sessions=self.sessions,
            engine=self.engine,
            trusted=self.trusted,
            clock=clock,
            network_time=self.network_time,
            authorities=config.authorities,
            geometry=config.geometry,
            workers=self.workers,
            query_maker=self.query_maker,
            resender=self.resender,
            status=self._status_for,
            on_progress=self.notifier.pump,
        )
        self._descriptors = descriptors
        self._composer = Composer(sphinx, clock, self.network_time, self.randomness)
        self.admission = Admission(self._most_connections(limits), self._connection)
        self.sender = Sender(
            engine=self.engine,
            queues=self.queues,
            composer=self._composer,
            trusted=self.trusted,
            randomness=self.randomness,
            network_time=self.network_time,
            cover=not config.debug.disable_decoy_traffic,
            on_progress=self._progressed,
            # A thread of their own: what applications ask for must not hold up packets.
            offload=None if sphinx.is_compiled else partial((workers or Workers(threads=1)).run, PACKETS),
        )
        dialler = dialler or Dialler(
            config.upstream_proxy, hostnames_allowed=config.allow_hostname_addresses, randomness=self.randomness
        )
        self._kem = kem_scheme(config.wire_kem_scheme)
        self._document_limit = config.max_consensus_size or DOCUMENT_LIMIT
        store = DocumentStore(config.data_dir, self._document_limit) if config.data_dir is not None else None
        pool = GatewayPool(config.pinned_gateways, config.preferred_transports, dialler.can_dial, self.randomness)
        self.documents = DocumentWorker(clock, self.trusted, pool, period_source=source_of_period)
        self.connector = Connector(
            Connection(pool, self._new_protocol, hurried=_hurried_dial_seconds(config)),
            self.documents,
            self.trusted,
            dialling=dialler,
            wall_clock=wall_clock,
            network_time=self.network_time,
            offload=partial(self.workers.run, DOCUMENTS),
            on_message=self._on_message,
            on_up=self._on_up,
            on_down=self._on_down,
            store=store,
            on_current=self._on_current,
            on_refused=self._on_refused,
            while_connected=(self.sender.run,),
            way=f" through the proxy at {config.upstream_proxy.address}" if config.upstream_proxy.is_used else "",
        )
        self._timekeeper = Timekeeper(
            (self.sessions, self.engine),
            self.network_time,
            on_progress=self.notifier.pump,
            on_clock_change=self._on_clock_change,
            on_stood_still=self.connector.slept,
        )

    def restore(self) -> None:
        """Go on with what outlived the last process; to be called once, before `run`.

        Raises:
            StateError: what is to outlive this one cannot be written.
        """
        if self.keeper is not None:
            self.keeper.restore(self.engine, self.sessions, self._offset, trio.current_time())
            self.notifier.pump()

    async def run(self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]) -> None:
        """Serve the applications that come to `listeners` and keep a link to a gateway, until `stop` is called.

        Cancellation ends everything at once, without a word to the applications.
        """
        log.log(NOTICE, "kpclientd %s", release())
        log.log(NOTICE, "Katzenpost is pre-alpha. DO NOT DEPEND ON IT FOR STRONG SECURITY OR ANONYMITY.")
        self.started = trio.current_time()
        self.announcements.begin()
        async with self._kept(), trio.open_nursery() as connections:
            connections.start_soon(self.turns.run)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._timekeeper.run)
                nursery.start_soon(self.resender.run)
                nursery.start_soon(self.query_maker.exchanges.run)
                nursery.start_soon(watch_network, self.connector.network_changed)
                nursery.start_soon(self.connector.run)
                nursery.start_soon(self.admission.run, listeners, connections)
                await self._stopping.wait()
                nursery.cancel_scope.cancel()
            self.notifier.pump()
            await self.announcements.shut_down()
            connections.cancel_scope.cancel()

    @asynccontextmanager
    async def _kept(self) -> AsyncIterator[None]:
        """Keep what is to outlive the process, until all else has ended."""
        if self.keeper is None:
            yield
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.keeper.run, self.engine, self.sessions, self._offset)
            yield
            nursery.cancel_scope.cancel()

    def _offset(self) -> float:
        return self.network_time.offset

    def stop(self) -> None:
        """Let `run` end in good order: nothing is sent or accepted any more, and what applications are owed is written.

        That takes as long as they take to read it, but no longer than `DRAIN_SECONDS`.
        """
        self._stopping.set()

    def overdue(self) -> str:
        """The part that has stopped though the event loop turns, in words; empty while all go on."""
        now = trio.current_time()
        parts = (
            ("what keeps the time", self._timekeeper),
            ("what keeps the link", self.connector),
            ("the sender", self.sender),
            ("the work for an application", self.turns),
        )
        return next((name for name, part in parts if part.late(now) > OVERDUE_SECONDS), "")

    def status(self) -> "DaemonStatus":
        """The present state, as one value."""
        from kpclientd.status import gather  # not needed to start

        return gather(self)

    def _status_for(self, asks: AppId | None, is_whole: bool) -> Mapping[str, Any]:
        from kpclientd.status import NETWORK_FIELDS, as_map, gather  # not needed to start

        return as_map(gather(self, asks), None if is_whole else NETWORK_FIELDS)

    def reconfigure(self, config: ClientConfig) -> None:
        """Take over what may change while the daemon runs: limits and grace period; all else stays as it was."""
        limits = config.limits
        self.config = replace(self.config, limits=limits, session_grace_period=config.session_grace_period)
        self.engine.policy = _policy(limits)
        self.sessions.bounds = _session_bounds(self.config)
        self.budget.most = limits.unfinished_frame_bytes
        self.admission.most = self._most_connections(limits)

    async def serve_application(self, stream: trio.abc.Stream) -> None:
        """Serve one application's connection until it ends."""
        await self.admission.serve(stream)

    def _most_connections(self, limits: Limits) -> int:
        if self._descriptors is None:
            return limits.connections
        return max(1, min(limits.connections, self._descriptors - RESERVED_DESCRIPTORS))

    def _connection(self, stream: trio.abc.Stream) -> AppConnection:
        return AppConnection(stream, self.services, self.announcements, self.turns, self.budget)

    def _new_protocol(self, choice: GatewayChoice) -> LinkProtocol:
        return LinkProtocol(
            choice,
            kem=self._kem,
            geometry=self.config.geometry,
            randomness=self.randomness,
            document_limit=self._document_limit,
            far_end="the gateway, or the proxy before it," if self.config.upstream_proxy.is_used else "the gateway",
        )

    def _on_up(self, clock_skew: float) -> None:
        self.network_time.note_skew(clock_skew)
        self.announcements.set_connected(True)
        self._on_link_change()

    def _on_down(self) -> None:
        self.network_time.note_link_end()
        self.announcements.set_connected(False)
        self._on_link_change()

    async def _on_current(self, verified: VerifiedDocument | None) -> None:
        self._on_link_change()
        self.query_maker.exchanges.document_changed()
        if verified is None:
            self.announcements.set_document(None)
            return
        document = verified.document
        self.network_time.note_document(self.clock.start(document.epoch))
        self.sender.set_rates(document.lambda_p, document.lambda_l)
        try:
            frame = await self.workers.run(DOCUMENTS, partial(document_frame, verified.certified))
        except FrameError as error:
            log.error("The document of epoch %d cannot be pushed to applications: %s", document.epoch, error)
        else:
            self.announcements.set_document(frame)
        await self.workers.run(DOCUMENTS, partial(self._composer.prepare, document))

    def _on_refused(self) -> None:
        if self.network_time.is_in_doubt(has_document=self.trusted.current(self.network_time()) is not None):
            self.connector.lose("the time is to be measured again")

    def _progressed(self) -> None:
        """A packet left, or something came back; as both always do, applications or not."""
        self.notifier.pump()
        self._timekeeper.look_in_passing()

    def _on_clock_change(self, change: ClockChange) -> None:
        if change.slept:
            self.connector.slept(change.slept)
        self.connector.clock_changed()

    def _on_message(self, surb_id: SurbId, payload: bytes) -> None:
        self.engine.receive(surb_id, payload, trio.current_time())
        self._progressed()

    def _destroy(self, app_id: AppId) -> None:
        self.queues.remove(app_id)
        self.engine.cancel_owner(app_id)

    def _merge(self, app_id: AppId, into: AppId) -> None:
        self.queues.merge(app_id, into)
        self.engine.reassign(app_id, into)


def _nobody_cares(changed: object) -> None:
    """Where nothing outlives the process, changes are nobody's concern."""


def _hurried_dial_seconds(config: ClientConfig) -> float:
    """How long a stream may take to open while there are other gateways: through a proxy everything takes longer."""
    return HURRIED_DIAL_SECONDS_BY_PROXY if config.upstream_proxy.is_used else HURRIED_DIAL_SECONDS


def _elapsed_clock() -> Callable[[], float]:
    """A monotonic clock that any thread may ask, and that goes on while the machine sleeps, where there is one."""
    number = getattr(time, "CLOCK_BOOTTIME", None)
    return time.monotonic if number is None else partial(time.clock_gettime, number)


def _policy(limits: Limits) -> Policy:
    return Policy(
        most_per_owner=limits.messages_per_application,
        most_bytes_per_owner=limits.message_bytes_per_application,
        most_bytes=limits.message_bytes,
    )


def _session_bounds(config: ClientConfig) -> SessionBounds:
    return SessionBounds(
        grace=config.session_grace_period,
        most_away=config.limits.away_sessions,
        most_bytes_away=config.limits.away_bytes,
        most_bytes_unread=config.limits.unread_bytes,
    )
