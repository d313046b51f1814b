"""What a gateway, or somebody in its place, sends."""

from functools import lru_cache

from kpclientd.wire.commands import CommandCodec, Consensus2
from kpclientd.wire.consensus import ConsensusAssembler, Fetched
from kpclientd.wire.errors import CommandError, ConsensusError, WireError
from kpclientd.wire.session import CommandReceived, NoiseSession, PeerCredentials
from kpclientd.wire.transport import seal_frame
from sphinx import Geometry
from sphinx.crypto.kem import KemPrivateKey, kem_scheme
from sphinx.errors import SphinxError
from sphinx.randomness import seeded

GEOMETRY = Geometry.nike("x25519", 2, 16)
CODECS = (CommandCodec(GEOMETRY), CommandCodec(None))
KEM = kem_scheme("x25519")
NOW = 1_800_000_000.0
LARGEST_DOCUMENT = 100_000


def commands(data: bytes) -> None:
    """What a frame's plaintext decodes to is encoded and decoded alike."""
    for codec in CODECS:
        try:
            command = codec.decode(data)
        except CommandError:
            continue
        assert codec.decode(codec.encode(command)) == command


@lru_cache
def static_keys() -> tuple[KemPrivateKey, KemPrivateKey]:
    randomness = seeded(b"static")
    return KEM.generate(randomness), KEM.generate(randomness)


def anybody(peer: PeerCredentials) -> bool:
    return True


def pair() -> tuple[NoiseSession, NoiseSession]:
    client_key, gateway_key = static_keys()
    return (
        NoiseSession.initiator(KEM, client_key, b"client", CODECS[0], anybody, seeded(b"client")),
        NoiseSession.responder(KEM, gateway_key, b"gateway", CODECS[0], anybody, seeded(b"gateway")),
    )


def in_pieces(session: NoiseSession, data: bytes, size: int) -> int:
    """Feed bytes in pieces; returns how many commands they held."""
    received = 0
    for start in range(0, len(data), size):
        try:
            events = session.receive(data[start : start + size], NOW)
        except WireError as error:
            assert not session.established
            return received + sum(isinstance(event, CommandReceived) for event in error.events)
        received += sum(isinstance(event, CommandReceived) for event in events)
    return received


def handshake(data: bytes) -> None:
    """The first byte says who listens and how far the handshake has come; the rest comes instead of what is next."""
    if not data:
        return
    mode, rest = data[0], data[1:]
    client, gateway = pair()
    if mode & 1 == 0:
        if mode & 2:
            gateway.receive(client.start(), NOW)
            client.receive(gateway.outgoing(), NOW)
            rest = changed(client.outgoing(), rest) if mode & 4 else rest
        in_pieces(gateway, rest, 1 + mode // 8)
        assert not gateway.established or mode & 4
    else:
        first = client.start()
        if mode & 2:
            gateway.receive(first, NOW)
            rest = changed(gateway.outgoing(), rest) if mode & 4 else rest
        in_pieces(client, rest, 1 + mode // 8)
        assert not client.established


def changed(genuine: bytes, changes: bytes) -> bytes:
    """A genuine message with some bytes changed: two bytes of place and one to add, for each."""
    message = bytearray(genuine)
    for at in range(0, len(changes) - 2, 3):
        message[int.from_bytes(changes[at : at + 2]) % len(message)] ^= changes[at + 2]
    return bytes(message)


def session(data: bytes) -> None:
    """A peer that shook hands properly, and now seals whatever it likes: frames of any content, then any bytes."""
    client, gateway = pair()
    gateway.receive(client.start(), NOW)
    client.receive(gateway.outgoing(), NOW)
    gateway.receive(client.outgoing(), NOW)
    client.receive(gateway.outgoing(), NOW)
    assert client.established
    assert gateway.established
    sealing = gateway._sending
    assert sealing is not None
    frames, expected = b"", 0
    while data[:1] == b"\1":
        length = int.from_bytes(data[1:3])
        frames += seal_frame(sealing, data[3 : 3 + length])
        data = data[3 + length :]
        expected += 1
    assert in_pieces(client, frames + data, 1 + len(data) % 50) <= expected


def consensus(data: bytes) -> None:
    """Chunks in any order, with any claims: each is nine bytes of error, number and total, and two of length."""
    assembler = ConsensusAssembler(1, LARGEST_DOCUMENT)
    assembler.request(1)
    while data:
        length = int.from_bytes(data[9:11])
        chunk = Consensus2(data[0], int.from_bytes(data[1:5]), int.from_bytes(data[5:9]), data[11 : 11 + length])
        data = data[11 + length :]
        try:
            outcome = assembler.feed(chunk)
            if isinstance(outcome, Fetched):
                assert len(outcome.decompress()) <= LARGEST_DOCUMENT
        except ConsensusError:
            return
        if outcome is not None:
            assert not assembler.busy
            assembler.request(2)


def kem(data: bytes) -> None:
    """Ciphertexts and public keys from a peer: a secret, or an error that says what is wrong."""
    for name in ("x25519", "x448", "XWING"):
        scheme = kem_scheme(name)
        key = scheme.generate(seeded(b"kem"))
        for length in (len(data), scheme.ciphertext_length):
            try:
                secret = key.decapsulate(data[:length].ljust(length, b"\0"))
            except SphinxError:
                continue
            assert len(secret) == scheme.shared_secret_length
        try:
            scheme.encapsulate(data[: scheme.public_key_length].ljust(scheme.public_key_length, b"\0"), seeded(b"peer"))
        except SphinxError:
            continue
