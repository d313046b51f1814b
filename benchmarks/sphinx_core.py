"""What packets over X25519 cost on each engine, beside the scalar multiplications or layers that none can do without.

All of one engine takes turns, in processor time: what slows the machine slows work and floor alike. A compiled engine's
floor is its own multiplications, faster than the library's beside them: the ratio says what all else costs.
"""

from collections.abc import Callable, Iterable

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from benchmarks.timing import processor_seconds_in_turns
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
from sphinx.native import engine, engine_names
from sphinx.plaintext import compose_plaintext
from sphinx.randomness import Randomness, seeded

Row = tuple[str, float, float | None]
Call = Callable[[], object]

HOPS = 5
REPLY_HOPS = HOPS - 1
USER_PAYLOAD = 2000
DELAY_MS = 200
TURNS = 25


def rows() -> list[Row]:
    """Measure, and return name, median processor seconds and floor seconds of each."""
    return [row for name in engine_names() for row in rows_of(name)] + libsodium_rows()


def rows_of(name: str) -> list[Row]:
    """The rows of one engine."""
    network = Network(name, seeded(b"benchmark"))
    sphinx, randomness = network.sphinx, network.randomness
    surb = sphinx.new_surb(network.reply_path, randomness)
    packet = sphinx.new_packet(network.forward_path, network.plaintext(surb.surb), randomness)
    delivered = network.answered(surb.surb)
    multiply, multiply_base = multiplications(name)
    seconds = processor_seconds_in_turns(
        {
            "multiply": multiply,
            "base": multiply_base,
            "layers": lambda: engine(name).layers(surb.keys, REPLY_HOPS, delivered),
            "packet": lambda: network.packet(None),
            "with SURB": lambda: network.packet(sphinx.new_surb(network.reply_path, randomness).surb),
            "reply": lambda: sphinx.open_reply(surb.keys, delivered),
            "from SURB": lambda: sphinx.packet_from_surb(surb.surb, b"answer"),
            "unwrap": lambda: sphinx.unwrap(network.private_keys[0], packet),
        },
        TURNS,
    )
    hop, layer = seconds["multiply"] + seconds["base"], seconds["layers"] / HOPS
    return [
        (f"{name}: packet", seconds["packet"], HOPS * hop),
        (f"{name}: packet with SURB", seconds["with SURB"], (HOPS + REPLY_HOPS) * hop),
        (f"{name}: reply to a SURB opened", seconds["reply"], seconds["layers"]),
        (f"{name}: packet from a SURB", seconds["from SURB"], layer),
        (f"{name}: unwrap at one hop", seconds["unwrap"], 2 * seconds["multiply"]),
        (f"{name}: one layer of AEZ", layer, None),
        (f"{name}: X25519", seconds["multiply"], None),
        (f"{name}: X25519 of the base point", seconds["base"], None),
    ]


def libsodium_rows() -> list[Row]:
    """The multiplications that the engine in Python uses, once more under their own name."""
    multiply, multiply_base = multiplications("python")
    seconds = processor_seconds_in_turns({"multiply": multiply, "base": multiply_base}, TURNS)
    return [
        ("libsodium through PyNaCl: X25519", seconds["multiply"], None),
        ("libsodium through PyNaCl: X25519 of the base point", seconds["base"], None),
    ]


def multiplications(name: str) -> tuple[Call, Call]:
    """Both scalar multiplications of an engine, from the ordinary Python call."""
    scalar = bytes(range(32))
    point = crypto_scalarmult_base(scalar)
    library = engine(name).library
    if library is None:
        return (lambda: crypto_scalarmult(scalar, point)), (lambda: crypto_scalarmult_base(scalar))
    return (lambda: library.multiply(scalar, point)), (lambda: library.multiply_base(scalar))


class Network:
    """Five nodes' keys and the paths through them."""

    def __init__(self, name: str, randomness: Randomness) -> None:
        self.sphinx = sphinx = Sphinx(Geometry.nike("x25519", HOPS, USER_PAYLOAD), engine=name)
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

    def plaintext(self, surb: bytes | None) -> bytes:
        return compose_plaintext(self.sphinx.geometry, b"message", surb)

    def packet(self, surb: bytes | None) -> bytes:
        return self.sphinx.new_packet(self.forward_path, self.plaintext(surb), self.randomness)

    def answered(self, surb: bytes) -> bytes:
        packet, _ = self.sphinx.packet_from_surb(surb, b"answer")
        for number in reversed(range(REPLY_HOPS)):
            unwrapped = self.sphinx.unwrap(self.private_keys[number], packet)
            packet = unwrapped.packet or b""
        assert unwrapped.payload is not None
        return unwrapped.payload


if __name__ == "__main__":
    for row_name, seconds, floor in rows():
        beside = f"{floor * 1e6:10.1f} µs floor, {seconds / floor:5.2f}x" if floor else ""
        print(f"{row_name:52}{seconds * 1e6:10.1f} µs{beside}")
