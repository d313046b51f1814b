"""Figures are made at most once a second, whoever asks."""

import trio

from kpclientd.status import DaemonStatus
from kpclientd.status_page.snapshots import FRESH_SECONDS, Snapshots
from tests.support.world import world


async def test_a_state_is_asked_for_once_a_second_and_each_form_made_once() -> None:
    async with world(connected=False, is_watched=False) as here:
        asked: list[DaemonStatus] = []
        made: list[str] = []

        def status() -> DaemonStatus:
            asked.append(here.daemon.status())
            return asked[-1]

        def first(status: DaemonStatus) -> bytes:
            made.append("first")
            return b"%d" % asked.index(status)

        def second(status: DaemonStatus) -> bytes:
            made.append("second")
            return b"%d" % asked.index(status)

        snapshots = Snapshots(status)
        told: list[bytes] = []

        async def ask() -> None:
            told.append(await snapshots.as_bytes(first))

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(ask)
        told.append(await snapshots.as_bytes(second))
        whole_seconds = int((trio.current_time() - began) / FRESH_SECONDS)
        assert len(asked) <= 1 + whole_seconds
        assert made.count("first") <= 1 + whole_seconds and made.count("second") == 1
        await trio.sleep(FRESH_SECONDS)
        before = len(asked)
        assert await snapshots.as_bytes(first) == b"%d" % before
        assert len(asked) == before + 1
