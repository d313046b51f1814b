"""What the link costs: a handshake of both ends, and a client's frame, each beside the library's share of it."""

import hashlib
import os
import statistics
import time

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base

from benchmarks.timing import Row, median_seconds, processor_seconds_in_turns
from kpclientd.wire.commands import CommandCodec, SendPacket
from kpclientd.wire.noise import CipherState
from kpclientd.wire.session import NoiseSession, PeerCredentials
from kpclientd.wire.transport import HEADER_LENGTH, open_body, open_header, seal_frame
from sphinx.crypto.kem import kem_scheme
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness

TURNS = 100
FRAMES = 4000
ENCAPSULATIONS = 3  # ekem and two skem; every one is opened again
HMACS = 28  # of both ends: one HKDF of two outputs for ekem and for the split, one of three for each skem
HASHES = 26
CIPHERS = 10
SEALED = 9  # messages, each opened again; most of them keys or ciphertexts
SEALED_LENGTH = 700

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

    def primitives() -> None:
        lattice = MLKEM768PrivateKey.from_seed_bytes(os.urandom(64))
        public = lattice.public_key().public_bytes_raw()
        curve = os.urandom(32)
        curve_public = crypto_scalarmult_base(curve)
        for _ in range(ENCAPSULATIONS):
            _, ciphertext = MLKEM768PublicKey.from_public_bytes(public).encapsulate()
            lattice.decapsulate(ciphertext)
            ephemeral = os.urandom(32)
            ephemeral_public = crypto_scalarmult_base(ephemeral)
            crypto_scalarmult(ephemeral, curve_public)
            crypto_scalarmult(curve, ephemeral_public)
        hashlib.shake_256(curve).digest(96)
        for _ in range(2 * ENCAPSULATIONS):
            hashlib.sha3_256(combined).digest()
        for _ in range(2 * HMACS):
            hashlib.blake2b(block).digest()
        for _ in range(HASHES):
            hashlib.blake2b(sealed).digest()
        for _ in range(CIPHERS):
            cipher = ChaCha20Poly1305(curve)
        for _ in range(SEALED):
            cipher.decrypt(nonce, cipher.encrypt(nonce, sealed, block), block)

    combined, block, sealed, nonce = bytes(134), bytes(192), bytes(SEALED_LENGTH), bytes(12)
    seconds = processor_seconds_in_turns({"handshake": both_ends, "primitives": primitives}, TURNS)
    return seconds["handshake"], seconds["primitives"]


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
    handshake_seconds, primitives = handshake()
    seal_seconds, open_seconds, cipher = frames()
    length = len(CODEC.encode(SendPacket(bytes(GEOMETRY.packet_length))))
    return [
        ("handshake, both ends, X-Wing", handshake_seconds, primitives),
        (f"command of {length} bytes encoded, sealed, rekeyed", seal_seconds, cipher),
        (f"frame of {length} bytes opened, rekeyed, decoded", open_seconds, cipher),
    ]
