"""What packets over X25519 cost on each engine, beside the scalar multiplications or layers that none can do without.

All of one engine takes turns, in processor time: what slows the machine slows work and floor alike. A packet's floor is
what its products cost in one batch in C, by products.c, which is compiled for that: those by the nodes' keys, each from
its table or by the ladder, and those by the base point, with one inversion for all. For the engine in Python it is
libsodium's. The ratio says what all else costs.
"""

import functools
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from benchmarks.packets import HOPS, REPLY_HOPS, USER_PAYLOAD, PacketNetwork
from benchmarks.timing import NANOSECONDS, Row, processor_seconds_in_turns
from sphinx import Geometry
from sphinx.native import engine, engine_names
from sphinx.native.base_table import header

Call = Callable[[], object]

TURNS = 25

PRODUCTS = Path(__file__).with_name("products.c")
NATIVE = Path(__file__).resolve().parents[1] / "sphinx" / "native"


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
    by_ladder = PacketNetwork(Geometry.nike("x25519", HOPS, USER_PAYLOAD), name)
    sphinx.keep_tables(network.public_keys)
    seconds = processor_seconds_in_turns(
        {
            "multiply": multiply,
            "base": multiply_base,
            "layers": lambda: engine(name).layers(surb.keys, REPLY_HOPS, delivered),
            "packet": lambda: network.packet(with_surb=False),
            "with SURB": lambda: network.packet(with_surb=True),
            "ladder": lambda: by_ladder.packet(with_surb=False),
            "ladder with SURB": lambda: by_ladder.packet(with_surb=True),
            "reply": lambda: sphinx.open_reply(surb.keys, delivered),
            "from SURB": lambda: sphinx.packet_from_surb(surb.surb, b"answer"),
            "unwrap": lambda: sphinx.unwrap(network.private_keys[0], packet),
        },
        TURNS,
    )
    layer = seconds["layers"] / HOPS
    floor = products(name) if sphinx.is_compiled else python_products(seconds["multiply"], seconds["base"])
    return [
        (f"{name}: packet", seconds["packet"], floor.packet if floor else None),
        (f"{name}: packet with SURB", seconds["with SURB"], floor.packet + floor.surb if floor else None),
        (f"{name}: packet by the ladder", seconds["ladder"], floor.ladder if floor else None),
        (
            f"{name}: packet with SURB by the ladder",
            seconds["ladder with SURB"],
            floor.ladder + floor.surb_by_ladder if floor else None,
        ),
        (f"{name}: reply to a SURB opened", seconds["reply"], seconds["layers"]),
        (f"{name}: packet from a SURB", seconds["from SURB"], layer),
        (f"{name}: unwrap at one hop", seconds["unwrap"], 2 * seconds["multiply"]),
        (f"{name}: one layer of AEZ", layer, None),
        (f"{name}: X25519", seconds["multiply"], None),
        (f"{name}: X25519 of the base point", seconds["base"], None),
    ]


@dataclass(frozen=True, slots=True)
class Products:
    """Seconds that the products of a packet and of a SURB take, by keys with tables and by the ladder."""

    ladder: float
    packet: float
    surb_by_ladder: float
    surb: float


def python_products(multiply: float, base: float) -> Products:
    """One by one, as the engine in Python has them."""
    hop = multiply + base
    return Products(HOPS * hop, HOPS * hop, REPLY_HOPS * hop, REPLY_HOPS * hop)


@functools.cache
def products(name: str) -> Products | None:
    """A compiled engine's, in C alone; None where there is no compiler."""
    compiler = shutil.which("cc")
    if compiler is None:
        return None
    with TemporaryDirectory() as folder:
        (Path(folder) / "base_table.h").write_text(header())
        program = str(Path(folder) / "products")
        sources = [str(path) for path in [PRODUCTS, *NATIVE.glob("*.c")]]
        subprocess.run([compiler, "-O3", f"-I{NATIVE}", f"-I{folder}", "-o", program, *sources], check=True)
        told = subprocess.run([program, name, str(HOPS)], capture_output=True, text=True, check=True).stdout
    return Products(*(float(nanoseconds) / NANOSECONDS for nanoseconds in told.split()))


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
