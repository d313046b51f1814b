"""Keeps the state on the disk while the daemon runs: commits, writes the file anew, and deals with disks that fail.

Theory of operation. One task. Only when a commit is durable are applications told what it holds. Each costs a turn of a
thread and a flush of the disk, so where much happens one is made for several things: news that a message has left wait
a while for others, and answers until some time has passed since the last commit. Should anything else have to wait
behind these, the commit is made at once. What happens during one is in the next, so a slow disk makes commits larger
and not more.

If the disk refuses, the daemon does not stop: applications are told what they wait for, that it would not outlive the
daemon is said once, and every few seconds all is written to a new file, until that succeeds.
"""

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final, Protocol

import trio

from arq import AppId, Engine, State
from kpclientd.log_levels import NOTICE
from kpclientd.state.errors import StateError
from kpclientd.state.journal import Journal
from kpclientd.state.rows import DaemonState, read_rows, session_ids
from kpclientd.state.state_file import StateFile, opened
from kpclientd.state.state_key import state_key
from kpclientd.state.written_page import WrittenPage
from kpclientd.streams import reason_of
from kpclientd.thin.sessions import Sessions, Urgency
from kpclientd.thin.workers import Workers
from kpclientd.thin.written_marks import HandedOver, NoMarks, WrittenMarks
from sphinx.randomness import Randomness

log = logging.getLogger("kpclientd/state")

LAZY_SECONDS: Final = 0.25
"""After the first change at the latest a commit is made, for whatever reason."""

ANSWER_SECONDS: Final = 0.1
"""From one commit to the next that only answers wait for; one that comes alone does not wait."""

RETRY_SECONDS: Final = 5.0
"""Between two tries to write to a disk that refused."""


@contextmanager
def opened_keeper(path: Path, environ: Mapping[str, str], randomness: Randomness) -> "Iterator[StateKeeper]":
    """What keeps a daemon's state in the file at `path`; nobody else does meanwhile.

    Args:
        path: an absolute path; file, key and folder are made if they are missing.
        environ: where a service manager names its credentials.
        randomness: for the key, salts and nonces.

    Raises:
        StateError: the file is in use, or cannot be read or written.
    """
    with ExitStack() as stack:
        try:
            key_of = partial(state_key, environ=environ, randomness=randomness)
            file = stack.enter_context(opened(path, key_of, randomness))
        except OSError as error:
            raise StateError(f"no state can be kept in {path}: {reason_of(error)}") from error
        page = WrittenPage.opened(path)
        if page is not None:
            stack.callback(page.close)
        yield StateKeeper(file, page, partial(Workers(threads=1).run, None))


class Offload(Protocol):
    """Runs what blocks elsewhere, one piece of work at a time."""

    async def __call__(self, work: Callable[[], Any], /) -> Any:
        """Return what `work` returns."""


class StateKeeper:
    """Keeps one daemon's state in one file.

    Args:
        file: it.
        page: notes what was written to applications, where that is possible.
        offload: runs what blocks.
    """

    def __init__(self, file: StateFile, page: WrittenPage | None, offload: Offload) -> None:
        self._file = file
        self._page = page
        self._offload = offload
        self._changed = trio.Event()
        self._hurried = trio.Event()
        self._failing_since: float | None = None
        self._try_again_at = -math.inf
        self._answers_from = -math.inf
        self.journal = Journal(lambda: self._changed.set(), lambda: self._hurried.set())

    @property
    def marks(self) -> WrittenMarks:
        """What sessions note their writes in."""
        return self._page or NoMarks()

    def restore(self, engine: Engine, sessions: Sessions, offset: Callable[[], float], now: float) -> None:
        """Let `engine` and `sessions`, which hold nothing yet, go on with what the file holds; it is written anew.

        Args:
            engine, sessions: made with this keeper's journal and marks.
            offset: Unix time less monotonic time, in seconds.
            now: monotonic seconds.

        Raises:
            StateError: the file cannot be written.
        """
        state = read_rows(self._file.recovered.rows, self._handed_over())
        sessions.restore(state.sessions, now)
        engine.restore(state.operations, offset(), now)
        self._file.recovered.rows.clear()
        try:
            self._file.begin_rewrite()
            self._file.add(self.journal.collect(engine, sessions, offset()).rows)  # all of it has just come
            self._file.finish_rewrite()
        except OSError as error:
            raise StateError(f"no state can be kept: {reason_of(error)}") from error
        _say_what_goes_on(state)

    def _handed_over(self) -> Mapping[AppId, HandedOver]:
        if self._page is None:
            return {}
        self._page.keep_only(session_ids(self._file.recovered.rows))
        return self._page.handed_over()

    async def run(self, engine: Engine, sessions: Sessions, offset: Callable[[], float]) -> None:
        """Keep the state until cancelled, and once more then."""
        try:
            while True:
                await self._wait()
                await self._commit(engine, sessions, offset)
                if (self._file.wants_rewrite or self._failing_since is not None) and self._may_try():
                    await self._rewrite(engine, sessions, offset)
        finally:
            with trio.CancelScope(shield=True):
                await self._commit(engine, sessions, offset)

    async def _wait(self) -> None:
        """Wait until there is something to do."""
        if self._failing_since is not None:
            with trio.move_on_at(self._try_again_at):
                await self._changed.wait()
        else:
            await self._changed.wait()
        lazily = trio.current_time() + LAZY_SECONDS
        at = {
            Urgency.NONE: lazily,
            Urgency.NEWS: lazily,
            Urgency.ANSWER: self._answers_from,
            Urgency.AT_ONCE: -math.inf,
        }
        while at[self.journal.urgency] > trio.current_time():
            self._hurried = trio.Event()
            with trio.move_on_at(at[self.journal.urgency]):
                await self._hurried.wait()

    def _may_try(self) -> bool:
        return trio.current_time() >= self._try_again_at

    async def _commit(self, engine: Engine, sessions: Sessions, offset: Callable[[], float]) -> None:
        self._changed = trio.Event()
        self._answers_from = trio.current_time() + ANSWER_SECONDS
        commit = self.journal.collect(engine, sessions, offset())
        if commit.rows:
            try:
                await self._offload(partial(self._file.append, commit.rows))
            except OSError as error:
                self._note_failure(error)
        sessions.committed(commit.number)

    async def _rewrite(self, engine: Engine, sessions: Sessions, offset: Callable[[], float]) -> None:
        """Write all to a new file, while commits go on, which go there, too."""
        try:
            await self._offload(self._file.begin_rewrite)
            for rows in self.journal.all_rows(engine, sessions, offset):
                await self._offload(partial(self._file.add, rows))
                if self.journal.urgency is not Urgency.NONE:
                    await self._commit(engine, sessions, offset)
            # Rows that were made in between may tell half of a change; all of it is there after another commit.
            await self._commit(engine, sessions, offset)
            await self._offload(self._file.finish_rewrite)
        except OSError as error:
            await self._offload(self._file.abandon_rewrite)
            self._note_failure(error)
            return
        if self._failing_since is not None:
            log.log(NOTICE, "State is kept again.")
            self._failing_since = None

    def _note_failure(self, error: OSError) -> None:
        now = trio.current_time()
        self._try_again_at = now + RETRY_SECONDS
        if self._failing_since is None:
            self._failing_since = now
            log.error(
                "State cannot be kept: %s. Messages go on, and would not outlive the daemon; it is tried again every"
                " %.0f s.",
                reason_of(error),
                RETRY_SECONDS,
            )


def _say_what_goes_on(state: DaemonState) -> None:
    if state.sessions:
        unanswered = sum(operation.state is not State.ANSWERED for operation in state.operations)
        answers = sum(len(session.answers) for session in state.sessions)
        log.log(
            NOTICE,
            "Applications that may come back to what they left: %d; messages without an answer: %d; answers that wait"
            " for them: %d.",
            len(state.sessions),
            unanswered,
            answers,
        )
    if state.left_out:
        log.error("Rows of the state file that make no sense without others that are lost: %d.", state.left_out)
