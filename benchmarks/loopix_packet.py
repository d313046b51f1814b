"""What a Loopix packet costs, beside the multiplications that its specification counts: two for each of five nodes."""

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from benchmarks.sphinx_core import Row, median
from kpclientd.loopix.nodes import ClientConfig, MixConfig, key_text
from kpclientd.loopix.packet import COMM, general, process, wrap
from kpclientd.loopix.profile import DEFAULT
from kpclientd.loopix.sizes import longest_message
from sphinx.crypto.nike import nike_scheme
from sphinx.randomness import seeded

NODES = 5
DELAY = 0.2
SECRET_LENGTH = 32


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
    multiply = median(lambda: crypto_scalarmult(secret, public_keys[0]))
    multiply_base = median(lambda: crypto_scalarmult_base(secret))

    def build() -> bytes:
        return general(COMM, wrap(path, [DELAY] * NODES, recipient, message, secret))

    return [
        ("Loopix packet, of the greatest length", median(build), NODES * (multiply + multiply_base)),
        ("Loopix packet at one node", median(lambda: process(private_keys[0], packet)), 2 * multiply),
    ]


if __name__ == "__main__":
    for name, seconds, floor in rows():
        beside = f"{floor * 1e6:10.1f} µs floor, {seconds / floor:5.2f}x" if floor else ""
        print(f"{name:40}{seconds * 1e6:10.1f} µs{beside}")
