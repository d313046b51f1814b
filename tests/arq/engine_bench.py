"""What the engine needs of a network: SURB keys that open only what was sealed for them."""

from dataclasses import dataclass, field

from arq import AppId, Engine, Entry, Message, Policy, State
from sphinx.errors import PayloadTagError
from sphinx.randomness import seeded
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, NodeId, RecipientId, SurbId

ALICE = AppId(b"A" * 16)
BOB = AppId(b"B" * 16)
ETA = 2.0
POLICY = Policy(
    round_trip_slop=20.0, collected_after=300.0, reply_kept=100.0, decoy_kept=60.0, postponed=1.0, most_per_owner=8
)


def open_reply(keys: bytes, payload: bytes) -> bytes:
    if payload[: len(keys)] != keys:
        raise PayloadTagError("the reply was not sealed for these keys")
    return payload[len(keys) :]


def message(
    owner: AppId = ALICE, *, message_id: bytes | None = None, surb_id: bytes | None = None, reliable: bool = False
) -> Message:
    """A message that wants an answer, unless it is neither reliable nor has a SURB id."""
    return Message(
        owner=owner,
        message_id=message_id,
        destination=NodeId(bytes(NODE_ID_LENGTH)),
        recipient=RecipientId(b"+echo".ljust(RECIPIENT_ID_LENGTH, b"\0")),
        payload=b"hello",
        with_surb=reliable or surb_id is not None,
        surb_id=SurbId(surb_id) if surb_id is not None else None,
        reliable=reliable,
    )


@dataclass
class Flight:
    """A packet that was sent: its SURB id, and the reply that would come to it."""

    surb_id: SurbId
    reply: bytes = field(repr=False)


@dataclass
class Bench:
    """An engine, and fresh keys for each packet."""

    engine: Engine = field(default_factory=lambda: Engine(open_reply, seeded(b"engine"), POLICY))
    packets: int = 0

    def send(self, entry: Entry, now: float, answer: bytes = b"answer") -> Flight:
        surb_id = self.engine.surb_id_for(entry)
        self.packets += 1
        keys = b"keys of packet %08d" % self.packets
        self.engine.sent(entry, surb_id, keys, ETA, now)
        return Flight(surb_id, keys + answer)

    def reliable_in_flight(self, now: float = 0.0, message_id: bytes = b"m" * 16) -> tuple[Entry, Flight]:
        entry = self.engine.accept(message(message_id=message_id, reliable=True))
        return entry, self.send(entry, now)

    def balance(self) -> int:
        """SURB ids created that have no end in the statistics; those in flight are what must remain."""
        counts = self.engine.statistics
        ended = counts.delivered + counts.decoys_returned + counts.rotated + counts.forgotten + counts.cancelled
        return counts.created - ended

    def is_empty(self) -> bool:
        """Whether nothing is left in any table."""
        engine = self.engine
        return not (engine._by_surb_id or engine._by_owner or len(engine._timers))


def is_ended(entry: Entry) -> bool:
    """`entry.state`, looked up anew where a type checker thinks to know it."""
    return entry.state is State.ENDED
