"""What happened in a local network, in numbers; nothing is ever dropped without being counted with its reason."""

from collections import Counter
from enum import StrEnum
from typing import Generic, TypeVar

EventName = TypeVar("EventName", bound=StrEnum)
ReasonName = TypeVar("ReasonName", bound=StrEnum)


class DropReason(StrEnum):
    """Why a packet went no further."""

    RATE_LIMIT = "rate limit"
    IN_FLIGHT_LIMIT = "too many packets in flight"
    WRONG_LENGTH = "wrong packet length"
    UNWRAP_FAILED = "no key of three epochs unwraps it"
    REPLAY = "replayed"
    REDUNDANT_COMMAND = "redundant command"
    NOT_A_FORWARD_PACKET = "not a forward packet"
    NOT_A_REPLY = "not a reply for a client"
    FORWARD_AT_SERVICE = "asks a service node to forward"
    NO_DELAY = "no delay command"
    DELAY_TOO_LONG = "delay over the cap"
    NOT_A_NEIGHBOUR = "next hop is not a neighbour"
    UNKNOWN_ENDPOINT = "no such endpoint"
    MALFORMED_PLAINTEXT = "malformed plaintext"
    NO_SURB = "nothing to answer with"
    BAD_SURB = "unusable SURB"
    NO_ANSWER = "the service does not answer that"
    SPOOL_FULL = "spool full"
    SPOOL_EXPIRED = "spooled for nobody connected"
    NO_CONSENSUS = "no consensus for this epoch"
    NODE_GONE = "for a node that is not there"
    FAULT_PACKET_LOST = "packet lost on command"
    FAULT_REPLY_LOST = "reply lost on command"


class Counted(StrEnum):
    """What else is worth counting."""

    CONNECTIONS = "connections"
    CONNECTIONS_REFUSED = "connections refused"
    HANDSHAKES = "handshakes"
    HANDSHAKES_FAILED = "handshakes failed"
    PROTOCOL_ERRORS = "protocol errors"
    PACKETS_RECEIVED = "packets received"
    REQUESTS_ANSWERED = "requests answered"
    REPLIES_SPOOLED = "replies spooled"
    MESSAGES_PUSHED = "messages pushed"
    MESSAGES_ACKNOWLEDGED = "messages acknowledged"
    ACKNOWLEDGEMENTS_MISSED = "acknowledgements missed"
    DOCUMENTS_SERVED = "documents served"
    DOCUMENTS_REFUSED = "documents refused"
    COURIER_QUERIES = "courier queries"
    COURIER_DISPATCHES = "envelopes dispatched to replicas"
    COPY_JOBS = "copy jobs"
    STORAGE_OVERLOADS = "storage jobs refused"
    FAULT_DUPLICATES = "duplicated on command"
    FAULT_CORRUPTIONS = "corrupted on command"


class CountersOf(Generic[EventName, ReasonName]):
    """Counts of events and of drops by reason; index it with either.

    Args:
        events: what can be counted.
        reasons: why something can be dropped.
        total: where everything is counted as well.
    """

    __slots__ = ("_counts", "_events", "_reasons", "_total")

    def __init__(
        self,
        events: type[EventName],
        reasons: type[ReasonName],
        total: "CountersOf[EventName, ReasonName] | None" = None,
    ) -> None:
        self._events = events
        self._reasons = reasons
        self._total = total
        self._counts: Counter[StrEnum] = Counter()

    def add(self, what: EventName | ReasonName, times: int = 1) -> None:
        """Count `what` as having happened `times` more."""
        self._counts[what] += times
        if self._total is not None:
            self._total.add(what, times)

    def __getitem__(self, what: EventName | ReasonName) -> int:
        return self._counts[what]

    @property
    def drops(self) -> dict[ReasonName, int]:
        """Every drop that happened, by reason: empty in a network that loses nothing."""
        return {reason: self._counts[reason] for reason in self._reasons if self._counts[reason]}

    def snapshot(self) -> dict[str, int]:
        """Return all counts that are not zero, drops marked as such."""
        events = {str(event): self._counts[event] for event in self._events if self._counts[event]}
        return events | {f"dropped, {reason}": count for reason, count in self.drops.items()}


class Counters(CountersOf[Counted, DropReason]):
    """The counters of a local network, or of one gateway of it.

    Args:
        total: the network's, for those of a gateway.
    """

    __slots__ = ()

    def __init__(self, total: "Counters | None" = None) -> None:
        super().__init__(Counted, DropReason, total)
