"""Which replicas keep a box, which two are asked for it, with which keys, and by way of which courier.

Source: Katzenpost Pigeonhole, 'choosing replicas, epochs, courier'.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from kpclientd.pigeonhole.courier_messages import SHARDS
from kpclientd.pigeonhole.errors import NoCourier, ReplicasUnavailable
from kpclientd.pigeonhole.geometry import NIKE_PUBLIC_KEY_LENGTH
from kpclientd.pigeonhole.trunnel import digest
from pki.descriptor import ReplicaDescriptor, endpoint_of
from pki.document import Document, ServiceEndpoint
from pki.epoch import EpochClock
from pki.errors import IllFormedDocumentError
from sphinx.randomness import Randomness

COURIER: Final = "courier"
"""The capability under which service nodes offer a courier."""

_FEW_REPLICAS: Final = 3
"""With so many or fewer, a box's own replicas have to serve as intermediates, too."""

FIRST_FEW: Final = 4
"""So many replicas of a random order hold two that any box can be asked by way of."""


@dataclass(frozen=True, slots=True)
class Intermediates:
    """The two replicas that one query goes to.

    Attributes:
        replicas: their numbers (2 bytes, one each).
        keys: their public keys (160 bytes each).
        epoch: the replica epoch (weeks) that these keys are for.
    """

    replicas: bytes
    keys: tuple[bytes, ...] = field(repr=False)
    epoch: int


def shards_of(document: Document, box_id: bytes) -> tuple[ReplicaDescriptor, ...]:
    """The replicas that keep a box, as far as they are up: one or two, the nearest first.

    They are chosen among all authorised replicas, also those that are down: a box stays where it is.

    Raises:
        ReplicasUnavailable: if none of them is up, or the document names fewer than two authorised replicas.
    """
    configured = document.configured_replica_identity_keys
    if len(configured) < SHARDS:
        raise ReplicasUnavailable(f"the document names {len(configured)} replicas; a box needs {SHARDS}")
    nearest = sorted(configured, key=lambda identity: digest(identity + box_id))[:SHARDS]
    up = {replica.identity_key: replica for replica in document.storage_replicas}
    shards = tuple(up[identity] for identity in nearest if identity in up)
    if not shards:
        raise ReplicasUnavailable("none of the replicas that keep this box is up")
    return shards


def random_order(document: Document, randomness: Randomness) -> bytes:
    """The numbers of the replicas that are up, each order equally likely: what `choose_replicas` chooses by."""
    return bytes(randomness.shuffled(list(dict.fromkeys(replica.replica_id for replica in document.storage_replicas))))


def choose_replicas(document: Document, box_id: bytes, order: bytes) -> bytes:
    """The numbers of the two replicas to send a query for a box to (2 bytes, one each).

    Where there are enough, they are none of those that keep the box, so that who is asked does not tell for what; of
    the others they are the first two in `order`.

    So each pair is equally likely, as the protocol wants it, although `order` may have been drawn long before the box
    was known: whichever replicas keep the box, leaving them out of a random permutation leaves a random permutation of
    the others, and its first two are a random ordered pair of them. Of any `FIRST_FEW` replicas at most two keep the
    box, so the two are always among the first `FIRST_FEW`. All this holds for an order that was chosen without a look
    at the box, and is used once.

    Args:
        document: the newest consensus.
        box_id: the box (32 bytes).
        order: `random_order` of the same document.

    Raises:
        ReplicasUnavailable: if there are not two, or none that keeps the box.
    """
    shards = bytes(replica.replica_id for replica in shards_of(document, box_id))
    numbers = bytes(replica.replica_id for replica in document.storage_replicas)
    if len(numbers) < SHARDS:
        raise ReplicasUnavailable(f"{len(numbers)} replicas are up; a query needs {SHARDS}")
    if len(numbers) == SHARDS:
        return numbers
    if len(numbers) <= _FEW_REPLICAS:
        chosen = shards[:1] + bytes(number for number in order if number != shards[0])
    else:
        chosen = bytes(number for number in order if number not in shards)
    if len(chosen) < SHARDS:
        raise ReplicasUnavailable(f"the document's replicas {list(numbers)} are too few that differ")
    return chosen[:SHARDS]


def choose_intermediates(
    document: Document, box_id: bytes, order: bytes, clock: EpochClock, now: float
) -> Intermediates:
    """The two replicas to send a query for a box to, with their keys.

    The keys are those of the document's week, which the reply is opened with; if the document has none, those of the
    clock's.

    Args:
        document: the newest consensus.
        box_id: the box (32 bytes).
        order: `random_order` of the same document; see `choose_replicas`.
        clock: the network's epochs.
        now: Unix time (seconds).

    Raises:
        ReplicasUnavailable: if there are not two replicas, or none that keeps the box, or not their keys.
    """
    replicas = choose_replicas(document, box_id, order)
    epochs = dict.fromkeys((epoch_of(document, clock), clock.replica_epoch(now)))
    for epoch in epochs:
        keys = tuple(key_of(document, number, epoch) for number in replicas)
        if all(keys):
            return Intermediates(replicas, keys, epoch)
    weeks = " or ".join(str(epoch) for epoch in epochs)
    raise ReplicasUnavailable(f"the document lacks keys for replica epoch {weeks} of the replicas {list(replicas)}")


def epoch_of(document: Document, clock: EpochClock) -> int:
    """The replica epoch (weeks) in which the document's epoch begins."""
    return clock.replica_epoch(clock.start(document.epoch))


def replica(document: Document, number: int) -> ReplicaDescriptor | None:
    """The replica of that number, if it is up; its place in the document means nothing."""
    return next((replica for replica in document.storage_replicas if replica.replica_id == number), None)


def key_of(document: Document, number: int, epoch: int) -> bytes:
    """A replica's public key for a replica epoch; empty if the document has none of the right length."""
    found = replica(document, number)
    key = found.envelope_keys.get(epoch, b"") if found else b""
    return key if len(key) == NIKE_PUBLIC_KEY_LENGTH else b""


def choose_courier(document: Document, randomness: Randomness) -> ServiceEndpoint:
    """One of the couriers, each equally likely. Keep to it: only this courier will have the reply.

    Raises:
        NoCourier: if no service node offers one.
    """
    couriers = list(_couriers(document))
    if not couriers:
        raise NoCourier("no service node of the document offers a courier")
    return randomness.choice(couriers)


def _couriers(document: Document) -> Iterator[ServiceEndpoint]:
    for node in document.service_nodes:
        if node.kaetzchen is not None and COURIER in node.kaetzchen:
            try:
                endpoint = endpoint_of(COURIER, node.kaetzchen[COURIER])
            except IllFormedDocumentError:
                continue  # one node's fault is no reason to do without the others
            yield ServiceEndpoint(node.node_id, endpoint, node)
