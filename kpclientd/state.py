"""What must outlive the process, as plain records, and their one way to bytes and back.

Sessions with their tokens and kept answers, and operations with their SURBs. Deadlines are Unix seconds, as monotonic
clocks end with the process. The bytes are one CBOR map, and begin with a version: what was written by another one is
refused, not guessed at.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import cbor2

from arq import AppId, Engine, OperationRecord, RecordError
from kpclientd.errors import KpclientdError
from kpclientd.thin.sessions import APP_ID_LENGTH, TOKEN_LENGTH, SessionRecord, Sessions

VERSION: Final = 1


class StateError(KpclientdError):
    """Bytes are not the state of a daemon; nothing was restored from them."""


@dataclass(frozen=True, slots=True)
class DaemonState:
    """All that must outlive the process."""

    sessions: tuple[SessionRecord, ...] = ()
    operations: tuple[OperationRecord, ...] = ()


def take_state(sessions: Sessions, engine: Engine, now: float, offset: float) -> DaemonState:
    """What there is at present.

    An application without a token can not come back after the process: it, and what it wanted, is left out.

    Args:
        sessions, engine: the parts that keep it.
        now: monotonic seconds.
        offset: Unix time less monotonic time (seconds).
    """
    kept = sessions.records(now, offset)
    owners = {session.app_id for session in kept}
    operations = engine.records(offset)
    return DaemonState(kept, tuple(one for one in operations if one.owner is None or one.owner in owners))


def restore_state(state: DaemonState, sessions: Sessions, engine: Engine, offset: float) -> None:
    """Let `sessions` and `engine`, which hold nothing yet, go on with `state`; all applications are away.

    Raises:
        RecordError: if its records contradict each other; what was restored until then is to be thrown away.
    """
    sessions.restore(state.sessions, offset)
    engine.restore(state.operations, offset)


def encode_state(state: DaemonState) -> bytes:
    """Return `state` as bytes."""
    return cbor2.dumps(
        {
            "version": VERSION,
            "sessions": [_session_to_plain(session) for session in state.sessions],
            "operations": [operation.to_plain() for operation in state.operations],
        }
    )


def decode_state(data: bytes) -> DaemonState:
    """Return the state that `encode_state` made `data` of.

    Raises:
        StateError: if it is no such thing, or contradicts itself.
    """
    try:
        plain = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, OverflowError) as error:
        raise StateError(f"{len(data)} bytes are no CBOR: {type(error).__name__}") from None
    if not isinstance(plain, dict) or plain.get("version") != VERSION:
        version = plain.get("version") if isinstance(plain, dict) else None
        raise StateError(f"the state has version {version!r}, expected {VERSION}")
    try:
        state = DaemonState(
            tuple(_session_from_plain(session) for session in plain["sessions"]),
            tuple(OperationRecord.from_plain(operation) for operation in plain["operations"]),
        )
    except (KeyError, TypeError, ValueError, RecordError) as error:
        raise StateError(f"a record is malformed: {error}") from None
    _check(state)
    return state


def _session_to_plain(session: SessionRecord) -> Mapping[str, Any]:
    return {
        "app_id": session.app_id,
        "token": session.token,
        "is_legacy_v1": session.is_legacy_v1,
        "away_until": session.away_until,
        "kept": list(session.kept),
    }


def _session_from_plain(plain: Mapping[str, Any]) -> SessionRecord:
    session = SessionRecord(
        AppId(bytes(plain["app_id"])),
        bytes(plain["token"]),
        bool(plain["is_legacy_v1"]),
        float(plain["away_until"]),
        tuple(bytes(frame) for frame in plain["kept"]),
    )
    if len(session.app_id) != APP_ID_LENGTH or len(session.token) != TOKEN_LENGTH:
        raise ValueError(f"a session with an id of {len(session.app_id)} and a token of {len(session.token)} bytes")
    return session


def _check(state: DaemonState) -> None:
    apps = {session.app_id for session in state.sessions}
    if len(apps) != len(state.sessions) or len({session.token for session in state.sessions}) != len(apps):
        raise StateError("two sessions have one id or one token")
    if len({operation.number for operation in state.operations}) != len(state.operations):
        raise StateError("two operations have one number")
    owners = {operation.owner for operation in state.operations if operation.owner is not None}
    if not owners <= apps:
        raise StateError("an operation belongs to no session")
