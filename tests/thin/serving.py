"""A desk with real queues, engine and documents, and no network behind it."""

import trio
import trio.testing

from arq import AppId, Engine, Entry, Policy
from kpclientd.config.model import Authority
from kpclientd.localnet import LocalNetwork
from kpclientd.thin.desk import Desk
from kpclientd.thin.sessions import Sessions
from kpclientd.traffic.queues import FairQueues
from pki import TrustedDocuments, VerifiedDocument
from sphinx.randomness import seeded

BEGIN = 1_800_000_030.0
GRACE = 600.0


def unix() -> float:
    return BEGIN


class Office:
    """Everything behind a connection, but for a link to a gateway."""

    def __init__(self, *, document: bool = True, authorities: bool = True, most_per_owner: int = 4096) -> None:
        self.network = LocalNetwork(seed=b"office", port=None, unix=unix, epoch_period=1200.0)
        network = self.network
        self.epoch = network.epoch
        self.trusted = TrustedDocuments(network.clock, network.verifiers, network.geometry)
        self.document: VerifiedDocument | None = None
        if document:
            blob = network.authorities.certificate(self.epoch).encode()
            self.document = self.trusted.accept(blob, self.epoch, BEGIN)
        randomness = seeded(b"office")
        self.engine = Engine(network.sphinx.open_reply, randomness, Policy(most_per_owner=most_per_owner))
        self.queues: FairQueues[AppId, Entry] = FairQueues()
        self.destroyed: list[AppId] = []
        self.sessions = Sessions(randomness, GRACE, self.destroyed.append)
        self.authorities = [_authority(place, network) for place in range(3)] if authorities else []
        self.desk = Desk(
            sessions=self.sessions,
            engine=self.engine,
            queues=self.queues,
            trusted=self.trusted,
            clock=network.clock,
            authorities=self.authorities,
            geometry=network.geometry,
            unix=unix,
        )


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


async def settle(seconds: float = 0.0) -> None:
    """Let every other task go as far as it can, and so much time pass."""
    await trio.sleep(seconds)
    await trio.testing.wait_all_tasks_blocked()
