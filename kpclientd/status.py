"""The state of the whole daemon, as one immutable value: what a status line, a page or metrics show.

Each part keeps its own counters and tells them in a value of its own; here they are gathered, and nowhere else. None of
it names a payload, a destination, a SURB or a token.

What applications do is their users' affair: on a machine with several users, only who runs the daemon, and root, are
shown it. `NETWORK_FIELDS` are those that tell of the daemon and the network alone.
"""

import heapq
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final

import msgspec
import trio

from arq import AppId, Distribution, ReplyDrop, SurbEnd
from kpclientd.gateway.connector import LinkStatus
from kpclientd.network_time import TimeStatus
from kpclientd.thin.sessions import Session
from kpclientd.traffic.sender import TrafficStatus
from kpclientd.version import release
from pki import EpochError
from sphinx.native import engine_name

if TYPE_CHECKING:
    from kpclientd.daemon import Daemon

SHORT_ID_LENGTH: Final = 4

_DECOY: Final = "decoy"
_IN_FLIGHT: Final = frozenset({"in flight", "retransmission due", "leaving again"})

MOST_APPLICATIONS: Final = 50
"""More than a screen has lines; and telling of thousands would hold up the event loop."""


@dataclass(frozen=True, slots=True)
class DocumentStatus:
    """A document that is held.

    Attributes:
        epoch: whose it is.
        begins_at: that epoch (Unix seconds).
        age: seconds since it was verified.
        length: bytes.
        signatures: of the authorities that count.
        authorities: how many count.
        is_current: whether packets are made by it.
    """

    epoch: int
    begins_at: float
    age: float
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

    def entries(self) -> dict[str, tuple[int, int]]:
        """All of them, by their names."""
        return {field.name: getattr(self, field.name) for field in fields(self)}


@dataclass(frozen=True, slots=True)
class Versions:
    """Of the daemon, of the interpreter, and which engine makes packets."""

    kpclientd: str
    python: str
    engine: str


@dataclass(frozen=True, slots=True)
class DaemonStatus:
    """The daemon at one moment.

    Attributes:
        versions: of the program.
        process: its number.
        configuration: its file.
        started_at: Unix seconds.
        time: the clocks.
        epoch: the present one; None if the clock stands before the first.
        epoch_began_at: Unix seconds; None likewise.
        period: of an epoch (seconds).
        link: to the gateway.
        documents: those held, oldest first.
        traffic: what leaves, and when.
        applications: those that are remembered, at most `MOST_APPLICATIONS` of them, the largest first.
        further_applications: how many more there are.
        waiting: messages and retransmissions that wait for a slot.
        resends: how many of these are retransmissions.
        orphaned: messages of applications that are away.
        in_flight: messages of applications that were sent and still await a reply.
        operations: by kind and state, how many there are.
        retransmissions: packets sent again, since the start.
        decoys_returned: since the start.
        round_trips: seconds from a packet to its reply, decoys' too.
        arq_round_trips: the same of what is sent again until it is answered.
        surbs: those out, and how others ended.
        usage: of the bounds.
        tasks: of the event loop.
        drops: everything that was dropped or turned away since the start, by reason; every reason there is, zeros too.
    """

    versions: Versions
    process: int
    configuration: str
    started_at: float
    time: TimeStatus
    epoch: int | None
    epoch_began_at: float | None
    period: float
    link: LinkStatus
    documents: tuple[DocumentStatus, ...]
    traffic: TrafficStatus
    applications: tuple[ApplicationStatus, ...]
    further_applications: int
    waiting: int
    resends: int
    orphaned: int
    in_flight: int
    operations: Mapping[str, Mapping[str, int]]
    retransmissions: int
    decoys_returned: int
    round_trips: Distribution
    arq_round_trips: Distribution
    surbs: SurbStatus
    usage: UsageStatus
    tasks: int
    drops: Mapping[str, int]

    @property
    def document_epoch(self) -> int | None:
        """The epoch of the document by which packets are made, or None."""
        return next((document.epoch for document in self.documents if document.is_current), None)


NETWORK_FIELDS: Final = frozenset(
    {
        "versions",
        "process",
        "configuration",
        "started_at",
        "time",
        "epoch",
        "epoch_began_at",
        "period",
        "link",
        "documents",
        "usage",
    }
)
"""What everybody may be shown who may use the daemon."""


def as_map(status: DaemonStatus, only: frozenset[str] | None = None) -> dict[str, Any]:
    """A status as maps, lists, texts and numbers, as JSON and CBOR have them; all of it, or some fields."""
    told: dict[str, Any] = msgspec.to_builtins(status)
    return told if only is None else {name: told[name] for name in told if name in only}


def in_a_line(daemon: "Daemon") -> str:
    """What matters most, for a service manager's list: the gateway, the document, or why there is none."""
    network_time = daemon.network_time
    link = daemon.connector.status(network_time.offset)
    if link.gateway is None:
        end = link.last_end
        return f"Offline: {end.gateway and f'gateway {end.gateway!r}: '}{end.reason}" if end else "Offline: connecting"
    try:
        current = daemon.trusted.current(network_time())
    except EpochError:
        current = None
    document = "no document yet" if current is None else f"document of epoch {current.document.epoch}"
    return f"Connected to gateway {link.gateway!r}, {document}"


def gather(daemon: "Daemon", asks: AppId | None = None) -> DaemonStatus:
    """Ask every part of `daemon`.

    Args:
        daemon: the daemon.
        asks: the application that wants to know, which is not told of itself.
    """
    network_time, engine, sessions = daemon.network_time, daemon.engine, daemon.sessions
    limits, ends = daemon.config.limits, engine.surbs.ends
    now = network_time()
    operations = _operations(daemon)
    lengths = daemon.queues.lengths()
    others = [session for session in sessions if session.app_id != asks]
    largest = heapq.nlargest(MOST_APPLICATIONS, others, key=lambda one: one.outbox.bytes + engine.bytes_of(one.app_id))
    try:
        epoch: int | None = daemon.clock.epoch(now)
        current = daemon.trusted.current(now)
    except EpochError:
        epoch = current = None
    return DaemonStatus(
        versions=Versions(release(), platform.python_version(), engine_name()),
        process=os.getpid(),
        configuration=str(daemon.config.path),
        started_at=daemon.started + network_time.offset,
        time=network_time.status(),
        epoch=epoch,
        epoch_began_at=daemon.clock.start(epoch) if epoch is not None else None,
        period=daemon.clock.period,
        link=daemon.connector.status(network_time.offset),
        documents=tuple(
            DocumentStatus(
                epoch=held.document.epoch,
                begins_at=daemon.clock.start(held.document.epoch),
                age=max(0.0, now - held.verified_at),
                length=len(held.certificate),
                signatures=held.signatures,
                authorities=len(daemon.config.authorities),
                is_current=held is current,
            )
            for held in daemon.trusted.held()
        ),
        traffic=daemon.sender.status(),
        applications=tuple(_application(daemon, session, lengths) for session in largest),
        further_applications=len(others) - len(largest),
        waiting=sum(requests + resends for requests, resends in lengths.values()),
        resends=sum(resends for _, resends in lengths.values()),
        orphaned=sum(engine.number_of(session.app_id) for session in sessions if session.connection is None),
        in_flight=_in_flight(operations),
        operations=operations,
        retransmissions=engine.retransmissions,
        decoys_returned=engine.decoys_returned,
        round_trips=engine.round_trips.distribution(),
        arq_round_trips=engine.arq_round_trips.distribution(),
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
        tasks=trio.lowlevel.current_statistics().tasks_living,
        drops=_drops(daemon),
    )


def _operations(daemon: "Daemon") -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = {}
    for (kind, state), count in daemon.engine.states.items():
        if count:
            counted.setdefault(kind.value, {})[state.value] = count
    return counted


def _in_flight(operations: Mapping[str, Mapping[str, int]]) -> int:
    return sum(
        count
        for kind, states in operations.items()
        if kind != _DECOY
        for state, count in states.items()
        if state in _IN_FLIGHT
    )


def _application(daemon: "Daemon", session: Session, lengths: Mapping[AppId, tuple[int, int]]) -> ApplicationStatus:
    waiting, resends = lengths.get(session.app_id, (0, 0))
    return ApplicationStatus(
        name=session.app_id[:SHORT_ID_LENGTH].hex(),
        is_present=session.connection is not None,
        waiting=waiting,
        resends=resends,
        messages=daemon.engine.number_of(session.app_id),
        message_bytes=daemon.engine.bytes_of(session.app_id),
        unread=len(session.outbox),
        unread_bytes=session.outbox.bytes,
    )


def _drops(daemon: "Daemon") -> dict[str, int]:
    counts, admission, traffic = daemon.sessions.counts, daemon.admission, daemon.sender.status()
    return {
        **{reason.value: daemon.engine.drops[reason] for reason in ReplyDrop},
        "answer that an application did not come back for": counts.answers_dropped,
        "session ended as too much was kept": counts.ended_for_room,
        "connection ended as too much was unread": counts.ended_unread,
        "connection ended as its frame was unfinished": daemon.budget.ended,
        "connection turned away": admission.turned_away,
        "silent connection ended": admission.ended_silent,
        "connection that could not be accepted": admission.accept_failures,
        "slot without a packet": traffic.slots_without_packet,
    }
