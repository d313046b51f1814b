import dataclasses
from collections.abc import Callable

import cbor2
import pytest

from pki.cbor import encode
from pki.certificate import LIFETIME, Certificate, Verifier, issue
from pki.document import Document
from pki.epoch import EpochClock
from pki.errors import (
    CertificateError,
    CertificateExpiredError,
    DocumentRejected,
    EncodingError,
    EpochMismatch,
    GeometryMismatch,
    IllFormedDocumentError,
    ThresholdError,
    UnusableDocumentError,
)
from pki.signatures import signature_scheme
from pki.trust import TrustedDocuments
from sphinx.geometry import Geometry
from sphinx.randomness import seeded
from tests.pki.network import FIRST_EPOCH, GEOMETRY, PaperNetwork, document, paper_network
from tests.support.vectors import recorded

PERIOD = 1200.0
CLOCK = EpochClock(PERIOD)
E = FIRST_EPOCH
NOW = CLOCK.start(E) + 100.0
NETWORK = paper_network()
PREVIOUS, PRESENT, NEXT, LATER = (NETWORK.signed(document(epoch)) for epoch in (E - 1, E, E + 1, E + 2))

change = dataclasses.replace


def certificate_fields(**changed: object) -> bytes:
    return encode(cbor2.loads(PRESENT) | changed)


def test_a_genuine_document_is_believed_and_its_bytes_stay_as_they_came() -> None:
    genuine = recorded("pki_documents.json")
    scheme = signature_scheme("Ed25519")
    verifiers = [Verifier(a["name"], scheme, bytes.fromhex(a["identity_public"])) for a in genuine["authorities"]]
    clock = EpochClock(genuine["epoch_period_seconds"])
    trusted = TrustedDocuments(clock, verifiers, Geometry.from_fields(genuine["sphinx_geometry"]))
    for recording in genuine["documents"]:
        epoch = recording["epoch"]
        blob = bytes.fromhex(recording["certificate"])
        verified = trusted.accept(blob, epoch, clock.start(epoch) + 1)
        assert verified.certificate == blob
        assert verified.certified == Certificate.parse(blob).certified
        assert trusted.current(clock.start(epoch) + 1) is verified is trusted.exact(epoch)


def unlisted_keys() -> bytes:
    stranger = signature_scheme("Ed25519").generate(seeded(b"stranger"))
    return issue(document(E).encode(), E + LIFETIME, (NETWORK.authorities[0], stranger)).encode()


def flipped() -> bytes:
    blob = bytearray(PRESENT)
    blob[len(blob) // 2] ^= 1
    return bytes(blob)


def expiring(epoch: int) -> bytes:
    return issue(document(E).encode(), epoch, NETWORK.authorities).encode()


def bent(bend: Callable[[Document], Document]) -> bytes:
    return NETWORK.signed(bend(document(E)))


def without_this_epoch_s_key(document: Document) -> Document:
    gateway = document.gateway_nodes[0]
    keys = {epoch: key for epoch, key in gateway.mix_keys.items() if epoch != E}
    return change(document, gateway_nodes=(change(gateway, mix_keys=keys),))


BAD = [
    ("no bytes at all", b"", EncodingError),
    ("noise", bytes(range(256)), EncodingError),
    ("one signature short of the threshold", NETWORK.signed(document(E), signers=1), ThresholdError),
    ("a signature by an unlisted key", unlisted_keys(), ThresholdError),
    ("a flipped bit", flipped(), ThresholdError),
    ("another key type", certificate_fields(KeyType="Ed448"), ThresholdError),
    ("version 1", certificate_fields(Version=1), CertificateError),
    ("no signatures", certificate_fields(Signatures=None), ThresholdError),
    ("expired", expiring(E), CertificateExpiredError),
    ("the previous epoch's", PREVIOUS, EpochMismatch),
    ("the next epoch's", NEXT, EpochMismatch),
    ("signed noise", issue(b"noise", E + LIFETIME, NETWORK.authorities).encode(), EncodingError),
    ("another geometry", bent(lambda d: change(d, sphinx_geometry_hash=bytes(32))), GeometryMismatch),
    ("a gateway without this epoch's key", bent(without_this_epoch_s_key), IllFormedDocumentError),
    ("zero gateways", bent(lambda d: change(d, gateway_nodes=())), IllFormedDocumentError),
    ("an empty layer", bent(lambda d: change(d, topology=(*d.topology[:2], ()))), IllFormedDocumentError),
    ("version v0", bent(lambda d: change(d, version="v0")), IllFormedDocumentError),
    ("mu of zero", bent(lambda d: change(d, mu=0.0)), UnusableDocumentError),
    ("mu below zero", bent(lambda d: change(d, mu=-1.0)), UnusableDocumentError),
    ("mu that is no number", bent(lambda d: change(d, mu=float("nan"))), UnusableDocumentError),
    ("infinite mu", bent(lambda d: change(d, mu=float("inf"))), UnusableDocumentError),
    ("delays of months", bent(lambda d: change(d, mu=1e-9)), UnusableDocumentError),
    ("a layer too many", bent(lambda d: change(d, topology=d.topology * 2)), UnusableDocumentError),
]
each_bad_document = pytest.mark.parametrize(("blob", "error"), [bad[1:] for bad in BAD], ids=[bad[0] for bad in BAD])


@each_bad_document
def test_a_bad_document_is_rejected_and_changes_nothing(blob: bytes, error: type[DocumentRejected]) -> None:
    trusted = NETWORK.trusted()
    previous = trusted.accept(PREVIOUS, E - 1, NOW)
    with pytest.raises(error):
        trusted.accept(blob, E, NOW)
    assert trusted.current(NOW) is previous
    assert trusted.exact(E) is None


def test_a_geometry_mismatch_names_both_hashes() -> None:
    foreign = NETWORK.signed(change(document(E), sphinx_geometry_hash=b"\xab" * 32))
    with pytest.raises(GeometryMismatch, match="ab" * 32 + ".*" + GEOMETRY.digest().hex()):
        NETWORK.trusted().accept(foreign, E, NOW)


def test_null_replicas_are_no_fault() -> None:
    fields = cbor2.loads(document(E).encode()) | {"StorageReplicas": None}
    blob = issue(encode(fields), E + LIFETIME, NETWORK.authorities).encode()
    assert NETWORK.trusted().accept(blob, E, NOW).document.storage_replicas == ()


def test_a_document_that_the_threshold_has_signed_needs_no_more() -> None:
    verified = NETWORK.trusted().accept(NETWORK.signed(document(E), signers=2), E, NOW)
    assert verified.document == document(E)


def test_without_authorities_nothing_is_believed() -> None:
    with pytest.raises(ThresholdError):
        PaperNetwork((), document(E)).trusted().accept(PRESENT, E, NOW)


def test_an_epoch_far_from_the_clock_s_is_never_accepted() -> None:
    for blob, epoch in ((LATER, E + 2), (NETWORK.signed(document(E - 2)), E - 2)):
        with pytest.raises(EpochMismatch, match="only its neighbours"):
            NETWORK.trusted().accept(blob, epoch, NOW)


def test_of_two_different_documents_for_an_epoch_the_later_one_counts() -> None:
    trusted = NETWORK.trusted()
    first = trusted.accept(PRESENT, E, NOW)
    assert trusted.accept(NETWORK.signed(document(E), signers=2), E, NOW) is first
    other = trusted.accept(NETWORK.signed(document(E, mu=0.05)), E, NOW)
    assert trusted.exact(E) is other is not first


def test_verification_alone_keeps_nothing() -> None:
    trusted = NETWORK.trusted()
    verified = trusted.verify(PRESENT, E, NOW)
    assert trusted.current(NOW) is None
    assert trusted.keep(verified, NOW) is verified is trusted.current(NOW)


def test_previous_present_and_next_are_kept_and_older_ones_forgotten() -> None:
    trusted = NETWORK.trusted()
    trusted.accept(PREVIOUS, E - 1, NOW)
    trusted.accept(PRESENT, E, NOW)
    trusted.accept(NEXT, E + 1, NOW)
    assert [trusted.exact(epoch) is not None for epoch in range(E - 1, E + 3)] == [True, True, True, False]
    trusted.accept(LATER, E + 2, NOW + PERIOD)
    assert [trusted.exact(epoch) is not None for epoch in range(E - 1, E + 3)] == [False, True, True, True]


def test_the_previous_document_stands_in_for_one_epoch_and_no_longer() -> None:
    trusted = NETWORK.trusted()
    verified = trusted.accept(PRESENT, E, NOW)
    assert trusted.current(NOW + PERIOD) is verified
    assert trusted.current(NOW + 2 * PERIOD) is None
    assert trusted.current(NOW - PERIOD) is None


def test_a_verified_document_s_repr_holds_no_bytes_of_it() -> None:
    verified = NETWORK.trusted().accept(PRESENT, E, NOW)
    assert len(repr(verified)) < 500
