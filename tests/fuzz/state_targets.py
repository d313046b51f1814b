"""What stands in a state file, whoever wrote it."""

import cbor2

from arq import AppId, Engine, Operation, Policy
from kpclientd.state.errors import StateError
from kpclientd.state.record_log import recover
from kpclientd.state.rows import read_rows
from kpclientd.thin.sessions import SessionBounds, Sessions
from kpclientd.traffic.queues import FairQueues
from sphinx.randomness import seeded

KEY = bytes(range(32))


def file(data: bytes) -> None:
    """Any file: rows, and every other byte of it accounted for as damage; or a reason not to start."""
    try:
        found = recover(data, KEY)
    except StateError:
        return
    assert sum(damage.length for damage in found.damages) <= len(data)
    assert not any(damage.is_torn for damage in found.damages[:-1])


def rows(data: bytes) -> None:
    """Any rows under the right key: state that can be gone on with, and the rest left out."""
    try:
        decoded = cbor2.loads(data)
    except (cbor2.CBORDecodeError, ValueError, OverflowError):
        return
    if not isinstance(decoded, dict) or not all(isinstance(key, bytes) for key in decoded):
        return
    state = read_rows(decoded, {})
    engine = Engine(lambda keys, payload: payload, seeded(b"rows"), Policy())
    queues: FairQueues[AppId, Operation] = FairQueues()
    sessions = Sessions(seeded(b"sessions"), SessionBounds(), destroy=engine.cancel_owner, on_away=queues.set_away)
    sessions.restore(state.sessions, 0.0)
    engine.restore(state.operations, 1_800_000_000.0, 0.0)
    engine.handle_timers(1e12)
    sessions.handle_timers(1e12)
    assert len(sessions) == len(engine) == len(engine.surbs) == 0
