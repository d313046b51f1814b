import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.errors import PemError
from pki.pem import PemKind, decode_pem, encode_pem
from tests.support.vectors import recorded

KEYS: list[dict[str, Any]] = recorded("pem_labels.json")["keys"]
SIGNATURES: list[dict[str, Any]] = recorded("pki_signatures.json")["schemes"]
RAW = bytes(range(1, 33))
TEXT = encode_pem("XWING", "PUBLIC", RAW)


@pytest.mark.parametrize("key", KEYS, ids=lambda key: key["scheme"])
def test_every_label_of_the_reference_is_the_scheme_s_name_in_capitals(key: dict[str, Any]) -> None:
    for kind, label in (("PUBLIC", key["public_type"]), ("PRIVATE", key["private_type"])):
        text = encode_pem(key["scheme"], "PUBLIC" if kind == "PUBLIC" else "PRIVATE", RAW)
        assert text.splitlines()[0] == f"-----BEGIN {label}-----"


@pytest.mark.parametrize("key", [key for key in KEYS if "public_pem" in key], ids=lambda key: key["scheme"])
def test_public_keys_of_the_reference_are_read_and_written_alike(key: dict[str, Any]) -> None:
    raw = decode_pem(key["public_pem"], key["scheme"], "PUBLIC", key["public_key_size"])
    expected = key.get("public_key_sha256") or hashlib.sha256(bytes.fromhex(key["public_key"])).hexdigest()
    assert hashlib.sha256(raw).hexdigest() == expected
    assert encode_pem(key["scheme"], "PUBLIC", raw) == key["public_pem"]


@pytest.mark.parametrize("scheme", SIGNATURES, ids=lambda scheme: scheme["name"])
def test_signature_keys_of_the_reference_are_read_and_written_alike(scheme: dict[str, Any]) -> None:
    halves: tuple[tuple[PemKind, str], ...] = (("PUBLIC", "public"), ("PRIVATE", "private"))
    for kind, half in halves:
        raw = bytes.fromhex(scheme[f"{half}_key"])
        assert decode_pem(scheme[f"{half}_pem"], scheme["name"], kind, len(raw)) == raw
        assert encode_pem(scheme["name"], kind, raw) == scheme[f"{half}_pem"]


@pytest.mark.parametrize(
    "text",
    [
        "some words\n" + TEXT + "more words\n",
        TEXT.replace("\n", "\r\n"),
        TEXT.replace("XWING PUBLIC KEY", "xwing public key"),
        TEXT.rstrip("\n"),
        TEXT + encode_pem("XWING", "PUBLIC", bytes(reversed(RAW))),
    ],
    ids=["text around", "CRLF", "lower case", "no last newline", "a second block"],
)
def test_the_reader_tolerates_what_the_reference_s_does(text: str) -> None:
    assert decode_pem(text, "xwing", "PUBLIC", 32) == RAW


def test_base64_on_one_line_is_read() -> None:
    long = bytes(range(1, 200))
    lines = encode_pem("XWING", "PUBLIC", long).splitlines()
    assert decode_pem("\n".join((lines[0], "".join(lines[1:-1]), lines[-1])), "XWING", "PUBLIC") == long


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no PEM block"),
        (RAW.hex(), "no PEM block"),
        (TEXT.replace("END XWING", "END YWING"), "BEGIN and END"),
        (TEXT.replace("PUBLIC", "PRIVATE"), "labelled"),
        (TEXT.replace("XWING", "MLKEM768-X25519"), "labelled"),
        (TEXT.replace("A", "*", 1) if "A" in TEXT else TEXT, "base64"),
        (encode_pem("XWING", "PUBLIC", RAW[:-1]), "31 bytes; expected 32"),
        ("-----BEGIN XWING PUBLIC KEY-----\n-----END XWING PUBLIC KEY-----\n", "0 bytes"),
    ],
)
def test_what_is_wrong_with_a_key_s_text_is_said(text: str, fault: str) -> None:
    with pytest.raises(PemError, match=fault):
        decode_pem(text, "XWING", "PUBLIC", 32)


def test_an_error_does_not_show_the_key() -> None:
    text = encode_pem("XWING", "PRIVATE", RAW)
    with pytest.raises(PemError) as caught:
        decode_pem(text, "XWING", "PRIVATE", 31)
    assert text.splitlines()[1] not in str(caught.value)


def test_an_all_zero_key_is_not_written() -> None:
    with pytest.raises(PemError, match="all-zero"):
        encode_pem("XWING", "PUBLIC", bytes(32))


@given(st.binary(min_size=1, max_size=300).filter(any))
def test_every_other_key_survives_the_round_trip(raw: bytes) -> None:
    assert decode_pem(encode_pem("Ed25519 Sphincs+", "PUBLIC", raw), "ed25519 sphincs+", "PUBLIC") == raw


@given(st.text())
def test_any_text_is_a_key_or_an_error_of_ours(text: str) -> None:
    with pytest.raises(PemError):
        decode_pem(text, "XWING", "PUBLIC", 32)
