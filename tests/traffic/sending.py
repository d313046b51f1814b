"""A sender on a virtual clock, over an outlet that records, stalls and breaks as a test wants it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from arq import AppId, Engine, Event, Message, MessageRefused, Operation, SlotWanted, State
from kpclientd.gateway.connector import Offload
from kpclientd.gateway.protocol import LinkLost
from kpclientd.gateway.tokens import TokenEstimate
from kpclientd.localnet import LocalNetwork
from kpclientd.traffic.composer import Composer
from kpclientd.traffic.queues import FairQueues
from kpclientd.traffic.sender import Sender, TrafficStatus
from pki import TrustedDocuments
from sphinx.randomness import seeded
from sphinx.types import RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId

ALICE = AppId(b"A" * 16)
BOB = AppId(b"B" * 16)
BEGIN = 1_800_000_000.0 + 30.0  # unix seconds
LAMBDA_P, LAMBDA_L = 0.001, 0.0005
QUEUE_ID = RecipientId(b"q" * RECIPIENT_ID_LENGTH)
STEP = 0.001
"""Seconds between two looks at a sender: a fraction of its lead."""


def unix() -> float:
    return BEGIN + trio.current_time()


class Tokens(TokenEstimate):
    """The gateway's bucket, but that a test may set an end to its content, or to its limits."""

    withheld = False
    endless = False

    def has(self, now: float, tokens: float = 1.0) -> bool:
        return not self.withheld and (self.endless or super().has(now, tokens))


@dataclass
class RecordingLink:
    """A link that records.

    Attributes:
        gateway: where its packets enter the network.
        queue_id: where their replies would wait.
        sent: virtual time and length of each packet.
        seconds: how long each write takes.
        breaks_after: packets after which the link is lost.
        limited: whether packets cost tokens.
    """

    gateway: NodeId
    queue_id: RecipientId = QUEUE_ID
    tokens: Tokens = field(default_factory=lambda: Tokens(trio.current_time(), 0.0))
    sent: list[tuple[float, int]] = field(default_factory=list)
    seconds: float = 0.0
    breaks_after: float = math.inf
    limited: bool = False

    async def send_packet(self, packet: bytes) -> None:
        if len(self.sent) >= self.breaks_after:
            raise LinkLost("the link was cut by the test")
        if self.limited:
            self.tokens.spend(trio.current_time())
        await trio.sleep(self.seconds)
        self.sent.append((trio.current_time(), len(packet)))


class RecordingEngine(Engine):
    """Keeps who left, messages without events as well."""

    def __init__(self, seed: bytes) -> None:
        super().__init__(lambda keys, payload: payload, seeded(seed + b" engine"))
        self.left_messages: list[Operation] = []

    def left(self, operation: Operation, now: float) -> None:
        if not operation.is_cover:
            self.left_messages.append(operation)
        super().left(operation, now)


class Bench:
    """One sender, with everything that it needs and nothing that would answer."""

    def __init__(
        self, *, cover: bool = True, document: bool = True, seed: bytes = b"sender", offload: Offload | None = None
    ) -> None:
        self.network = LocalNetwork(seed=seed, port=None, unix=unix, epoch_period=1200.0)
        network = self.network
        self.trusted = TrustedDocuments(network.clock, network.verifiers, network.geometry)
        if document:
            blob = network.authorities.certificate(network.epoch).encode()
            self.trusted.accept(blob, network.epoch, unix())
        randomness = seeded(seed)
        self.engine = RecordingEngine(seed)
        self.queues: FairQueues[AppId, Operation] = FairQueues()
        self.events: list[Event] = []
        self.composer = Composer(network.sphinx, network.clock, unix, randomness)
        self.sender = Sender(
            engine=self.engine,
            queues=self.queues,
            composer=self.composer,
            trusted=self.trusted,
            randomness=randomness,
            network_time=unix,
            cover=cover,
            on_progress=self.pump,
            offload=offload,
        )

    @property
    def status(self) -> TrafficStatus:
        return self.sender.status()

    def outlet(self) -> RecordingLink:
        return RecordingLink(self.network.topology.gateway.node_id)

    def pump(self) -> None:
        """What the daemon does when the engine has something to tell."""
        while (event := self.engine.next_event()) is not None:
            if isinstance(event, SlotWanted):
                assert event.operation.owner is not None
                self.queues.register(event.operation.owner)
                put = self.queues.push_resend if event.again else self.queues.push
                assert put(event.operation.owner, event.operation)
            else:
                self.events.append(event)

    def submit(
        self,
        number: int,
        owner: AppId = ALICE,
        *,
        with_surb: bool = True,
        reliable: bool = False,
        destination: bytes | None = None,
    ) -> Operation:
        """Accept and queue a message whose id is its number."""
        surb_id = SurbId(number.to_bytes(SURB_ID_LENGTH, "big")) if with_surb and not reliable else None
        operation = self.engine.accept(
            Message(
                owner=owner,
                message_id=number.to_bytes(16, "big"),
                destination=NodeId(destination or self.network.topology.service.node_id),
                recipient=RecipientId(b"+echo".ljust(RECIPIENT_ID_LENGTH, b"\0")),
                payload=b"hello",
                with_surb=with_surb,
                surb_id=surb_id,
                reliable=reliable,
            )
        )
        self.pump()
        return operation

    def forget(self, owner: AppId) -> None:
        """What the daemon does when an application is gone for good."""
        self.queues.remove(owner)
        self.engine.cancel_owner(owner)

    def handle_timers(self) -> None:
        """What the daemon does when a timer is due."""
        self.engine.handle_timers(trio.current_time())
        self.pump()

    async def run(self, outlet: RecordingLink, seconds: float) -> None:
        """Send over `outlet` for so long; then the link is gone."""
        with trio.move_on_after(seconds):
            await self.sender.run(outlet)

    async def run_until(self, outlet: RecordingLink, condition: Callable[[], object], seconds: float = 600.0) -> None:
        """Send until `condition` holds."""
        with trio.fail_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.sender.run, outlet)
                while not condition():
                    await trio.sleep(STEP)
                nursery.cancel_scope.cancel()

    async def until_in_flight(self, operation: Operation) -> None:
        """Send until a packet of `operation` is out."""
        await self.run_until(self.outlet(), lambda: operation.state is State.IN_FLIGHT)

    def sent_numbers(self) -> list[int]:
        """The messages that left, in order."""
        return [number_of(operation) for operation in self.engine.left_messages]

    def refused(self) -> list[MessageRefused]:
        """The messages that cannot be sent."""
        return [event for event in self.events if isinstance(event, MessageRefused)]

    def waiting_numbers(self) -> list[int]:
        """The messages that wait, in the order in which they would be taken; they are taken."""
        waiting = []
        while (operation := self.queues.pick()) is not None:
            waiting.append(number_of(operation))
        return waiting

    def are_surbs_balanced(self) -> bool:
        """Whether each SURB that ever was out is out or has ended once."""
        surbs = self.engine.surbs
        return surbs.created == len(surbs) + sum(surbs.ends.values())


def number_of(operation: Operation) -> int:
    assert operation.message_id is not None
    return int.from_bytes(operation.message_id, "big")
