"""Two ends of a link in memory, and KEMs that say what a test told them to."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from kpclientd.wire.commands import CommandCodec
from kpclientd.wire.session import NoiseEvent, NoiseSession, PeerCredentials
from sphinx.crypto.kem import Kem, KemPrivateKey, kem_scheme
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness

GEOMETRY = Geometry.nike("x25519", 5, 2000)
CODEC = CommandCodec(GEOMETRY)
FAST_KEM = kem_scheme("x25519")
CLIENT_DATA = b"0123456789abcdef0123456789abcdef"
NODE_ID = bytes(range(32))
NOW = 1_800_000_000.75
RANDOMNESS = Randomness(os.urandom)

Check = Callable[[PeerCredentials], bool]


def anybody(peer: PeerCredentials) -> bool:
    return True


def nobody(peer: PeerCredentials) -> bool:
    return False


@dataclass
class Link:
    client: NoiseSession
    gateway: NoiseSession
    client_key: KemPrivateKey
    gateway_key: KemPrivateKey

    def shake_hands(self) -> tuple[list[NoiseEvent], list[NoiseEvent]]:
        """Carry all handshake bytes both ways; the events of the client and of the gateway."""
        gateway_events = self.gateway.receive(self.client.start(), NOW)
        client_events = self.client.receive(self.gateway.outgoing(), NOW)
        gateway_events += self.gateway.receive(self.client.outgoing(), NOW)
        client_events += self.client.receive(self.gateway.outgoing(), NOW)
        return client_events, gateway_events


def link(
    kem: Kem = FAST_KEM,
    *,
    gateway_kem: Kem | None = None,
    codec: CommandCodec = CODEC,
    client_checks: Check = anybody,
    gateway_checks: Check = anybody,
    client_data: bytes = CLIENT_DATA,
) -> Link:
    client_key = kem.generate(RANDOMNESS)
    gateway_key = (gateway_kem or kem).generate(RANDOMNESS)
    return Link(
        NoiseSession.initiator(kem, client_key, client_data, codec, client_checks, RANDOMNESS),
        NoiseSession.responder(gateway_kem or kem, gateway_key, NODE_ID, codec, gateway_checks, RANDOMNESS),
        client_key,
        gateway_key,
    )


def connected(codec: CommandCodec = CODEC) -> Link:
    pair = link(codec=codec)
    pair.shake_hands()
    return pair


class ScriptedKem(Kem):
    """A KEM whose key pairs and encapsulations are those of a recording, in their order."""

    def __init__(self, kem: Kem, seeds: Iterator[bytes], encapsulations: Iterator[tuple[bytes, bytes]]) -> None:
        self.name = kem.name
        self.public_key_length = kem.public_key_length
        self.private_key_length = kem.private_key_length
        self.ciphertext_length = kem.ciphertext_length
        self.shared_secret_length = kem.shared_secret_length
        self.seed_length = kem.seed_length
        self.asked: list[bytes] = []
        self._kem = kem
        self._seeds = seeds
        self._encapsulations = encapsulations

    def generate(self, randomness: Randomness) -> KemPrivateKey:
        return self._kem.private_key(next(self._seeds))

    def _derive(self, seed: bytes) -> KemPrivateKey:
        return self._kem.private_key(seed)

    def _load(self, private_key: bytes) -> KemPrivateKey:
        return self._kem.load(private_key)

    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        self.asked.append(public_key)
        return next(self._encapsulations)
