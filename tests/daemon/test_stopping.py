"""What a daemon does that was told to stop: everything it owes its applications, and all of that in five seconds."""

from pathlib import Path

import trio
import trio.testing

from kpclientd.client.connection import ThinClient
from kpclientd.thin.announcements import DRAIN_SECONDS, SHUTDOWN_SECONDS
from tests.support.world import App, World, world

MOST_SECONDS = 5.0
TOKEN = bytes(range(16))


async def slow_app(here: World) -> App:
    """An application of which nothing is read in advance: the daemon waits with each write until it has been read."""
    ours, theirs = trio.testing.lockstep_stream_pair()
    here.serve(theirs)
    app = App(ThinClient(ours), ours)
    await app.client.shake_hands(TOKEN)
    return app


async def stopped(here: World) -> float:
    """Stop the daemon; how long that took (seconds)."""
    began = trio.current_time()
    with trio.fail_after(60):
        await here.stop()
    return trio.current_time() - began


async def test_answers_that_are_there_are_written_before_the_end(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as here:
        app, service = await slow_app(here), here.service()
        ids = [number.to_bytes(16) for number in range(1, 6)]
        for surb_id in ids:
            await app.send(service, b"are you there", surb_id)
        await here.until(lambda: here.daemon.status().traffic.messages == len(ids), 600)
        await here.until(lambda: not here.daemon.status().in_flight, 600)

        async def read_late() -> None:
            await trio.sleep(DRAIN_SECONDS / 2)
            try:
                await app.listen()
            except Exception as error:
                app.events.append({"end": str(error)})

        here.nursery.start_soon(read_late)
        assert await stopped(here) < MOST_SECONDS
        await trio.sleep(0.1)
        assert sorted(app.replies) == ids
        assert "shutdown_event" in app.events[-2] and "end" in app.events[-1]


async def test_nobody_holds_up_the_end_by_not_reading(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as here:
        await slow_app(here)
        seconds = await stopped(here)
        assert DRAIN_SECONDS <= seconds < MOST_SECONDS


async def test_where_all_is_read_the_end_comes_at_once(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as here:
        app = await here.app()
        assert await stopped(here) < SHUTDOWN_SECONDS * 2
        await trio.sleep(0.1)
        assert "shutdown_event" in app.events[-2]


async def test_what_is_under_way_is_on_the_disk(autojump_clock: trio.testing.MockClock, tmp_path: Path) -> None:
    async with world(state=tmp_path / "state", is_watched=False) as here:
        app = await here.app(TOKEN)
        here.network.faults.loss = 1.0
        for number in range(1, 4):
            await app.send(here.service(), b"are you there", number.to_bytes(16))
        await trio.sleep(0.05)
        assert await stopped(here) < MOST_SECONDS
        await here.restart()
        held = here.daemon.engine.owned_by(next(iter(here.daemon.sessions)).app_id)
        assert len(list(held)) == 3


async def test_the_link_is_closed_and_nothing_is_sent_any_more(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as here:
        await slow_app(here)
        here.daemon.stop()
        await trio.sleep(0.01)
        assert here.daemon.connector.link is None
        written = len(here.dialler.written[-1])
        await trio.sleep(DRAIN_SECONDS - 0.1)
        assert len(here.dialler.written[-1]) == written
