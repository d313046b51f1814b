"""What an application wants done, as a machine without I/O: from its acceptance to its one end.

Theory of operation. An operation is told what happens to it (an `Input`), goes from one `State` to the next by the
table of its kind, and says what follows (`Action`s), from which the engine makes events. It never sends: it *wants a
slot*, waits in its application's queue, and leaves when the Poisson clock says so. So what is sent when never depends
on a reply.

    one-way      WAITING -departs-> LEAVING -left-> ENDED
    decoy        WAITING -departs-> LEAVING -left-> IN_FLIGHT -replied, lapsed-> ENDED
    plain        WAITING -departs-> LEAVING -left-> IN_FLIGHT -replied, lapsed-> ENDED
    reliable     WAITING -departs-> LEAVING -left-> IN_FLIGHT -replied-> ANSWERED -expired-> ENDED
                                                     |    ^
                                               retry v    | left
                                                    DUE -departs-> LEAVING_AGAIN
    polled       WAITING -departs-> LEAVING -left-> IN_FLIGHT -replied-> JUDGED -concluded-> ENDED
                                                     |    ^                | continued
                                               retry v    | left           v
                                                    DUE --+ departs <-retry- PAUSED

* A packet *departs* before it is written, since its reply must find its keys, and has *left* once it is written. If
  the link breaks in between it is *recalled*: the operation waits again, for it never was on the wire as a whole. A
  reply that arrives while the write is still under way counts like any other.
* A reliable message is sent again under a new SURB id whenever its reply is overdue (*retry*). It ends at a deadline
  that its first packet sets (*expired*), answered or not; until then its id stays known to its application. Old
  daemons gave up after three retransmissions instead and collected at this time all the same; at a loss of one packet
  in five that fails one message in fifty, so only the time counts here.
* A plain message is sent once. When its SURB's life time is over (*lapsed*) it ends without a word, as the protocol has
  no event for that.
* A polled message asks until there is an answer: each reply is handed to whoever knows what it means, and it rests
  until that is *concluded*, or *continued* with another packet after a pause. It has no deadline of its own.
* What cannot be made into a packet is *refused*: a first packet ends the operation with the reason; a retransmission
  is tried again a little later, as a later document may have the service again.
* An input that the table does not list for a state changes nothing: it is the report of something overtaken, such as a
  write that ends after the application is gone.

A further kind of operation is a row in `TRANSITIONS` and, where it needs other requests than a message's, a subclass.

Sources: the Katzenpost client daemon's ARQ; for reliable messages, the thin-client protocol of 2025; for polled ones,
Pigeonhole's.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NewType

from sphinx.randomness import Randomness
from sphinx.types import NodeId, RecipientId, SurbId

AppId = NewType("AppId", bytes)
"""Names one application's session in this daemon (16 bytes)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a service, as an application wants it sent.

    Attributes:
        owner: the application; its replies go to it alone.
        message_id: the application's own name for it (16 bytes or None), only ever echoed.
        destination: the service node (32 bytes).
        recipient: the service's endpoint at that node (32 bytes, zero padded).
        payload: at most `user_forward_payload_length` bytes.
        with_surb: whether an answer is wanted.
        surb_id: the application's choice (16 bytes), or None where the engine chooses.
        reliable: retransmit until answered.
        polled: go on sending until somebody says of a reply that it is the last.
        context: what that somebody must know to say so; only ever kept.
    """

    owner: AppId
    message_id: bytes | None
    destination: NodeId = field(repr=False)
    recipient: RecipientId = field(repr=False)
    payload: bytes = field(repr=False)
    with_surb: bool
    surb_id: SurbId | None = None
    reliable: bool = False
    polled: bool = False
    context: bytes = field(default=b"", repr=False)

    @property
    def kind(self) -> "Kind":
        """What is expected of it."""
        if self.polled:
            return Kind.POLLED
        return Kind.RELIABLE if self.reliable else Kind.PLAIN if self.with_surb else Kind.ONE_WAY


@dataclass(frozen=True, slots=True)
class RouteNames:
    """The nodes that a packet passes, by the names that people know; only ever handed on.

    Attributes:
        forward: from the first node to the service's; empty where that is not known.
        back: those of its reply, from the first node after the service's to the last; empty without SURB.
    """

    forward: tuple[str, ...] = ()
    back: tuple[str, ...] = ()


UNNAMED: Final = RouteNames()


class _Member(enum.Enum):
    """Members are looked up with every packet: each is one object, and hashes as such."""

    __hash__ = object.__hash__


class Kind(_Member):
    """What is expected of an operation."""

    ONE_WAY = "one-way"
    """Sent once; nobody can answer."""

    PLAIN = "plain"
    """Sent once; a reply is delivered if it comes."""

    RELIABLE = "reliable"
    """Sent again until a reply comes or its time is over."""

    POLLED = "polled"
    """Sent again until somebody says of a reply that it is the last."""

    DECOY = "decoy"
    """Cover traffic to ourselves; its reply is thrown away."""


class State(_Member):
    """Where an operation is; see the drawing above."""

    WAITING = "waiting"
    LEAVING = "leaving"
    IN_FLIGHT = "in flight"
    DUE = "retransmission due"
    LEAVING_AGAIN = "leaving again"
    ANSWERED = "answered"
    JUDGED = "being judged"
    PAUSED = "paused"
    ENDED = "ended"


class Input(_Member):
    """What can happen to an operation."""

    DEPARTS = "a packet is about to be written"
    LEFT = "the packet is written"
    RECALLED = "the packet could not be written"
    REFUSED = "no packet can be made"
    REPLIED = "the reply came"
    RETRY = "the reply is overdue"
    EXPIRED = "its time is over"
    LAPSED = "its SURB's life time is over"
    CANCELLED = "nobody wants it any more"
    CONTINUED = "the reply was not the last"
    CONCLUDED = "the reply was the last"


class Action(_Member):
    """What follows from a transition."""

    TELL_SENT = enum.auto()
    TELL_REFUSED = enum.auto()
    TELL_REPLY = enum.auto()
    ASK_JUDGEMENT = enum.auto()
    TELL_FAILED = enum.auto()
    TELL_GAVE_UP = enum.auto()
    TELL_COLLECTED = enum.auto()
    WANT_SLOT_AGAIN = enum.auto()
    ARM_RETRY = enum.auto()
    TRY_LATER = enum.auto()
    PAUSE = enum.auto()


Transition = tuple[State, tuple[Action, ...]]

_GIVE_UP: Final[Transition] = (State.ENDED, (Action.TELL_GAVE_UP, Action.TELL_COLLECTED))
_END: Final[Transition] = (State.ENDED, ())
_JUDGE: Final[Transition] = (State.JUDGED, (Action.ASK_JUDGEMENT,))

TRANSITIONS: Final[Mapping[Kind, Mapping[tuple[State, Input], Transition]]] = {
    Kind.ONE_WAY: {
        (State.WAITING, Input.DEPARTS): (State.LEAVING, ()),
        (State.WAITING, Input.REFUSED): _END,
        (State.WAITING, Input.CANCELLED): _END,
        (State.LEAVING, Input.LEFT): _END,
        (State.LEAVING, Input.RECALLED): (State.WAITING, ()),
        (State.LEAVING, Input.CANCELLED): _END,
    },
    Kind.DECOY: {
        (State.WAITING, Input.DEPARTS): (State.LEAVING, ()),
        (State.LEAVING, Input.LEFT): (State.IN_FLIGHT, ()),
        (State.LEAVING, Input.RECALLED): _END,
        (State.LEAVING, Input.REPLIED): _END,
        (State.LEAVING, Input.LAPSED): _END,
        (State.IN_FLIGHT, Input.REPLIED): _END,
        (State.IN_FLIGHT, Input.LAPSED): _END,
    },
    Kind.PLAIN: {
        (State.WAITING, Input.DEPARTS): (State.LEAVING, ()),
        (State.WAITING, Input.REFUSED): (State.ENDED, (Action.TELL_REFUSED,)),
        (State.WAITING, Input.CANCELLED): _END,
        (State.LEAVING, Input.LEFT): (State.IN_FLIGHT, (Action.TELL_SENT,)),
        (State.LEAVING, Input.RECALLED): (State.WAITING, ()),
        (State.LEAVING, Input.REPLIED): (State.ENDED, (Action.TELL_SENT, Action.TELL_REPLY)),
        (State.LEAVING, Input.LAPSED): _END,
        (State.LEAVING, Input.CANCELLED): _END,
        (State.IN_FLIGHT, Input.REPLIED): (State.ENDED, (Action.TELL_REPLY,)),
        (State.IN_FLIGHT, Input.LAPSED): _END,
        (State.IN_FLIGHT, Input.CANCELLED): _END,
    },
    Kind.RELIABLE: {
        (State.WAITING, Input.DEPARTS): (State.LEAVING, ()),
        (State.WAITING, Input.REFUSED): (State.ENDED, (Action.TELL_REFUSED,)),
        (State.WAITING, Input.CANCELLED): _END,
        (State.LEAVING, Input.LEFT): (State.IN_FLIGHT, (Action.TELL_SENT, Action.ARM_RETRY)),
        (State.LEAVING, Input.RECALLED): (State.WAITING, ()),
        (State.LEAVING, Input.REPLIED): (State.ANSWERED, (Action.TELL_SENT, Action.TELL_REPLY)),
        (State.LEAVING, Input.EXPIRED): _GIVE_UP,
        (State.LEAVING, Input.CANCELLED): _END,
        (State.IN_FLIGHT, Input.REPLIED): (State.ANSWERED, (Action.TELL_REPLY,)),
        (State.IN_FLIGHT, Input.RETRY): (State.DUE, (Action.WANT_SLOT_AGAIN,)),
        (State.IN_FLIGHT, Input.EXPIRED): _GIVE_UP,
        (State.IN_FLIGHT, Input.CANCELLED): _END,
        (State.DUE, Input.DEPARTS): (State.LEAVING_AGAIN, ()),
        (State.DUE, Input.REFUSED): (State.IN_FLIGHT, (Action.TRY_LATER,)),
        (State.DUE, Input.REPLIED): (State.ANSWERED, (Action.TELL_REPLY,)),
        (State.DUE, Input.EXPIRED): _GIVE_UP,
        (State.DUE, Input.CANCELLED): _END,
        (State.LEAVING_AGAIN, Input.LEFT): (State.IN_FLIGHT, (Action.ARM_RETRY,)),
        (State.LEAVING_AGAIN, Input.RECALLED): (State.DUE, ()),
        (State.LEAVING_AGAIN, Input.REPLIED): (State.ANSWERED, (Action.TELL_REPLY,)),
        (State.LEAVING_AGAIN, Input.EXPIRED): _GIVE_UP,
        (State.LEAVING_AGAIN, Input.CANCELLED): _END,
        (State.ANSWERED, Input.EXPIRED): (State.ENDED, (Action.TELL_COLLECTED,)),
        (State.ANSWERED, Input.CANCELLED): _END,
    },
    Kind.POLLED: {
        (State.WAITING, Input.DEPARTS): (State.LEAVING, ()),
        (State.WAITING, Input.REFUSED): (State.ENDED, (Action.TELL_FAILED,)),
        (State.WAITING, Input.CANCELLED): _END,
        (State.LEAVING, Input.LEFT): (State.IN_FLIGHT, (Action.ARM_RETRY,)),
        (State.LEAVING, Input.RECALLED): (State.WAITING, ()),
        (State.LEAVING, Input.REPLIED): _JUDGE,
        (State.LEAVING, Input.CANCELLED): _END,
        (State.IN_FLIGHT, Input.REPLIED): _JUDGE,
        (State.IN_FLIGHT, Input.RETRY): (State.DUE, (Action.WANT_SLOT_AGAIN,)),
        (State.IN_FLIGHT, Input.CANCELLED): _END,
        (State.DUE, Input.DEPARTS): (State.LEAVING_AGAIN, ()),
        (State.DUE, Input.REFUSED): (State.PAUSED, (Action.TRY_LATER,)),
        (State.DUE, Input.REPLIED): _JUDGE,
        (State.DUE, Input.CANCELLED): _END,
        (State.LEAVING_AGAIN, Input.LEFT): (State.IN_FLIGHT, (Action.ARM_RETRY,)),
        (State.LEAVING_AGAIN, Input.RECALLED): (State.DUE, ()),
        (State.LEAVING_AGAIN, Input.REPLIED): _JUDGE,
        (State.LEAVING_AGAIN, Input.CANCELLED): _END,
        (State.JUDGED, Input.CONTINUED): (State.PAUSED, (Action.PAUSE,)),
        (State.JUDGED, Input.CONCLUDED): _END,
        (State.JUDGED, Input.CANCELLED): _END,
        (State.PAUSED, Input.RETRY): (State.DUE, (Action.WANT_SLOT_AGAIN,)),
        (State.PAUSED, Input.REPLIED): _JUDGE,
        (State.PAUSED, Input.CANCELLED): _END,
    },
}


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait for what, and how much one application may have; times in seconds.

    Attributes:
        retry_after: past a packet's estimated arrival, after which a reliable message is sent again at the earliest.
        retry_spread: so much later at the latest. The moment is drawn for each packet, as the reference does it, so
            that messages that were lost together are not sent again together.
        collected_after: past the first packet's estimated arrival, at which a reliable message ends for good.
        reply_kept: past its estimated arrival, for which a plain message's reply is still accepted.
        decoy_kept: the same for a decoy.
        try_later: until a retransmission that could not be composed is tried again.
        most_per_owner: operations that one application may have at once.
        most_bytes_per_owner: the same in bytes, by `Operation.size`.
        most_bytes: all applications together.
    """

    retry_after: float = 20.0
    retry_spread: float = 20.0
    collected_after: float = 300.0
    reply_kept: float = 300.0
    decoy_kept: float = 60.0
    try_later: float = 1.0
    most_per_owner: int = 4096
    most_bytes_per_owner: int = 16 * 1024 * 1024
    most_bytes: int = 40 * 1024 * 1024

    def surb_life(self, kind: Kind) -> float:
        """Seconds past its estimated arrival for which a reply to an operation of this kind is accepted."""
        return {Kind.DECOY: self.decoy_kept, Kind.RELIABLE: self.collected_after}.get(kind, self.reply_kept)


OVERHEAD: Final = 1024
"""Bytes that the daemon spends on an operation beside its payload, as measured."""


_AFTER_LEAVING: Final = (State.IN_FLIGHT, State.ANSWERED, State.JUDGED)


@dataclass(slots=True, eq=False, weakref_slot=True)
class Operation:
    """One operation. Only the engine changes it; others may keep what they know of it as long as it lives.

    Attributes:
        number: counts operations in the order of their acceptance; names this one for as long as it lives.
        owner: the application that waits for it; None for a decoy. It changes when a session is resumed.
        message: what to send; None for a decoy, whose content its maker knows.
        surb_id: that of the last packet, or the application's choice before there is one.
        transmissions: packets that left.
        eta: seconds from its departure to the last packet's estimated reply.
        route: that packet's way.
        retry_at: monotonic seconds at which a retransmission is due, or None.
        expires_at: monotonic seconds at which it ends whatever happens; None until its first packet departs.
        revision: how often its message was changed in a way that is to outlive the process.
    """

    number: int
    kind: Kind
    owner: AppId | None = None
    message: Message | None = field(default=None, repr=False)
    state: State = State.WAITING
    surb_id: SurbId | None = None
    transmissions: int = 0
    eta: float = 0.0
    route: RouteNames = field(default=UNNAMED, repr=False)
    retry_at: float | None = None
    expires_at: float | None = None
    revision: int = 0

    @property
    def message_id(self) -> bytes | None:
        """The application's own name for it."""
        return self.message.message_id if self.message is not None else None

    @property
    def size(self) -> int:
        """Bytes that it costs to keep."""
        return OVERHEAD + (len(self.message.payload) + len(self.message.context) if self.message is not None else 0)

    @property
    def has_ended(self) -> bool:
        """Whether nothing can happen to it any more."""
        return self.state is State.ENDED

    @property
    def wants_slot(self) -> bool:
        """Whether its next packet may be composed."""
        return self.state in (State.WAITING, State.DUE)

    @property
    def is_cover(self) -> bool:
        """Whether no application waits for it."""
        return self.owner is None

    def handle(
        self, happened: Input, now: float, policy: Policy, randomness: Randomness, pause: float = 0.0
    ) -> tuple[Action, ...]:
        """Take note of what happened at `now` (monotonic seconds) and return what follows from it.

        What is continued rests for `pause` seconds before its next packet.
        """
        if happened is Input.DEPARTS and self.kind is Kind.RELIABLE and self.expires_at is None:
            self.expires_at = now + self.eta + policy.collected_after
        state, actions = TRANSITIONS[self.kind].get((self.state, happened), (self.state, ()))
        if state is not self.state:
            self._enter(state)
        for action in actions:
            if action is Action.ARM_RETRY:
                self.retry_at = now + self.eta + policy.retry_after + policy.retry_spread * randomness.uniform()
            elif action is Action.TRY_LATER:
                self.retry_at = now + policy.try_later
            elif action is Action.PAUSE:
                self.retry_at = now + pause
        return actions

    def _enter(self, state: State) -> None:
        if self.state in (State.LEAVING, State.LEAVING_AGAIN) and state in _AFTER_LEAVING:
            self.transmissions += 1
        self.state = state
        self.retry_at = None
        if state in (State.WAITING, State.ENDED):
            self.expires_at = None

    def next_timer(self) -> float | None:
        """Monotonic seconds at which `due_input` is not None, or None."""
        return min((when for when in (self.retry_at, self.expires_at) if when is not None), default=None)

    def due_input(self, now: float) -> Input | None:
        """What time alone has done to it by `now` (monotonic seconds)."""
        if self.expires_at is not None and self.expires_at <= now:
            return Input.EXPIRED
        return Input.RETRY if self.retry_at is not None and self.retry_at <= now else None
