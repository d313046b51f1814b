"""What the link costs: a handshake of both ends, and a client's frame, each beside the library's share of it."""

import os
import statistics
import time

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from benchmarks.timing import Row, median_seconds
from kpclientd.wire.commands import CommandCodec, SendPacket
from kpclientd.wire.noise import CipherState
from kpclientd.wire.session import NoiseSession, PeerCredentials
from kpclientd.wire.transport import HEADER_LENGTH, open_body, open_header, seal_frame
from sphinx.crypto.kem import kem_scheme
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness

HANDSHAKES = 40
FRAMES = 4000
ENCAPSULATIONS = 3  # ekem and two skem; every one is opened again

GEOMETRY = Geometry.nike("x25519", 5, 2000)
CODEC = CommandCodec(GEOMETRY)
RANDOMNESS = Randomness(os.urandom)
NOW = 1_800_000_000.0


def anybody(peer: PeerCredentials) -> bool:
    return True


def handshake() -> tuple[float, float]:
    kem = kem_scheme("XWING")
    client_key, gateway_key = kem.generate(RANDOMNESS), kem.generate(RANDOMNESS)

    def both_ends() -> None:
        client = NoiseSession.initiator(kem, client_key, b"q" * 32, CODEC, anybody, RANDOMNESS)
        gateway = NoiseSession.responder(kem, gateway_key, b"n" * 32, CODEC, anybody, RANDOMNESS)
        gateway.receive(client.start(), NOW)
        for _ in range(2):
            client.receive(gateway.outgoing(), NOW)
            gateway.receive(client.outgoing(), NOW)
        assert client.established
        assert gateway.established

    def key_operations() -> None:
        lattice = MLKEM768PrivateKey.from_seed_bytes(os.urandom(64))
        public = lattice.public_key().public_bytes_raw()
        curve = X25519PrivateKey.generate()
        for _ in range(ENCAPSULATIONS):
            _, ciphertext = MLKEM768PublicKey.from_public_bytes(public).encapsulate()
            lattice.decapsulate(ciphertext)
            ephemeral = X25519PrivateKey.generate()
            ephemeral.exchange(curve.public_key())
            curve.exchange(ephemeral.public_key())

    return median_seconds(both_ends, HANDSHAKES), median_seconds(key_operations, HANDSHAKES)


def frames() -> tuple[float, float, float]:
    """Seal a frame, open it, and the cipher's own time for either."""
    key, nonce = os.urandom(32), bytes(12)
    packet = SendPacket(os.urandom(GEOMETRY.packet_length))
    plaintext = CODEC.encode(packet)
    sending, receiving = CipherState(key), CipherState(key)
    seal_samples, open_samples = [], []
    for _ in range(FRAMES):
        begin = time.perf_counter()
        frame = seal_frame(sending, CODEC.encode(packet))
        sealed = time.perf_counter()
        open_header(receiving, frame[:HEADER_LENGTH], CODEC.body_limit)
        CODEC.decode(open_body(receiving, frame[HEADER_LENGTH:]))
        open_samples.append(time.perf_counter() - sealed)
        seal_samples.append(sealed - begin)

    def cipher() -> None:
        context = ChaCha20Poly1305(key)
        for data in (b"size", plaintext, key):
            context.encrypt(nonce, data, None)

    return statistics.median(seal_samples), statistics.median(open_samples), median_seconds(cipher, FRAMES)


def rows() -> list[Row]:
    """Name, median seconds, and the floor: the time of the primitives alone."""
    handshake_seconds, key_operations = handshake()
    seal_seconds, open_seconds, cipher = frames()
    length = len(CODEC.encode(SendPacket(bytes(GEOMETRY.packet_length))))
    return [
        ("handshake, both ends, X-Wing", handshake_seconds, key_operations),
        (f"command of {length} bytes encoded, sealed, rekeyed", seal_seconds, cipher),
        (f"frame of {length} bytes opened, rekeyed, decoded", open_seconds, cipher),
    ]
