"""Commits while the daemon runs: nobody is told before the disk has it, and a disk that fails stops nothing."""

import errno
import logging
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from arq import AppId, Engine, Operation, Policy, State
from kpclientd.state.errors import StateError
from kpclientd.state.keeper import ANSWER_SECONDS, LAZY_SECONDS, RETRY_SECONDS, StateKeeper, opened_keeper
from kpclientd.state.record_log import recover
from kpclientd.state.rows import DaemonState, read_rows
from kpclientd.state.state_file import opened
from kpclientd.thin.framing import FrameReader, encode_frame
from kpclientd.thin.notifier import Notifier
from kpclientd.thin.outbox import Frame
from kpclientd.thin.sessions import Session, SessionBounds, Sessions
from kpclientd.traffic.queues import FairQueues
from sphinx.randomness import seeded
from tests.arq.engine_bench import message, open_reply
from tests.support.no_polls import NoPolls
from tests.thin.serving import Peer, connected

KEY = bytes(32)
TOKEN = b"t" * 16
OFFSET = 1_800_000_000.0


class Disk:
    """Runs what blocks on the loop, and may be slow or broken."""

    def __init__(self) -> None:
        self.open = trio.Event()
        self.open.set()
        self.works = 0
        self.broken: OSError | None = None
        self.before_work: Callable[[str], None] = lambda name: None

    def become_slow(self) -> None:
        self.open = trio.Event()

    async def __call__(self, work: Callable[[], Any], /) -> Any:
        await self.open.wait()
        self.works += 1
        name = getattr(work, "func", work).__name__
        self.before_work(name)
        if self.broken is not None and name in ("append", "begin_rewrite"):
            raise self.broken
        return work()


class House:
    """What a daemon keeps, with its keeper."""

    def __init__(self, keeper: StateKeeper, disk: Disk, path: Path) -> None:
        self.keeper, self.disk, self.path = keeper, disk, path
        randomness = seeded(b"house %d" % trio.current_time())
        self.engine = Engine(open_reply, randomness, Policy(), keeper.journal.operation_changed)
        self.queues: FairQueues[AppId, Operation] = FairQueues()
        self.sessions = Sessions(
            randomness,
            SessionBounds(),
            destroy=self.engine.cancel_owner,
            bytes_of=self.engine.bytes_of,
            on_change=keeper.journal.session_changed,
            next_commit=keeper.journal.next_commit,
            marks=keeper.marks,
        )
        self.notifier = Notifier(self.engine, self.sessions, self.queues, lambda: OFFSET, NoPolls())
        keeper.restore(self.engine, self.sessions, lambda: OFFSET, trio.current_time())
        self.notifier.pump()

    def app(self, token: bytes = TOKEN) -> tuple[Peer, Session]:
        peer, session = connected(self.sessions)
        registration = self.sessions.register(session, token)
        peer.session = registration.session
        for frame in registration.kept:
            self.sessions.put(registration.session, frame)
        return peer, registration.session

    def send(self, session: Session, name: bytes = b"m" * 16, payload: bytes = b"hello") -> Operation:
        operation = self.engine.accept(message(session.app_id, message_id=name, reliable=True, payload=payload))
        self.notifier.pump()
        return operation

    def leave(self, operation: Operation) -> None:
        now = trio.current_time()
        self.engine.departs(operation, self.engine.surb_id_for(operation), b"keys", 1.0, now)
        self.engine.left(operation, now)
        self.notifier.pump()

    def answer(self, operation: Operation) -> None:
        assert operation.surb_id is not None
        self.engine.receive(operation.surb_id, b"keys" + b"answer", trio.current_time())
        self.notifier.pump()

    def told(self, session: Session) -> list[str]:
        """What the application would be written now."""
        data = session.outbox.take(1 << 20, self.sessions.durable)
        return [event for frame in FrameReader().feed(data) for event in frame]

    @property
    def on_disk(self) -> DaemonState:
        return read_rows(recover(self.path.read_bytes(), KEY).rows, {})


@asynccontextmanager
async def house(path: Path, disk: Disk | None = None) -> AsyncIterator[House]:
    disk = disk or Disk()
    with opened(path, lambda _: KEY, seeded(b"%f" % trio.current_time())) as file:
        kept = House(StateKeeper(file, None, disk), disk, path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(kept.keeper.run, kept.engine, kept.sessions, lambda: OFFSET)
            yield kept
            nursery.cancel_scope.cancel()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


async def settle(seconds: float = 0.0) -> None:
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()


async def test_an_application_is_told_once_it_is_on_the_disk(path: Path, autojump_clock: trio.abc.Clock) -> None:
    async with house(path) as here:
        _, session = here.app()
        operation = here.send(session)
        await settle(2 * LAZY_SECONDS)
        assert [one.message.payload for one in here.on_disk.operations] == [b"hello"]
        here.disk.become_slow()
        here.leave(operation)
        await settle(60.0)
        assert here.told(session) == []
        here.disk.open.set()
        await settle()
        assert here.told(session) == ["message_sent_event"]
        assert here.on_disk.operations[0].expires_at is not None

        here.disk.become_slow()
        here.answer(operation)
        await settle(60.0)
        assert here.told(session) == []
        here.disk.open.set()
        await settle()
        (kept,) = here.on_disk.sessions
        assert len(kept.answers) == 1, "the answer and the end of its operation are on the disk together"
        assert [one.state.value for one in here.on_disk.operations] == ["answered"]
        assert here.told(session) == ["message_reply_event"]


async def test_what_nobody_waits_for_is_committed_within_a_second_and_together(
    path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with house(path) as here:
        _, session = here.app()
        here.leave(here.send(session))  # somebody waits for this commit, and not for those after it
        await settle(2 * LAZY_SECONDS)
        works = here.disk.works
        for number in range(50):
            here.send(session, number.to_bytes(16, "big"))
            await trio.sleep(0.01)
        await settle(2 * LAZY_SECONDS)
        assert here.disk.works - works <= 2
        assert len(here.on_disk.operations) == 51
        works = here.disk.works
        await settle(3600.0)
        assert here.disk.works == works, "at rest the disk is left alone"


async def test_messages_that_leave_soon_after_one_another_cost_one_commit(
    path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with house(path) as here:
        _, session = here.app()
        operations = [here.send(session, number.to_bytes(16, "big")) for number in range(10)]
        await settle(2 * LAZY_SECONDS)
        works = here.disk.works
        for operation in operations:
            here.leave(operation)
            await trio.sleep(LAZY_SECONDS / 20)
        assert here.told(session) == []
        await settle(LAZY_SECONDS)
        assert here.told(session) == 10 * ["message_sent_event"]
        assert here.disk.works == works + 1


async def test_nothing_waits_long_behind_the_news_that_a_message_has_left(
    path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with house(path) as here:
        _, session = here.app()
        operation = here.send(session)
        await settle(2 * LAZY_SECONDS)
        here.leave(operation)
        await settle(LAZY_SECONDS / 10)
        assert here.told(session) == []
        here.sessions.put(session, Frame(encode_frame({"get_pki_document_reply": {}})))
        await settle()
        assert here.told(session) == ["message_sent_event", "get_pki_document_reply"]


async def test_answers_that_come_fast_share_commits_and_one_that_comes_alone_does_not_wait(
    path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with house(path) as here:
        _, session = here.app()
        operations = [here.send(session, number.to_bytes(16, "big")) for number in range(20)]
        for operation in operations:
            here.leave(operation)
        await settle(2 * LAZY_SECONDS)
        here.told(session)
        here.answer(operations[0])
        await settle()
        assert here.told(session) == ["message_reply_event"]
        works = here.disk.works
        for operation in operations[1:]:
            await trio.sleep(ANSWER_SECONDS / 10)
            here.answer(operation)
        await settle(ANSWER_SECONDS)
        assert here.told(session) == 19 * ["message_reply_event"]
        assert here.disk.works - works <= 3


async def test_a_retransmission_costs_the_disk_nothing(path: Path, autojump_clock: trio.abc.Clock) -> None:
    async with house(path) as here:
        _, session = here.app()
        operation = here.send(session)
        here.leave(operation)
        await settle(2 * LAZY_SECONDS)
        size = path.stat().st_size
        for _ in range(3):
            await trio.sleep(60.0)
            here.engine.handle_timers(trio.current_time())
            here.leave(operation)
        await settle(2 * LAZY_SECONDS)
        assert operation.transmissions == 4
        assert path.stat().st_size == size


@pytest.mark.parametrize("seed", range(20))
async def test_whenever_the_new_file_takes_its_place_answers_and_operations_agree(
    path: Path, autojump_clock: trio.abc.Clock, seed: int
) -> None:
    chance = random.Random(seed)

    async with house(path) as here:
        _, session = here.app()
        for number in range(150):
            here.leave(here.send(session, number.to_bytes(16, "big")))
        await settle(2 * LAZY_SECONDS)
        answered: set[int] = set()
        looks = 0

        def before_work(name: str) -> None:
            """Something happens during each piece of work, and the disk is looked at, as after a crash then."""
            nonlocal looks
            if name not in ("begin_rewrite", "abandon_rewrite"):
                for operation in chance.sample(list(here.engine), chance.randint(0, 3) if seed else 0):
                    if operation.surb_id is not None and operation.number not in answered:
                        answered.add(operation.number)
                        here.answer(operation)
                if not answered or name == "add":
                    _, newcomer = here.app(chance.randbytes(16))
                    here.send(newcomer, chance.randbytes(16))
            state = here.on_disk
            assert state.left_out == 0, "an operation without its owner"
            ended = {one.message.message_id for one in state.operations if one.state is State.ANSWERED}
            kept = {body["message_id"] for one in state.sessions for body in bodies(one.answers.values())}
            assert ended == kept
            looks += 1

        here.disk.before_work = before_work
        await here.keeper._rewrite(here.engine, here.sessions, lambda: OFFSET)
        before_work("abandon_rewrite")  # as far as this name goes, nothing happens
        await settle(2 * LAZY_SECONDS)
        before_work("look")
        assert looks >= 7
        assert len(answered) > 5 or not seed, "with seed 0 only newcomers come"


def bodies(frames: Iterable[bytes]) -> list[dict[str, Any]]:
    return [body for data in frames for frame in FrameReader().feed(data) for body in frame.values()]


async def test_an_application_without_a_token_waits_for_no_disk_and_leaves_nothing_there(
    path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with house(path) as here:
        here.disk.become_slow()
        _, session = connected(here.sessions)
        operation = here.send(session)
        here.leave(operation)
        here.answer(operation)
        assert here.told(session) == ["message_sent_event", "message_reply_event"]
        here.disk.open.set()
        await settle(2 * LAZY_SECONDS)
        assert here.on_disk == DaemonState()
        here.sessions.register(session, TOKEN)
        await settle(2 * LAZY_SECONDS)
        assert len(here.on_disk.operations) == 1, "what it had before it named its token is kept from then on"


async def test_all_goes_on_with_the_next_daemon(
    path: Path, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with house(path) as here:
        peer, session = here.app()
        waiting, under_way, answered = (here.send(session, bytes([number]) * 16) for number in range(3))
        for operation in (under_way, answered):
            here.leave(operation)
        here.answer(answered)
    with caplog.at_level(logging.INFO):
        async with house(path) as here:
            assert "what they left: 1; messages without an answer: 2; answers that wait for them: 1." in caplog.text
            queued = [(one.number, one.state.value) for one in iter(here.queues.pick, None)]
            assert queued == [(under_way.number, "retransmission due"), (waiting.number, "waiting")]
            _, back = here.app()
            assert here.told(back) == ["message_reply_event"]
            back.outbox.note_unread(0)
    assert peer.closed is None


async def test_a_session_that_ends_takes_its_rows_along(path: Path, autojump_clock: trio.abc.Clock) -> None:
    async with house(path) as here:
        _, session = here.app()
        here.leave(here.send(session))
        await settle(2 * LAZY_SECONDS)
        assert len(here.on_disk.operations) == 1
        here.sessions.end(session)
        await settle(2 * LAZY_SECONDS)
        assert recover(path.read_bytes(), KEY).rows == {}


async def test_the_file_is_written_anew_while_messages_go_on_and_stays_short(
    path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with house(path) as here:
        _, session = here.app()
        kept = [here.send(session, number.to_bytes(16, "big"), bytes(1000)) for number in range(100)]
        longest = 0
        for number in range(100, 400):
            operation = here.send(session, number.to_bytes(16, "big"), bytes(20_000))
            here.leave(operation)
            here.answer(operation)
            await settle()
            here.told(session)
            here.sessions.note_unread(session, 0)
            longest = max(longest, path.stat().st_size)
        assert longest < 2_000_000, "what is answered is not kept with its payload"
        await settle(2 * LAZY_SECONDS)
        expected = {one.number for one in here.engine}
        assert {one.number for one in kept} <= expected
        assert {one.number for one in here.on_disk.operations} == expected
        assert here.on_disk.left_out == 0


async def test_a_disk_that_fails_is_said_once_and_tried_again_until_it_takes_everything(
    path: Path, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with house(path) as here:
        _, session = here.app()
        here.disk.broken = OSError(errno.ENOSPC, "No space left on device")
        for number in range(20):
            operation = here.send(session, number.to_bytes(16, "big"))
            here.leave(operation)
            await settle(RETRY_SECONDS / 2)
            assert here.told(session) == ["message_sent_event"], "an application is not punished for a full disk"
        said = [record.message for record in caplog.records if record.levelno >= logging.ERROR]
        assert len(said) == 1
        assert "No space left on device" in said[0]
        works = here.disk.works
        await settle(10 * RETRY_SECONDS)
        assert 8 <= here.disk.works - works <= 25, "it is tried again though nothing happens, and not too often"
        here.disk.broken = None
        await settle(2 * RETRY_SECONDS)
        assert "State is kept again" in caplog.text
        assert len(here.on_disk.operations) == 20
        here.leave(here.send(session, b"z" * 16))
        await settle(2 * LAZY_SECONDS)
        assert len(here.on_disk.operations) == 21


async def test_the_last_moments_are_kept_when_the_daemon_stops(path: Path, autojump_clock: trio.abc.Clock) -> None:
    async with house(path) as here:
        _, session = here.app()
        here.send(session)
    async with house(path) as here:
        assert len(here.on_disk.operations) == 1


async def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    place = tmp_path / "file" / "state"
    with pytest.raises(StateError, match=f"no state can be kept in {place}: "), opened_keeper(place, {}, seeded(b"x")):
        pass
