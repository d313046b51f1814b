"""Whoever looks at the status page, packets leave when they would, and nobody waits for long."""

import trio

from kpclientd.status_page.formats import CONTENT_TYPE, metrics_text, status_json
from kpclientd.status_page.server import WebServer
from kpclientd.status_page.site import Resource, Site
from kpclientd.status_page.snapshots import Snapshots
from sphinx.native.engines import PythonEngine, engine_name
from tests.status_page.in_memory import MemoryListener, answer
from tests.support.loop_watch import InlineWorkers, LoopWatch, TaskTree
from tests.support.world import World, world

APPLICATIONS = 300
SECONDS = 60
PATHS = ("/status.json", "/metrics")


async def serve(here: World, listener: MemoryListener) -> None:
    snapshots = Snapshots(here.daemon.status)
    site = Site(
        {
            "/status.json": Resource("application/json", lambda: snapshots.as_bytes(status_json)),
            "/metrics": Resource(CONTENT_TYPE, lambda: snapshots.as_bytes(metrics_text)),
        }
    )
    await WebServer(site, [listener]).run()


async def look(listener: MemoryListener, seconds: float) -> int:
    """Ask for everything each second; returns how often it came."""
    answered = 0
    until = trio.current_time() + seconds
    while trio.current_time() < until:
        for path in PATHS:
            client = listener.connect()
            await client.send_all(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
            answered += (await answer(client)).startswith(b"HTTP/1.1 200 ")
            await client.aclose()
        await trio.sleep(1)
    return answered


async def test_what_is_served_keeps_the_loop_for_little(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        for _ in range(APPLICATIONS):
            await here.app()
        listener = MemoryListener()
        watch = LoopWatch(TaskTree("serve"), InlineWorkers())
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, here, listener)
            trio.lowlevel.add_instrument(watch)
            assert await look(listener, SECONDS / 2) > 10
            trio.lowlevel.remove_instrument(watch)
            nursery.cancel_scope.cancel()
    if engine_name() != PythonEngine.name:
        watch.check()


async def departures(*, looked_at: bool) -> list[float]:
    """When the daemon of always the same world writes to its link."""
    async with world(seed=b"holds up nothing", is_watched=False) as here:
        listener = MemoryListener()
        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            if looked_at:
                nursery.start_soon(serve, here, listener)
                assert await look(listener, SECONDS) > 10
            await trio.sleep_until(began + 2 * SECONDS)
            nursery.cancel_scope.cancel()
        return [write.time - began for write in here.dialler.written[0]]


async def test_packets_leave_at_the_same_times_whoever_looks(autojump_clock: trio.abc.Clock) -> None:
    unseen, seen = await departures(looked_at=False), await departures(looked_at=True)
    assert len(unseen) > SECONDS
    assert [round(at, 6) for at in seen] == [round(at, 6) for at in unseen]
