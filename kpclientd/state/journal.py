"""Which rows have changed since the last commit, and which commit will put what has happened on the disk.

Theory of operation. Engine and sessions say which of their things changed, not how; at a commit the present rows of
these are made and compared with what the file has. So a thing that changed ten times costs one row, and one that came
and went costs none. Commits are numbered. What happens now is on the disk once the commit of the present number is, and
whoever must not tell it before asks for that number, and says how urgent it is.

All rows of a commit stand in one record, so an answer and the end of its operation are on the disk together or not at
all. Only sessions that a token names are kept, and what belongs to them.

No I/O; engine and sessions are asked at the time of a commit.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from arq import AppId, Engine, State
from kpclientd.state.rows import answer_key, content_key, progress_key, session_key, session_row
from kpclientd.thin.sessions import Session, Sessions, Urgency

_SLICE: Final = 32
"""Sessions or operations whose rows are made at once when all are."""


@dataclass(frozen=True, slots=True)
class Commit:
    """What changed: rows by their keys, None for those that are no more; all until then is on the disk with it."""

    number: int
    rows: dict[bytes, Any] = field(repr=False)


class Journal:
    """What changed in one daemon.

    Args:
        on_change: called when there is something to commit.
        on_urgency: called when the next commit has become more urgent.

    Attributes:
        urgency: of the next commit.
    """

    def __init__(self, on_change: Callable[[], None], on_urgency: Callable[[], None]) -> None:
        self.urgency = Urgency.NONE
        self._on_change = on_change
        self._on_urgency = on_urgency
        self._operations: set[int] = set()
        self._sessions: set[AppId] = set()
        self._number = 1
        self._known: dict[
            bytes, Any
        ] = {}  # rows in the file, contents by revision and whether they are without payload
        self._answers: dict[AppId, set[int]] = {}

    @property
    def has_changes(self) -> bool:
        """Whether something changed since the last commit."""
        return bool(self._operations or self._sessions)

    def operation_changed(self, number: int) -> None:
        """An operation came, went, or went on."""
        self._operations.add(number)
        self._on_change()

    def session_changed(self, app_id: AppId) -> None:
        """A session, or its answers, came or went."""
        self._sessions.add(app_id)
        self._on_change()

    def next_commit(self, urgency: Urgency) -> int:
        """The number of the commit by which all that has happened is on the disk; it is at least so urgent now."""
        if urgency > self.urgency:
            self.urgency = urgency
            self._on_urgency()
        return self._number

    def collect(self, engine: Engine, sessions: Sessions, offset: float) -> Commit:
        """The next commit, with all that changed; `offset` is Unix time less monotonic time (seconds)."""
        rows: dict[bytes, Any] = {}
        for app_id in self._sessions:
            session = sessions.find(app_id)
            if session is None or session.token is None:
                self._drop_session(app_id, rows)
            else:
                self._put_session(session, engine, rows)
        for number in self._operations:
            self._put_operation(number, engine, sessions, offset, rows)
        self._sessions.clear()
        self._operations.clear()
        commit = Commit(self._number, rows)
        self._number += 1
        self.urgency = Urgency.NONE
        return commit

    def all_rows(self, engine: Engine, sessions: Sessions, offset: Callable[[], float]) -> Iterator[dict[bytes, Any]]:
        """All rows there are, some at a time, as they are when they are asked for; a new file is made of them.

        What changes while they are asked for stands in commits that are written behind them.
        """
        for app_ids in _in_slices([session.app_id for session in sessions]):
            rows: dict[bytes, Any] = {}
            for app_id in app_ids:
                session = sessions.find(app_id)
                if session is not None and session.token is not None:
                    rows[session_key(app_id)] = session_row(session)
                    rows |= {answer_key(app_id, one.number): one.data for one in session.outbox.final()}
            yield rows
        for numbers in _in_slices([operation.number for operation in engine]):
            rows = {}
            for number in numbers:
                record = engine.record(number, offset())
                if record is not None and _is_kept(record.owner, sessions):
                    rows[content_key(number)] = record.content()
                    rows[progress_key(number)] = record.progress()
            yield rows

    def _put_session(self, session: Session, engine: Engine, rows: dict[bytes, Any]) -> None:
        app_id = session.app_id
        key, row = session_key(app_id), session_row(session)
        if key not in self._known:
            # It has a token from now on, and what it had before is kept with it.
            self._operations |= {operation.number for operation in engine.owned_by(app_id)}
        self._put(key, row, rows)
        answers = {frame.number: frame for frame in session.outbox.final()}
        known = self._answers.setdefault(app_id, set())
        rows |= {answer_key(app_id, number): answers[number].data for number in answers.keys() - known}
        rows |= {answer_key(app_id, number): None for number in known - answers.keys()}
        self._answers[app_id] = set(answers)

    def _drop_session(self, app_id: AppId, rows: dict[bytes, Any]) -> None:
        self._drop(session_key(app_id), rows)
        rows |= {answer_key(app_id, number): None for number in self._answers.pop(app_id, ())}

    def _put_operation(
        self, number: int, engine: Engine, sessions: Sessions, offset: float, rows: dict[bytes, Any]
    ) -> None:
        record = engine.record(number, offset)
        if record is None or not _is_kept(record.owner, sessions):
            self._drop(content_key(number), rows)
            self._drop(progress_key(number), rows)
            return
        key, version = content_key(number), (record.revision, record.state is State.ANSWERED)
        if self._known.get(key) != version:
            self._known[key] = version
            rows[key] = record.content()
        self._put(progress_key(number), record.progress(), rows)

    def _put(self, key: bytes, row: dict[str, Any], rows: dict[bytes, Any]) -> None:
        if self._known.get(key) != row:
            self._known[key] = rows[key] = row

    def _drop(self, key: bytes, rows: dict[bytes, Any]) -> None:
        if key in self._known:
            del self._known[key]
            rows[key] = None


def _is_kept(owner: AppId, sessions: Sessions) -> bool:
    session = sessions.find(owner)
    return session is not None and session.token is not None


def _in_slices(items: list[Any]) -> Iterator[list[Any]]:
    for begin in range(0, len(items), _SLICE):
        yield items[begin : begin + _SLICE]
