"""Runs a daemon under a load on a virtual clock, and keeps what an observer of its link sees.

The daemon is real, and so are its applications' frames, the gateway, and the network behind it; that network loses most
packets, which costs it less work and gives retransmissions something to do. Everything is drawn from a seed.

A virtual clock stands still while something is computed. So here each step of the daemon's tasks takes some time of it:
work for an application that comes before a packet or an acknowledgement makes it late, as on a machine. The gateway is
in the same loop, and would be late by what the daemon does after a packet: so a packet's time is that of its write.
"""

import itertools
import math
import os
import random
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

import trio
from trio.testing import MockClock

from arq import Engine
from kpclientd.localnet.in_flight import Arrival
from kpclientd.traffic.sender import Link, _Prepared
from sphinx.types import SurbId
from tests.support.loads import PATTERNS, nothing_breaks
from tests.support.significance import exponential_p_value, independence_p_value, two_sample_p_value
from tests.support.world import GENESIS, World, world

LAMBDA_P, LAMBDA_L = 0.004, 0.002
RATE: Final = (LAMBDA_P + LAMBDA_L) * 1000
"""Sends a second."""

LOSS: Final = 0.75
STEP_SECONDS: Final = 50e-6
LOOK_SECONDS: Final = 1.0
HANDSHAKE_WRITES: Final = 2

Leak = Callable[[World], None]
"""Makes a daemon tell something by its traffic, for tests of the tests."""


@dataclass(frozen=True, slots=True)
class Job:
    """One run.

    Attributes:
        pattern: of the load.
        seed: what the load is drawn from, and the daemon's dice, unless these have one of their own.
        sends: how many.
        leak: how the daemon is spoiled, if at all.
        dice: the seed of network and daemon.
        step_seconds: what a step of the daemon's tasks takes.
    """

    pattern: str
    seed: int
    sends: int
    leak: Leak | None = None
    dice: bytes | None = None
    step_seconds: float = STEP_SECONDS


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """A reply that was acknowledged: when, how long after it was pushed, and whether an application waited for it."""

    time: float
    seconds: float
    is_real: bool


@dataclass(frozen=True, slots=True)
class Seen:
    """What was seen of one run.

    Attributes:
        pattern: of the load.
        stretches: the times of the sends over one link each, in order.
        first_waits: seconds from the beginning of a link to its first send.
        acknowledged: all acknowledgements.
        lengths: of all packets at the gateway (bytes).
        writes: all that was written to the gateway after the handshakes: when, and how much at once (bytes).
        messages: packets that carried something for an application.
    """

    pattern: str
    stretches: tuple[tuple[float, ...], ...]
    first_waits: tuple[float, ...]
    acknowledged: tuple[Acknowledged, ...]
    lengths: frozenset[int]
    writes: tuple[Arrival, ...]
    messages: int

    @property
    def gaps(self) -> list[float]:
        """Seconds between sends over one link."""
        return [later - earlier for stretch in self.stretches for earlier, later in itertools.pairwise(stretch)]

    @property
    def delays(self) -> tuple[list[float], list[float]]:
        """Seconds to the acknowledgements of replies that somebody waited for, and of others."""
        real = [one.seconds for one in self.acknowledged if one.is_real]
        return real, [one.seconds for one in self.acknowledged if not one.is_real]


@dataclass(frozen=True, slots=True)
class Judged:
    """What the sends of one pattern come to; of each p it is said how likely it is if the dice alone decide.

    Attributes:
        pattern: of the load.
        gaps: how many.
        rate: sends a second.
        error: of the rate, relative to the document's.
        law: p of the gaps being exponential, with the document's rate.
        independence: p of the gaps' autocorrelations.
        acknowledgements: p of replies and returned decoys being acknowledged alike; None where there were no replies.
        first_waits: p of the waits for a link's first packet having the law of the gaps; None where links never ended.
    """

    pattern: str
    gaps: int
    rate: float
    error: float
    law: float
    independence: float
    acknowledgements: float | None
    first_waits: float | None

    @classmethod
    def of(cls, seen: Seen) -> "Judged":
        """Judge what was seen of a pattern."""
        gaps, (real, others) = seen.gaps, seen.delays
        rate = len(gaps) / sum(gaps)
        return cls(
            pattern=seen.pattern,
            gaps=len(gaps),
            rate=rate,
            error=rate / RATE - 1,
            law=exponential_p_value(gaps, 1 / RATE),
            independence=independence_p_value(gaps),
            acknowledgements=two_sample_p_value(real, others) if real and others else None,
            first_waits=exponential_p_value(seen.first_waits, 1 / RATE) if seen.first_waits else None,
        )

    @property
    def standard_errors(self) -> float:
        """How many of them the rate is off."""
        return self.error * math.sqrt(self.gaps)

    @property
    def p_values(self) -> list[float]:
        """All that there are."""
        found = (self.law, self.independence, self.acknowledgements, self.first_waits)
        return [p for p in found if p is not None]


def pairs(seen: Sequence[Seen]) -> dict[tuple[str, str], float]:
    """How likely the gaps of each two patterns lie at least so far from each other if one law has both."""
    return {
        (first.pattern, second.pattern): two_sample_p_value(first.gaps, second.gaps)
        for first, second in itertools.combinations(seen, 2)
    }


def observe(job: Job) -> Seen:
    """Do a run."""
    runner: Any = trio._core._run  # its tasks' order is drawn, too; hypothesis makes it repeatable by the same means
    runner._ALLOW_DETERMINISTIC_SCHEDULING = True
    runner._r.seed(job.seed)
    return trio.run(_observe, job, clock=MockClock(autojump_threshold=0))


def observe_all(jobs: Iterable[Job]) -> Iterator[Seen]:
    """Do many, on all processors, and give each when it and those before it are done."""
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=get_context("spawn")) as pool:
        yield from pool.map(observe, jobs)


def together(seen: Sequence[Seen]) -> Seen:
    """Several runs of one pattern as one."""
    return Seen(
        seen[0].pattern,
        tuple(stretch for one in seen for stretch in one.stretches),
        tuple(wait for one in seen for wait in one.first_waits),
        tuple(one for run in seen for one in run.acknowledged),
        frozenset().union(*(one.lengths for one in seen)),
        tuple(write for one in seen for write in one.writes),
        sum(one.messages for one in seen),
    )


async def _observe(job: Job) -> Seen:
    pattern, draws = PATTERNS[job.pattern], random.Random(job.seed)
    kinds: dict[SurbId, bool] = {}
    stretches: list[tuple[float, ...]] = []
    waits: list[float] = []
    lengths: set[int] = set()
    messages = 0
    async with (
        _state_file(pattern.keeps_state) as state,
        world(
            seed=job.dice or b"%d %s" % (job.seed, job.pattern.encode()),
            lambda_p=LAMBDA_P,
            lambda_l=LAMBDA_L,
            is_watched=False,
            step_seconds=job.step_seconds,
            state=state,
        ) as here,
    ):
        here.network.faults.loss = LOSS
        sends = Sends(here)
        acknowledged = here.network.gateway.acknowledgements = []
        here.nursery.start_soon(pattern.load, here, draws)
        while (left := job.sends - sum(map(len, stretches))) > 0:
            _note_kinds(here.daemon.engine, kinds)
            if job.leak is not None:
                job.leak(here)
            before = here.daemon.status().traffic.messages
            packets = await sends.next(min(left, pattern.sends or left) + 1)
            stretches.append(tuple(packet.time for packet in packets))
            lengths |= {packet.length for packet in packets}
            messages += here.daemon.status().traffic.messages - before
            sends.made.clear()
            await pattern.interrupt(here)
            if pattern.interrupt is not nothing_breaks:
                waits.append(await sends.first_wait())
        written = here.dialler.written
    return Seen(
        job.pattern,
        tuple(stretches),
        tuple(waits),
        tuple(Acknowledged(one.time, one.seconds, kinds.get(one.surb_id, False)) for one in acknowledged),
        frozenset(lengths),
        tuple(write for writes in written for write in writes[HANDSHAKE_WRITES:]),
        messages,
    )


@asynccontextmanager
async def _state_file(is_wanted: bool) -> AsyncIterator[Path | None]:
    with TemporaryDirectory(prefix="kpclientd-shape-") as directory:
        yield Path(directory) / "state" if is_wanted else None


class Sends:
    """The packets that leave a daemon, over all of its links and processes.

    Attributes:
        made: when each was written, and its length; may be cleared.
    """

    def __init__(self, here: World) -> None:
        self.made: list[Arrival] = []
        self._here = here
        self._attend()
        here.at_start = self._attend

    def _attend(self) -> None:
        """Look at the present daemon's sender from now on."""
        sender = self._here.daemon.sender
        run = sender._emit

        async def emit(link: Link, prepared: _Prepared) -> None:
            writes = self._here.dialler.written[-1]
            before = len(writes)
            await run(link, prepared)
            if len(writes) > before:
                self.made.append(Arrival(writes[before].time, len(prepared.composed.packet)))

        sender._emit = emit  # type: ignore[method-assign]

    async def next(self, count: int) -> list[Arrival]:
        """The next packets. Not more: when the last of them came is chance, and when we look is not."""
        await self._here.until(lambda: len(self.made) >= count, step=LOOK_SECONDS)
        return self.made[:count]

    async def first_wait(self) -> float:
        """Seconds from the beginning of the present link to its first packet; what left by another is forgotten."""
        opened = self._here.daemon.status().link.since
        assert opened is not None
        self.made[:] = [packet for packet in self.made if packet.time >= opened - GENESIS]
        return (await self.next(1))[0].time - (opened - GENESIS)


def _note_kinds(engine: Engine, kinds: dict[SurbId, bool]) -> None:
    """Keep for each reply whether an application waits for it."""
    receive = engine.receive

    def noting(surb_id: SurbId, payload: bytes, now: float) -> None:
        surb = engine.surbs.find(surb_id)
        kinds[surb_id] = surb is not None and not surb.holder.is_cover
        receive(surb_id, payload, now)

    if receive.__name__ != noting.__name__:
        engine.receive = noting  # type: ignore[method-assign]
