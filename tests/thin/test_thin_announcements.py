"""What every application is told: by whom it is waited for, when it is greeted, and that each frame is made once."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from trio.testing import MockClock, lockstep_stream_pair

from kpclientd.thin import events
from kpclientd.thin.announcements import DOCUMENT_WAIT_SECONDS, Announcements
from kpclientd.thin.connection import HOLD_SECONDS
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.outbox import Frame
from tests.thin.applications import Bench, opened
from tests.thin.serving import decoded, settle

DOCUMENT = events.new_pki_document(b"document")
NO_DOCUMENT = events.new_pki_document(None)
FRAME = encode_frame(DOCUMENT)


def status(*, connected: bool) -> events.Event:
    return events.connection_status(
        connected=connected, instance_token=b"i" * 16, sphinx_geometry={"a": 1}, pigeonhole_geometry={"b": "c"}
    )


class Late:
    """Announcements of sessions that are made after it."""

    def __init__(self) -> None:
        self.made: Announcements | None = None

    @property
    def is_ready(self) -> bool:
        assert self.made is not None
        return self.made.is_ready

    async def ready(self) -> None:
        assert self.made is not None
        await self.made.ready()

    def greeting(self) -> tuple[Frame, Frame]:
        assert self.made is not None
        return self.made.greeting()


@asynccontextmanager
async def announcing(**options: Any) -> AsyncIterator[tuple[Bench, Announcements]]:
    late = Late()
    async with opened(greeter=late, **options) as bench:
        late.made = Announcements(
            bench.sessions, instance_token=b"i" * 16, sphinx_geometry={"a": 1}, pigeonhole_geometry={"b": "c"}
        )
        yield bench, late.made


async def test_applications_wait_for_a_first_document_and_are_greeted_with_it(autojump_clock: MockClock) -> None:
    async with announcing() as (bench, announcements):
        announcements.begin()
        apps = [bench.connect() for _ in range(3)]
        announcements.set_connected(True)
        for app in apps:
            assert await app.hears(1.0) == []
        announcements.set_document(FRAME)
        for app in apps:
            assert await app.hears(2 * HOLD_SECONDS) == [status(connected=True), DOCUMENT], "and nothing of it twice"


async def test_nobody_waits_longer_than_for_a_while_after_the_daemons_start(autojump_clock: MockClock) -> None:
    async with announcing() as (bench, announcements):
        announcements.begin()
        await trio.sleep(DOCUMENT_WAIT_SECONDS - 1.0)
        app = bench.connect()
        assert await app.hears(0.5) == []
        assert await app.hears(1.0) == [status(connected=False), NO_DOCUMENT]
        later = bench.connect()
        assert await later.hears() == [status(connected=False), NO_DOCUMENT]
        announcements.set_document(FRAME)
        assert await app.hears(HOLD_SECONDS) == [DOCUMENT]


async def test_without_a_start_the_wait_begins_with_the_first_application(autojump_clock: MockClock) -> None:
    async with announcing() as (bench, _):
        await trio.sleep(1000.0)
        app = bench.connect()
        assert await app.hears(DOCUMENT_WAIT_SECONDS - 1.0) == []
        assert len(await app.hears(1.1)) == 2


async def test_everybody_is_told_when_something_changes_and_newcomers_are_greeted_with_it(
    autojump_clock: MockClock,
) -> None:
    async with announcing() as (bench, announcements):
        announcements.set_document(FRAME)
        apps = [bench.connect() for _ in range(3)]
        await settle(HOLD_SECONDS + 0.1)
        announcements.set_connected(True)
        newer = events.new_pki_document(b"newer")
        announcements.set_document(encode_frame(newer))
        for app in apps:
            heard = await app.hears()
            assert heard == [status(connected=False), DOCUMENT, status(connected=True), newer]
        assert await bench.connect().hears() == [status(connected=True), newer]


async def test_an_event_is_made_once_however_many_are_told(autojump_clock: MockClock) -> None:
    async with announcing() as (bench, announcements):
        announcements.set_document(FRAME)
        apps = [bench.connect(lockstep_stream_pair) for _ in range(5)]
        await settle(HOLD_SECONDS + 0.1)  # nobody reads: what is said now waits
        announcements.set_connected(True)
        announcements.set_document(FRAME)
        waiting = [list(app.session.outbox) for app in apps]
        assert decoded(*[frame.data for frame in waiting[0]])[-2:] == [status(connected=True), DOCUMENT]
        for frames in waiting[1:]:
            assert [frame.data for frame in frames] == [frame.data for frame in waiting[0]]
            assert all(one.data is other.data for one, other in zip(frames, waiting[0], strict=True))


async def test_what_everybody_is_told_is_not_kept_for_those_that_are_away(autojump_clock: MockClock) -> None:
    async with announcing() as (bench, announcements):
        announcements.set_document(FRAME)
        app = bench.connect()
        await app.hears()
        await app.registered()
        await app.stream.aclose()
        await settle()
        announcements.set_connected(True)
        again = bench.connect()
        assert await again.hears() == [status(connected=True), DOCUMENT]
        assert (await again.registered())["resumed"]
        assert await again.hears(2 * HOLD_SECONDS) == []
        assert bench.sessions.counts.answers_dropped == 0


async def test_at_the_end_everybody_that_was_greeted_is_told(autojump_clock: MockClock) -> None:
    async with announcing() as (bench, announcements):
        announcements.set_document(FRAME)
        apps = [bench.connect() for _ in range(2)]
        await settle()
        announcements.set_connected(True)
        await announcements.shut_down()
        for app in apps:
            heard = await app.hears()
            assert heard == [status(connected=False), DOCUMENT, status(connected=True), events.shutdown()]
