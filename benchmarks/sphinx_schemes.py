"""What KEM Sphinx costs, each beside its floor: the KEM, the hop's ciphers and the payload's layers alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from benchmarks.timing import median_seconds
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
from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.mac import header_mac
from sphinx.crypto.stream import header_stream
from sphinx.native import engine, engine_names
from sphinx.plaintext import compose_plaintext
from sphinx.randomness import seeded

Row = tuple[str, float, float | None]

SCHEMES = ("XWING", "MLKEM768")
HOPS = 5
REPLY_HOPS = HOPS - 1
USER_PAYLOAD = 2000
DELAY_MS = 200
REPEATS = 101
REPEATS_IN_PYTHON = 7


@dataclass(frozen=True, slots=True)
class Primitives:
    """Seconds of each part that no packet can do without."""

    encapsulate: float
    decapsulate: float
    hop: float
    layer: float


def rows() -> Iterator[Row]:
    """Measure, and yield name, median seconds and floor seconds of each; on the fastest engine and in Python."""
    for scheme in SCHEMES:
        for engine_name in dict.fromkeys((engine_names()[0], "python")):
            yield from scheme_rows(scheme, engine_name)


def scheme_rows(scheme: str, engine_name: str) -> Iterator[Row]:
    network = Network(scheme, engine_name)
    sphinx, parts, repeats = network.sphinx, network.primitives(), network.repeats
    surb = sphinx.new_surb(network.reply_path, network.randomness)
    packet, delivered = network.packet(with_surb=True), network.answered(surb.surb)
    key = network.keys[0]
    hop = parts.encapsulate + parts.hop
    packet_floor, surb_floor = HOPS * (hop + parts.layer), REPLY_HOPS * hop
    title = f"{scheme}, {engine_name}: "
    packet_seconds = median_seconds(lambda: network.packet(with_surb=False), repeats)
    yield title + "packet", packet_seconds, packet_floor
    packet_seconds = median_seconds(lambda: network.packet(with_surb=True), repeats)
    yield title + "packet with SURB", packet_seconds, packet_floor + surb_floor
    opened = median_seconds(lambda: sphinx.open_reply(surb.keys, delivered), repeats)
    yield title + "SURB reply opened", opened, HOPS * parts.layer
    unwrapped = median_seconds(lambda: sphinx.unwrap(key, packet), repeats)
    yield title + "unwrap at one hop", unwrapped, parts.decapsulate + parts.hop + parts.layer


class Network:
    """Five nodes' keys and the paths through them."""

    def __init__(self, scheme: str, engine_name: str) -> None:
        self.sphinx = Sphinx(Geometry.kem(scheme, HOPS, USER_PAYLOAD), engine=engine_name)
        self.engine = engine(engine_name)
        self.repeats = REPEATS_IN_PYTHON if engine_name == "python" else REPEATS
        self.randomness = seeded(b"benchmark")
        self.kem = kem_scheme(scheme)
        self.keys = [self.kem.generate(self.randomness) for _ in range(HOPS)]
        recipient = Recipient(RecipientId(bytes(32)))
        self.forward_path = self._path(range(HOPS), (NodeDelay(DELAY_MS), recipient))
        self.reply_path = self._path(reversed(range(REPLY_HOPS)), (recipient, SurbReply(SurbId(bytes(16)))))

    def _path(self, nodes: Iterable[int], end: tuple[RoutingCommand, ...]) -> list[PathHop]:
        numbers = list(nodes)
        return [
            PathHop(
                NodeId(bytes([number] * 32)),
                self.keys[number].public_key,
                end if number == numbers[-1] else (NodeDelay(DELAY_MS),),
            )
            for number in numbers
        ]

    def packet(self, *, with_surb: bool) -> bytes:
        surb = self.sphinx.new_surb(self.reply_path, self.randomness).surb if with_surb else None
        plaintext = compose_plaintext(self.sphinx.geometry, b"message", surb)
        return self.sphinx.new_packet(self.forward_path, plaintext, self.randomness)

    def answered(self, surb: bytes) -> bytes:
        packet, _ = self.sphinx.packet_from_surb(surb, b"answer")
        for number in reversed(range(REPLY_HOPS)):
            unwrapped = self.sphinx.unwrap(self.keys[number], packet)
            packet = unwrapped.packet or b""
        assert unwrapped.payload is not None
        return unwrapped.payload

    def primitives(self) -> Primitives:
        geometry, key = self.sphinx.geometry, self.keys[0]
        ciphertext, secret = self.kem.encapsulate(key.public_key, self.randomness)
        derived = hop_keys(secret)
        stream_length = geometry.routing_info_length + geometry.per_hop_routing_info_length
        header = bytes(geometry.header_length)
        material = bytes(HOPS * geometry.sprp_key_material_length)
        payload = bytes(geometry.payload_tag_length + geometry.forward_payload_length)
        parts = (
            lambda: hop_keys(secret),
            lambda: header_stream(derived.header_key, derived.iv, stream_length),
            lambda: header_mac(derived.mac_key, header),
        )
        return Primitives(
            encapsulate=median_seconds(lambda: self.kem.encapsulate(key.public_key, self.randomness), REPEATS),
            decapsulate=median_seconds(lambda: key.decapsulate(ciphertext), REPEATS),
            hop=sum(median_seconds(part, REPEATS) for part in parts),
            layer=median_seconds(lambda: self.engine.encipher(material, payload), self.repeats) / HOPS,
        )
