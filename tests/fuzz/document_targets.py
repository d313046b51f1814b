"""What directory authorities sign, and what comes in their name."""

from functools import lru_cache
from typing import Any

from pki.certificate import LIFETIME, Certificate, issue
from pki.descriptor import MixDescriptor, ReplicaDescriptor
from pki.document import Document
from pki.epoch import EpochClock, parse_duration
from pki.errors import DocumentRejected, EpochError, PemError, WeakKeyError
from pki.pem import decode_pem
from pki.signatures import SIGNATURE_SCHEMES, signature_scheme
from pki.trust import check_usable
from pki.wellformed import check_well_formed
from sphinx import Geometry
from sphinx.randomness import seeded
from tests.pki.network import PaperNetwork, paper_network
from tests.support.vectors import recorded

GEOMETRY = Geometry.nike("x25519", 5, 2000)
ED25519_LENGTH = 32


@lru_cache
def network() -> PaperNetwork:
    return paper_network(2)


def certificate(data: bytes) -> None:
    """A certificate that parses is written and parsed alike, and nobody believes one that nobody signed."""
    try:
        parsed = Certificate.parse(data)
    except DocumentRejected:
        return
    assert Certificate.parse(parsed.encode()) == parsed
    trusted = network().trusted()
    clock = EpochClock(1200.0)
    epoch = network().document.epoch
    try:
        trusted.accept(data, epoch, clock.start(epoch))
    except DocumentRejected:
        return
    assert parsed.certified == network().document.encode(), "a document was believed that nobody signed"


def signed_document(data: bytes) -> None:
    """What enough authorities have signed, whatever it is: held or refused."""
    if not data:
        return
    trusted = network().trusted()
    epoch = network().document.epoch
    blob = issue(data, epoch + LIFETIME, network().authorities).encode()
    try:
        held = trusted.accept(blob, epoch, EpochClock(1200.0).start(epoch))
    except DocumentRejected:
        return
    assert held.certified == data
    for layer in held.document.topology:
        assert all(epoch in node.mix_keys for node in layer)


@lru_cache
def signed(name: str) -> tuple[bytes, bytes, bytes]:
    """A public key, a message, and a genuine signature of it; recorded where it cannot be made everywhere."""
    for vector in recorded("pki_falcon.json")["schemes"]:
        if vector["name"] == name:
            public_key, message, signature = (
                bytes.fromhex(vector[part]) for part in ("public_key", "message", "signature")
            )
            return public_key, message, signature
    if name.startswith("Falcon"):
        public_key, message, signature = signed(name.removesuffix("-Ed25519"))
        key = signature_scheme("Ed25519").generate(seeded(b"fuzz"))
        return public_key + key.public_key, message, signature + key.sign(message)
    key = signature_scheme(name).generate(seeded(b"fuzz"))
    return key.public_key, b"message", key.sign(b"message")


def signature(data: bytes) -> None:
    """A genuine signature with bytes changed: never an exception, and nothing that was changed is genuine.

    The first byte picks the scheme; then come a place (three bytes) and what that byte is changed by, again and again.
    """
    scheme = SIGNATURE_SCHEMES[data[0] % len(SIGNATURE_SCHEMES)] if data else SIGNATURE_SCHEMES[0]
    public_key, message, genuine = signed(scheme.name)
    whole = bytearray(public_key + genuine)
    for at in range(1, len(data) - 3, 4):
        whole[int.from_bytes(data[at : at + 3]) % len(whole)] ^= data[at + 3]
    key, changed = bytes(whole[: len(public_key)]), bytes(whole[len(public_key) :])
    assert scheme.verify(key, message, changed) == (changed == genuine and key == public_key)
    assert not scheme.verify(key, message, data)
    try:
        scheme.check_public_key(key)
    except WeakKeyError:
        assert key != public_key


def document(data: bytes) -> None:
    """A document behind its signatures: read, checked, or refused."""
    try:
        parsed = Document.parse(data)
        check_well_formed(parsed, parsed.epoch)
        check_usable(parsed, GEOMETRY)
    except DocumentRejected:
        return
    assert Document.parse(parsed.encode()) == parsed


def descriptor(data: bytes) -> None:
    """Descriptors of nodes and of replicas."""
    readers: tuple[type[Any], ...] = (MixDescriptor, ReplicaDescriptor)
    for reader in readers:
        try:
            parsed = reader.parse(data)
        except DocumentRejected:
            continue
        assert reader.parse(parsed.encode()) == parsed


def pem(data: bytes) -> None:
    """A key in PEM form, and a period of time, as configurations hold them."""
    text = data.decode("utf-8", "replace")
    try:
        assert len(decode_pem(text, "Ed25519", "PUBLIC", ED25519_LENGTH)) == ED25519_LENGTH
    except PemError:
        pass
    try:
        parse_duration(text)
    except EpochError:
        pass
