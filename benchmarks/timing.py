"""How every benchmark takes its times."""

import statistics
import time
import timeit
from collections.abc import Callable, Mapping
from typing import Final

NANOSECONDS: Final = 1e9

Row = tuple[str, float, float | None]
"""What was measured, its median seconds, and the floor below which they cannot fall, if there is one."""

SECONDS_PER_SAMPLE: Final = 0.004
"""Long beside the clock's own call."""


def median_seconds(run: Callable[[], object], repeats: int) -> float:
    """The median time of one call."""
    samples = []
    for _ in range(repeats):
        begin = time.perf_counter()
        run()
        samples.append(time.perf_counter() - begin)
    return statistics.median(samples)


def processor_seconds_in_turns(calls: Mapping[str, Callable[[], object]], turns: int) -> dict[str, float]:
    """The median processor time of each call; all take turns, so that what slows the machine slows them alike."""
    timers = {name: timeit.Timer(call, timer=time.process_time) for name, call in calls.items()}
    once = {name: min(timer.repeat(3, 1)) for name, timer in timers.items()}
    numbers = {name: max(1, int(SECONDS_PER_SAMPLE / max(once[name], 1e-7))) for name in calls}
    samples: dict[str, list[float]] = {name: [] for name in calls}
    for _ in range(turns):
        for name, timer in timers.items():
            samples[name].append(timer.timeit(numbers[name]) / numbers[name])
    return {name: statistics.median(values) for name, values in samples.items()}
