"""What directory authorities sign, and what comes in their name."""

from functools import lru_cache
from typing import Any

from pki.certificate import Certificate
from pki.descriptor import MixDescriptor, ReplicaDescriptor
from pki.document import Document
from pki.epoch import EpochClock, parse_duration
from pki.errors import DocumentRejected, EpochError, PemError
from pki.pem import decode_pem
from pki.trust import check_usable
from pki.wellformed import check_well_formed
from sphinx import Geometry
from tests.pki.network import PaperNetwork, paper_network

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
