"""What a Loopix packet costs, beside the multiplications that its specification counts.

There are two for each of five nodes; the client does without four of them.
"""

import statistics
from collections.abc import Callable

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from benchmarks.timing import Row, median_seconds
from kpclientd.loopix.nodes import ClientConfig, MixConfig, key_text
from kpclientd.loopix.packet import COMM, general, process, wrap
from kpclientd.loopix.profile import DEFAULT
from kpclientd.loopix.sizes import longest_message
from sphinx.crypto.nike import nike_scheme
from sphinx.randomness import seeded

NODES = 5
DELAY = 0.2
SECRET_LENGTH = 32
REPETITIONS = 1001


def rows() -> list[Row]:
    """Measure, and return name, median seconds and floor seconds of each."""
    randomness = seeded(b"benchmark")
    nike = nike_scheme("x25519")
    private_keys = [nike.generate(randomness.bytes) for _ in range(NODES)]
    public_keys = [nike.public_key(private) for private in private_keys]
    path = [MixConfig(key_text(public), "localhost", "9980", public) for public in public_keys]
    recipient = ClientConfig(key_text(public_keys[0]), "0.0.0.0", "42")
    message = bytes(longest_message(path, recipient, DEFAULT))
    secret = randomness.bytes(SECRET_LENGTH)
    packet = wrap(path, [DELAY] * NODES, recipient, message, secret)

    def build() -> None:
        general(COMM, wrap(path, [DELAY] * NODES, recipient, message, secret))

    def multiplications() -> None:
        for public_key in public_keys:
            crypto_scalarmult_base(secret)
            crypto_scalarmult(secret, public_key)

    def visit() -> None:
        process(private_keys[0], packet)

    def visit_multiplications() -> None:
        crypto_scalarmult(secret, public_keys[0])
        crypto_scalarmult(secret, public_keys[1])

    return [
        ("Loopix packet, of the greatest length", *paired_medians(build, multiplications)),
        ("Loopix packet at one node", *paired_medians(visit, visit_multiplications)),
    ]


def paired_medians(work: Callable[[], None], floor: Callable[[], None]) -> tuple[float, float]:
    """Median seconds of both, taken in turns, so that a machine that is busy for a while is so for both."""
    pairs = [(median_seconds(work, 1), median_seconds(floor, 1)) for _ in range(REPETITIONS)]
    return statistics.median(pair[0] for pair in pairs), statistics.median(pair[1] for pair in pairs)


if __name__ == "__main__":
    for name, seconds, floor in rows():
        beside = f"{floor * 1e6:10.1f} µs floor, {seconds / floor:5.2f}x" if floor else ""
        print(f"{name:40}{seconds * 1e6:10.1f} µs{beside}")
