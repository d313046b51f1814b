"""The state of the whole daemon, as one immutable value: what a status line, a page or metrics show.

Each part keeps its own counters and tells them in a value of its own; here they are gathered, and nowhere else. None of
it names a payload, a destination, a SURB or a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from arq import SurbEnd
from kpclientd.gateway.connector import LinkStatus
from kpclientd.network_time import TimeStatus
from kpclientd.thin.sessions import Session
from kpclientd.traffic.sender import TrafficStatus
from kpclientd.version import release
from pki import EpochError

if TYPE_CHECKING:
    from kpclientd.daemon import Daemon

SHORT_ID_LENGTH: Final = 4


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """A document that is held: its epoch, its length (bytes), who signed it, and whether packets are made by it."""

    epoch: int
    length: int
    signatures: int
    authorities: int
    is_current: bool


@dataclass(frozen=True, slots=True)
class ApplicationStatus:
    """One application.

    Attributes:
        name: the first bytes of its id in hexadecimal digits, enough to tell it from others.
        is_present: whether it is connected.
        waiting: its messages that wait for a slot.
        resends: its retransmissions that do.
        messages: those that it has altogether, waiting, in flight, or answered and not collected.
        message_bytes: what these take.
        unread: events that wait for it, or that it has not read.
        unread_bytes: what these take.
    """

    name: str
    is_present: bool
    waiting: int
    resends: int
    messages: int
    message_bytes: int
    unread: int
    unread_bytes: int


@dataclass(frozen=True, slots=True)
class SurbStatus:
    """SURBs since the start: created = delivered + rotated + collected + failed + cancelled + out."""

    created: int
    out: int
    delivered: int
    rotated: int
    collected: int
    failed: int
    cancelled: int

    @property
    def balance(self) -> int:
        """Zero, or a SURB was lost or ended twice."""
        ended = self.delivered + self.rotated + self.collected + self.failed + self.cancelled
        return self.created - ended - self.out


@dataclass(frozen=True, slots=True)
class UsageStatus:
    """How much of its bounds is used: each entry is what is there, and what may be."""

    connections: tuple[int, int]
    away_sessions: tuple[int, int]
    unfinished_frame_bytes: tuple[int, int]
    unread_bytes: tuple[int, int]
    away_bytes: tuple[int, int]
    message_bytes: tuple[int, int]


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The daemon at one moment.

    Attributes:
        version: of the daemon.
        started_at: Unix seconds.
        time: the clocks.
        epoch: the present one; None if the clock stands before the first.
        period: of an epoch (seconds).
        link: to the gateway.
        documents: those held, oldest first.
        traffic: what leaves, and when.
        applications: all that are remembered.
        operations: how many of which kind are in which state.
        retransmissions: packets sent again, since the start.
        decoys_returned: since the start.
        surbs: those out, and how others ended.
        usage: of the bounds.
        drops: everything that was dropped or turned away since the start, by reason.
    """

    version: str
    started_at: float
    time: TimeStatus
    epoch: int | None
    period: float
    link: LinkStatus
    documents: tuple[DocumentStatus, ...]
    traffic: TrafficStatus
    applications: tuple[ApplicationStatus, ...]
    operations: Mapping[tuple[str, str], int]
    retransmissions: int
    decoys_returned: int
    surbs: SurbStatus
    usage: UsageStatus
    drops: Mapping[str, int]

    @property
    def document_epoch(self) -> int | None:
        """The epoch of the document by which packets are made, or None."""
        return next((document.epoch for document in self.documents if document.is_current), None)

    @property
    def waiting(self) -> int:
        """Messages and retransmissions that wait for a slot."""
        return sum(application.waiting + application.resends for application in self.applications)

    @property
    def in_flight(self) -> int:
        """Messages of applications that were sent and still await a reply."""
        return sum(
            count
            for (kind, state), count in self.operations.items()
            if kind != "decoy" and state in ("in flight", "retransmission due", "leaving again")
        )


def gather(daemon: "Daemon") -> DaemonStatus:
    """Ask every part of `daemon`."""
    network_time, engine, sessions = daemon.network_time, daemon.engine, daemon.sessions
    limits, ends = daemon.config.limits, engine.surbs.ends
    now = network_time()
    try:
        epoch: int | None = daemon.clock.epoch(now)
        current = daemon.trusted.current(now)
    except EpochError:
        epoch = current = None
    return DaemonStatus(
        version=release(),
        started_at=daemon.started + network_time.offset,
        time=network_time.status(),
        epoch=epoch,
        period=daemon.clock.period,
        link=daemon.connector.status(network_time.offset),
        documents=tuple(
            DocumentStatus(
                held.document.epoch,
                len(held.certificate),
                held.signatures,
                len(daemon.config.authorities),
                held is current,
            )
            for held in daemon.trusted.held()
        ),
        traffic=daemon.sender.status(),
        applications=_applications(daemon),
        operations={(kind.value, state.value): count for (kind, state), count in engine.states.items()},
        retransmissions=engine.retransmissions,
        decoys_returned=engine.decoys_returned,
        surbs=SurbStatus(
            created=engine.surbs.created,
            out=len(engine.surbs),
            delivered=ends[SurbEnd.DELIVERED],
            rotated=ends[SurbEnd.ROTATED],
            collected=ends[SurbEnd.COLLECTED],
            failed=ends[SurbEnd.FAILED],
            cancelled=ends[SurbEnd.CANCELLED],
        ),
        usage=UsageStatus(
            connections=(len(daemon.admission), daemon.admission.most),
            away_sessions=(sessions.away, limits.away_sessions),
            unfinished_frame_bytes=(daemon.budget.held, daemon.budget.most),
            unread_bytes=(sessions.bytes_unread, limits.unread_bytes),
            away_bytes=(sessions.bytes_away, limits.away_bytes),
            message_bytes=(engine.bytes_held, limits.message_bytes),
        ),
        drops={reason: count for reason, count in _drops(daemon).items() if count},
    )


def _applications(daemon: "Daemon") -> tuple[ApplicationStatus, ...]:
    lengths = daemon.queues.lengths()

    def status(session: Session) -> ApplicationStatus:
        waiting, resends = lengths.get(session.app_id, (0, 0))
        return ApplicationStatus(
            name=session.app_id[:SHORT_ID_LENGTH].hex(),
            is_present=session.connection is not None,
            waiting=waiting,
            resends=resends,
            messages=len(daemon.engine.owned_by(session.app_id)),
            message_bytes=daemon.engine.bytes_of(session.app_id),
            unread=len(session.outbox),
            unread_bytes=session.outbox.bytes,
        )

    return tuple(status(session) for session in daemon.sessions)


def _drops(daemon: "Daemon") -> dict[str, int]:
    counts, admission, traffic = daemon.sessions.counts, daemon.admission, daemon.sender.status()
    return {
        **{reason.value: count for reason, count in daemon.engine.drops.items()},
        "answer that an application did not come back for": counts.answers_dropped,
        "session ended as too much was kept": counts.ended_for_room,
        "connection ended as too much was unread": counts.ended_unread,
        "connection ended as its frame was unfinished": daemon.budget.ended,
        "connection turned away": admission.turned_away,
        "silent connection ended": admission.ended_silent,
        "connection that could not be accepted": admission.accept_failures,
        "slot without a packet": traffic.slots_without_packet,
    }
