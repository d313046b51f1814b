"""A sender on a virtual clock, over an outlet that records, stalls and breaks as a test wants it."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import trio

from arq import AppId, Due, Engine, Entry, Message
from kpclientd.gateway.errors import LinkLost
from kpclientd.localnet import LocalNetwork
from kpclientd.traffic.composer import Composer, Origin
from kpclientd.traffic.queues import FairQueues
from kpclientd.traffic.sender import NotSent, Sender, Sent
from kpclientd.traffic.tokens import TokenBucket
from pki import TrustedDocuments
from sphinx.randomness import seeded
from sphinx.types import RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId

ALICE = AppId(b"A" * 16)
BOB = AppId(b"B" * 16)
BEGIN = 1_800_000_000.0 + 30.0  # unix seconds
LAMBDA_P, LAMBDA_L = 0.001, 0.0005


def unix() -> float:
    return BEGIN + trio.current_time()


class Tokens(TokenBucket):
    """The gateway's bucket, but for an end that a test may set to its content."""

    withheld = False

    def is_sure(self, now: float, tokens: float = 1.0) -> bool:
        return not self.withheld and super().is_sure(now, tokens)


@dataclass
class Outlet:
    """A link that records.

    Attributes:
        sent: virtual time and length of each packet.
        seconds: how long each write takes.
        breaks_after: packets after which the link is lost.
    """

    origin: Origin
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


class Bench:
    """One sender, with everything that it needs and nothing that would answer."""

    def __init__(self, *, decoys: bool = True, document: bool = True, seed: bytes = b"sender") -> None:
        self.network = LocalNetwork(seed=seed, port=None, unix=unix, epoch_period=1200.0)
        network = self.network
        self.trusted = TrustedDocuments(network.clock, network.verifiers, network.geometry)
        if document:
            blob = network.authorities.certificate(network.epoch).encode()
            self.trusted.accept(blob, network.epoch, unix())
        randomness = seeded(seed)
        self.engine = Engine(network.sphinx.open_reply, randomness)
        self.queues: FairQueues[AppId, Entry] = FairQueues()
        self.outcomes: list[Sent | NotSent] = []
        self.sender = Sender(
            engine=self.engine,
            queues=self.queues,
            composer=Composer(network.sphinx, network.clock, unix, randomness),
            trusted=self.trusted,
            geometry=network.geometry,
            randomness=randomness,
            unix=unix,
            decoys=decoys,
            report=self.outcomes.append,
        )
        self.statistics = self.sender.statistics

    def outlet(self) -> Outlet:
        return Outlet(Origin(self.network.topology.gateway.node_id, RecipientId(b"q" * RECIPIENT_ID_LENGTH)))

    def submit(
        self,
        number: int,
        owner: AppId = ALICE,
        *,
        with_surb: bool = True,
        reliable: bool = False,
        destination: bytes | None = None,
    ) -> Entry:
        """Accept and queue a message whose id is its number."""
        surb_id = SurbId(number.to_bytes(SURB_ID_LENGTH, "big")) if with_surb and not reliable else None
        entry = self.engine.accept(
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
        self.queues.register(owner)
        self.queues.push(owner, entry)
        return entry

    def handle_timers(self) -> None:
        """What the daemon does when a timer is due."""
        for event in self.engine.handle_timers(trio.current_time()):
            if isinstance(event, Due) and event.entry.owner is not None:
                self.queues.push_resend(event.entry.owner, event.entry)

    async def run(self, outlet: Outlet, seconds: float) -> None:
        """Send over `outlet` for so long; then the link is gone."""
        with trio.move_on_after(seconds):
            await self.sender.run(outlet)

    async def run_until(self, outlet: Outlet, condition: Callable[[], object], seconds: float = 600.0) -> None:
        """Send until `condition` holds."""
        with trio.fail_after(seconds):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self.sender.run, outlet)
                while not condition():
                    await trio.sleep(0.01)
                nursery.cancel_scope.cancel()

    def sent_numbers(self) -> list[int]:
        """The messages reported as sent, in order."""
        return [number_of(outcome.entry) for outcome in self.outcomes if isinstance(outcome, Sent)]

    def waiting_numbers(self) -> list[int]:
        """The messages that wait, in the order in which they would be taken; they are taken."""
        waiting = []
        while (entry := self.queues.pick()) is not None:
            waiting.append(number_of(entry))
        return waiting


def number_of(entry: Entry) -> int:
    assert entry.message_id is not None
    return int.from_bytes(entry.message_id, "big")
