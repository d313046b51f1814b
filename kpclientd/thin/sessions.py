"""Which application is behind which connection, over losses and returns.

    connected --connection lost, token known--> lost --token comes back in time--> connected
        |                                         |
        +-- thin_close, or no token --> gone <----+-- grace period over

A lost session keeps its queues and its messages in flight; final answers that come meanwhile are kept for it.
Source: the Katzenpost thin-client protocol, "session token, disconnect, resume".
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

from arq import AppId, TimerQueue
from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.events import Event
from sphinx.randomness import Randomness

APP_ID_LENGTH: Final = 16
TOKEN_LENGTH: Final = 16
MAX_KEPT: Final = 1000
"""Answers kept for one lost session; further ones are dropped and counted."""

MAX_LOST: Final = 1024
"""Lost sessions kept; the one lost first goes when there are more."""


class Connection(Protocol):
    """What a session needs of its connection."""

    def post(self, event: Event) -> None:
        """Queue an event for the application; must not block."""

    def broadcast(self, event: Event) -> None:
        """Queue an event that goes to everyone; must not block."""

    def say_farewell(self, event: Event) -> None:
        """Queue the last event of all; must not block."""

    def close(self, reason: str) -> None:
        """End the connection soon."""


@dataclass(slots=True, eq=False)
class Session:
    """One application, as long as the daemon remembers it."""

    app_id: AppId
    connection: Connection | None = field(repr=False)
    token: bytes | None = field(default=None, repr=False)
    kept: deque[Event] = field(default_factory=deque, repr=False)
    is_flat: bool = False
    """Whether the application writes flat maps, as those of generation 1 do, which cannot read an error text."""


@dataclass(slots=True)
class SessionStatistics:
    """Counts since the start."""

    opened: int = 0
    resumed: int = 0
    taken_over: int = 0
    expired: int = 0
    answers_kept: int = 0
    answers_dropped: int = 0


class Sessions:
    """All sessions of the daemon.

    Args:
        randomness: for application ids.
        grace: seconds for which a lost session is kept.
        destroy: called once for each application that is gone for good.
    """

    def __init__(self, randomness: Randomness, grace: float, destroy: Callable[[AppId], None]) -> None:
        self.statistics = SessionStatistics()
        self._randomness = randomness
        self._grace = grace
        self._destroy = destroy
        self._by_app: dict[AppId, Session] = {}
        self._by_token: dict[bytes, Session] = {}
        self._timers: TimerQueue[Session] = TimerQueue()

    def __len__(self) -> int:
        return len(self._by_app)

    @property
    def lost(self) -> int:
        """Sessions whose application is away."""
        return len(self._timers)

    def connections(self) -> Iterator[Connection]:
        """The connections of all sessions that have one."""
        return (session.connection for session in tuple(self._by_app.values()) if session.connection is not None)

    def open(self, connection: Connection) -> Session:
        """A new session for a new connection."""
        session = Session(AppId(self._randomness.bytes(APP_ID_LENGTH)), connection)
        self._by_app[session.app_id] = session
        self.statistics.opened += 1
        return session

    def register(self, session: Session, token: bytes | None) -> tuple[Session, bool]:
        """The connection of `session` presented `token` (16 bytes): return its session from now on, and if it resumed.

        A session that is known by the token goes on, on this connection; a connection that it still had is closed.

        Raises:
            InvalidRequest: at a token that cannot name one application: null, of a wrong length, or all zeros.
        """
        if token is None or len(token) != TOKEN_LENGTH or not any(token):
            raise InvalidRequest(f"a session token is {TOKEN_LENGTH} random bytes, not null or zeros")
        known = self._by_token.get(token)
        if known is session:
            return session, True
        if known is None:
            self._bind(session, token)
            return session, False
        connection, replaced = session.connection, known.connection
        session.connection = None
        self._remove(session)
        known.connection = connection
        self._timers.cancel(known)
        self.statistics.resumed += 1
        if replaced is not None:
            self.statistics.taken_over += 1
            replaced.close("another connection took its session over")
        return known, True

    def take_kept(self, session: Session) -> list[Event]:
        """The answers that came while the session was lost, oldest first; they are kept no longer."""
        kept = list(session.kept)
        session.kept.clear()
        return kept

    def disconnected(self, session: Session, connection: Connection, now: float) -> None:
        """`connection` ended by itself at `now` (monotonic seconds); a connection that was replaced has no say."""
        if session.connection is not connection:
            return
        session.connection = None
        if session.token is None:
            self._remove(session)
            return
        self._timers.set(session, now + self._grace)
        if len(self._timers) > MAX_LOST:
            self._expire_oldest()

    def end(self, session: Session) -> None:
        """The application said that it is done."""
        session.connection = None
        self._remove(session)

    def is_flat(self, app_id: AppId) -> bool:
        """Whether the application is one of generation 1."""
        session = self._by_app.get(app_id)
        return session is not None and session.is_flat

    def deliver(self, app_id: AppId, event: Event, *, final: bool) -> None:
        """Give `event` to an application; one that is away gets it on its return if it is `final`."""
        session = self._by_app.get(app_id)
        if session is None:
            return
        if session.connection is not None:
            session.connection.post(event)
        elif final and len(session.kept) < MAX_KEPT:
            session.kept.append(event)
            self.statistics.answers_kept += 1
        else:
            self.statistics.answers_dropped += 1

    def next_timer(self) -> float | None:
        """Monotonic seconds at which `handle_timers` has something to do, or None."""
        return self._timers.next()

    def handle_timers(self, now: float) -> None:
        """Forget the sessions whose grace period is over."""
        for session in self._timers.pop_due(now):
            self._expire(session)

    def _expire_oldest(self) -> None:
        self._expire(next(self._timers.pop_due(math.inf)))

    def _bind(self, session: Session, token: bytes) -> None:
        if session.token is not None:
            del self._by_token[session.token]
        session.token = token
        self._by_token[token] = session

    def _expire(self, session: Session) -> None:
        self.statistics.expired += 1
        self._remove(session)

    def _remove(self, session: Session) -> None:
        self._timers.cancel(session)
        if session.token is not None:
            self._by_token.pop(session.token, None)
        if self._by_app.pop(session.app_id, None) is not None:
            self._destroy(session.app_id)
