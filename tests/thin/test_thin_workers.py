"""Workers: how much work runs at once, whose turn it is, and what becomes of it when nobody waits any more."""

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field

import outcome
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from kpclientd.thin.workers import THREADS, Workers
from tests.thin.serving import until


@dataclass
class Work:
    """Pieces of work that end when a test says so, and not before."""

    begun: list[str] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    at_once: int = 0
    most_at_once: int = 0
    _doors: dict[str, threading.Event] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def piece(self, name: str) -> Callable[[], str]:
        door = self._doors[name] = threading.Event()

        def work() -> str:
            with self._lock:
                self.begun.append(name)
                self.threads.add(threading.get_ident())
                self.at_once += 1
                self.most_at_once = max(self.most_at_once, self.at_once)
            assert door.wait(30.0)
            with self._lock:
                self.at_once -= 1
            return name

        return work

    def open(self, *names: str) -> None:
        for name in names:
            self._doors[name].set()

    def open_all(self) -> None:
        self.open(*self._doors)

    async def until_begun(self, count: int) -> None:
        await until(lambda: len(self.begun) >= count)


@pytest.fixture
def work() -> Work:
    return Work()


async def test_a_result_comes_back_to_who_asked_from_another_thread() -> None:
    workers = Workers()
    thread = await workers.run("a", threading.get_ident)
    assert thread != threading.get_ident()
    assert (workers.done, workers.running, workers.waiting) == (1, 0, 0)


async def test_an_error_comes_back_to_who_asked_and_frees_its_thread() -> None:
    workers = Workers(threads=1)

    def fail() -> None:
        raise ValueError("a fault in the work")

    with pytest.raises(ValueError, match="a fault in the work"):
        await workers.run("a", fail)
    assert workers.running == 0
    assert await workers.run("a", lambda: "next") == "next"


async def test_so_many_pieces_run_at_once_and_no_more(work: Work) -> None:
    workers = Workers()
    async with trio.open_nursery() as nursery:
        for number in range(10):
            nursery.start_soon(workers.run, "owner", work.piece(str(number)))
        await work.until_begun(THREADS)
        await wait_all_tasks_blocked()
        assert (workers.running, workers.waiting) == (THREADS, 10 - THREADS)
        assert len(work.begun) == THREADS
        work.open_all()
    assert work.most_at_once == THREADS
    assert threading.get_ident() not in work.threads
    assert (workers.done, workers.running, workers.waiting) == (10, 0, 0)


async def test_one_owners_hundred_pieces_cost_anothers_one_a_single_piece(work: Work) -> None:
    workers = Workers(threads=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run, "first", work.piece("first"))
        await work.until_begun(1)
        for number in range(100):
            nursery.start_soon(workers.run, "many", work.piece(f"many {number}"))
            await wait_all_tasks_blocked()
        nursery.start_soon(workers.run, "one", work.piece("one"))
        await wait_all_tasks_blocked()
        assert workers.waiting == 101
        work.open_all()
    assert work.begun[:3] == ["first", "many 0", "one"]
    assert work.begun[3:] == [f"many {number}" for number in range(1, 100)]


async def test_owners_that_wait_for_nothing_are_forgotten(work: Work) -> None:
    workers = Workers(threads=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run, "x", work.piece("x"))
        await work.until_begun(1)
        async with trio.open_nursery() as callers:
            callers.start_soon(workers.run, "cancelled", work.piece("cancelled"))
            nursery.start_soon(workers.run, "served", work.piece("served"))
            await wait_all_tasks_blocked()
            assert set(workers._lines.lengths()) == {"cancelled", "served"}
            callers.cancel_scope.cancel()
        work.open_all()
    await workers.run("cancelled", lambda: None)
    assert set(workers._lines.lengths()) <= {"cancelled"}


async def test_owners_have_their_turns_one_after_the_other(work: Work) -> None:
    workers = Workers(threads=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run, "x", work.piece("x"))
        await work.until_begun(1)
        for owner in "abc":
            for number in range(3):
                nursery.start_soon(workers.run, owner, work.piece(f"{owner}{number}"))
                await wait_all_tasks_blocked()
        work.open_all()
    assert work.begun[1:] == ["a0", "b0", "c0", "a1", "b1", "c1", "a2", "b2", "c2"]


async def test_work_that_still_waits_when_its_caller_is_cancelled_is_never_begun(work: Work) -> None:
    workers = Workers(threads=1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run, "a", work.piece("running"))
        await work.until_begun(1)
        async with trio.open_nursery() as callers:
            for number in range(5):
                callers.start_soon(workers.run, "b", work.piece(f"cancelled {number}"))
            await wait_all_tasks_blocked()
            callers.cancel_scope.cancel()
        nursery.start_soon(workers.run, "b", work.piece("later"))
        await wait_all_tasks_blocked()
        work.open_all()
    assert work.begun == ["running", "later"]
    assert (workers.done, workers.running, workers.waiting) == (2, 0, 0)


async def test_a_thread_whose_caller_is_cancelled_counts_as_busy_until_its_work_ends(work: Work) -> None:
    workers = Workers(threads=1)
    async with trio.open_nursery() as nursery:
        async with trio.open_nursery() as callers:
            callers.start_soon(workers.run, "a", work.piece("abandoned"))
            await work.until_begun(1)
            callers.cancel_scope.cancel()
        assert workers.running == 1
        nursery.start_soon(workers.run, "a", work.piece("next"))
        await wait_all_tasks_blocked()
        assert work.begun == ["abandoned"]
        work.open("abandoned")
        await work.until_begun(2)
        work.open("next")
    assert work.most_at_once == 1
    assert (workers.done, workers.running) == (2, 0)


async def test_a_caller_that_is_cancelled_as_its_turn_comes_gives_it_to_the_next(work: Work) -> None:
    workers = Workers(threads=1)
    scope = trio.CancelScope()

    async def doomed() -> None:
        with scope:
            await workers.run("b", work.piece("doomed"))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(workers.run, "a", work.piece("running"))
        await work.until_begun(1)
        nursery.start_soon(doomed)
        await wait_all_tasks_blocked()
        nursery.start_soon(workers.run, "c", work.piece("next"))
        await wait_all_tasks_blocked()
        release = workers._release

        def releasing() -> None:
            scope.cancel()  # in the same moment in which its turn comes
            release()

        workers._release = releasing  # type: ignore[method-assign]
        work.open("running", "next")
        await work.until_begun(2)
    assert work.begun == ["running", "next"]
    assert (workers.running, workers.waiting) == (0, 0)


async def test_without_threads_work_runs_at_once_where_it_is_asked_for() -> None:
    workers = Workers(threads=0)
    assert await workers.run("a", threading.get_ident) == threading.get_ident()
    assert (workers.running, workers.waiting) == (0, 0)


def test_work_that_ends_after_the_loop_harms_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    deliveries: list[Callable[[], None]] = []

    def start_thread_soon(work: Callable[[], object], deliver: Callable[[outcome.Outcome[object]], None]) -> None:
        deliveries.append(lambda: deliver(outcome.capture(work)))

    monkeypatch.setattr("trio.lowlevel.start_thread_soon", start_thread_soon)
    workers = Workers(threads=1)

    async def main() -> None:
        with trio.move_on_after(0):
            await workers.run("a", lambda: "late")

    trio.run(main)
    (deliver,) = deliveries
    deliver()
    assert workers.done == 0, "there is no loop on which it could be counted"


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a thread has no priority of its own")
async def test_work_of_a_lower_priority_runs_in_threads_of_its_own(work: Work) -> None:
    mine = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    lower, usual = Workers(threads=2, niceness=mine + 5), Workers()

    def priority() -> tuple[int, int]:
        return threading.get_ident(), os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    seen = {await lower.run("a", priority) for _ in range(8)}
    assert {niceness for _, niceness in seen} == {min(mine + 5, 19)}
    for _ in range(8):
        thread, niceness = await usual.run("a", priority)
        assert niceness == mine
        assert thread not in {other for other, _ in seen}


async def test_work_of_a_lower_priority_runs_side_by_side_and_its_errors_come_back(work: Work) -> None:
    workers = Workers(threads=2, niceness=1)
    async with trio.open_nursery() as nursery:
        for name in "ab":
            nursery.start_soon(workers.run, name, work.piece(name))
        await work.until_begun(2)
        work.open_all()
    assert work.most_at_once == 2

    def fail() -> None:
        raise ValueError("a fault in the work")

    for _ in range(3):
        with pytest.raises(ValueError, match="a fault in the work"):
            await workers.run("a", fail)
    assert (workers.running, workers.waiting) == (0, 0)
