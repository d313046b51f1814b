"""Watches that nothing of the daemon holds up the event loop: each step of its tasks is measured in processor time."""

import resource
import time
from collections.abc import Callable
from typing import TypeVar

import trio

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


class LoopWatch(trio.abc.Instrument):
    """Measures the steps of all tasks below `root`, less what ran inline for want of threads.

    Collections of garbage are left out, too: what is collected is the test's and the network's, in the same process. So
    are steps in which the system gave the processor to somebody else: what it counts then is not the step's alone.
    """

    def __init__(self, root: Callable[[trio.lowlevel.Task], bool], workers: InlineWorkers) -> None:
        self.longest = 0.0
        self.long_steps = 0
        self._collection = 0.0
        self.task = ""
        self._is_root = root
        self._workers = workers
        self._is_watched: dict[int, bool] = {}
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

    def task_exited(self, task: trio.lowlevel.Task) -> None:
        self._is_watched.pop(id(task), None)

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self._inline = self._workers.seconds + self._collection
        self._switches = _switches()
        self._began = time.thread_time()

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        took = time.thread_time() - self._began - (self._workers.seconds + self._collection - self._inline)
        if took > LONG_STEP_SECONDS and _switches() == self._switches and self._watches(task):
            self.long_steps += 1
            if took > self.longest:
                self.longest, self.task = took, task.name

    def _watches(self, task: trio.lowlevel.Task) -> bool:
        known = self._is_watched.get(id(task))
        if known is None:
            parent = task.parent_nursery
            known = self._is_root(task) or (parent is not None and self._watches(parent.parent_task))
            self._is_watched[id(task)] = known
        return known
