"""Timers of the daemon's machines, and a process that was stopped: its clocks went on, and it did nothing."""

import trio
import trio.testing

from kpclientd.network_time import ClockChange, NetworkTime
from kpclientd.timers import STOOD_STILL_SECONDS, Timekeeper
from tests.support.world import world

BEGIN = 1_800_000_000.0


class Machine:
    """Wants to be called at some times."""

    def __init__(self, *times: float) -> None:
        self.times = list(times)
        self.called: list[float] = []

    def next_timer(self) -> float | None:
        return self.times[0] if self.times else None

    def handle_timers(self, now: float) -> None:
        while self.times and self.times[0] <= now:
            self.called.append(self.times.pop(0))


async def test_timers_are_handled_in_time_and_a_process_that_stood_still_is_told(
    autojump_clock: trio.testing.MockClock,
) -> None:
    stood_still: list[float] = []
    changes: list[ClockChange] = []
    machine = Machine(0.25, 3.5, 200.0)
    time = NetworkTime(
        lambda: BEGIN + trio.current_time(),
        trio.current_time,
        elapsed=trio.current_time,
        period=1200.0,
        beginning=0.0,
        correct=False,
    )
    async with trio.open_nursery() as nursery:
        timekeeper = Timekeeper(
            (machine,),
            time,
            on_progress=lambda: None,
            on_clock_change=changes.append,
            on_stood_still=stood_still.append,
        )
        nursery.start_soon(timekeeper.run)
        await trio.sleep(20.5)
        assert (machine.called, stood_still) == ([0.25, 3.5], [])
        autojump_clock.jump(STOOD_STILL_SECONDS)
        await trio.sleep(5)
        assert stood_still == [], "a busy machine may be late"
        autojump_clock.jump(70.0)
        await trio.sleep(0.1)
        assert len(stood_still) == 1
        assert 69.0 <= stood_still[0] <= 70.0
        await trio.sleep(300)
        assert (machine.called, len(stood_still), changes) == ([0.25, 3.5, 200.0], 1, [])
        nursery.cancel_scope.cancel()


async def test_who_is_awake_looks_in_passing_and_nobody_is_woken_for_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    looks: list[float] = []

    def elapsed() -> float:
        looks.append(trio.current_time())
        return trio.current_time()

    stood_still: list[float] = []
    machine = Machine(0.25, 3.5, 200.0)
    time = NetworkTime(
        lambda: BEGIN + trio.current_time(),
        trio.current_time,
        elapsed=elapsed,
        period=1200.0,
        beginning=0.0,
        correct=False,
    )
    async with trio.open_nursery() as nursery:
        timekeeper = Timekeeper(
            (machine,),
            time,
            on_progress=lambda: None,
            on_clock_change=lambda change: None,
            on_stood_still=stood_still.append,
        )
        nursery.start_soon(timekeeper.run)
        await trio.sleep(4.0)
        looks.clear()
        passing = [4.0 + 0.3 * number for number in range(1, 101)]
        for at in passing:
            await trio.sleep_until(at)
            timekeeper.look_in_passing()
        assert looks == passing[::2], "each half second, by nobody else"
        autojump_clock.jump(70.0)
        timekeeper.look_in_passing()
        assert len(stood_still) == 1
        assert 69.0 <= stood_still[0] <= 70.0
        await trio.sleep(200)
        assert (machine.called, len(stood_still)) == ([0.25, 3.5, 200.0], 1)
        nursery.cancel_scope.cancel()


async def test_a_daemon_that_was_stopped_for_a_minute_leaves_its_gateway_at_once(
    autojump_clock: trio.testing.MockClock,
) -> None:
    # A genuine gateway delivers nothing any more then, though it goes on taking packets.
    async with world() as here:
        app = await here.app()
        autojump_clock.jump(70.0)
        await trio.sleep(2.0)
        link = here.daemon.status().link
        assert (link.links, link.gateway) == (2, "gateway1")
        assert link.last_end is not None
        assert "the way to the network has changed" in link.last_end.reason
        for number in range(5):
            await app.send(here.service(), b"after", number.to_bytes(16, "big"))
        await here.until(lambda: len(app.replies) == 5, 120)
