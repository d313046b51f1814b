"""The daemon: its parts, and how they are joined. There is no logic of its own here.

applications --> thin.desk --> queues --> traffic.sender --> gateway.link --> mixnet
applications <-- thin.outcomes <-- arq.engine <-------------- gateway.link <-- mixnet
                                   pki.trust <-- gateway.directory
"""

import logging
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from arq import AppId, Due, Engine, Entry
from kpclientd.config.model import ClientConfig
from kpclientd.gateway.connector import Connector
from kpclientd.gateway.dial import Dial, dial_tcp
from kpclientd.gateway.directory import Directory
from kpclientd.logs import NOTICE
from kpclientd.thin import events
from kpclientd.thin.connection import AppConnection
from kpclientd.thin.desk import Desk
from kpclientd.thin.events import Event
from kpclientd.thin.listener import open_listeners
from kpclientd.thin.outcomes import Outcomes
from kpclientd.thin.pushed_document import pushed_document
from kpclientd.thin.sessions import Sessions
from kpclientd.traffic.composer import Composer
from kpclientd.traffic.queues import FairQueues
from kpclientd.traffic.sender import NotSent, Sender, Sent
from kpclientd.version import release
from pki import EpochClock, TrustedDocuments, VerifiedDocument, Verifier, period_from_environment, signature_scheme
from sphinx import Sphinx
from sphinx.randomness import Randomness
from sphinx.types import SurbId

log = logging.getLogger("katzenpost/client")

INSTANCE_TOKEN_LENGTH: Final = 16
DOCUMENT_WAIT_SECONDS: Final = 30.0
"""For how long a new application is kept waiting for a first document."""

FAREWELL_SECONDS: Final = 0.1
"""Between the shutdown event and the end of a connection: clients take an end at once for a crash."""

SKEW_TOLERATED: Final = 1 / 16
"""Of an epoch; a clock that is further off the gateway's is worth a warning."""

SKEW_RESOLUTION_SECONDS: Final = 2.0
"""The gateway tells whole seconds: a difference of less than two may be none."""

TIMER_RESOLUTION_SECONDS: Final = 1.0
"""How late a timer may be noticed that was set after the timer task went to sleep; all are of tens of seconds."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What a person wants to know of a running daemon."""

    gateway: str | None
    connected_since: float | None
    epoch: int
    document_epoch: int | None
    waiting: int
    in_flight: int
    applications: int


class Daemon:
    """A client daemon, ready to run.

    Args:
        config: what its file says.
        clock: the network's epochs.
        dial: opens streams to gateways; TCP by default.
        unix: the wall clock, in Unix seconds; with `EnableTimeSync` it is corrected by what gateways tell.
        randomness: the system's, but for tests.
    """

    def __init__(
        self,
        config: ClientConfig,
        clock: EpochClock,
        *,
        dial: Dial = dial_tcp,
        unix: Callable[[], float] = time.time,
        randomness: Randomness | None = None,
    ) -> None:
        self.randomness = randomness or Randomness(os.urandom)
        self.config = config
        self.clock = clock
        self._wall_clock = unix
        self._clock_correction = 0.0
        self._instance_token = self.randomness.bytes(INSTANCE_TOKEN_LENGTH)
        self._connected = False
        self._pushed: bytes | None = None
        self._have_document = trio.Event()
        self._stopping = trio.Event()

        sphinx = Sphinx(config.geometry)
        self.trusted = TrustedDocuments(clock, _verifiers(config), config.geometry)
        self.engine = Engine(sphinx.open_reply, self.randomness)
        self.queues: FairQueues[AppId, Entry] = FairQueues()
        self.sessions = Sessions(self.randomness, config.session_grace_period, self._forget)
        self.outcomes = Outcomes(self.sessions)
        self.desk = Desk(
            sessions=self.sessions,
            engine=self.engine,
            queues=self.queues,
            trusted=self.trusted,
            clock=clock,
            authorities=config.authorities,
            geometry=config.geometry,
            unix=self._unix,
        )
        self.sender = Sender(
            engine=self.engine,
            queues=self.queues,
            composer=Composer(sphinx, clock, self._unix, self.randomness),
            trusted=self.trusted,
            geometry=config.geometry,
            randomness=self.randomness,
            unix=self._unix,
            decoys=not config.debug.disable_decoy_traffic,
            report=self._on_sending,
        )
        self.connector = Connector(
            config,
            self.trusted,
            dial=dial,
            wall_clock=unix,
            unix=self._unix,
            randomness=self.randomness,
            on_message=self._on_message,
            on_status=self._on_status,
            while_connected=(self.sender.run,),
        )
        self.directory = Directory(
            self.trusted, link=lambda: self.connector.link, unix=self._unix, announce=self._on_document
        )

    async def run(self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]]) -> None:
        """Serve the applications that come to `listeners` and keep a link to a gateway, until `stop` is called.

        Cancellation ends everything at once, without a word to the applications.
        """
        log.log(NOTICE, "kpclientd %s", release())
        log.log(NOTICE, "Katzenpost is pre-alpha. DO NOT DEPEND ON IT FOR STRONG SECURITY OR ANONYMITY.")
        async with trio.open_nursery() as connections:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._keep_time)
                nursery.start_soon(self.directory.run)
                nursery.start_soon(self.connector.run)
                if listeners:
                    serve = partial(trio.serve_listeners, handler_nursery=connections)
                    nursery.start_soon(serve, self.serve_application, list(listeners))
                await self._stopping.wait()
                nursery.cancel_scope.cancel()
            for connection in self.sessions.connections():
                connection.say_farewell(events.shutdown())
            await trio.sleep(FAREWELL_SECONDS)
            connections.cancel_scope.cancel()

    def stop(self) -> None:
        """Let `run` end in good order."""
        self._stopping.set()

    async def serve_application(self, stream: trio.abc.Stream) -> None:
        """Serve one application's connection; nothing that happens there concerns anybody else."""
        try:
            await AppConnection(stream, self.sessions, self.desk, self._greeting).serve()
        except Exception:
            log.exception("An application's connection ended by a fault of the daemon.")

    def snapshot(self) -> Snapshot:
        """The present state."""
        now, link = self._unix(), self.connector.link
        document = self.trusted.current(now)
        return Snapshot(
            gateway=link.candidate.name if link else None,
            connected_since=link.since if link else None,
            epoch=self.clock.epoch(now),
            document_epoch=document.document.epoch if document else None,
            waiting=len(self.queues),
            in_flight=self.engine.in_flight,
            applications=len(self.sessions),
        )

    def _status(self) -> Event:
        return events.connection_status(
            connected=self._connected,
            instance_token=self._instance_token,
            sphinx_geometry=self.config.geometry.fields(),
            pigeonhole_geometry=self.config.pigeonhole_geometry.fields(),
        )

    async def _greeting(self) -> tuple[Event, Event]:
        with trio.move_on_after(DOCUMENT_WAIT_SECONDS):
            await self._have_document.wait()
        return self._status(), events.new_pki_document(self._pushed)

    def _broadcast(self, event: Event) -> None:
        for connection in self.sessions.connections():
            connection.broadcast(event)

    def _unix(self) -> float:
        """The network's time, as far as it is known."""
        return self._wall_clock() - self._clock_correction

    def _on_status(self, connected: bool) -> None:
        self._connected = connected
        if (link := self.connector.link) is not None:
            self._mind_clock_skew(link.clock_skew)
            self.directory.on_link()
        self._broadcast(self._status())

    def _mind_clock_skew(self, skew: float) -> None:
        if abs(skew) > max(SKEW_TOLERATED * self.clock.period, SKEW_RESOLUTION_SECONDS):
            log.warning("This machine's clock is %+.0f s off the gateway's; epochs and routes go wrong by that.", skew)
        if self.config.debug.enable_time_sync:
            self._clock_correction = skew if abs(skew) >= SKEW_RESOLUTION_SECONDS else 0.0

    def _on_document(self, verified: VerifiedDocument) -> None:
        document = verified.document
        self._pushed = pushed_document(verified.certified)
        self.sender.set_rates(document.lambda_p, document.lambda_l)
        self._have_document.set()
        self._broadcast(events.new_pki_document(self._pushed))

    def _on_message(self, surb_id: SurbId, payload: bytes) -> None:
        answered = self.engine.on_message(surb_id, payload)
        if answered is not None:
            self.outcomes.of_flight(answered)

    def _on_sending(self, outcome: Sent | NotSent) -> None:
        self.outcomes.of_sending(outcome, self._unix())

    def _forget(self, app_id: AppId) -> None:
        self.queues.remove(app_id)
        self.engine.cancel_owner(app_id)

    async def _keep_time(self) -> None:
        while True:
            now = trio.current_time()
            self.sessions.handle_timers(now)
            for event in self.engine.handle_timers(now):
                if isinstance(event, Due) and event.entry.owner is not None:
                    self.queues.push_resend(event.entry.owner, event.entry)
                self.outcomes.of_flight(event)
            timers = (self.engine.next_timer(), self.sessions.next_timer())
            soonest = min((timer for timer in timers if timer is not None), default=now + TIMER_RESOLUTION_SECONDS)
            await trio.sleep_until(min(soonest, now + TIMER_RESOLUTION_SECONDS))


def run(config: ClientConfig) -> int:
    """Run the daemon that `config` describes until it is told to stop; return its exit status.

    Raises:
        KpclientdError: if it cannot start.
    """
    clock = EpochClock(period_from_environment(os.environ))
    trio.run(_run_until_signal, config, clock)
    return 0


async def _run_until_signal(config: ClientConfig, clock: EpochClock) -> None:
    daemon = Daemon(config, clock)
    async with open_listeners(config.listen) as listeners:
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_stop_on, signals, daemon)
                await daemon.run(listeners)
                nursery.cancel_scope.cancel()


async def _stop_on(signals: AsyncIterator[int], daemon: Daemon) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            log.log(NOTICE, "SIGHUP is ignored: there is nothing to reload.")
        else:
            log.log(NOTICE, "Stopping: %s.", signal.Signals(number).name)
            daemon.stop()


def _verifiers(config: ClientConfig) -> list[Verifier]:
    return [
        Verifier(authority.identifier, signature_scheme(authority.pki_signature_scheme), authority.identity_public_key)
        for authority in config.authorities
    ]
