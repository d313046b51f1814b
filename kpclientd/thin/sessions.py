"""Which application is behind which connection, over losses and returns.

    present --connection lost, token known--> away --token comes back in time--> present
        |                                      |
        +-- thin_close, or no token --> gone <-+-- grace period over, or no room

Theory of operation. A session that is away keeps its queues and its operations; answers that come meanwhile, and
those that its last connection had not read, are kept for it. What was asked on a new connection before it named its
token belongs to the session that it resumes.

Sessions that are away can be had for nothing, so they have bounds of their own, in number and in bytes. If there are
too many, those go first that keep nothing, then the one lost first; if they keep too much, the one that keeps most. So
nobody's session is lost because somebody else left more behind.

Sessions that a token names may outlive the process, with their answers. Whoever keeps them is told of each change, and
which answers were written to whom: an application that is still the same process has read them, though this daemon was
killed before it could learn so, and does not get them twice.

Source: the Katzenpost thin-client protocol, "session token, disconnect, resume".
"""

import enum
import itertools
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from arq import AppId, TimerQueue
from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.events import Event
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.outbox import MOST_KEPT, Frame, Outbox
from kpclientd.thin.written_marks import HandedOver, NoMarks, PeerProcess, WrittenMarks
from sphinx.randomness import Randomness

APP_ID_LENGTH: Final = 16
TOKEN_LENGTH: Final = 16
SESSION_BYTES: Final = 1024
"""What a session costs beside what it keeps."""


LARGE_OUTBOX: Final = 1024 * 1024
"""Bytes from which on it is worth a look how much all leave unread."""

log = logging.getLogger("client/listener")


class Connection(Protocol):
    """What a session needs of its connection."""

    def notify(self) -> None:
        """Something waits in the session's outbox; must not block."""

    def note_unread(self) -> None:
        """Tell the session's outbox how far the application has read; must not block."""

    def close(self, reason: str) -> None:
        """End the connection soon."""

    def peer_process(self) -> PeerProcess | None:
        """The application's process, if it can be known."""

    def is_operator(self) -> bool:
        """Whether it is surely the user who runs the daemon, or root."""


@dataclass(frozen=True, slots=True)
class SessionBounds:
    """How much is kept for applications.

    Attributes:
        grace: seconds for which a session that is away is kept.
        most_away: sessions that are away.
        most_bytes_away: what they may keep together, answers and messages.
        most_bytes_unread: what applications that are there may leave unread together.
    """

    grace: float = 600.0
    most_away: int = 1024
    most_bytes_away: int = 24 * 1024 * 1024
    most_bytes_unread: int = 48 * 1024 * 1024


@dataclass(slots=True, eq=False)
class Session:
    """One application, as long as the daemon remembers it.

    Attributes:
        app_id: 16 bytes.
        connection: the present one, or None while the application is away.
        token: what names it over reconnects (16 bytes), or None.
        outbox: what it is told.
        is_legacy_v1: whether it writes the flat maps of generation 1, whose clients cannot read an error text.
        handed_over: what an earlier daemon wrote to it; None once it is back.
    """

    app_id: AppId
    connection: Connection | None = field(repr=False)
    token: bytes | None = field(default=None, repr=False)
    outbox: Outbox = field(default_factory=Outbox, repr=False)
    is_legacy_v1: bool = False
    handed_over: HandedOver | None = None


@dataclass(frozen=True, slots=True)
class Registration:
    """What became of a token: the connection's session, whether it went on, and what was kept for it, oldest first."""

    session: Session
    resumed: bool
    kept: tuple[Frame, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """What outlived a process of a session with a token.

    Attributes:
        app_id: 16 bytes.
        token: 16 bytes.
        is_legacy_v1: see `Session`.
        answers: the frames that it has not read, by their numbers.
        handed_over: which of them it has read all the same, if it is still the same process.
    """

    app_id: AppId
    token: bytes = field(repr=False)
    is_legacy_v1: bool = False
    answers: Mapping[int, bytes] = field(default_factory=dict, repr=False)
    handed_over: HandedOver | None = None


class Urgency(enum.IntEnum):
    """How soon a commit is to be made, for which something waits that an application is told."""

    NONE = 0
    NEWS = 1
    ANSWER = 2
    AT_ONCE = 3


NextCommit = Callable[[Urgency], int]
"""Gives the number of the next commit, which is to be made so soon."""


def no_commit(urgency: Urgency) -> int:
    """Where nothing outlives the process, nothing waits for a disk."""
    return 0


@dataclass(slots=True)
class SessionCounts:
    """Counts since the start."""

    opened: int = 0
    resumed: int = 0
    taken_over: int = 0
    expired: int = 0
    ended_for_room: int = 0
    ended_unread: int = 0
    answers_kept: int = 0
    answers_dropped: int = 0


class Sessions:
    """All sessions of the daemon.

    Args:
        randomness: for application ids.
        bounds: how much is kept.
        destroy: called once for each application that is gone for good.
        on_away: called when an application goes away (True) or is back (False).
        on_merge: called when what belongs to the first application belongs to the second from now on.
        bytes_of: what an application keeps elsewhere.
        on_change: told of each session with a token whose token or final answers changed.
        next_commit: the number of the commit that puts all that has happened on the disk; 0 where nothing is kept.
        marks: keeps in mind what was written.
    """

    def __init__(
        self,
        randomness: Randomness,
        bounds: SessionBounds,
        *,
        destroy: Callable[[AppId], None],
        on_away: Callable[[AppId, bool], None] = lambda app_id, away: None,
        on_merge: Callable[[AppId, AppId], None] = lambda app_id, into: None,
        bytes_of: Callable[[AppId], int] = lambda app_id: 0,
        on_change: Callable[[AppId], None] = lambda app_id: None,
        next_commit: NextCommit = no_commit,
        marks: WrittenMarks | None = None,
    ) -> None:
        self.counts = SessionCounts()
        self.bounds = bounds
        self._randomness = randomness
        self._destroy = destroy
        self._on_away = on_away
        self._on_merge = on_merge
        self._bytes_of = bytes_of
        self._on_change = on_change
        self._next_commit = next_commit
        self.marks: WrittenMarks = marks or NoMarks()
        self.durable = 0
        self._frame_numbers = itertools.count(1)
        self._by_app: dict[AppId, Session] = {}
        self._by_token: dict[bytes, Session] = {}
        self._away: TimerQueue[Session] = TimerQueue()

    def __len__(self) -> int:
        return len(self._by_app)

    def __iter__(self) -> Iterator[Session]:
        return iter(tuple(self._by_app.values()))

    @property
    def away(self) -> int:
        """Sessions whose application is away."""
        return len(self._away)

    @property
    def bytes_unread(self) -> int:
        """What waits in the outboxes of applications that are there."""
        return sum(session.outbox.bytes for session in self._by_app.values() if session.connection is not None)

    @property
    def bytes_away(self) -> int:
        """What applications keep that are away."""
        return sum(self._kept_by(session) for session in self._by_app.values() if session.connection is None)

    def find(self, app_id: AppId) -> Session | None:
        """The session of that id."""
        return self._by_app.get(app_id)

    def open(self, connection: Connection) -> Session:
        """A new session for a new connection."""
        session = Session(AppId(self._randomness.bytes(APP_ID_LENGTH)), connection)
        self._by_app[session.app_id] = session
        self.counts.opened += 1
        return session

    def register(self, session: Session, token: bytes | None) -> Registration:
        """The connection of `session` presented `token` (16 bytes): what is its session from now on?

        A session that is known by the token goes on, on this connection; a connection that it still had is closed, and
        what was not read there is among what was kept. Whoever calls this answers first and then says what was kept.

        Raises:
            InvalidRequest: at a token that cannot name one application: null, of a wrong length, or all zeros.
        """
        if token is None or len(token) != TOKEN_LENGTH or not any(token):
            raise InvalidRequest(f"a session token is {TOKEN_LENGTH} random bytes, not null or zeros")
        known = self._by_token.get(token)
        if known is session:
            return Registration(session, resumed=True)
        if known is None:
            self._bind(session, token)
            return Registration(session, resumed=False)
        connection, replaced = session.connection, known.connection
        self.counts.resumed += 1
        if replaced is not None:
            self.counts.taken_over += 1
            replaced.note_unread()
            replaced.close("another connection took its session over")
            self._note_dropped(known.outbox.keep())
        if known.handed_over is not None and connection is not None:
            told = known.handed_over
            is_same = told.peer is not None and connection.peer_process() == told.peer
            has_read = max(told.read, told.written) if is_same else told.read
            known.outbox.forget_up_to(has_read)
            self.marks.read(known.app_id, has_read)
            known.handed_over = None
        kept = known.outbox.drain()
        if any(session.outbox.final()):
            kept = [replace(frame, number=next(self._frame_numbers)) if frame.final else frame for frame in kept]
        session.connection = None
        known.outbox = session.outbox  # with what this connection has written and its application not read
        self._on_merge(session.app_id, known.app_id)
        self._remove(session)
        self._away.cancel(known)
        known.connection = connection
        self._on_away(known.app_id, False)
        self._note_connection(known)
        return Registration(known, True, tuple(kept))

    def disconnected(self, session: Session, connection: Connection, now: float) -> None:
        """`connection` ended by itself at `now` (monotonic seconds); a connection that was replaced has no say."""
        if session.connection is not connection:
            return
        session.connection = None
        if session.token is None:
            self._remove(session)
            return
        self._note_dropped(session.outbox.keep())
        self._note_connection(session)
        self.counts.answers_kept += len(session.outbox)
        self._away.set(session, now + self.bounds.grace)
        self._on_away(session.app_id, True)
        self._make_room()

    def end(self, session: Session) -> None:
        """The application said that it is done."""
        session.connection = None
        self._remove(session)

    def deliver(self, app_id: AppId, event: Event, *, final: bool) -> None:
        """Tell an application what became of a message of its; one that is away gets it on its return if it is `final`.

        It is told once that is durable, if the application has a session that is kept.
        """
        session = self._by_app.get(app_id)
        if session is not None:
            urgency = Urgency.ANSWER if final else Urgency.NEWS
            commit = self._next_commit(urgency) if session.token is not None else 0
            self._put(session, Frame(encode_frame(event), final, next(self._frame_numbers) if final else 0, commit))

    def put(self, session: Session, frame: Frame) -> None:
        """Say something to an application, with a frame that is encoded already."""
        if session.outbox.commit > self.durable:
            self._next_commit(Urgency.AT_ONCE)  # what can wait must not keep this waiting
        self._put(session, frame)

    def _put(self, session: Session, frame: Frame) -> None:
        if session.connection is not None:
            session.outbox.put(frame)
            session.connection.notify()
            if session.outbox.bytes > LARGE_OUTBOX:
                self._check_unread()
        elif frame.final and len(session.outbox) < MOST_KEPT:
            session.outbox.put(frame)
            self.counts.answers_kept += 1
            self._make_room()
        else:
            self._note_dropped(1)
        if frame.final:
            self._changed(session)

    def note_unread(self, session: Session, unread: int) -> None:
        """Of all that was taken of the session's outbox, its application has not read the last `unread` bytes."""
        number = session.outbox.note_unread(unread)
        if number and session.token is not None:
            self.marks.read(session.app_id, number)
            self._changed(session)

    def note_sent(self, session: Session, sent: int) -> None:
        """So many bytes were written to the session's connection since that began."""
        number = session.outbox.last_written(sent) if session.token is not None else 0
        if number:
            self.marks.written(session.app_id, number)

    def committed(self, durable: int) -> None:
        """The commits up to that number are on the disk: what waited for them can be told."""
        self.durable = durable
        for session in self._by_app.values():
            if session.connection is not None and session.outbox.is_ready(durable):
                session.connection.notify()

    def next_timer(self) -> float | None:
        """Monotonic seconds at which `handle_timers` has something to do, or None."""
        return self._away.next()

    def handle_timers(self, now: float) -> None:
        """Forget the sessions whose grace period is over."""
        for session in self._away.pop_due(now):
            self.counts.expired += 1
            self._remove(session)

    # -- records

    def restore(self, records: Iterable[SessionRecord], now: float) -> None:
        """Go on with what outlived a process, in place of any session; `now` in monotonic seconds.

        All of them are away, and have their whole grace from now on: while no daemon ran, none could come back.
        """
        last = 0
        for record in records:
            session = Session(
                record.app_id,
                None,
                record.token,
                is_legacy_v1=record.is_legacy_v1,
                handed_over=record.handed_over,
            )
            for number, data in sorted(record.answers.items()):
                session.outbox.put(Frame(data, final=True, number=number))
            told = record.handed_over or HandedOver(None, 0)
            last = max(last, told.written, told.read, *record.answers)  # what is said from now on has not been told
            self._by_app[session.app_id] = session
            self._by_token[record.token] = session
            self._away.set(session, now + self.bounds.grace)
            self._on_away(session.app_id, True)
            self._changed(session)
        self._frame_numbers = itertools.count(last + 1)
        self._make_room()

    # -- inside

    def _check_unread(self) -> None:
        """See that applications leave no more unread than they may: whoever leaves most is ended."""
        if self.bytes_unread > self.bounds.most_bytes_unread:
            present = [session for session in self._by_app.values() if session.connection is not None]
            worst = max(present, key=lambda session: session.outbox.bytes)
            if worst.connection is not None:
                self.counts.ended_unread += 1
                worst.connection.close(f"it left {worst.outbox.bytes} bytes unread, more than any other")

    def _make_room(self) -> None:
        bounds = self.bounds
        while len(self._away) > bounds.most_away:
            self._end_for_room(
                min(self._all_away(), key=lambda session: (self._keeps_something(session), self._lost_at(session)))
            )
        while self.bytes_away > bounds.most_bytes_away:
            self._end_for_room(max(self._all_away(), key=self._kept_by))

    def _end_for_room(self, session: Session) -> None:
        log.warning(
            "An application that is away is forgotten before its time: %d are away and keep %d bytes.",
            self.away,
            self.bytes_away,
        )
        self.counts.ended_for_room += 1
        self._remove(session)

    def _all_away(self) -> list[Session]:
        return [session for session in self._by_app.values() if session.connection is None]

    def _kept_by(self, session: Session) -> int:
        return SESSION_BYTES + session.outbox.bytes + self._bytes_of(session.app_id)

    def _keeps_something(self, session: Session) -> bool:
        return self._kept_by(session) > SESSION_BYTES

    def _lost_at(self, session: Session) -> float:
        return self._away.deadline(session) or 0.0

    def _note_dropped(self, count: int) -> None:
        self.counts.answers_dropped += count

    def _note_connection(self, session: Session) -> None:
        self.marks.connected(
            session.app_id, session.connection.peer_process() if session.connection is not None else None
        )
        self._changed(session)

    def _changed(self, session: Session) -> None:
        if session.token is not None:
            self._on_change(session.app_id)

    def _bind(self, session: Session, token: bytes) -> None:
        if session.token is not None:
            del self._by_token[session.token]
        session.token = token
        self._by_token[token] = session
        self._note_connection(session)

    def _remove(self, session: Session) -> None:
        self._away.cancel(session)
        if session.token is not None:
            self._by_token.pop(session.token, None)
        if self._by_app.pop(session.app_id, None) is not None:
            self._destroy(session.app_id)
            self.marks.forget(session.app_id)
            self._changed(session)
