"""Keeps every operation from its acceptance to its one end, and the SURBs that are out for them.

The contract is aioquic's: things that happen are told by method calls that carry the time, `next_timer` says when
`handle_timers` has something to do, and all that follows comes out of `next_event`, in one order. The engine knows
nothing of packets, sockets or queues: whoever drives it puts an operation that wants a slot into its application's
queue, and tells what became of its packet.

What an operation does is decided by `arq.operations`, which reply belongs to it by `arq.surbs`; here they are joined,
bounded, and kept balanced: `operation ended` and `no SURB of it is out` are one step.
"""

import enum
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace

from arq.errors import TooManyInFlight, TooMuchHeld
from arq.histogram import Histogram
from arq.operations import UNNAMED, Action, AppId, Input, Kind, Message, Operation, Policy, RouteNames, State
from arq.records import OperationRecord
from arq.surbs import Surb, SurbEnd, SurbTable
from arq.timers import TimerQueue
from sphinx.errors import SphinxError
from sphinx.randomness import Randomness
from sphinx.types import SurbId


@dataclass(frozen=True, slots=True)
class SlotWanted:
    """An operation belongs into its owner's queue; `again` if it is a retransmission."""

    operation: Operation
    again: bool


@dataclass(frozen=True, slots=True)
class MessageSent:
    """A message's first packet left by a `route`; `eta` is seconds from then to the estimated reply."""

    owner: AppId
    message_id: bytes | None
    surb_id: SurbId | None
    eta: float
    route: RouteNames = field(default=UNNAMED, repr=False)


@dataclass(frozen=True, slots=True)
class MessageRefused:
    """A message will never leave, and why."""

    owner: AppId
    message_id: bytes | None
    surb_id: SurbId | None
    reason: str


@dataclass(frozen=True, slots=True)
class ReplyReceived:
    """A message's reply came: `payload` is `forward_payload_length` bytes, zero padded."""

    owner: AppId
    message_id: bytes | None
    surb_id: SurbId
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class GaveUp:
    """A reliable message's time is over, and no reply came."""

    owner: AppId
    message_id: bytes | None
    surb_id: SurbId | None


@dataclass(frozen=True, slots=True)
class Collected:
    """Nothing more will ever be said of this reliable message."""

    owner: AppId
    message_id: bytes | None


@dataclass(frozen=True, slots=True)
class ReplyToJudge:
    """A polled message was answered: whoever knows what the payload means concludes the operation, or lets it go on."""

    operation: Operation
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class PollFailed:
    """No packet could be made of a polled message, which has ended."""

    operation: Operation
    reason: str


Event = SlotWanted | MessageSent | MessageRefused | ReplyReceived | GaveUp | Collected | ReplyToJudge | PollFailed


class ReplyDrop(enum.Enum):
    """Why what the gateway delivered was thrown away."""

    UNMATCHED = "reply to no SURB that is out"
    UNDECRYPTABLE = "reply that does not decrypt"


_SURB_ENDS: Mapping[Input, SurbEnd] = {
    Input.RECALLED: SurbEnd.FAILED,
    Input.REFUSED: SurbEnd.FAILED,
    Input.REPLIED: SurbEnd.DELIVERED,
    Input.CANCELLED: SurbEnd.CANCELLED,
    Input.EXPIRED: SurbEnd.COLLECTED,
    Input.LAPSED: SurbEnd.COLLECTED,
}


class Engine:
    """All operations.

    Args:
        open_reply: takes SURB keys and a delivered payload and returns the answer, or raises `SphinxError`.
        randomness: chooses SURB ids.
        policy: times and bounds.
        on_change: told the number of each application's operation whose record may have changed, see `arq.records`.

    Attributes:
        surbs: those that are out, and counts of all.
        drops: what was thrown away of what came.
        retransmissions: packets sent again.
        decoys_returned: of those that were sent.
        round_trips: seconds from each packet's departure to its reply, decoys' too.
        arq_round_trips: the same of what is sent again until it is answered.
    """

    def __init__(
        self,
        open_reply: Callable[[bytes, bytes], bytes],
        randomness: Randomness,
        policy: Policy | None = None,
        on_change: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.policy = policy or Policy()
        self.surbs: SurbTable[Operation] = SurbTable(randomness)
        self.drops: Counter[ReplyDrop] = Counter()
        self.retransmissions = 0
        self.decoys_returned = 0
        self.round_trips = Histogram()
        self.arq_round_trips = Histogram()
        self._open_reply = open_reply
        self._randomness = randomness
        self._on_change = on_change
        self._by_number: dict[int, Operation] = {}
        self._by_owner: dict[AppId, dict[int, Operation]] = {}
        self._bytes_by_owner: Counter[AppId] = Counter()
        self._states: Counter[tuple[Kind, State]] = Counter()
        self._timers: TimerQueue[Operation] = TimerQueue()
        self._events: deque[Event] = deque()
        self._next_number = 1

    # -- what applications want

    def accept(self, message: Message) -> Operation:
        """Take responsibility for `message`, which wants a slot from now on.

        Raises:
            SurbIdInUse: if its SURB id is another's, of whatever application.
            TooManyInFlight: if its owner has as many operations, or bytes, as one may.
            TooMuchHeld: if all owners together have.
        """
        operation = self._new(message.kind, message)
        self._check_bounds(message.owner, operation.size)
        if message.surb_id is not None:
            self.surbs.reserve(message.surb_id, operation)
        self._add(operation)
        self._events.append(SlotWanted(operation, again=False))
        return operation

    def new_decoy(self) -> Operation:
        """A loop decoy, to be sent at once; whoever asked for it need not send it."""
        return self._new(Kind.DECOY, None)

    def cancel_owner(self, owner: AppId) -> None:
        """The application is gone for good: all of its operations end, without a word."""
        for operation in self.owned_by(owner):
            self._apply(operation, Input.CANCELLED, 0.0)

    def cancel(self, operation: Operation) -> None:
        """Its application wants it no more: it ends, without a word."""
        self._apply(operation, Input.CANCELLED, 0.0)

    def reassign(self, owner: AppId, new_owner: AppId) -> None:
        """What belongs to `owner` belongs to `new_owner` from now on: both were one application."""
        for operation in self.owned_by(owner):
            self._disown(operation)
            operation.owner = new_owner
            self._own(operation, new_owner)
            self._on_change(operation.number)

    # -- what became of polls

    def go_on(self, operation: Operation, now: float, pause: float) -> None:
        """The last reply was not the answer: another packet is due `pause` seconds from `now` on (monotonic)."""
        self._apply(operation, Input.CONTINUED, now, pause=pause)

    def change_content(
        self, operation: Operation, context: bytes, payload: bytes | None = None, *, is_recorded: bool = False
    ) -> None:
        """Change what belongs to a polled operation.

        Args:
            operation: one of this engine's; nothing happens if it has ended.
            context: what its owner keeps with it.
            payload: what its next packets carry; None for what they carried before.
            is_recorded: whether this is to outlive the process; else the old payload and context may come back.
        """
        if operation.number not in self._by_number or operation.message is None or operation.owner is None:
            return
        before = operation.size
        payload = operation.message.payload if payload is None else payload
        operation.message = replace(operation.message, payload=payload, context=context)
        self._bytes_by_owner[operation.owner] += operation.size - before
        if is_recorded:
            operation.revision += 1
            self._on_change(operation.number)

    def conclude(self, operation: Operation, now: float) -> bool:
        """The last reply was the answer; False if the operation has ended meanwhile, so that nobody wants it."""
        if operation.state is not State.JUDGED:
            return False
        self._apply(operation, Input.CONCLUDED, now)
        return True

    # -- what became of packets

    def surb_id_for(self, operation: Operation) -> SurbId:
        """The SURB id to compose the next packet with: the application's own, or a fresh one each time."""
        chosen = operation.message.surb_id if operation.message is not None else None
        return chosen if chosen is not None else self.surbs.fresh_id()

    def departs(
        self,
        operation: Operation,
        surb_id: SurbId | None,
        keys: bytes,
        eta: float,
        now: float,
        route: RouteNames = UNNAMED,
    ) -> bool:
        """A packet of `operation` is about to be written.

        Args:
            operation: one that wants a slot, or a new decoy.
            surb_id: what `surb_id_for` gave for this packet, or None for a packet without SURB.
            keys: the SURB's decryption keys.
            eta: seconds from now to the estimated arrival of its reply.
            now: monotonic seconds.
            route: for the application.

        Returns:
            False if the operation has ended or is under way meanwhile: the packet is nothing but cover then.
        """
        if not operation.wants_slot:
            return False
        if operation.is_cover:
            self._add(operation)
        previous = operation.surb_id
        if previous is not None:
            self.surbs.end(previous, operation, SurbEnd.ROTATED)
        operation.surb_id, operation.eta, operation.route = surb_id, eta, route
        self.retransmissions += operation.state is State.DUE
        self._apply(operation, Input.DEPARTS, now)
        if surb_id is not None:
            life = self.policy.surb_life(operation.kind)
            lapses_at = operation.expires_at if operation.expires_at is not None else now + eta + life
            self.surbs.put(Surb(surb_id, keys, operation, lapses_at, now))
        return True

    def left(self, operation: Operation, now: float) -> None:
        """The packet that departed is written."""
        self._apply(operation, Input.LEFT, now)

    def recalled(self, operation: Operation, now: float) -> None:
        """The packet that departed was not written: the link broke."""
        again = operation.state is State.LEAVING_AGAIN
        if operation.state not in (State.LEAVING, State.LEAVING_AGAIN):
            return
        self.retransmissions -= again
        if operation.surb_id is not None:
            self.surbs.end(operation.surb_id, operation, SurbEnd.FAILED)
        self._apply(operation, Input.RECALLED, now)

    def refused(self, operation: Operation, reason: str, now: float) -> None:
        """No packet can be made of it; `reason` is for its application."""
        self._apply(operation, Input.REFUSED, now, reason=reason)

    def receive(self, surb_id: SurbId, payload: bytes, now: float) -> None:
        """The gateway delivered `payload` for `surb_id`.

        A SURB is good for one reply. What matches none (a repeated delivery, a reply to a packet that has been sent
        again since) and what does not decrypt is counted and changes nothing.
        """
        surb = self.surbs.find(surb_id)
        if surb is None:
            self.drops[ReplyDrop.UNMATCHED] += 1
            return
        try:
            answer = self._open_reply(surb.keys, payload)
        except SphinxError:
            self.drops[ReplyDrop.UNDECRYPTABLE] += 1
            return
        operation = surb.holder
        self.surbs.end(surb_id, operation, SurbEnd.DELIVERED)
        self.decoys_returned += operation.is_cover
        self._note_round_trip(operation.kind, now - surb.departed_at)
        self._apply(operation, Input.REPLIED, now, payload=answer)

    def _note_round_trip(self, kind: Kind, seconds: float) -> None:
        self.round_trips.add(seconds)
        if kind in (Kind.RELIABLE, Kind.POLLED):
            self.arq_round_trips.add(seconds)

    # -- time and events

    def next_timer(self) -> float | None:
        """Monotonic seconds at which `handle_timers` has something to do, or None."""
        timers = (self._timers.next(), self.surbs.next_timer())
        return min((timer for timer in timers if timer is not None), default=None)

    def handle_timers(self, now: float) -> None:
        """Do what is due at `now` (monotonic seconds)."""
        for operation in self._timers.pop_due(now):
            due = operation.due_input(now)
            if due is not None:
                self._apply(operation, due, now)
        for surb in self.surbs.lapsed(now):
            self.surbs.end(surb.surb_id, surb.holder, SurbEnd.COLLECTED)
            self._apply(surb.holder, Input.LAPSED, now)

    def next_event(self) -> Event | None:
        """What happened next, once each; None when all has been told."""
        return self._events.popleft() if self._events else None

    # -- what can be seen

    def __len__(self) -> int:
        return len(self._by_number)

    def __iter__(self) -> Iterator[Operation]:
        return iter(tuple(self._by_number.values()))

    def find(self, number: int) -> Operation | None:
        """The operation of that number, if it has not ended."""
        return self._by_number.get(number)

    def owned_by(self, owner: AppId) -> tuple[Operation, ...]:
        """The operations of an application, oldest first."""
        return tuple(self._by_owner.get(owner, {}).values())

    def number_of(self, owner: AppId) -> int:
        """How many operations an application has."""
        return len(self._by_owner.get(owner, ()))

    def bytes_of(self, owner: AppId) -> int:
        """Bytes that an application's operations take."""
        return self._bytes_by_owner[owner]

    @property
    def bytes_held(self) -> int:
        """Bytes that all operations take."""
        return self._bytes_by_owner.total()

    @property
    def states(self) -> Mapping[tuple[Kind, State], int]:
        """How many operations of which kind are where."""
        return {key: count for key, count in self._states.items() if count}

    @property
    def in_flight(self) -> int:
        """Messages of applications that were sent and still await a reply."""
        underway = (State.IN_FLIGHT, State.DUE, State.LEAVING_AGAIN)
        return sum(n for (kind, state), n in self._states.items() if kind is not Kind.DECOY and state in underway)

    # -- records

    def record(self, number: int, offset: float) -> OperationRecord | None:
        """What must outlive the process of the operation of that number; `offset` is Unix time less monotonic time."""
        operation = self._by_number.get(number)
        return None if operation is None else OperationRecord.of(operation, offset)

    def restore(self, records: Iterable[OperationRecord], offset: float, now: float) -> None:
        """Go on with what was recorded, in an engine that holds nothing yet; `now` in monotonic seconds.

        What waited wants its slot anew, in its order, and what awaited its answer wants to be sent again at once: the
        answer would come to a connection that is no more.

        Raises:
            SurbIdInUse: if records contradict each other.
        """
        for record in sorted(records, key=lambda record: record.number):
            operation = record.operation(offset)
            if operation.message is not None and operation.message.surb_id is not None:
                self.surbs.reserve(operation.message.surb_id, operation)
            self._add(operation)
            self._rearm(operation)
            self._next_number = max(self._next_number, operation.number + 1)
            if operation.state is State.WAITING:
                self._events.append(SlotWanted(operation, again=False))
            elif operation.state is State.IN_FLIGHT:
                self._apply(operation, Input.RETRY, now)

    # -- inside

    def _new(self, kind: Kind, message: Message | None) -> Operation:
        number = self._next_number
        self._next_number += 1
        if message is None:
            return Operation(number, kind)
        return Operation(number, kind, message.owner, message, surb_id=message.surb_id)

    def _check_bounds(self, owner: AppId, size: int) -> None:
        policy = self.policy
        owned = len(self._by_owner.get(owner, ()))
        if owned >= policy.most_per_owner or self._bytes_by_owner[owner] + size > policy.most_bytes_per_owner:
            raise TooManyInFlight(f"{owned} messages are waiting or in flight; wait for their replies")
        if self.bytes_held + size > policy.most_bytes:
            raise TooMuchHeld("the daemon holds as many messages as it may, of all applications; try again later")

    def _add(self, operation: Operation) -> None:
        self._by_number[operation.number] = operation
        self._states[operation.kind, operation.state] += 1
        if operation.owner is not None:
            self._own(operation, operation.owner)
            self._on_change(operation.number)

    def _own(self, operation: Operation, owner: AppId) -> None:
        self._by_owner.setdefault(owner, {})[operation.number] = operation
        self._bytes_by_owner[owner] += operation.size

    def _disown(self, operation: Operation) -> None:
        owner = operation.owner
        if owner is None:
            return
        owned = self._by_owner[owner]
        del owned[operation.number]
        self._bytes_by_owner[owner] -= operation.size
        if not owned:
            del self._by_owner[owner], self._bytes_by_owner[owner]

    def _apply(
        self,
        operation: Operation,
        happened: Input,
        now: float,
        *,
        payload: bytes = b"",
        reason: str = "",
        pause: float = 0.0,
    ) -> None:
        if operation.number not in self._by_number:
            return
        before = operation.state
        actions = operation.handle(happened, now, self.policy, self._randomness, pause)
        self._states[operation.kind, before] -= 1
        self._states[operation.kind, operation.state] += 1
        for action in actions:
            self._tell(operation, action, payload, reason)
        if operation.has_ended:
            self._remove(operation, happened)
        else:
            self._rearm(operation)
        if operation.state is not before and not operation.is_cover:
            self._on_change(operation.number)

    def _remove(self, operation: Operation, why: Input) -> None:
        self._timers.cancel(operation)
        if operation.surb_id is not None and why in _SURB_ENDS:
            self.surbs.end(operation.surb_id, operation, _SURB_ENDS[why])
        if operation.message is not None and operation.message.surb_id is not None:
            self.surbs.release(operation.message.surb_id, operation)
        self._states[operation.kind, State.ENDED] -= 1
        del self._by_number[operation.number]
        self._disown(operation)

    def _rearm(self, operation: Operation) -> None:
        timer = operation.next_timer()
        if timer is None:
            self._timers.cancel(operation)
        else:
            self._timers.set(operation, timer)

    def _tell(self, operation: Operation, action: Action, payload: bytes, reason: str) -> None:
        owner, message_id, surb_id = operation.owner, operation.message_id, operation.surb_id
        if action is Action.WANT_SLOT_AGAIN:
            self._events.append(SlotWanted(operation, again=True))
        if owner is None:
            return
        match action:
            case Action.TELL_SENT:
                self._events.append(MessageSent(owner, message_id, surb_id, operation.eta, operation.route))
            case Action.TELL_REFUSED:
                self._events.append(MessageRefused(owner, message_id, surb_id, reason))
            case Action.TELL_REPLY if surb_id is not None:
                self._events.append(ReplyReceived(owner, message_id, surb_id, payload))
            case Action.ASK_JUDGEMENT:
                self._events.append(ReplyToJudge(operation, payload))
            case Action.TELL_FAILED:
                self._events.append(PollFailed(operation, reason))
            case Action.TELL_GAVE_UP:
                self._events.append(GaveUp(owner, message_id, surb_id))
            case Action.TELL_COLLECTED:
                self._events.append(Collected(owner, message_id))
