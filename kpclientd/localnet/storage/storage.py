"""Replicas and courier of a local network, in one process: who asks whom, and what is done in threads.

Envelopes are opened as the reference's replicas open them, by their own keys. Between replicas nothing is encrypted:
a replica that does not keep a box asks one that does by a call, and both shards of a box are written at once.
"""

import logging
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final, Protocol, TypeVar

import trio

from kpclientd.localnet.counters import Counted, Counters
from kpclientd.localnet.faults import Switches
from kpclientd.localnet.in_flight import PacketsInFlight
from kpclientd.localnet.storage.boxes import BoxTable
from kpclientd.localnet.storage.copy_job import (
    CopyJob,
    Dispatch,
    Outcome,
    Pause,
    ReadBox,
    TemporaryStream,
)
from kpclientd.localnet.storage.copy_job import copy_job as start_copy_job
from kpclientd.localnet.storage.courier import Courier, RefusingCourier
from kpclientd.localnet.storage.faults import CourierFaults
from kpclientd.localnet.storage.listed import ListedReplica
from kpclientd.localnet.storage.replica import EnvelopeRefused, Opened, Replica, SealedReply
from kpclientd.pigeonhole.codes import CopyStatus, ReplicaCode
from kpclientd.pigeonhole.copy_streams import StreamDecoder
from kpclientd.pigeonhole.courier_messages import SHARDS, CopyCommandReply, CourierEnvelope
from kpclientd.pigeonhole.errors import PigeonholeError
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.replica_messages import ReplicaRead, ReplicaReadReply, ReplicaReply, ReplicaWrite
from kpclientd.pigeonhole.trunnel import digest
from pki.epoch import EpochClock
from sphinx.randomness import Randomness

logger = logging.getLogger(__name__)

COURIER_ENDPOINT: Final = "courier"

PROXY_SECONDS: Final = 30.0
"""How long a replica waits for one that is down, before it asks the other."""

COPY_REPLY_SECONDS: Final = 60.0
KEPT_OPENED: Final = 4096
KEYS_AHEAD: Final = 3
"""Keys of a new replica epoch are made so many epochs before it begins, so that the first documents have them."""

Result = TypeVar("Result")


class Offload(Protocol):
    """Runs slow work off the event loop."""

    def __call__(self, work: Callable[[], Result], /) -> Awaitable[Result]:
        """Return the result of `work`, or raise its error."""


def in_threads() -> Offload:
    """Work in as many threads as there are processors."""
    limiter = trio.CapacityLimiter(os.cpu_count() or 1)

    async def offload(work: Callable[[], Result], /) -> Result:
        return await trio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=limiter)

    return offload


class Storage:
    """All replicas, and one courier.

    Args:
        replicas: all that are configured, at least two.
        geometry: the network's lengths.
        clock: the network's epochs.
        unix: the wall clock.
        randomness: nonces, and which shard is asked first.
        counters: the network's.
        offload: runs what is slow.
        changed: is told when documents have to say something else.
        path: the file that boxes are kept in; None for memory.

    Attributes:
        replicas: all of them, each with its faults.
        faults: what the courier, and storage as a whole, does wrong.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        *,
        geometry: PigeonholeGeometry,
        clock: EpochClock,
        unix: Callable[[], float],
        randomness: Randomness,
        counters: Counters,
        offload: Offload,
        changed: Callable[[], None],
        path: Path | None = None,
    ) -> None:
        self.replicas = tuple(replicas)
        self._geometry = geometry
        self._clock = clock
        self._unix = unix
        self._randomness = randomness
        self._counters = counters
        self._offload = offload
        self._changed = changed
        self._path = path
        self._by_number = {replica.number: replica for replica in self.replicas}
        self.faults = CourierFaults()
        self._courier = Courier()
        self._opened: OrderedDict[tuple[int, bytes], Opened] = OrderedDict()
        self._boxes: BoxTable | None = None
        self._tasks = PacketsInFlight(lambda: counters.add(Counted.STORAGE_OVERLOADS))

    @property
    def epoch(self) -> int:
        """The present replica epoch, as courier and replicas see it."""
        return self._clock.replica_epoch(self._unix()) + self.faults.weeks_off

    @property
    def listed(self) -> tuple[ListedReplica, ...]:
        """The replicas as documents show them."""
        return tuple(
            ListedReplica(
                one.number,
                one.identity,
                dict(one.keys.public),
                has_old_keys=one.faults.old_keys_listed,
                is_up=not one.faults.unlisted,
            )
            for one in self.replicas
        )

    @property
    def all_faults(self) -> list[Switches]:
        """The switches of the courier and of all replicas."""
        return [self.faults, *(replica.faults for replica in self.replicas)]

    def query(self, payload: bytes) -> bytes | None:
        """Answer a query to the courier at once, and see to what follows from it; None where there is no answer."""
        if self.faults.silent:
            return None
        courier = self._courier if self.faults.code is None else RefusingCourier(self.faults.code)
        answer = courier.query(payload, trio.current_time(), self.epoch)
        if answer is None:
            return None
        self._counters.add(Counted.COURIER_QUERIES)
        if answer.dispatch is not None:
            self._tasks.start(self._dispatch, answer.dispatch)
        if answer.copy is not None:
            self._tasks.start(self._copy, answer.copy)
        return answer.reply

    def restart_courier(self) -> None:
        """Let the courier forget all that it has cached, as a restart does."""
        self._courier = Courier()

    def shards(self, box_id: bytes) -> tuple[Replica, ...]:
        """Return the two configured replicas that keep a box, first and second."""
        ranked = sorted(self.replicas, key=lambda replica: digest(replica.identity.identity_key + box_id))
        return tuple(ranked[:SHARDS])

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started once the keys of this replica epoch and the next are there."""
        self._boxes = BoxTable(self._path)
        try:
            await self._make_keys()
            async with trio.open_nursery() as nursery:
                await nursery.start(self._tasks.run)
                nursery.start_soon(self._watch_faults)
                task_status.started()
                while True:
                    await trio.sleep(self._clock.till_next(self._unix()))
                    if await self._make_keys():
                        self._changed()
        finally:
            self._boxes.close()
            self._boxes = None

    async def _watch_faults(self) -> None:
        """Let documents follow who is to be listed."""

        async def watch(replica: Replica, was: tuple[bool, bool]) -> None:
            while True:
                if (now := _listing_faults(replica)) != was:
                    was = now
                    self._changed()
                await replica.faults.changes.wait()

        async with trio.open_nursery() as nursery:
            for replica in self.replicas:
                nursery.start_soon(watch, replica, _listing_faults(replica))

    async def _make_keys(self) -> bool:
        """Make the public keys that are missing for now and soon; True if there were any."""
        now = self._unix()
        soon = self._clock.replica_epoch(now + KEYS_AHEAD * self._clock.period)
        missing = [
            (replica, epoch)
            for epoch in range(self._clock.replica_epoch(now), soon + 2)  # a document has the next one's, too
            for replica in self.replicas
            if epoch not in replica.keys.public
        ]
        async with trio.open_nursery() as nursery:
            for replica, epoch in missing:
                nursery.start_soon(self._make_key, replica, epoch)
        return bool(missing)

    async def _make_key(self, replica: Replica, epoch: int) -> None:
        assert self._boxes is not None
        name = replica.keys.private_hash(epoch)
        public = self._boxes.find_public_key(name)
        if public is None:
            public = await self._offload(partial(replica.keys.make_public, epoch))
            self._boxes.put_public_key(name, public)
        replica.keys.public[epoch] = public

    async def _dispatch(self, envelope: CourierEnvelope) -> None:
        self._counters.add(Counted.COURIER_DISPATCHES)
        try:
            await self._ask_both(envelope, [])
        finally:
            self._courier.dispatched(envelope)

    async def _ask_both(self, envelope: CourierEnvelope, codes: list[int]) -> None:
        """Ask both intermediates; the codes of their replies go into `codes` as they come."""

        async def ask(number: int) -> None:
            reply = await self._ask(number, envelope)
            if reply is not None:
                codes.append(reply.code)
                self._courier.replied(envelope, reply)

        async with trio.open_nursery() as nursery:
            for number in dict.fromkeys(envelope.replicas):
                nursery.start_soon(ask, number)

    async def _ask(self, number: int, envelope: CourierEnvelope) -> SealedReply | None:
        replica = self._by_number.get(number)
        if replica is None or replica.faults.down:
            return None
        try:
            opened = await self._open(replica, envelope)
        except EnvelopeRefused as refusal:
            reply = SealedReply(0, refusal.code, b"")  # as the reference's, which does not say who it is here
        else:
            reply = await self._answer(replica, opened)
        await trio.sleep(replica.faults.slow)
        return reply

    async def _open(self, replica: Replica, envelope: CourierEnvelope) -> Opened:
        """Open an envelope; those that come again cost nothing."""
        name = replica.number, envelope.hash
        if name not in self._opened or replica.faults.stale_keys:
            opened = await self._offload(partial(replica.open, envelope, self.epoch))
            self._opened[name] = opened
            if len(self._opened) > KEPT_OPENED:
                self._opened.popitem(last=False)
        return self._opened[name]

    async def _answer(self, replica: Replica, opened: Opened) -> SealedReply:
        shards = self.shards(opened.request.box_id)
        if replica in shards:
            return replica.seal(opened, self._execute(replica, opened.request), self._randomness)
        first = self._randomness.below(SHARDS)
        for shard in (shards[first], shards[1 - first]):
            if not shard.faults.down:
                return replica.seal(opened, self._execute(shard, opened.request), self._randomness)
            await trio.sleep(PROXY_SECONDS)
        return SealedReply(replica.number, ReplicaCode.INTERNAL_ERROR, b"")

    def _execute(self, replica: Replica, request: ReplicaRead | ReplicaWrite) -> ReplicaReply:
        assert self._boxes is not None
        reply = replica.execute(request, self._boxes, self.epoch)
        if isinstance(request, ReplicaWrite) and reply.error_code == ReplicaCode.SUCCESS:
            for other in self.shards(request.box_id):
                if other is not replica and not other.faults.down:
                    other.execute(request, self._boxes, self.epoch)
        return reply

    async def _copy(self, write_cap: bytes) -> None:
        self._counters.add(Counted.COPY_JOBS)
        try:
            stream = TemporaryStream(write_cap)
        except PigeonholeError as error:
            logger.debug("a copy job does not begin: %s", error)
            reply = CopyCommandReply(CopyStatus.FAILED)
        else:
            decoder = StreamDecoder(self._geometry)
            reply = await self._do(start_copy_job(stream, decoder))
        self._courier.copied(write_cap, reply, trio.current_time())

    async def _do(self, job: CopyJob) -> CopyCommandReply:
        outcome: Outcome = None
        try:
            while True:
                step = job.send(outcome)
                match step:
                    case Pause(seconds):
                        outcome = None
                        await trio.sleep(seconds)
                    case ReadBox(box_id, shard):
                        outcome = await self._read_directly(box_id, shard)
                    case Dispatch(envelope):
                        codes: list[int] = []
                        with trio.move_on_after(COPY_REPLY_SECONDS):
                            await self._ask_both(envelope, codes)
                        outcome = tuple(codes)
        except StopIteration as end:
            ended: CopyCommandReply = end.value
            return ended

    async def _read_directly(self, box_id: bytes, shard: int) -> ReplicaReadReply | None:
        await trio.lowlevel.checkpoint()
        replica = self.shards(box_id)[shard]
        if replica.faults.down:
            return None
        reply = self._execute(replica, ReplicaRead(box_id))
        assert isinstance(reply, ReplicaReadReply)
        return reply


def _listing_faults(replica: Replica) -> tuple[bool, bool]:
    return replica.faults.unlisted, replica.faults.old_keys_listed
