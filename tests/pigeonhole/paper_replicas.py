"""Documents that list replicas and couriers, on paper."""

from collections.abc import Sequence
from dataclasses import replace

from pki.descriptor import ReplicaDescriptor
from pki.document import Document
from pki.epoch import EpochClock
from sphinx.randomness import seeded
from tests.pigeonhole.genuine import GENUINE
from tests.pki.network import document, service_node

CLOCK = EpochClock(1200.0)
EPOCH = 242_064
"""Of 2026-08-15, 00:00 UTC: replica epoch 480."""

WEEK = 480
NOW = CLOCK.start(EPOCH)


def paper_replica(number: int, weeks: Sequence[int] = (WEEK, WEEK + 1)) -> ReplicaDescriptor:
    return ReplicaDescriptor(
        name=f"replica{number}",
        epoch=EPOCH,
        link_key=b"link key",
        addresses={},
        replica_id=number,
        identity_key=bytes([number]) * 32,
        envelope_keys={week: bytes([number, week % 256]) * 80 for week in weeks},
    )


def paper_document(up: Sequence[int], configured: Sequence[int] | None = None, couriers: int = 0) -> Document:
    """One with the replicas `up` of those `configured`, and so many couriers."""
    randomness = seeded(b"couriers")
    nodes = [
        replace(
            service_node(f"courier{number}", EPOCH, randomness),
            kaetzchen={"courier": {"endpoint": f"+courier{number}"}},
        )
        for number in range(couriers)
    ]
    return replace(
        document(EPOCH),
        storage_replicas=tuple(paper_replica(number) for number in up),
        configured_replica_identity_keys=tuple(
            bytes([number]) * 32 for number in (up if configured is None else configured)
        ),
        service_nodes=(*document(EPOCH).service_nodes, *nodes),
    )


def genuine_document() -> Document:
    """What Pigeonhole needs of the recorded network's document."""
    network = GENUINE["network"]
    replicas = tuple(
        ReplicaDescriptor(
            name=entry["Name"],
            epoch=network["document_epoch"],
            link_key=b"link key",
            addresses={},
            replica_id=entry["ReplicaID"],
            identity_key=bytes.fromhex(entry["IdentityKey"]),
            envelope_keys={int(week): bytes.fromhex(key) for week, key in entry["EnvelopeKeys"].items()},
        )
        for entry in network["replicas"]
    )
    return replace(
        document(network["document_epoch"]),
        storage_replicas=replicas,
        configured_replica_identity_keys=tuple(map(bytes.fromhex, network["ConfiguredReplicaIdentityKeys"])),
    )


GENUINE_CLOCK = EpochClock(float(GENUINE["network"]["epoch_period_seconds"]))
