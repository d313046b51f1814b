"""Sends everything: what the schedule's ticks carry, and that nothing but the schedule decides when.

    λP tick: the next waiting message in turn, or a loop decoy where none waits or no token is sure
    λL tick: a loop decoy

Theory of operation. A tick is taken `lead` before its time. Then its packet is *composed* and put at the end of the
line of prepared packets; at its time it is *emitted*: announced to the engine, sealed, written. Between tick and wire
a message and a decoy go through the same steps, and a packet is long ready when its tick comes, so neither the work
nor its kind shows in the times. What is different, telling the engine and its application that a message has left, is
done when no tick is near: two packets that leave one after the other have nothing between them. One task does all of
that, emissions first; ticks come earliest first, and so do packets.

Packets that the compiled engine does not make take longer than the event loop may be held up. They are composed in a
thread, one at a time and in the order of their ticks, while the one task goes on emitting. What is being composed is in
neither queue nor line; should the link end, it is the first to be put back.

Whether a message may take a slot is decided when it is composed: every tick before it stands in line by then, so the
tokens that will be left for it are known, and no second packet need stand by. Only a change of rates can spoil that;
then the messages in line go back to their queues, and new decoys take all ticks, whatever had them, at once and not
when the ticks come.

A message that cannot be made into a packet costs time and no slot. An application can have thousands of them, so only
some are looked at for a tick; then it is a decoy's.

A message whose packet does not leave, whatever the reason, is put back at the front of its queue. One that was
cancelled or answered since it was composed leaves all the same, as cover.

Source: the Katzenpost client daemon, "sending".
"""

import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Protocol

import trio

from arq import AppId, Engine, Operation, State
from kpclientd.gateway.connector import Offload
from kpclientd.gateway.protocol import LinkLost
from kpclientd.gateway.tokens import TokenEstimate, refill_interval
from kpclientd.traffic.composer import ComposedPacket, Composer, CompositionError, PacketRequest
from kpclientd.traffic.departures import Departures, DeparturesStatus
from kpclientd.traffic.queues import FairQueues
from kpclientd.traffic.schedule import Process, SendSchedule, Tick
from pki import Document, TrustedDocuments, UnknownNodeError
from sphinx.randomness import Randomness
from sphinx.types import NodeId, RecipientId, SurbId

log = logging.getLogger("client/sender")

LEAD_SECONDS: Final = 0.025
"""Composing a packet with its SURB takes a tenth of this where the packet core is compiled."""

LEAD_FACTOR: Final = 3.0
"""Where it is not, the lead is so many times the longest of the last compositions, up to the next limit."""

COMPOSITIONS_REMEMBERED: Final = 64
"""One that took long because the machine was busy must not delay messages for ever."""

LONGEST_LEAD_SECONDS: Final = 1.0

QUIET_SECONDS: Final = 0.001
"""Before a tick nothing is begun that depends on what other packets carried."""

MOST_LOOKED_AT: Final = 16
"""Waiting messages for one tick."""


class Link(Protocol):
    """What the sender needs of a gateway link."""

    @property
    def gateway(self) -> NodeId:
        """Where packets enter the network."""

    @property
    def queue_id(self) -> RecipientId:
        """Where their replies wait."""

    @property
    def tokens(self) -> TokenEstimate:
        """The gateway's rate limiter, as far as it is known."""

    async def send_packet(self, packet: bytes) -> None:
        """Write one packet, or raise LinkLost."""


@dataclass(slots=True)
class _Counts:
    messages: int = 0
    decoys_p: int = 0
    decoys_l: int = 0
    held_for_token: int = 0
    slots_without_packet: int = 0
    put_back: int = 0


@dataclass(frozen=True, slots=True)
class TrafficStatus:
    """What took the slots, since the start; and what rules them.

    Attributes:
        messages: packets that carried an application's message.
        decoys_p, decoys_l: loop decoys of either process.
        held_for_token: slots that a waiting message left to a decoy, as the gateway might have dropped it.
        slots_without_packet: slots for which not even a decoy could be made.
        put_back: packets that were ready and did not leave; their messages waited again.
        mean_interval_ms: of each process, by its name; 0 is one that is off.
        refill_seconds: between two tokens of the gateway's limiter, None where there is none.
        lead_seconds: how long before its tick a packet is composed.
        departures: when packets left, whatever they carried.
    """

    messages: int
    decoys_p: int
    decoys_l: int
    held_for_token: int
    slots_without_packet: int
    put_back: int
    mean_interval_ms: Mapping[str, int]
    refill_seconds: float | None
    lead_seconds: float
    departures: DeparturesStatus


@dataclass(slots=True)
class _Prepared:
    tick: Tick
    operation: Operation
    surb_id: SurbId | None
    composed: ComposedPacket = field(repr=False)


@dataclass(frozen=True, slots=True)
class _Written:
    process: Process
    operation: Operation
    departed: bool
    at: float


class Sender:
    """Sends over one link at a time, at the rates of the current document.

    Args:
        engine: keeps the operations.
        queues: those that wait for a slot, by application.
        composer: makes packets.
        trusted: gives the current document.
        randomness: draws the ticks.
        network_time: the present, in Unix seconds.
        cover: whether decoys are sent at all.
        on_progress: called when the engine may have something to tell.
        offload: composes packets elsewhere; None where that is quick enough to be done here.
    """

    def __init__(
        self,
        *,
        engine: Engine,
        queues: FairQueues[AppId, Operation],
        composer: Composer,
        trusted: TrustedDocuments,
        randomness: Randomness,
        network_time: Callable[[], float],
        cover: bool,
        on_progress: Callable[[], None],
        offload: Offload | None = None,
    ) -> None:
        self._engine = engine
        self._queues = queues
        self._composer = composer
        self._trusted = trusted
        self._network_time = network_time
        self._cover = cover
        self._on_progress = on_progress
        self._offload = offload
        self._is_running = False
        self._is_composing = False
        self._rates_number = 0
        self._schedule = SendSchedule(randomness, cover=cover)
        self._prepared: deque[_Prepared] = deque()
        self._written: deque[_Written] = deque()
        self._counts = _Counts()
        self._departures = Departures()
        self._lead = LEAD_SECONDS
        self._compositions: deque[float] = deque(maxlen=COMPOSITIONS_REMEMBERED)
        self._refill: float | None = None
        self._rates_changed = False
        self._sleep = trio.CancelScope()
        self._no_cover_reason: str | None = None

    def set_rates(self, lambda_p: float, lambda_l: float) -> None:
        """Send at these rates (events per millisecond) from now on; before the first call nothing is sent."""
        if not lambda_p > 0:
            log.warning("The document's LambdaP is %s: packets are sent at the rates of the one before.", lambda_p)
        refill = refill_interval(lambda_p, lambda_l)
        if self._schedule.set_rates(lambda_p, lambda_l) or refill != self._refill:
            log.debug("mean send intervals (ms): %s", self.status().mean_interval_ms)
            self._refill = refill
            self._rates_changed = True
            self._sleep.cancel()

    def status(self) -> TrafficStatus:
        """What can be seen of it."""
        counts = self._counts
        return TrafficStatus(
            messages=counts.messages,
            decoys_p=counts.decoys_p,
            decoys_l=counts.decoys_l,
            held_for_token=counts.held_for_token,
            slots_without_packet=counts.slots_without_packet,
            put_back=counts.put_back,
            mean_interval_ms={process.value: mean for process, mean in self._schedule.means_ms.items()},
            refill_seconds=self._refill,
            lead_seconds=self._lead,
            departures=self._departures.status(trio.current_time()),
        )

    def late(self, now: float) -> float:
        """For how many seconds a packet has been overdue; negative if none is, or there is no link."""
        if not self._is_running:
            return -math.inf
        emit_at = self._prepared[0].tick.at if self._prepared else math.inf
        return now - min(emit_at, self._schedule.next_at() - self._lead)

    async def run(self, link: Link) -> None:
        """Send over `link` until cancelled."""
        now = trio.current_time()
        self._begin(link, now)
        self._is_running = True
        try:
            async with trio.open_nursery() as nursery:
                while True:
                    await self._step(link, nursery)
        finally:
            self._is_running = False
            while self._written:
                self._account(self._written.popleft())
            self._departures.end()
            self._put_all_back()

    def _begin(self, link: Link, now: float) -> None:
        """Draw from here on, at the present rates."""
        link.tokens.set_interval(self._refill, now)
        self._schedule.start(now)
        self._departures.begin(now, self._schedule.means_ms.values())

    async def _step(self, link: Link, nursery: trio.Nursery) -> None:
        """Do the next thing: take over rates, emit what is due, tell what left, compose what is soon due, or sleep."""
        if self._rates_changed:
            await self._take_over_rates(link)
        now = trio.current_time()
        emit_at = self._prepared[0].tick.at if self._prepared else math.inf
        compose_at = math.inf if self._is_composing else self._schedule.next_at() - self._lead
        if emit_at <= now:
            await self._emit(link, self._prepared.popleft())
        elif self._written and emit_at > now + QUIET_SECONDS:
            self._account(self._written.popleft())
        elif compose_at <= now and self._offload is not None:
            self._is_composing = True
            nursery.start_soon(self._prepare_elsewhere, link, self._schedule.take(now))
        elif compose_at <= now:
            await self._prepare(link, self._schedule.take(now))
            if self._schedule.next_at() - self._lead <= now:
                await trio.lowlevel.checkpoint()
        else:
            with trio.CancelScope(deadline=min(emit_at, compose_at)) as self._sleep:
                await trio.sleep_forever()

    async def _take_over_rates(self, link: Link) -> None:
        self._rates_changed = False
        self._rates_number += 1
        self._begin(link, trio.current_time())
        ticks = [prepared.tick for prepared in self._prepared]
        self._put_all_back()
        for tick in ticks:
            cover = await self._compose_decoy(link, tick) if self._cover else None
            if cover is not None:
                self._stand_in_line(cover)

    async def _prepare_elsewhere(self, link: Link, tick: Tick) -> None:
        try:
            await self._prepare(link, tick)
        finally:
            self._is_composing = False
            self._sleep.cancel()

    async def _prepare(self, link: Link, tick: Tick) -> None:
        began, rates = trio.current_time(), self._rates_number
        prepared = await self._compose_message(link, tick) if tick.process is Process.P else None
        if prepared is None and self._cover:
            prepared = await self._compose_decoy(link, tick)
        if prepared is not None and rates != self._rates_number:
            self._put_back(prepared.operation)
            prepared = await self._compose_decoy(link, tick) if self._cover else None
        if prepared is None:
            self._counts.slots_without_packet += self._cover
            return
        self._stand_in_line(prepared)
        if self._offload is not None:
            self._compositions.append(trio.current_time() - began)
            self._lead = max(LEAD_SECONDS, min(LEAD_FACTOR * max(self._compositions), LONGEST_LEAD_SECONDS))

    def _stand_in_line(self, prepared: _Prepared) -> None:
        """Behind all packets of earlier ticks; as a rule these are all that are there."""
        later = []
        while self._prepared and self._prepared[-1].tick.at > prepared.tick.at:
            later.append(self._prepared.pop())
        self._prepared.append(prepared)
        self._prepared.extend(reversed(later))

    async def _compose_message(self, link: Link, tick: Tick) -> _Prepared | None:
        # All ticks before this one stand in line, each with a packet that may cost a token.
        if not link.tokens.has(tick.at, 1.0 + len(self._prepared)):
            self._counts.held_for_token += bool(len(self._queues))
            return None
        document = self._trusted.current(self._network_time())
        if document is None:
            return None
        for _ in range(MOST_LOOKED_AT):
            operation = self._queues.pick()
            if operation is None:
                break
            message = operation.message
            if not operation.wants_slot or message is None:
                continue
            surb_id = self._engine.surb_id_for(operation) if message.with_surb else None
            request = PacketRequest(message.destination, message.recipient, message.payload)
            try:
                return await self._compose(link, tick, operation, document.document, request, surb_id)
            except trio.Cancelled:
                self._put_back(operation)
                raise
            except CompositionError as error:
                self._engine.refused(operation, str(error), trio.current_time())
                self._on_progress()
        return None

    async def _compose_decoy(self, link: Link, tick: Tick) -> _Prepared | None:
        document = self._trusted.current(self._network_time())
        if document is None:
            self._say_without_cover("there is no current document", level=logging.INFO)  # whose matter it is says so
            return None
        operation = self._engine.new_decoy()
        surb_id = self._engine.surb_id_for(operation)
        try:
            request = self._composer.decoy(document.document)
            prepared = await self._compose(link, tick, operation, document.document, request, surb_id)
        except CompositionError as error:
            # A gateway that the document does not list is left; whose matter that is says so.
            is_gateway_unlisted = isinstance(error.__cause__, UnknownNodeError)
            self._say_without_cover(str(error), level=logging.INFO if is_gateway_unlisted else logging.WARNING)
            return None
        self._no_cover_reason = None
        return prepared

    async def _compose(
        self,
        link: Link,
        tick: Tick,
        operation: Operation,
        document: Document,
        request: PacketRequest,
        surb_id: SurbId | None,
    ) -> _Prepared:
        compose = partial(self._composer.compose, document, link.gateway, link.queue_id, request, surb_id)
        composed = compose() if self._offload is None else await self._offload(compose)
        return _Prepared(tick, operation, surb_id, composed)

    def _say_without_cover(self, reason: str, level: int = logging.WARNING) -> None:
        """Say once, not at each tick, that cover traffic is missing."""
        if reason != self._no_cover_reason:
            log.log(level, "No cover traffic: %s", reason)
            self._no_cover_reason = reason

    async def _emit(self, link: Link, prepared: _Prepared) -> None:
        operation, composed, now = prepared.operation, prepared.composed, trio.current_time()
        departed = self._engine.departs(
            operation, prepared.surb_id, composed.surb_keys, composed.eta, now, composed.route
        )
        written = False
        try:
            await link.send_packet(composed.packet)
            written = True
        except LinkLost as error:
            log.debug("a packet did not leave: %s", error)
        finally:
            if not written:
                if departed:
                    self._engine.recalled(operation, trio.current_time())
                # What is prepared came after this one, and goes back before it.
                self._put_all_back()
                self._put_back(operation)
        if written:
            self._written.append(_Written(prepared.tick.process, operation, departed, now))

    def _account(self, written: _Written) -> None:
        """Take note that a packet left, and let it be told."""
        self._departures.left(written.at)
        self._count(written.process, written.operation.is_cover or not written.departed)
        if written.departed:
            self._engine.left(written.operation, trio.current_time())
            self._on_progress()

    def _count(self, process: Process, is_cover: bool) -> None:
        if not is_cover:
            self._counts.messages += 1
        elif process is Process.P:
            self._counts.decoys_p += 1
        else:
            self._counts.decoys_l += 1

    def _put_all_back(self) -> None:
        while self._prepared:
            self._put_back(self._prepared.pop().operation)

    def _put_back(self, operation: Operation) -> None:
        if operation.owner is not None and operation.wants_slot:
            self._counts.put_back += 1
            self._queues.put_back(operation.owner, operation, resend=operation.state is State.DUE)
