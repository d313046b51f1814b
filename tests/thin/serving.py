"""What stands behind an application's connection: real sessions, queues, engine and documents, and no network."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import trio
import trio.testing

from arq import AppId, Engine, Operation, Policy
from kpclientd.config.model import Authority
from kpclientd.localnet import LocalNetwork
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.storage.query_maker import QueryMaker
from kpclientd.storage.resender import Resender
from kpclientd.thin.events import Event
from kpclientd.thin.framing import FrameReader, encode_frame
from kpclientd.thin.notifier import Notifier
from kpclientd.thin.outbox import Frame
from kpclientd.thin.sessions import Session, SessionBounds, Sessions
from kpclientd.thin.verbs.verb import Services
from kpclientd.thin.workers import Workers
from kpclientd.thin.written_marks import PeerProcess
from kpclientd.traffic.queues import FairQueues
from pki import TrustedDocuments, VerifiedDocument
from sphinx.randomness import seeded

BEGIN = 1_800_000_030.0
GRACE = 600.0


def unix() -> float:
    return BEGIN


class Office:
    """Everything behind a connection, but for a link to a gateway."""

    def __init__(
        self,
        *,
        document: bool = True,
        authorities: bool = True,
        most_per_owner: int = 4096,
        bounds: SessionBounds | None = None,
        workers: Workers | None = None,
    ) -> None:
        self.network = LocalNetwork(seed=b"office", port=None, unix=unix, epoch_period=1200.0)
        network = self.network
        self.epoch = network.epoch
        self.trusted = TrustedDocuments(network.clock, network.verifiers, network.geometry)
        self.document: VerifiedDocument | None = None
        if document:
            blob = network.authorities.certificate(self.epoch).encode()
            self.document = self.trusted.accept(blob, self.epoch, BEGIN)
        randomness = seeded(b"office")
        self.engine = Engine(lambda keys, payload: payload, randomness, Policy(most_per_owner=most_per_owner))
        self.queues: FairQueues[AppId, Operation] = FairQueues()
        self.destroyed: list[AppId] = []
        self.sessions = Sessions(
            randomness,
            bounds or SessionBounds(grace=GRACE),
            destroy=self._destroy,
            on_away=self.queues.set_away,
            on_merge=self._merge,
            bytes_of=self.engine.bytes_of,
        )
        workers = workers or Workers(threads=0)
        query_maker = QueryMaker(
            PigeonholeGeometry.derive(network.geometry), self.trusted, network.clock, unix, randomness, workers.run
        )
        self.resender = Resender(self.engine, query_maker, self.sessions.deliver, lambda: self.notifier.pump())
        self.notifier = Notifier(self.engine, self.sessions, self.queues, unix, self.resender)
        self.authorities = tuple(_authority(place, network) for place in range(3)) if authorities else ()
        self.services = Services(
            sessions=self.sessions,
            engine=self.engine,
            trusted=self.trusted,
            clock=network.clock,
            network_time=unix,
            authorities=self.authorities,
            geometry=network.geometry,
            workers=workers,
            query_maker=query_maker,
            resender=self.resender,
            status=lambda asks, is_whole: {"asks": asks, "is_whole": is_whole},
            on_progress=self.notifier.pump,
        )

    def now(self) -> float:
        return trio.current_time()

    def send_next(self) -> Operation:
        """What the sender does with the operation whose turn it is."""
        operation = self.queues.pick()
        assert operation is not None
        surb_id = self.engine.surb_id_for(operation) if operation.message and operation.message.with_surb else None
        now = self.now()
        assert self.engine.departs(operation, surb_id, b"keys", 1.5, now)
        self.engine.left(operation, now)
        self.notifier.pump()
        return operation

    def reply_to(self, operation: Operation, payload: bytes) -> None:
        """What the link does when a reply comes."""
        assert operation.surb_id is not None
        self.engine.receive(operation.surb_id, payload, self.now())
        self.notifier.pump()

    def _destroy(self, app_id: AppId) -> None:
        self.destroyed.append(app_id)
        self.queues.remove(app_id)
        self.engine.cancel_owner(app_id)

    def _merge(self, app_id: AppId, into: AppId) -> None:
        self.queues.merge(app_id, into)
        self.engine.reassign(app_id, into)


def _authority(place: int, network: LocalNetwork) -> Authority:
    verifier = network.verifiers[place]
    return Authority(
        identifier=verifier.identifier,
        pki_signature_scheme="Ed25519",
        wire_kem_scheme="XWING",
        addresses=(f"tcp://127.0.0.1:3000{place}",),
        identity_public_key=verifier.public_key,
        link_public_key=b"",
        identity_public_key_pem="-----BEGIN ED25519 PUBLIC KEY-----",
        link_public_key_pem="-----BEGIN XWING PUBLIC KEY-----",
    )


@dataclass(eq=False)
class Peer:
    """A connection in name only: it writes nothing by itself.

    Attributes:
        session: whose it is.
        unread: bytes that its application has not read of what was taken from the outbox.
    """

    session: Session | None = None
    unread: int = 0
    notified: int = 0
    looked: int = 0
    closed: str | None = None
    process: PeerProcess | None = None

    def notify(self) -> None:
        self.notified += 1

    def note_unread(self) -> None:
        self.looked += 1
        if self.session is not None:
            self.session.outbox.note_unread(self.unread)

    def is_operator(self) -> bool:
        return False

    def peer_process(self) -> PeerProcess | None:
        return self.process

    def close(self, reason: str) -> None:
        self.closed = self.closed or reason

    def read(self) -> list[Event]:
        """Write and read all that waits in the outbox."""
        assert self.session is not None
        assert self.session.connection is self
        heard = decoded(self.session.outbox.take(1 << 30))
        self.session.outbox.note_unread(0)
        return heard


def connected(sessions: Sessions) -> tuple[Peer, Session]:
    """A new connection with its session."""
    peer = Peer()
    peer.session = sessions.open(peer)
    return peer, peer.session


def framed(event: Event, *, final: bool = False) -> Frame:
    return Frame(encode_frame(event), final)


def decoded(*data: bytes) -> list[dict[str, Any]]:
    """The messages in whole frames."""
    reader = FrameReader()
    messages = [message for piece in data for message in reader.feed(piece)]
    assert not reader.has_begun
    return messages


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go round until something holds; for what the system does, of which no clock of a test knows."""
    with trio.fail_after(60.0):
        while not condition():
            await trio.lowlevel.checkpoint()


async def settle(seconds: float = 0.0) -> None:
    """Let every other task go as far as it can, and so much time pass."""
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()
