"""A small network on paper: authorities that sign, nodes that are listed, documents to bend."""

import hashlib
from dataclasses import dataclass, replace

from pki.certificate import LIFETIME, Verifier, issue, key_hash
from pki.descriptor import MixDescriptor, ReplicaDescriptor
from pki.document import Document
from pki.epoch import EpochClock
from pki.signatures import SigningKey, signature_scheme
from pki.trust import TrustedDocuments
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness, seeded

GEOMETRY = Geometry.nike("x25519", 5, 2000)
SPHINX_KEY_LENGTH = 32
FIRST_EPOCH = 242_064


@dataclass(frozen=True, slots=True)
class PaperNetwork:
    authorities: tuple[SigningKey, ...]
    document: Document

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        return tuple(
            Verifier(f"auth{number}", key.scheme, key.public_key) for number, key in enumerate(self.authorities, 1)
        )

    def signed(self, document: Document, signers: int | None = None) -> bytes:
        certificate = issue(document.encode(), document.epoch + LIFETIME, self.authorities[:signers])
        return certificate.encode()

    def trusted(self, period: float = 1200.0) -> TrustedDocuments:
        return TrustedDocuments(EpochClock(period), self.verifiers, GEOMETRY)


def mix(name: str, epoch: int, randomness: Randomness) -> MixDescriptor:
    return MixDescriptor(
        name=name,
        epoch=epoch,
        link_key=randomness.bytes(32),
        mix_keys={e: randomness.bytes(SPHINX_KEY_LENGTH) for e in range(epoch, epoch + 3)},
        addresses={"tcp4": ("tcp://127.0.0.1:30001",)},
        identity_key=randomness.bytes(32),
    )


def gateway(name: str, epoch: int, randomness: Randomness) -> MixDescriptor:
    return replace(mix(name, epoch, randomness), is_gateway_node=True, authentication_type="tofu")


def service_node(name: str, epoch: int, randomness: Randomness) -> MixDescriptor:
    return replace(
        mix(name, epoch, randomness),
        is_service_node=True,
        kaetzchen={"echo": {"endpoint": "+echo"}},
        kaetzchen_advertized_data={},
    )


def replica(name: str, epoch: int, randomness: Randomness) -> ReplicaDescriptor:
    return ReplicaDescriptor(
        name=name,
        epoch=epoch,
        link_key=randomness.bytes(32),
        addresses={"tcp": ("tcp://127.0.0.1:31000",)},
        replica_id=0,
        identity_key=randomness.bytes(32),
        envelope_keys={480: randomness.bytes(160)},
    )


def document(epoch: int, *, per_layer: int = 2, mu: float = 0.005) -> Document:
    randomness = seeded(b"network of epoch %d" % epoch)
    return Document(
        mu=mu,
        epoch=epoch,
        lambda_l=0.0005,
        lambda_p=0.001,
        topology=tuple(
            tuple(mix(f"mix{layer}-{n}", epoch, randomness) for n in range(per_layer)) for layer in range(3)
        ),
        gateway_nodes=(gateway("gateway1", epoch, randomness),),
        genesis_epoch=FIRST_EPOCH - 10,
        service_nodes=(service_node("service1", epoch, randomness),),
        storage_replicas=(replica("replica1", epoch, randomness),),
        prior_shared_random=(bytes(32), bytes(32)),
        shared_random_value=randomness.bytes(32),
        pki_signature_scheme="Ed25519",
        sphinx_geometry_hash=GEOMETRY.digest(),
        configured_replica_ids=b"\0",
        configured_replica_identity_keys=(key_hash(b"replica1"),),
    )


def paper_network(authorities: int = 3, epoch: int = FIRST_EPOCH) -> PaperNetwork:
    scheme = signature_scheme("Ed25519")
    randomness = seeded(b"authorities")
    return PaperNetwork(tuple(scheme.generate(randomness) for _ in range(authorities)), document(epoch))


def new_reveal(epoch: int, secret: bytes) -> bytes:
    """What an authority reveals for `epoch`: the epoch, and the hash of its secret."""
    return epoch.to_bytes(8, "big") + hashlib.blake2b(secret, digest_size=32).digest()
