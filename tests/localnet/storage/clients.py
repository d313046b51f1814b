"""Clients of storage that need none of the slow packages: a quick key exchange, and boxes signed by plain keys."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar

import trio
from nacl.signing import SigningKey

from kpclientd.localnet.keys import KeyTree, NodeKeys
from kpclientd.localnet.network import LocalNetwork
from kpclientd.localnet.storage.replica import EnvelopeKeys, Replica
from kpclientd.pigeonhole.courier_messages import (
    CourierEnvelope,
    CourierEnvelopeReply,
    CourierReply,
    encode_query,
    parse_query_reply,
)
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.mkem import Mkem, ReadyExchange, encapsulate, open_sealed
from kpclientd.pigeonhole.replica_messages import (
    ReplicaReadReply,
    ReplicaReply,
    ReplicaRequest,
    ReplicaWrite,
    encode_request,
    parse_reply,
)
from kpclientd.pigeonhole.trunnel import pad, unpad
from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.nike import X25519
from sphinx.crypto.nike_hybrid import HybridNike
from sphinx.geometry import Geometry
from sphinx.randomness import seeded
from tests.localnet.conftest import make_network

Result = TypeVar("Result")

GEOMETRY: Final = PigeonholeGeometry.derive(Geometry.nike("x25519", 5, 2000))
LONGEST_PLAINTEXT: Final = GEOMETRY.max_plaintext_payload_length
BOX_LENGTH: Final = LONGEST_PLAINTEXT + 20
REQUEST_LENGTH: Final = LONGEST_PLAINTEXT + 125
SEALED_LENGTH: Final = LONGEST_PLAINTEXT + 154


def quick_nike() -> HybridNike:
    """Five X25519 keys in a row: public keys as long as genuine ones, and no second of a processor for each."""
    one = X25519()
    two = HybridNike("two", one, one)
    return HybridNike("quick", HybridNike("four", two, two), one)


async def at_once(work: Callable[[], Result], /) -> Result:
    """Work on the loop, as virtual clocks need it."""
    await trio.lowlevel.checkpoint()
    return work()


def make_replica(number: int = 0) -> Replica:
    tree = KeyTree(b"a replica")
    nike = quick_nike()
    name = f"replica{number + 1}"
    # Nobody asks a lone replica for its Sphinx keys.
    identity = NodeKeys(name, b"identity of " + name.encode(), kem_scheme("x25519").generate(seeded(b"l")), None)  # type: ignore[arg-type]
    return Replica(number, identity, EnvelopeKeys(nike, lambda epoch: tree.randomness(name, epoch)), nike, GEOMETRY)


def storage_network(**parameters: object) -> LocalNetwork:
    return make_network(**({"replicas": 3, "storage_nike": quick_nike(), "offload": at_once} | parameters))


def a_box(text: bytes = b"text", key: bytes = b"k" * 32, *, is_tombstone: bool = False) -> ReplicaWrite:
    """A write whose box id is the public half of `key`."""
    signing = SigningKey(key)
    payload = b"" if is_tombstone else text.ljust(BOX_LENGTH, b"\0")
    return ReplicaWrite(bytes(signing.verify_key), signing.sign(payload).signature, payload)


@dataclass(frozen=True, slots=True)
class Query:
    """An envelope, and what opens the replies to it."""

    envelope: CourierEnvelope
    exchange: ReadyExchange = field(repr=False)

    @property
    def encoded(self) -> bytes:
        return encode_query(self.envelope)

    def open(self, sealed: bytes) -> ReplicaReply:
        """The reply, by whichever of the two intermediates sealed it."""
        assert len(sealed) == SEALED_LENGTH
        first, second = self.exchange.keys
        try:
            padded = open_sealed(first, sealed)
        except Exception:
            padded = open_sealed(second, sealed)
        return parse_reply(unpad(padded))


def make_query(replicas: Sequence[Replica], request: ReplicaRequest, epoch: int, seed: bytes = b"query") -> Query:
    """A query to two intermediates, with their keys of a replica epoch."""
    randomness = seeded(seed)
    exchange = Mkem(quick_nike()).ready([replica.keys.make_public(epoch) for replica in replicas], randomness)
    sealed = encapsulate(exchange, pad(encode_request(request), REQUEST_LENGTH), randomness)
    first, second = sealed.deks
    numbers = bytes(replica.number for replica in replicas)
    return Query(CourierEnvelope(numbers, (first, second), epoch, sealed.sender_key, sealed.envelope), exchange)


def ask(network: LocalNetwork, query: Query, reply_index: int = 0) -> CourierEnvelopeReply:
    """What the courier says to a query at this moment."""
    envelope = query.envelope
    again = CourierEnvelope(
        envelope.replicas, envelope.deks, envelope.epoch, envelope.sender_key, envelope.ciphertext, reply_index
    )
    reply = raw_ask(network, encode_query(again))
    assert isinstance(reply, CourierEnvelopeReply)
    assert reply.envelope_hash == envelope.hash
    return reply


def raw_ask(network: LocalNetwork, payload: bytes) -> CourierReply:
    assert network.storage is not None
    reply = network.storage.query(payload)
    assert reply is not None
    return parse_query_reply(reply.ljust(2574, b"\0"))


async def exchange(network: LocalNetwork, query: Query, seconds: float = 1.0, polls: int = 1) -> ReplicaReply | None:
    """Ask, and ask again after so many seconds; what the replica said, or None if that is not there yet."""
    reply = ask(network, query)
    for _ in range(polls):
        await trio.sleep(seconds)
        reply = ask(network, query)
    return query.open(reply.payload) if reply.has_payload else None


def code_of(reply: ReplicaReply | None) -> int | None:
    return None if reply is None else reply.error_code


def payload_of(reply: ReplicaReply | None) -> bytes:
    assert isinstance(reply, ReplicaReadReply)
    return reply.payload
