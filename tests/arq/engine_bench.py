"""What the engine needs of a network: SURB keys that open only what was sealed for them."""

from dataclasses import dataclass, field

from arq import AppId, Engine, Event, Message, Operation, Policy, SlotWanted, SurbEnd
from sphinx.errors import PayloadTagError
from sphinx.randomness import seeded
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, NodeId, RecipientId, SurbId

ALICE = AppId(b"A" * 16)
BOB = AppId(b"B" * 16)
ETA = 2.0
POLICY = Policy(
    retry_after=20.0,
    retry_spread=0.0,
    collected_after=300.0,
    reply_kept=100.0,
    decoy_kept=60.0,
    try_later=1.0,
    most_per_owner=8,
)
SURB = b"s" * 16
MESSAGE = b"m" * 16
AGAIN = ETA + POLICY.retry_after
END = ETA + POLICY.collected_after


def open_reply(keys: bytes, payload: bytes) -> bytes:
    if payload[: len(keys)] != keys:
        raise PayloadTagError("the reply was not sealed for these keys")
    return payload[len(keys) :]


def message(
    owner: AppId = ALICE,
    *,
    message_id: bytes | None = None,
    surb_id: bytes | None = None,
    reliable: bool = False,
    polled: bool = False,
    payload: bytes = b"hello",
    context: bytes = b"",
) -> Message:
    """A message that wants an answer, unless it is neither reliable nor polled nor has a SURB id."""
    return Message(
        owner=owner,
        message_id=message_id,
        destination=NodeId(bytes(NODE_ID_LENGTH)),
        recipient=RecipientId(b"+echo".ljust(RECIPIENT_ID_LENGTH, b"\0")),
        payload=payload,
        with_surb=reliable or polled or surb_id is not None,
        surb_id=SurbId(surb_id) if surb_id is not None else None,
        reliable=reliable,
        polled=polled,
        context=context,
    )


@dataclass
class Packet:
    """A packet that departed: its SURB id, and the reply that would come to it."""

    surb_id: SurbId
    reply: bytes = field(repr=False)


@dataclass
class Bench:
    """An engine, and fresh keys for each packet."""

    engine: Engine = field(default_factory=lambda: Engine(open_reply, seeded(b"engine"), POLICY))
    packets: int = 0

    def accept(self, wanted: Message) -> Operation:
        """Accept a message, and take note that it wants a slot."""
        operation = self.engine.accept(wanted)
        assert self.engine.next_event() == SlotWanted(operation, again=False)
        return operation

    def depart(self, operation: Operation, now: float, answer: bytes = b"answer") -> Packet:
        """Announce a packet, which has not left then."""
        surb_id = self.engine.surb_id_for(operation)
        self.packets += 1
        keys = b"keys of packet %08d" % self.packets
        with_surb = operation.message is None or operation.message.with_surb
        self.engine.departs(operation, surb_id if with_surb else None, keys, ETA, now)
        return Packet(surb_id, keys + answer)

    def send(self, operation: Operation, now: float, answer: bytes = b"answer") -> Packet:
        packet = self.depart(operation, now, answer)
        self.engine.left(operation, now)
        return packet

    def reliable_in_flight(self, now: float = 0.0, message_id: bytes = b"m" * 16) -> tuple[Operation, Packet]:
        operation = self.accept(message(message_id=message_id, reliable=True))
        packet = self.send(operation, now)
        self.events()
        return operation, packet

    def reply(self, packet: Packet, now: float = 0.0) -> list[Event]:
        self.engine.receive(packet.surb_id, packet.reply, now)
        return self.events()

    def at(self, now: float) -> list[Event]:
        """What time alone does by `now`."""
        self.engine.handle_timers(now)
        return self.events()

    def events(self) -> list[Event]:
        """All that has not been told yet."""
        told = []
        while (event := self.engine.next_event()) is not None:
            told.append(event)
        return told

    def ended(self, end: SurbEnd) -> int:
        return self.engine.surbs.ends[end]

    def balance(self) -> int:
        """SURBs created that neither have an end nor are out; there must be none."""
        surbs = self.engine.surbs
        return surbs.created - sum(surbs.ends.values()) - len(surbs)

    def is_empty(self) -> bool:
        """Whether nothing is left in any table."""
        engine, surbs = self.engine, self.engine.surbs
        tables = (engine._by_number, engine._by_owner, engine._bytes_by_owner, engine._timers, engine.states)
        return not any(len(table) for table in (*tables, surbs, surbs._reserved, surbs._timers))
