"""Sessions, answers and operations as rows of the state file, and back.

    s app_id            a session: its token
    a app_id number     an answer that its application has not read: the frame
    o number            an operation: what is to be sent
    p number            how far it has come, whose it is, when it ends

What seldom changes of an operation has a row of its own, so that its progress costs some bytes and not its payload.
Reading takes what is there and fits, for a damaged file may lack any row: an answer without its session, or an
operation without its owner, is left out and counted.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from arq import AppId, OperationRecord, RecordError
from kpclientd.state.record_log import Rows
from kpclientd.thin.sessions import APP_ID_LENGTH, TOKEN_LENGTH, Session, SessionRecord
from kpclientd.thin.written_marks import HandedOver

_SESSION: Final = b"s"
_ANSWER: Final = b"a"
_CONTENT: Final = b"o"
_PROGRESS: Final = b"p"
_NUMBER_LENGTH: Final = 8


@dataclass(frozen=True, slots=True)
class DaemonState:
    """All that outlives the process; `left_out` counts rows that made no sense."""

    sessions: tuple[SessionRecord, ...] = ()
    operations: tuple[OperationRecord, ...] = ()
    left_out: int = 0


def session_key(app_id: AppId) -> bytes:
    """The key of a session's row."""
    return _SESSION + app_id


def answer_key(app_id: AppId, number: int) -> bytes:
    """The key of an answer's row."""
    return _ANSWER + app_id + number.to_bytes(_NUMBER_LENGTH, "big")


def content_key(number: int) -> bytes:
    """The key of the row of what an operation sends."""
    return _CONTENT + number.to_bytes(_NUMBER_LENGTH, "big")


def progress_key(number: int) -> bytes:
    """The key of the row of how far an operation has come."""
    return _PROGRESS + number.to_bytes(_NUMBER_LENGTH, "big")


def session_ids(rows: Rows) -> set[AppId]:
    """The sessions that have a row."""
    return {AppId(name[len(_SESSION) :]) for name in rows if name[:1] == _SESSION}


def session_row(session: Session) -> dict[str, Any]:
    """The row of a session that a token names."""
    return {"token": session.token, "is_legacy_v1": session.is_legacy_v1}


@dataclass(slots=True)
class _Read:
    sessions: dict[AppId, Mapping[str, Any]] = field(default_factory=dict)
    answers: dict[AppId, dict[int, bytes]] = field(default_factory=dict)
    contents: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    progress: dict[int, Mapping[str, Any]] = field(default_factory=dict)
    left_out: int = 0


def read_rows(rows: Rows, handed_over: Mapping[AppId, HandedOver]) -> DaemonState:
    """The state that `rows` hold.

    Args:
        rows: what was recovered.
        handed_over: what the process that wrote them had written to its applications.
    """
    read = _Read()
    for name, value in rows.items():
        if not _sort_in(read, name, value):
            read.left_out += 1
    sessions = tuple(_sessions(read, handed_over))
    operations = tuple(_operations(read, {session.app_id for session in sessions}))
    return DaemonState(sessions, operations, read.left_out)


def _sort_in(read: _Read, name: bytes, value: Any) -> bool:
    """Put a row to its like; False if it is none of them."""
    kind, rest = name[:1], name[1:]
    if kind == _ANSWER and len(rest) == APP_ID_LENGTH + _NUMBER_LENGTH and isinstance(value, bytes):
        app_id, number = AppId(rest[:APP_ID_LENGTH]), int.from_bytes(rest[APP_ID_LENGTH:], "big")
        read.answers.setdefault(app_id, {})[number] = value
        return True
    if not isinstance(value, dict):
        return False
    if kind == _SESSION and len(rest) == APP_ID_LENGTH:
        read.sessions[AppId(rest)] = value
    elif kind in (_CONTENT, _PROGRESS) and len(rest) == _NUMBER_LENGTH:
        (read.contents if kind == _CONTENT else read.progress)[int.from_bytes(rest, "big")] = value
    else:
        return False
    return True


def _sessions(read: _Read, handed_over: Mapping[AppId, HandedOver]) -> Iterable[SessionRecord]:
    tokens = set()
    for app_id, row in read.sessions.items():
        token = row.get("token")
        if not isinstance(token, bytes) or len(token) != TOKEN_LENGTH or token in tokens:
            read.left_out += 1
            continue
        tokens.add(token)
        answers = read.answers.pop(app_id, {})
        yield SessionRecord(app_id, token, row.get("is_legacy_v1") is True, answers, handed_over.get(app_id))
    read.left_out += sum(len(answers) for answers in read.answers.values())


def _operations(read: _Read, owners: set[AppId]) -> Iterable[OperationRecord]:
    surb_ids = set()
    for number, content in sorted(read.contents.items()):
        progress = read.progress.pop(number, None)
        try:
            record = OperationRecord.from_plain(number, content, progress or {})
        except RecordError:
            read.left_out += 1
            continue
        if record.owner not in owners or (record.message.surb_id is not None and record.message.surb_id in surb_ids):
            read.left_out += 1
            continue
        surb_ids.add(record.message.surb_id)
        yield record
    read.left_out += len(read.progress)
