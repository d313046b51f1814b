"""The engine: every message that is accepted ends exactly once, answered, given up or cancelled.

It knows nothing of packets or sockets. The daemon accepts messages into it, tells it what was sent with which SURB
keys, hands it what the gateway delivers, and calls it when a timer is due; it answers with events. Retransmissions
are never sent from here: they come back as `Due`, and wait for a slot of the Poisson clock like everything else, so
that what is sent when never depends on a reply.

Sources: the Katzenpost client daemon's ARQ; for the plain-message ARQ of the older thin clients, their protocol.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from arq.entry import Entry, Kind, State
from arq.errors import SurbIdInUse, TooManyInFlight
from arq.events import Answered, Collected, Due, Event, Exhausted
from arq.message import AppId, Message
from arq.timers import TimerQueue
from sphinx.errors import SphinxError
from sphinx.randomness import Randomness
from sphinx.types import SURB_ID_LENGTH, SurbId


@dataclass(frozen=True, slots=True)
class Policy:
    """How long to wait for what.

    Attributes:
        round_trip_slop: seconds past a packet's estimated arrival after which a reliable message is sent again. The
            reference waits as long; a reply never comes later on a network that works.
        collected_after: seconds past the first packet's estimated arrival at which a reliable message ends for good.
            Old daemons gave up after three retransmissions instead, and collected at this time all the same; at a
            loss of one packet in five that fails one message in fifty, so only the time counts here.
        reply_kept: seconds past its estimated arrival for which a plain message's reply is still accepted.
        decoy_kept: the same for a loop decoy.
        postponed: seconds until a retransmission that could not be composed is tried again.
        most_per_owner: entries that one application may have at once.
    """

    round_trip_slop: float = 20.0
    collected_after: float = 300.0
    reply_kept: float = 300.0
    decoy_kept: float = 60.0
    postponed: float = 1.0
    most_per_owner: int = 4096


@dataclass(slots=True)
class Statistics:
    """Counts since the start. Every SURB id that was created has one end:

    created = delivered + decoys_returned + rotated + forgotten + cancelled + those in flight.
    """

    created: int = 0
    delivered: int = 0
    decoys_returned: int = 0
    rotated: int = 0
    forgotten: int = 0
    cancelled: int = 0
    unmatched: int = 0
    undecryptable: int = 0
    retransmissions: int = 0
    exhausted: int = 0


_COLLECTION: Final = "collection"


class Engine:
    """All messages that wait or are in flight.

    Args:
        open_reply: takes SURB keys and a delivered payload and returns the answer, or raises `SphinxError`.
        randomness: chooses SURB ids.
        policy: the times above.
    """

    def __init__(
        self, open_reply: Callable[[bytes, bytes], bytes], randomness: Randomness, policy: Policy | None = None
    ) -> None:
        self._open_reply = open_reply
        self._randomness = randomness
        self._policy = policy or Policy()
        self._by_surb_id: dict[SurbId, Entry] = {}
        self._by_owner: dict[AppId, set[Entry]] = {}
        self._timers: TimerQueue[Entry | tuple[str, Entry]] = TimerQueue()
        self.statistics = Statistics()

    # -- what the application wants

    def accept(self, message: Message) -> Entry:
        """Take responsibility for `message`; the entry then waits for a slot.

        Raises:
            SurbIdInUse: if its SURB id is another waiting message's, of whatever application.
            TooManyInFlight: if its owner has `most_per_owner` entries.
        """
        owned = self._by_owner.get(message.owner, set())
        if len(owned) >= self._policy.most_per_owner:
            raise TooManyInFlight(f"{len(owned)} messages are waiting or in flight; wait for their replies")
        if message.surb_id is not None and message.surb_id in self._by_surb_id:
            raise SurbIdInUse("surbid is in use by a message that is still in flight; choose a fresh one")
        entry = Entry(Kind.RELIABLE if message.reliable else Kind.PLAIN, message, surb_id=message.surb_id)
        self._by_owner.setdefault(message.owner, set()).add(entry)
        if entry.surb_id is not None:
            self._by_surb_id[entry.surb_id] = entry
        return entry

    def new_decoy(self) -> Entry:
        """An entry for a loop decoy, to be sent at once."""
        return Entry(Kind.DECOY)

    def surb_id_for(self, entry: Entry) -> SurbId:
        """The SURB id to compose the entry's next packet with: the application's own, or a fresh one each time."""
        if entry.kind is Kind.PLAIN and entry.surb_id is not None:
            return entry.surb_id
        while True:
            surb_id = SurbId(self._randomness.bytes(SURB_ID_LENGTH))
            if surb_id not in self._by_surb_id:
                return surb_id

    # -- what became of it

    def sent(self, entry: Entry, surb_id: SurbId, surb_keys: bytes, eta: float, now: float) -> None:
        """A packet of `entry` left.

        Args:
            entry: not yet ended; a call for one that has ended changes nothing.
            surb_id: what `surb_id_for` gave for this packet.
            surb_keys: the SURB's decryption keys.
            eta: seconds from now to the estimated arrival of its reply.
            now: monotonic seconds.
        """
        if entry.state is State.ENDED:
            return
        if entry.transmissions:
            self.statistics.retransmissions += 1
        self.statistics.rotated += bool(entry.surb_keys)
        if entry.surb_id is not None:
            self._by_surb_id.pop(entry.surb_id, None)
        entry.surb_id, entry.surb_keys = surb_id, surb_keys
        entry.state = State.IN_FLIGHT
        entry.transmissions += 1
        self._by_surb_id[surb_id] = entry
        self.statistics.created += 1
        self._arm(entry, eta, now)

    def recall(self, entry: Entry) -> None:
        """The packet that the last `sent` announced did not leave after all (the link broke): the entry waits again.

        One that has ended meanwhile, or was not announced, stays as it is.
        """
        if not entry.surb_keys:
            return
        self._withdraw(entry)
        entry.transmissions -= 1
        self._timers.cancel(entry)
        if entry.kind is Kind.DECOY:
            self._end(entry)
        elif entry.transmissions:
            self.statistics.retransmissions -= 1
            entry.state = State.DUE
        else:
            entry.state = State.WAITING
            entry.expires = None
            self._timers.cancel((_COLLECTION, entry))

    def sent_without_surb(self, entry: Entry) -> None:
        """A packet that nobody will answer left: the entry ends."""
        self._end(entry)

    def abandon(self, entry: Entry) -> None:
        """The entry cannot be sent, and its owner has been told why: it ends."""
        self._withdraw(entry)
        self._end(entry)

    def postpone(self, entry: Entry, now: float) -> None:
        """A retransmission cannot be composed at present: it is due again a little later (`now`: monotonic seconds)."""
        if entry.state is State.DUE:
            self._timers.set(entry, now + self._policy.postponed)

    def cancel_owner(self, owner: AppId) -> None:
        """The application is gone for good: everything of its ends, silently."""
        for entry in tuple(self._by_owner.get(owner, ())):
            self._withdraw(entry)
            self._timers.cancel((_COLLECTION, entry))
            self._end(entry)

    def on_message(self, surb_id: SurbId, payload: bytes) -> Answered | None:
        """The gateway delivered `payload` for `surb_id`.

        A SURB id is good for one reply. One that matches nothing (a repeated delivery, a reply to a packet that has
        been sent again since) and one that does not decrypt are counted and change nothing.
        """
        entry = self._by_surb_id.get(surb_id)
        if entry is None or not entry.surb_keys:
            self.statistics.unmatched += 1
            return None
        try:
            answer = self._open_reply(entry.surb_keys, payload)
        except SphinxError:
            self.statistics.undecryptable += 1
            return None
        message = entry.message
        if message is None:
            self.statistics.decoys_returned += 1
            self._end(entry)
            return None
        self.statistics.delivered += 1
        self._end(entry)
        return Answered(message.owner, message.message_id, surb_id, answer)

    # -- time

    def next_timer(self) -> float | None:
        """Monotonic seconds at which `handle_timers` has something to do, or None."""
        return self._timers.next()

    def handle_timers(self, now: float) -> list[Event]:
        """Do what is due at `now` (monotonic seconds) and return what happened."""
        events: list[Event] = []
        for key in self._timers.pop_due(now):
            if isinstance(key, tuple):
                events += self._collect(key[1])
            elif key.kind is Kind.RELIABLE:
                key.state = State.DUE
                events.append(Due(key))
            else:
                self.statistics.forgotten += 1
                self._end(key)
        return events

    # -- what can be seen

    @property
    def in_flight(self) -> int:
        """Messages of applications that were sent and still await a reply."""
        return sum(entry.state in (State.IN_FLIGHT, State.DUE) for owned in self._by_owner.values() for entry in owned)

    @property
    def awaited_surb_ids(self) -> int:
        """SURB ids to which a reply is accepted, those of decoys too."""
        return sum(bool(entry.surb_keys) for entry in self._by_surb_id.values())

    def _arm(self, entry: Entry, eta: float, now: float) -> None:
        policy = self._policy
        match entry.kind:
            case Kind.RELIABLE:
                if entry.expires is None:
                    entry.expires = now + eta + policy.collected_after
                    self._timers.set((_COLLECTION, entry), entry.expires)
                self._timers.set(entry, now + eta + policy.round_trip_slop)
            case Kind.PLAIN:
                self._timers.set(entry, now + eta + policy.reply_kept)
            case Kind.DECOY:
                self._timers.set(entry, now + eta + policy.decoy_kept)

    def _collect(self, entry: Entry) -> list[Event]:
        message = entry.message
        if message is None:
            return []
        events: list[Event] = []
        if entry.state is not State.ENDED:
            self.statistics.exhausted += 1
            self.statistics.forgotten += bool(entry.surb_keys)
            events.append(Exhausted(message.owner, message.message_id, entry.surb_id))
            self._end(entry)
        self._forget_owned(message.owner, entry)
        events.append(Collected(message.owner, message.message_id))
        return events

    def _withdraw(self, entry: Entry) -> None:
        self.statistics.cancelled += bool(entry.surb_keys)
        entry.surb_keys = b""

    def _end(self, entry: Entry) -> None:
        entry.state = State.ENDED
        entry.surb_keys = b""
        self._timers.cancel(entry)
        if entry.surb_id is not None and self._by_surb_id.get(entry.surb_id) is entry:
            del self._by_surb_id[entry.surb_id]
        if entry.owner is not None and (_COLLECTION, entry) not in self._timers:
            self._forget_owned(entry.owner, entry)

    def _forget_owned(self, owner: AppId, entry: Entry) -> None:
        owned = self._by_owner.get(owner)
        if owned is not None:
            owned.discard(entry)
            if not owned:
                del self._by_owner[owner]
