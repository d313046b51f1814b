"""What tests of recorded schemes share: doubles that hand out the reference's own keys and secrets, and its packets."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from sphinx import Geometry, PathHop, Unwrapped
from sphinx.agreement import Agreement, PrivateKey
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.crypto.nike import Nike
from sphinx.header import build_header
from sphinx.native import engine
from sphinx.randomness import Randomness
from sphinx.surb import NewSurb, new_surb
from tests.sphinx.builders import as_hex, hop, parsed, scripted

ELEMENT_AT = 2
DRAWN_FOR_SURB = 64

Unwrap = Callable[[PrivateKey, bytes], Unwrapped]
KeyOf = Callable[[int, int], PrivateKey]
"""Number of a node, and of the hop on the path, to the node's private key."""


class RecordedKey(KemPrivateKey):
    """A key that opens anything to the one secret that the reference recorded."""

    def __init__(self, kem: Kem, secret: bytes) -> None:
        super().__init__(kem, bytes(kem.public_key_length))
        self._secret = secret

    def _open(self, ciphertext: bytes) -> bytes:
        return self._secret


class RecordedKem(Kem):
    """A KEM that encapsulates to the recorded ciphertexts and secrets, in their order."""

    def __init__(self, kem: Kem, encapsulations: Iterator[tuple[bytes, bytes]]) -> None:
        self.name = kem.name
        self.public_key_length = kem.public_key_length
        self.ciphertext_length = kem.ciphertext_length
        self._encapsulations = encapsulations

    def _derive(self, seed: bytes) -> KemPrivateKey:
        raise NotImplementedError

    def _load(self, private_key: bytes) -> KemPrivateKey:
        raise NotImplementedError

    def _seal(self, public_key: bytes, randomness: Randomness) -> tuple[bytes, bytes]:
        return next(self._encapsulations)


class RecordedNike(Nike):
    """A NIKE whose first private key is the recorded one; blinding factors are its own."""

    def __init__(self, nike: Nike, ephemeral: bytes) -> None:
        self.name = nike.name
        self.public_key_length = nike.public_key_length
        self.private_key_length = nike.private_key_length
        self._nike = nike
        self._ephemeral = [ephemeral]

    def generate(self, read: Callable[[int], bytes]) -> bytes:
        return self._ephemeral.pop() if self._ephemeral else self._nike.generate(read)

    def public_key(self, private: bytes) -> bytes:
        return self._nike.public_key(private)

    def shared_secret(self, private: bytes, public: bytes) -> bytes:
        return self._nike.shared_secret(private, public)


def same_as(case: dict[str, Any], name: str, value: bytes) -> bool:
    """Whether a value is the recorded one, in full or by its digest."""
    if name in case:
        return bool(case[name] == value.hex())
    return bool(case[f"{name}_sha256"] == hashlib.sha256(value).hexdigest())


def path_of(case: dict[str, Any], part: dict[str, Any]) -> list[PathHop]:
    return [
        hop(case["nodes"][index], parsed(commands))
        for index, commands in zip(part["path"], part["commands"], strict=True)
    ]


def travel(unwrap: Unwrap, hops: Sequence[dict[str, Any]], packet: bytes, key_of: KeyOf) -> tuple[bytes, list[bytes]]:
    """Unwrap at each recorded hop and compare; return what the last hands out, and the packet as each hop saw it."""
    packets = [packet]
    for number, recorded_hop in enumerate(hops):
        unwrapped = unwrap(key_of(recorded_hop["node"], number), packets[-1])
        assert unwrapped.replay_tag.hex() == recorded_hop["replay_tag"]
        assert as_hex(unwrapped.commands) == recorded_hop["commands"]
        if number < len(hops) - 1:
            assert unwrapped.packet is not None
            assert same_as(recorded_hop, "packet_after", unwrapped.packet)
            packets.append(unwrapped.packet)
    assert unwrapped.payload is not None
    return unwrapped.payload, packets


def rebuilt_packet(case: dict[str, Any], agreement: Agreement, plaintext: bytes) -> bytes:
    """The forward packet of a case, from its recorded filler."""
    geometry, part = Geometry.from_fields(case["geometry"]), case["forward"]
    header = build_header(geometry, agreement, path_of(case, part), scripted(bytes.fromhex(part["filler"])))
    layers = b"".join(reversed(header.payload_keys))
    return header.encoded + engine().encipher(layers, bytes(geometry.payload_tag_length) + plaintext)


def rebuilt_surb(case: dict[str, Any], agreement: Agreement) -> NewSurb:
    """The SURB of a case, from its recorded filler and payload key."""
    geometry, part = Geometry.from_fields(case["geometry"]), case["surb"]
    draws = scripted(bytes.fromhex(part["surb"])[-DRAWN_FOR_SURB:], bytes.fromhex(part["filler"]))
    return new_surb(geometry, agreement, path_of(case, part), draws)
