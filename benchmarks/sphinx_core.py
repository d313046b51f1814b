"""What packets over X25519 cost on each engine, beside the scalar multiplications or layers that none can do without.

All of one engine takes turns, in processor time: what slows the machine slows work and floor alike. A compiled engine's
floor is its own multiplications, faster than the library's beside them: the ratio says what all else costs.
"""

from collections.abc import Callable

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from benchmarks.packets import HOPS, REPLY_HOPS, USER_PAYLOAD, PacketNetwork
from benchmarks.timing import Row, processor_seconds_in_turns
from sphinx import Geometry
from sphinx.native import engine, engine_names

Call = Callable[[], object]

TURNS = 25


def rows() -> list[Row]:
    """Measure, and return name, median processor seconds and floor seconds of each."""
    return [row for name in engine_names() for row in rows_of(name)] + libsodium_rows()


def rows_of(name: str) -> list[Row]:
    """The rows of one engine."""
    network = PacketNetwork(Geometry.nike("x25519", HOPS, USER_PAYLOAD), name)
    sphinx, randomness = network.sphinx, network.randomness
    surb = sphinx.new_surb(network.reply_path, randomness)
    packet = network.packet(with_surb=True)
    delivered = network.answered(surb.surb)
    multiply, multiply_base = multiplications(name)
    seconds = processor_seconds_in_turns(
        {
            "multiply": multiply,
            "base": multiply_base,
            "layers": lambda: engine(name).layers(surb.keys, REPLY_HOPS, delivered),
            "packet": lambda: network.packet(with_surb=False),
            "with SURB": lambda: network.packet(with_surb=True),
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


if __name__ == "__main__":
    for row_name, seconds, floor in rows():
        beside = f"{floor * 1e6:10.1f} µs floor, {seconds / floor:5.2f}x" if floor else ""
        print(f"{row_name:52}{seconds * 1e6:10.1f} µs{beside}")
