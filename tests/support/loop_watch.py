"""Watches that nothing of the daemon holds up the event loop: each step of its tasks is measured in processor time.

And lets time pass with each step, where a virtual clock stands still otherwise.
"""

import resource
import time
from collections.abc import Callable
from typing import TypeVar
from weakref import WeakKeyDictionary

import trio
import trio.testing

from kpclientd.thin.workers import Workers

LONG_STEP_SECONDS = 0.005
LONGEST_STEP_SECONDS = 0.015
MOST_LONG_STEPS = 2
"""What a busy machine alone does to a few steps among many thousands."""

Result = TypeVar("Result")


def _switches() -> int:
    """How often this thread lost the processor against its will."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nivcsw


class InlineWorkers(Workers):
    """Runs slow work on the loop, as virtual clocks need it, and knows how long it took."""

    def __init__(self) -> None:
        super().__init__(threads=0)
        self.seconds = 0.0

    async def run(self, owner: object, work: Callable[[], Result]) -> Result:
        began = time.thread_time()
        try:
            return work()
        finally:
            self.seconds += time.thread_time() - began


class TaskTree:
    """Tasks of certain names, and all below them.

    Args:
        roots: what the names end with.
    """

    def __init__(self, *roots: str) -> None:
        self._roots = roots
        self._known: WeakKeyDictionary[trio.lowlevel.Task, bool] = WeakKeyDictionary()

    def has(self, task: trio.lowlevel.Task) -> bool:
        """Whether `task` is one of them."""
        known = self._known.get(task)
        if known is None:
            parent = task.parent_nursery
            known = task.name.endswith(self._roots) or (parent is not None and self.has(parent.parent_task))
            self._known[task] = known
        return known


class StepCost(trio.abc.Instrument):
    """Lets a virtual clock go on with each step of some tasks: what they do more of takes longer.

    Args:
        tasks: these.
        seconds: for a step.
    """

    def __init__(self, tasks: TaskTree, seconds: float) -> None:
        clock = trio.lowlevel.current_clock()
        assert isinstance(clock, trio.testing.MockClock)
        self._clock = clock
        self._tasks = tasks
        self._seconds = seconds

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        if self._tasks.has(task):
            self._clock.jump(self._seconds)


class LoopWatch(trio.abc.Instrument):
    """Measures the steps of `tasks`, less what ran inline for want of threads.

    Collections of garbage are left out, too: what is collected is the test's and the network's, in the same process. So
    are steps in which the system gave the processor to somebody else: what it counts then is not the step's alone.
    """

    def __init__(self, tasks: TaskTree, workers: InlineWorkers) -> None:
        self.longest = 0.0
        self.long_steps = 0
        self._collection = 0.0
        self.task = ""
        self._tasks = tasks
        self._workers = workers
        self._began = self._inline = 0.0
        self._switches = 0

    def check(self) -> None:
        """Fail if the loop was held up."""
        what = f"{self.task} kept the loop for {self.longest * 1e3:.1f} ms"
        assert self.longest <= LONGEST_STEP_SECONDS, what
        assert self.long_steps <= MOST_LONG_STEPS, f"{what}; {self.long_steps} steps above 5 ms"

    def collects(self, phase: str, _: dict[str, int]) -> None:
        """To be one of `gc.callbacks`."""
        self._collection += -time.thread_time() if phase == "start" else time.thread_time()

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._inline = self._workers.seconds + self._collection
        self._switches = _switches()
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = time.thread_time() - self._began - (self._workers.seconds + self._collection - self._inline)
        if took > LONG_STEP_SECONDS and _switches() == self._switches and self._tasks.has(task):
            self.long_steps += 1
            if took > self.longest:
                self.longest, self.task = took, task.name
