import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.cbor import encode
from pki.certificate import MOST_SIGNATURES, Certificate, Verifier, issue, key_hash, threshold
from pki.errors import (
    CertificateError,
    CertificateExpiredError,
    DocumentRejected,
    EncodingError,
    KeyLengthError,
    ThresholdError,
)
from pki.signatures import signature_scheme
from sphinx.randomness import seeded

ED25519 = signature_scheme("Ed25519")
KEYS = tuple(ED25519.generate(seeded(b"authority %d" % number)) for number in range(3))
VERIFIERS = tuple(Verifier(f"auth{n}", ED25519, key.public_key) for n, key in enumerate(KEYS))
EXPIRATION = 100
CERTIFICATE = issue(b"certified bytes", EXPIRATION, KEYS)


def fields(**changed: object) -> bytes:
    signatures = {
        signer: {"Payload": signature, "PublicKeySum256": signer}
        for signer, signature in CERTIFICATE.signatures.items()
    }
    whole: dict[str, object] = {
        "KeyType": "Ed25519",
        "Version": 0,
        "Certified": b"certified bytes",
        "Expiration": EXPIRATION,
        "Signatures": signatures,
    }
    return encode(whole | changed)


def test_the_threshold_is_more_than_half() -> None:
    assert [threshold(n) for n in (1, 2, 3, 4, 5, 6, 9)] == [1, 2, 2, 3, 3, 4, 5]


def test_an_issued_certificate_is_read_back_and_believed() -> None:
    assert CERTIFICATE.encode() == fields()
    parsed = Certificate.parse(CERTIFICATE.encode())
    assert parsed == CERTIFICATE
    parsed.verify_threshold(VERIFIERS, 3, EXPIRATION - 1)


def test_the_signed_message_has_the_reference_s_layout() -> None:
    assert CERTIFICATE.signed_message() == struct.pack("<IQ", 0, EXPIRATION) + b"Ed25519" + b"certified bytes"


def test_a_certificate_expires_at_its_epoch() -> None:
    CERTIFICATE.verify_threshold(VERIFIERS, 2, EXPIRATION - 1)
    for now in (EXPIRATION, EXPIRATION + 1):
        with pytest.raises(CertificateExpiredError, match="certificate expired"):
            CERTIFICATE.verify_threshold(VERIFIERS, 2, now)


def test_one_signature_short_is_not_enough() -> None:
    one = issue(b"certified bytes", EXPIRATION, KEYS[:1])
    one.verify_threshold(VERIFIERS, 1, 0)
    with pytest.raises(ThresholdError, match="1 of 3 authorities have validly signed; 2 are needed"):
        one.verify_threshold(VERIFIERS, 2, 0)


def test_a_key_that_is_listed_twice_counts_once() -> None:
    one = issue(b"certified bytes", EXPIRATION, KEYS[:1])
    with pytest.raises(ThresholdError):
        one.verify_threshold((VERIFIERS[0], VERIFIERS[0], VERIFIERS[1]), 2, 0)


def test_strangers_and_bad_signatures_do_no_harm_beside_enough_good_ones() -> None:
    stranger = ED25519.generate(seeded(b"stranger"))
    certificate = CERTIFICATE.with_signature(stranger)
    corrupted = dict(certificate.signatures)
    corrupted[VERIFIERS[0].key_hash] = bytes(64)
    Certificate("Ed25519", b"certified bytes", EXPIRATION, corrupted).verify_threshold(VERIFIERS, 2, 0)
    with pytest.raises(ThresholdError):
        issue(b"certified bytes", EXPIRATION, (KEYS[0], stranger)).verify_threshold(VERIFIERS, 2, 0)


def test_a_threshold_that_no_number_of_signatures_meets_is_refused() -> None:
    for count, needed in ((3, 4), (0, 1), (3, 0)):
        with pytest.raises(ThresholdError, match="never be met"):
            CERTIFICATE.verify_threshold(VERIFIERS[:count], needed, 0)


@pytest.mark.parametrize(
    "changed",
    [{"Certified": b"certified bytez"}, {"Expiration": EXPIRATION + 1}, {"KeyType": "ed25519"}],
    ids=["certified", "expiration", "key type"],
)
def test_whatever_is_signed_cannot_be_changed(changed: dict[str, object]) -> None:
    with pytest.raises(ThresholdError, match="0 of 3"):
        Certificate.parse(fields(**changed)).verify_threshold(VERIFIERS, 2, 0)


@pytest.mark.parametrize(
    ("changed", "error", "fault"),
    [
        ({"Version": 1}, CertificateError, "version mismatch"),
        ({"KeyType": ""}, CertificateError, "key type"),
        ({"Certified": b""}, CertificateError, "certified field"),
        ({"Certified": None}, CertificateError, "certified field"),
        ({"Certified": "text"}, EncodingError, "Certified"),
        ({"Signatures": []}, EncodingError, "Signatures"),
        ({"Signatures": {bytes(31): {}}}, EncodingError, "31 bytes inside; expected 32"),
        ({"Signatures": {bytes(32): []}}, EncodingError, "certificate signature: an array"),
        ({"Signatures": {bytes(32): {"PublicKeySum256": b"\1" * 32}}}, CertificateError, "filed under"),
        ({"Unknown": {1: 2}}, EncodingError, "not decodable"),
        ({"Unknown": [0] * 5000}, EncodingError, "more CBOR items"),
    ],
)
def test_a_malformed_certificate_is_refused(changed: dict[str, object], error: type[Exception], fault: str) -> None:
    with pytest.raises(error, match=fault):
        Certificate.parse(fields(**changed))


def signed_by(count: int) -> bytes:
    signers = [number.to_bytes(32) for number in range(count)]
    return fields(Signatures={signer: {"Payload": b"", "PublicKeySum256": signer} for signer in signers})


def test_signatures_are_bounded() -> None:
    assert len(Certificate.parse(signed_by(MOST_SIGNATURES)).signatures) == MOST_SIGNATURES
    with pytest.raises(CertificateError, match="more than 256 signatures"):
        Certificate.parse(signed_by(MOST_SIGNATURES + 1))
    with pytest.raises(EncodingError, match="more CBOR items"):  # before anything is built
        Certificate.parse(signed_by(10_000))


def test_null_signatures_are_none() -> None:
    certificate = Certificate.parse(fields(Signatures=None))
    assert certificate.signatures == {}
    with pytest.raises(ThresholdError):
        certificate.verify_threshold(VERIFIERS, 2, 0)


def test_a_hybrid_signature_of_a_wrong_length_is_merely_not_valid() -> None:
    scheme = signature_scheme("ML-DSA-44-Ed25519")
    key = scheme.generate(seeded(b"hybrid"))
    whole = issue(b"certified bytes", EXPIRATION, (key,))
    verifiers = (Verifier("hybrid", scheme, key.public_key),)
    whole.verify_threshold(verifiers, 1, 0)
    cut = {signer: signature[:-1] for signer, signature in whole.signatures.items()}
    with pytest.raises(ThresholdError):
        Certificate(whole.key_type, whole.certified, EXPIRATION, cut).verify_threshold(verifiers, 1, 0)


def test_a_key_of_another_scheme_cannot_add_its_signature() -> None:
    with pytest.raises(CertificateError, match="'Ed448' key cannot sign"):
        CERTIFICATE.with_signature(signature_scheme("Ed448").generate(seeded(b"other")))


def test_nothing_cannot_be_certified_and_nobody_cannot_certify() -> None:
    with pytest.raises(CertificateError):
        issue(b"", EXPIRATION, KEYS)
    with pytest.raises(CertificateError):
        issue(b"certified bytes", EXPIRATION, ())


def test_a_verifier_s_key_must_have_its_scheme_s_length() -> None:
    with pytest.raises(KeyLengthError, match="'auth9': a Ed25519 key of 31 bytes; expected 32"):
        Verifier("auth9", ED25519, bytes(31))


def test_a_key_hash_is_blake2b_256() -> None:
    assert key_hash(b"").hex() == "0e5751c026e543b2e8ab2eb06099daa1d1e5df47778f7787faab45cdf12fe3a8"


@given(st.binary(max_size=300))
def test_any_bytes_are_a_certificate_or_rejected(blob: bytes) -> None:
    with pytest.raises(DocumentRejected):
        Certificate.parse(blob)


@given(st.data())
def test_no_damaged_certificate_is_believed(data: st.DataObject) -> None:
    blob = bytearray(CERTIFICATE.encode())
    position = data.draw(st.integers(0, len(blob) - 1))
    blob[position] ^= data.draw(st.integers(1, 255))
    try:
        damaged = Certificate.parse(bytes(blob))
        damaged.verify_threshold(VERIFIERS, 3, 0)
    except DocumentRejected:
        return
    assert damaged == CERTIFICATE  # a letter of a key in another case is the same key
