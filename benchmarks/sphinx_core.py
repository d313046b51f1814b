"""What packets cost, each beside its floor: the time of the primitives alone, measured in the same run."""

import statistics
import timeit
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from sphinx import (
    Geometry,
    NodeDelay,
    NodeId,
    PathHop,
    Recipient,
    RecipientId,
    RoutingCommand,
    Sphinx,
    SurbId,
    SurbReply,
)
from sphinx.crypto.kdf import hop_keys
from sphinx.crypto.mac import header_mac
from sphinx.crypto.stream import blinding_stream, header_stream
from sphinx.native import engine, engine_names
from sphinx.plaintext import compose_plaintext
from sphinx.randomness import Randomness, seeded

Row = tuple[str, float, float | None]

HOPS = 5
REPLY_HOPS = HOPS - 1
USER_PAYLOAD = 2000
DELAY_MS = 200
REPETITIONS = 41
SECONDS_PER_SAMPLE = 0.004


@dataclass(frozen=True, slots=True)
class Primitives:
    """Seconds for one call of each part that no packet can do without."""

    multiply: float
    multiply_base: float
    hop: float
    layer: float


def rows() -> list[Row]:
    """Measure, and return name, median seconds and floor seconds of each."""
    randomness = seeded(b"benchmark")
    sphinx = Sphinx(Geometry.nike("x25519", HOPS, USER_PAYLOAD))
    network = Network(sphinx, randomness)
    primitives = network.primitives()
    exchange = primitives.multiply + primitives.multiply_base
    header_hop = exchange + primitives.hop
    packet_floor = HOPS * (header_hop + primitives.layer)
    surb_floor = REPLY_HOPS * header_hop
    unwrap_floor = 2 * primitives.multiply + primitives.hop + primitives.layer
    surb = sphinx.new_surb(network.reply_path, randomness)
    plaintext = compose_plaintext(sphinx.geometry, b"", surb.surb)
    packet = sphinx.new_packet(network.forward_path, plaintext, randomness)
    delivered = network.answered(surb.surb)
    return [
        ("packet", median(lambda: network.packet(with_surb=False)), packet_floor),
        ("packet with SURB", median(lambda: network.packet(with_surb=True)), packet_floor + surb_floor),
        ("SURB reply opened", median(lambda: sphinx.open_reply(surb.keys, delivered)), HOPS * primitives.layer),
        ("packet from SURB", median(lambda: sphinx.packet_from_surb(surb.surb, b"")), primitives.layer),
        ("unwrap at one hop", median(lambda: sphinx.unwrap(network.private_keys[0], packet)), unwrap_floor),
        *((f"AEZ layer, {name}", layer_seconds(sphinx.geometry, name), None) for name in engine_names()),
    ]


class Network:
    """Five nodes' keys and the paths through them."""

    def __init__(self, sphinx: Sphinx, randomness: Randomness) -> None:
        self.sphinx = sphinx
        self.randomness = randomness
        self.private_keys = [sphinx.nike.generate(randomness.bytes) for _ in range(HOPS)]
        forward_end = (NodeDelay(DELAY_MS), Recipient(RecipientId(bytes(32))))
        reply_end = (Recipient(RecipientId(bytes(32))), SurbReply(SurbId(bytes(16))))
        self.forward_path = self._path(range(HOPS), forward_end)
        self.reply_path = self._path(reversed(range(REPLY_HOPS)), reply_end)

    def _path(self, nodes: Iterable[int], end: tuple[RoutingCommand, ...]) -> list[PathHop]:
        hops = [
            PathHop(
                NodeId(bytes([number] * 32)),
                self.sphinx.nike.public_key(self.private_keys[number]),
                (NodeDelay(DELAY_MS),),
            )
            for number in nodes
        ]
        last = hops[-1]
        return [*hops[:-1], PathHop(last.node_id, last.public_key, end)]

    def packet(self, *, with_surb: bool) -> bytes:
        surb = self.sphinx.new_surb(self.reply_path, self.randomness).surb if with_surb else None
        plaintext = compose_plaintext(self.sphinx.geometry, b"message", surb)
        return self.sphinx.new_packet(self.forward_path, plaintext, self.randomness)

    def answered(self, surb: bytes) -> bytes:
        packet, _ = self.sphinx.packet_from_surb(surb, b"answer")
        for number in reversed(range(REPLY_HOPS)):
            unwrapped = self.sphinx.unwrap(self.private_keys[number], packet)
            packet = unwrapped.packet or b""
        assert unwrapped.payload is not None
        return unwrapped.payload

    def primitives(self) -> Primitives:
        geometry = self.sphinx.geometry
        private, other = self.private_keys[:2]
        public = self.sphinx.nike.public_key(other)
        keys = hop_keys(public)
        stream_length = geometry.routing_info_length + geometry.per_hop_routing_info_length
        parts = (
            lambda: hop_keys(public),
            lambda: header_stream(keys.header_key, keys.iv, stream_length),
            lambda: header_mac(keys.mac_key, bytes(geometry.header_length)),
            lambda: blinding_stream(keys.blinding_seed)(32),
        )
        return Primitives(
            multiply=median(lambda: crypto_scalarmult(private, public)),
            multiply_base=median(lambda: crypto_scalarmult_base(private)),
            hop=sum(median(part) for part in parts),
            layer=layer_seconds(geometry, None),
        )


def layer_seconds(geometry: Geometry, name: str | None) -> float:
    """Seconds of one layer of a packet, when all layers are done in one call."""
    material = bytes(HOPS * geometry.sprp_key_material_length)
    payload = bytes(geometry.payload_tag_length + geometry.forward_payload_length)
    cipher = engine(name)
    return median(lambda: cipher.encipher(material, payload)) / HOPS


def median(call: Callable[[], object]) -> float:
    """Median seconds of one call, each sample long enough for the clock."""
    timer = timeit.Timer(call)
    once = max(timer.timeit(1), 1e-7)
    number = max(1, int(SECONDS_PER_SAMPLE / once))
    return statistics.median(timer.repeat(REPETITIONS, number)) / number


if __name__ == "__main__":
    for row_name, seconds, floor in rows():
        beside = f"{floor * 1e6:10.1f} µs floor, {seconds / floor:5.2f}x" if floor else ""
        print(f"{row_name:22}{seconds * 1e6:10.1f} µs{beside}")
