"""The two Poisson processes that send everything.

    λP tick: the next waiting message in turn, or a loop decoy where none waits or no token is sure
    λL tick: a loop decoy

A packet is composed a fixed lead before its tick and written at the tick, so that neither the work nor its kind
shows in the times. Source: the Katzenpost client daemon, "sending".
"""

import enum
import logging
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Protocol

import trio

from arq import AppId, Engine, Entry, State
from kpclientd.gateway.errors import LinkLost
from kpclientd.traffic.composer import Composer, Origin, Parcel
from kpclientd.traffic.decoys import choose_decoy
from kpclientd.traffic.errors import CompositionError
from kpclientd.traffic.poisson import draw_interval, mean_interval_ms
from kpclientd.traffic.queues import FairQueues
from kpclientd.traffic.tokens import TokenBucket, refill_interval
from pki import TrustedDocuments
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness
from sphinx.types import SurbId

log = logging.getLogger("client/sender")

LEAD_SECONDS: Final = 0.025
"""Composing a packet with its SURB takes a tenth of this."""

TOKENS_AT_EASE: Final = 3.0
"""With so many tokens no slot of the other process can leave this one without."""

LAG_SECONDS: Final = 1.0
"""A process that is this late (the machine was suspended) starts afresh instead of catching up in a burst."""


class Stream(enum.Enum):
    """The two processes, by the names of their rates."""

    P = "λP"
    L = "λL"


class Outlet(Protocol):
    """What the sender needs of a gateway link."""

    @property
    def origin(self) -> Origin:
        """What packets must be composed with."""

    @property
    def tokens(self) -> TokenBucket:
        """The gateway's rate limiter, as far as it is known."""

    async def send_packet(self, packet: bytes) -> None:
        """Write one packet, or raise LinkLost."""


@dataclass(frozen=True, slots=True)
class Sent:
    """A message of an application left: the SURB id of its packet, Unix seconds, seconds to the reply."""

    entry: Entry
    surb_id: SurbId | None
    sent_at: float
    eta: float


@dataclass(frozen=True, slots=True)
class NotSent:
    """A message of an application will never leave, and why."""

    entry: Entry
    reason: str


@dataclass(slots=True)
class SendStatistics:
    """Counts since the start: what took the slots."""

    messages: int = 0
    decoys_p: int = 0
    decoys_l: int = 0
    held_for_token: int = 0
    slots_without_packet: int = 0
    put_back: int = 0


@dataclass(slots=True)
class _Prepared:
    entry: Entry
    surb_id: SurbId | None
    parcel: Parcel = field(repr=False)
    announced: bool = False
    left: bool = False

    @property
    def is_decoy(self) -> bool:
        return self.entry.message is None


class Sender:
    """Sends over one link at a time, at the rates of the current document.

    Args:
        engine: keeps the entries.
        queues: entries that wait for a slot, by application.
        trusted: gives the current document.
        decoys: whether cover traffic is sent at all.
        report: told what became of each application's message.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        queues: FairQueues[AppId, Entry],
        composer: Composer,
        trusted: TrustedDocuments,
        geometry: Geometry,
        randomness: Randomness,
        unix: Callable[[], float],
        decoys: bool,
        report: Callable[[Sent | NotSent], None],
    ) -> None:
        self.statistics = SendStatistics()
        self._engine = engine
        self._queues = queues
        self._composer = composer
        self._trusted = trusted
        self._geometry = geometry
        self._randomness = randomness
        self._intervals = {stream: randomness.fork() for stream in Stream}
        self._unix = unix
        self._decoys = decoys
        self._report = report
        self._means = {Stream.P: 0, Stream.L: 0}
        self._refill: float | None = None
        self._rates_changed = trio.Event()
        self._complaint: str | None = None

    def set_rates(self, lambda_p: float, lambda_l: float) -> None:
        """Send at these rates (events per millisecond) from now on; before the first call nothing is sent.

        As with the reference, a `lambda_l` that is not positive leaves its process as it was, and a `lambda_p` that is
        not positive leaves both.
        """
        self._refill = refill_interval(lambda_p, lambda_l)
        means = dict(self._means)
        if not lambda_p > 0:
            log.warning("The document's LambdaP is %s: packets are sent at the rates of the one before.", lambda_p)
        else:
            means[Stream.P] = mean_interval_ms(lambda_p)
            if lambda_l > 0 and self._decoys:
                means[Stream.L] = mean_interval_ms(lambda_l)
        if means != self._means:
            log.debug("mean send intervals: λP %d ms, λL %d ms", means[Stream.P], means[Stream.L])
            self._means = means
            self._rates_changed.set()
            self._rates_changed = trio.Event()

    async def run(self, outlet: Outlet) -> None:
        """Send over `outlet` until cancelled."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._process, outlet, Stream.P)
            nursery.start_soon(self._process, outlet, Stream.L)

    async def _process(self, outlet: Outlet, stream: Stream) -> None:
        tick = trio.current_time()
        while True:
            changed, mean = self._rates_changed, self._means[stream]
            if not mean:
                await changed.wait()
                tick = trio.current_time()
                continue
            tick += draw_interval(mean, self._intervals[stream])
            if tick < trio.current_time() - LAG_SECONDS:
                tick = trio.current_time()
            with trio.move_on_at(tick - LEAD_SECONDS):
                await changed.wait()
                tick = trio.current_time()
                continue
            await self._slot(outlet, stream, tick)

    async def _slot(self, outlet: Outlet, stream: Stream, tick: float) -> None:
        outlet.tokens.set_interval(self._refill, trio.current_time())
        prepared = self._next_message(outlet, tick) if stream is Stream.P else None
        if prepared is None and self._decoys:
            prepared = self._decoy(outlet)
        if prepared is None:
            self.statistics.slots_without_packet += self._decoys
            await trio.sleep_until(tick)
            return
        # Where tokens are few, the other process may take the last one before the tick: cover stands by.
        is_tight = not prepared.is_decoy and not outlet.tokens.is_sure(tick, TOKENS_AT_EASE)
        spare = self._decoy(outlet) if is_tight and self._decoys else None
        try:
            await trio.sleep_until(tick)
            if not prepared.is_decoy and not outlet.tokens.is_sure(trio.current_time()):
                self._put_back(prepared)
                self.statistics.held_for_token += 1
                if spare is None:
                    return
                prepared = spare
            await self._emit(outlet, stream, prepared)
        except LinkLost as error:
            log.debug("a packet did not leave: %s", error)
        finally:
            if not prepared.left:
                self._put_back(prepared)

    async def _emit(self, outlet: Outlet, stream: Stream, prepared: _Prepared) -> None:
        entry, parcel = prepared.entry, prepared.parcel
        # A message that was cancelled or answered since it was composed leaves all the same, as cover.
        is_cover = prepared.is_decoy or entry.state is State.ENDED
        if prepared.surb_id is not None and entry.state is not State.ENDED:
            self._engine.sent(entry, prepared.surb_id, parcel.surb_keys, parcel.eta, trio.current_time())
            prepared.announced = True
        await outlet.send_packet(parcel.packet)
        prepared.left = True
        if is_cover:
            self.statistics.decoys_p += stream is Stream.P
            self.statistics.decoys_l += stream is Stream.L
            return
        self.statistics.messages += 1
        if prepared.surb_id is None:
            self._engine.sent_without_surb(entry)
        self._report(Sent(entry, prepared.surb_id, self._unix(), parcel.eta))

    def _next_message(self, outlet: Outlet, tick: float) -> _Prepared | None:
        if not outlet.tokens.is_sure(tick):
            self.statistics.held_for_token += bool(len(self._queues))
            return None
        document = self._trusted.current(self._unix())
        if document is None:
            return None
        while (entry := self._queues.pick()) is not None:
            message = entry.message
            if entry.state not in (State.WAITING, State.DUE) or message is None:
                continue
            surb_id = self._engine.surb_id_for(entry) if message.with_surb else None
            try:
                parcel = self._composer.compose(
                    document.document, outlet.origin, message.destination, message.recipient, message.payload, surb_id
                )
            except CompositionError as error:
                self._refuse(entry, str(error))
                continue
            return _Prepared(entry, surb_id, parcel)
        return None

    def _refuse(self, entry: Entry, reason: str) -> None:
        if entry.transmissions:
            # It could be sent before: a later document may have the service again, and its time limit ends it.
            self._engine.postpone(entry, trio.current_time())
            return
        self._engine.abandon(entry)
        self._report(NotSent(entry, reason))

    def _decoy(self, outlet: Outlet) -> _Prepared | None:
        document = self._trusted.current(self._unix())
        decoy = choose_decoy(document.document, self._geometry, self._randomness) if document else None
        if document is None or decoy is None:
            self._complain("there is no document, or it offers no echo service")
            return None
        entry = self._engine.new_decoy()
        surb_id = self._engine.surb_id_for(entry)
        try:
            parcel = self._composer.compose(
                document.document, outlet.origin, decoy.destination, decoy.recipient, decoy.payload, surb_id
            )
        except CompositionError as error:
            self._complain(str(error))
            return None
        self._complaint = None
        return _Prepared(entry, surb_id, parcel)

    def _complain(self, reason: str) -> None:
        """Say once, not at each tick, that cover traffic is missing."""
        if reason != self._complaint:
            log.warning("No cover traffic: %s", reason)
            self._complaint = reason

    def _put_back(self, prepared: _Prepared) -> None:
        prepared.left = True
        entry = prepared.entry
        if prepared.announced:
            self._engine.recall(entry)
        if entry.message is not None and entry.state is not State.ENDED:
            self.statistics.put_back += 1
            self._queues.put_back(entry.message.owner, entry, resend=entry.state is State.DUE)
