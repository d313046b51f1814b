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
    ConflictingDocument,
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
    assert trusted.announce(NOW) is None


@each_bad_document
def test_a_rejected_document_is_asked_for_again_after_a_sixteenth_of_the_period(
    blob: bytes, error: type[DocumentRejected]
) -> None:
    trusted = NETWORK.trusted()
    trusted.accept(PREVIOUS, E - 1, NOW)
    with pytest.raises(error):
        trusted.accept(blob, E, NOW)
    assert trusted.wanted(NOW) == ()
    again = trusted.next_wakeup(NOW)
    assert again == NOW + PERIOD / 16
    assert trusted.wanted(again - 0.01) == ()
    assert trusted.wanted(again) == (E,)
    assert trusted.accept(PRESENT, E, again).document.epoch == E


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


def test_the_first_of_two_different_documents_for_an_epoch_stays() -> None:
    trusted = NETWORK.trusted()
    first = trusted.accept(PRESENT, E, NOW)
    assert trusted.accept(NETWORK.signed(document(E), signers=2), E, NOW) is first
    with pytest.raises(ConflictingDocument):
        trusted.accept(NETWORK.signed(document(E, mu=0.05)), E, NOW)
    assert trusted.exact(E) is first


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


def test_at_first_the_present_document_is_wanted_and_the_previous_one_as_a_stopgap() -> None:
    trusted = NETWORK.trusted()
    assert trusted.wanted(NOW) == (E, E - 1)
    trusted.accept(PREVIOUS, E - 1, NOW)
    assert trusted.wanted(NOW) == (E,)
    trusted.accept(PRESENT, E, NOW)
    assert trusted.wanted(NOW) == ()


def test_the_previous_document_is_not_wanted_beside_the_present_one() -> None:
    trusted = NETWORK.trusted()
    trusted.accept(PRESENT, E, NOW)
    assert trusted.wanted(NOW) == ()


def test_the_next_document_is_wanted_from_eleven_sixteenths_of_the_period_on() -> None:
    trusted = NETWORK.trusted()
    trusted.accept(PRESENT, E, NOW)
    threshold = CLOCK.start(E) + PERIOD * 11 / 16
    assert trusted.wanted(threshold - 1) == ()
    assert trusted.wanted(threshold) == (E + 1,)


def test_late_in_an_epoch_that_begins_empty_handed_three_documents_are_wanted_in_order() -> None:
    assert NETWORK.trusted().wanted(CLOCK.start(E) + PERIOD * 0.9) == (E, E + 1, E - 1)


def test_what_is_gone_is_not_asked_again_of_the_same_gateway() -> None:
    trusted = NETWORK.trusted()
    trusted.mark_gone(E, NOW)
    assert trusted.wanted(NOW) == (E - 1,)
    trusted.accept(PREVIOUS, E - 1, NOW)
    assert trusted.wanted(NOW) == ()
    late = CLOCK.start(E) + PERIOD * 0.9
    assert trusted.next_wakeup(NOW) == CLOCK.start(E) + PERIOD * 11 / 16
    assert trusted.wanted(late) == (E + 1,)
    trusted.mark_gone(E + 1, late)
    assert trusted.next_wakeup(late) == CLOCK.start(E + 1)


def test_a_new_connection_is_asked_anew() -> None:
    trusted = NETWORK.trusted()
    trusted.mark_gone(E, NOW)
    with pytest.raises(DocumentRejected):
        trusted.accept(b"", E - 1, NOW)
    assert trusted.wanted(NOW) == ()
    trusted.mark_connected()
    assert trusted.wanted(NOW) == (E, E - 1)


def test_what_was_gone_too_early_is_taken_when_it_comes_after_all() -> None:
    trusted = NETWORK.trusted()
    trusted.mark_gone(E, NOW)
    assert trusted.accept(PRESENT, E, NOW) is trusted.current(NOW)


def test_a_clock_put_back_does_not_prolong_a_rest() -> None:
    trusted = NETWORK.trusted()
    with pytest.raises(DocumentRejected):
        trusted.accept(b"", E, NOW + 900)
    assert trusted.next_wakeup(NOW) <= NOW + PERIOD / 16


@pytest.mark.parametrize(
    ("held", "elapsed", "sleep"),
    [
        ((), 100.0, 1.0),
        ((E - 1,), 100.0, 1.0),
        ((E - 1,), 1199.5, 0.5),
        ((E,), 100.0, 825.0 - 100.0),
        ((E,), 825.0, 75.0),
        ((E,), 1000.0, 75.0),
        ((E,), 1150.0, 50.0),
        ((E, E + 1), 900.0, 300.0),
        ((E - 1, E, E + 1), 1199.0, 1.0),
    ],
)
def test_the_next_wakeup_is_the_reference_s_but_for_the_boundary_and_the_gap(
    held: tuple[int, ...], elapsed: float, sleep: float
) -> None:
    trusted = NETWORK.trusted()
    now = CLOCK.start(E) + elapsed
    for epoch in held:
        trusted.accept({E - 1: PREVIOUS, E: PRESENT, E + 1: NEXT}[epoch], epoch, now)
    assert trusted.next_wakeup(now) - now == pytest.approx(sleep, abs=1e-5)


@pytest.mark.parametrize(("period", "missing"), [(10.0, 0.625), (2.0, 0.25), (120.0, 1.0)])
def test_with_short_epochs_nothing_is_asked_for_too_often(period: float, missing: float) -> None:
    clock = EpochClock(period)
    network = paper_network(epoch=(epoch := 20_000_000))
    trusted = network.trusted(period)
    now = clock.start(epoch)
    assert trusted.next_wakeup(now) - now == pytest.approx(missing, abs=1e-5)
    trusted.accept(network.signed(network.document), epoch, now)
    assert trusted.next_wakeup(now) - now == pytest.approx(period * 11 / 16, abs=1e-5)


def test_a_document_is_announced_once_and_at_the_boundary() -> None:
    trusted = NETWORK.trusted()
    assert trusted.announce(NOW) is None
    present = trusted.accept(PRESENT, E, NOW)
    upcoming = trusted.accept(NEXT, E + 1, NOW)
    assert trusted.announce(NOW) is present
    assert trusted.announce(NOW) is None
    boundary = trusted.next_wakeup(NOW)
    assert boundary == CLOCK.start(E + 1)
    assert trusted.announce(boundary) is upcoming
    assert trusted.announce(boundary) is None


def test_a_clock_put_back_announces_nothing_anew() -> None:
    trusted = NETWORK.trusted()
    trusted.accept(PRESENT, E, NOW)
    trusted.accept(NEXT, E + 1, NOW)
    assert trusted.announce(NOW + PERIOD) is trusted.exact(E + 1)
    assert trusted.announce(NOW) is None
    assert trusted.announce(NOW + PERIOD) is None


def test_a_verified_document_s_repr_holds_no_bytes_of_it() -> None:
    verified = NETWORK.trusted().accept(PRESENT, E, NOW)
    assert len(repr(verified)) < 500
