"""What KEM Sphinx costs, each beside its floor: the KEM, the hop's ciphers and the payload's layers alone."""

from collections.abc import Iterator
from dataclasses import dataclass

from benchmarks.packets import HOPS, REPLY_HOPS, USER_PAYLOAD, PacketNetwork
from benchmarks.timing import Row, median_seconds
from sphinx import Geometry
from sphinx.crypto.kdf import hop_keys
from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.mac import header_mac
from sphinx.crypto.stream import header_stream
from sphinx.native import engine, engine_names

SCHEMES = ("XWING", "MLKEM768")
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
    network = SchemeNetwork(scheme, engine_name)
    sphinx, parts, repeats = network.sphinx, network.primitives(), network.repeats
    surb = sphinx.new_surb(network.reply_path, network.randomness)
    packet, delivered = network.packet(with_surb=True), network.answered(surb.surb)
    key = network.private_keys[0]
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


class SchemeNetwork(PacketNetwork):
    """Nodes with keys of one KEM."""

    def __init__(self, scheme: str, engine_name: str) -> None:
        super().__init__(Geometry.kem(scheme, HOPS, USER_PAYLOAD), engine_name)
        self.engine = engine(engine_name)
        self.repeats = REPEATS_IN_PYTHON if engine_name == "python" else REPEATS
        self.kem = kem_scheme(scheme)

    def primitives(self) -> Primitives:
        geometry, key = self.sphinx.geometry, self.kem.generate(self.randomness)
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
