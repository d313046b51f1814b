"""Vouchers: the reference's bytes, and what a stranger may have put in place of them."""

import hashlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.pigeonhole.capabilities import WriteCap
from kpclientd.pigeonhole.errors import (
    CapabilityError,
    InvalidArgument,
    PigeonholeError,
    VoucherHashMismatch,
    VoucherSealError,
    VoucherSignatureInvalid,
)
from kpclientd.pigeonhole.libraries import nike
from kpclientd.pigeonhole.mkem import KeyPair, Mkem, encapsulate
from kpclientd.pigeonhole.trunnel import digest
from kpclientd.pigeonhole.vouchers import induct, mint, open_reply, stream_of
from pki.cbor import encode
from sphinx.crypto.nike import nike_scheme
from sphinx.randomness import Randomness, seeded
from tests.pigeonhole.genuine import GENUINE
from tests.pigeonhole.installed import needs_libraries
from tests.support.vectors import recorded

pytestmark = needs_libraries

FAST = Mkem(nike_scheme("x25519"))
"""The same vouchers with a key exchange that takes no time."""

VECTORS: dict[str, Any] = recorded("pigeonhole_hpqc.json")["files"]["voucher/voucher_vectors.json"]
INPUTS = {name: bytes.fromhex(value) for name, value in VECTORS["inputs"].items() if name != "display_name"}
NEWCOMER = b"\1" * 32


def shaken(seed: bytes, first: bytes = b"") -> Randomness:
    """`first`, then the SHAKE-256 stream of `seed`, as hpqc's vectors were made."""
    stream = first + hashlib.shake_256(seed).digest(1 << 16)
    at = 0

    def read(length: int) -> bytes:
        nonlocal at
        at += length
        return stream[at - length : at]

    return Randomness(read)


def test_a_voucher_is_the_references() -> None:
    minted = mint(INPUTS["message_write_cap"], "alice", Mkem(nike()), shaken(INPUTS["keypair_seed"]))
    assert {
        "voucher": minted.voucher.hex(),
        "voucher_payload": minted.payload.hex(),
        "voucher_public_key": minted.pair.public.hex(),
        "voucher_secret_key": minted.pair.private.hex(),
        "voucher_read_cap": minted.stream.read_cap.encode().hex(),
        "voucher_write_cap": minted.stream.encode().hex(),
    } == VECTORS["mint"]


def test_an_answer_is_the_references() -> None:
    expected = VECTORS["induct"]
    inducted = induct(
        bytes.fromhex(VECTORS["mint"]["voucher"]),
        bytes.fromhex(VECTORS["mint"]["voucher_payload"]),
        INPUTS["who_reply"],
        Mkem(nike()),
        shaken(INPUTS["seal_seed"], INPUTS["salt"]),
    )
    assert {
        "display_name": inducted.display_name,
        "mutated_message_read_cap": inducted.read_cap.encode().hex(),
        "salt": inducted.salt.hex(),
        "sealed_reply": inducted.sealed_reply.hex(),
        "voucher_read_cap": inducted.stream.read_cap.encode().hex(),
        "voucher_write_cap": inducted.stream.encode().hex(),
    } == expected


def test_the_references_answer_opens() -> None:
    welcomed = open_reply(
        bytes.fromhex(VECTORS["mint"]["voucher_secret_key"]),
        bytes.fromhex(VECTORS["induct"]["sealed_reply"]),
        INPUTS["message_write_cap"],
        Mkem(nike()),
    )
    assert {
        "mutated_message_write_cap": welcomed.write_cap.encode().hex(),
        "salt": welcomed.salt.hex(),
        "who_reply": welcomed.who_reply.hex(),
    } == VECTORS["open"]


def test_the_genuine_daemons_voucher() -> None:
    run = GENUINE["daemon_voucher"]
    assert stream_of(bytes.fromhex(run["voucher"])).encode().hex() == run["voucher_write_cap"]
    welcomed = open_reply(
        bytes.fromhex(run["voucher_secret_key"]),
        bytes.fromhex(run["sealed_reply"]),
        bytes.fromhex(run["message_write_cap"]),
        Mkem(nike()),
    )
    assert (welcomed.who_reply.hex(), welcomed.salt.hex()) == (run["who_reply"], run["salt"])
    assert welcomed.write_cap.encode().hex() == run["mutated_message_write_cap"]
    assert welcomed.write_cap.read_cap.encode().hex() == run["mutated_message_read_cap"]


@settings(max_examples=20)
@given(st.text(max_size=30), st.binary(max_size=200), st.binary(min_size=32, max_size=32))
def test_newcomer_and_member_meet(name: str, who_reply: bytes, seed: bytes) -> None:
    cap = WriteCap.from_seed(seed)
    randomness = seeded(seed)
    minted = mint(cap.encode(), name, FAST, randomness)
    inducted = induct(minted.voucher, minted.payload, who_reply, FAST, randomness)
    welcomed = open_reply(minted.pair.private, inducted.sealed_reply, cap.encode(), FAST)
    assert inducted.display_name == name
    assert (welcomed.who_reply, welcomed.salt) == (who_reply, inducted.salt)
    assert welcomed.write_cap.read_cap == inducted.read_cap != cap.read_cap
    assert minted.stream == inducted.stream == stream_of(minted.voucher)


def minted() -> tuple[bytes, dict[str, Any], KeyPair]:
    """A genuine claim, its signature, and the key."""
    cap = WriteCap.from_seed(NEWCOMER)
    claim = encode({"DisplayName": "alice", "MessageReadCap": cap.read_cap.encode()})
    pair = FAST.new_key_pair(seeded(b"pair"))
    return claim, {"PleaseAdd": claim, "Signature": cap.sign(claim)}, pair


def inducted_by(payload: bytes) -> Callable[[], object]:
    return lambda: induct(digest(payload), payload, b"who", FAST, seeded(b"induct"))


def test_a_payload_that_the_voucher_does_not_name_is_refused() -> None:
    _, signed, pair = minted()
    payload = encode({"VoucherPubKey": pair.public, "SignedPleaseAdd": encode(signed)})
    inducted_by(payload)()
    with pytest.raises(VoucherHashMismatch) as refused:
        induct(bytes(32), payload, b"who", FAST, seeded(b"induct"))
    assert refused.value.code == 28
    for length in (0, 31, 33):
        with pytest.raises(InvalidArgument, match=f"{length} bytes; expected 32"):
            induct(bytes(length), payload, b"who", FAST, seeded(b"induct"))
        with pytest.raises(InvalidArgument, match=f"{length} bytes; expected 32"):
            stream_of(bytes(length))


def test_a_claim_that_its_streams_owner_did_not_sign_is_refused() -> None:
    claim, signed, pair = minted()
    by_another = WriteCap.from_seed(bytes(32)).sign(claim)
    for signature in (bytes(64), b"", by_another, signed["Signature"][:-1]):
        forged = encode({"PleaseAdd": claim, "Signature": signature})
        with pytest.raises(VoucherSignatureInvalid) as refused:
            inducted_by(encode({"VoucherPubKey": pair.public, "SignedPleaseAdd": forged}))()
        assert refused.value.code == 29


def strange_payloads() -> list[bytes]:
    _, signed, pair = minted()
    cap = WriteCap.from_seed(NEWCOMER)
    good = {"VoucherPubKey": pair.public, "SignedPleaseAdd": encode(signed)}

    def claimed(fields: dict[str, Any]) -> bytes:
        other = encode({"DisplayName": "alice", "MessageReadCap": cap.read_cap.encode()} | fields)
        return encode(good | {"SignedPleaseAdd": encode({"PleaseAdd": other, "Signature": cap.sign(other)})})

    return [
        b"",
        encode([]),
        encode("text"),
        encode({}),
        encode(good) + b"\0",
        encode(good | {"SignedPleaseAdd": 1 << 40}),
        encode(good | {"SignedPleaseAdd": "text"}),
        encode(good | {"SignedPleaseAdd": b"\xff"}),
        encode(good | {"SignedPleaseAdd": encode(signed | {"PleaseAdd": 1 << 40})}),
        encode(good | {"SignedPleaseAdd": encode(signed | {"Signature": 1 << 40})}),
        encode(good | {"SignedPleaseAdd": encode(signed | {"Signature": ["a"]})}),
        encode(good | {"VoucherPubKey": 1 << 40}),
        encode(good | {"VoucherPubKey": b""}),
        encode(good | {"VoucherPubKey": bytes(32)}),
        encode(good | {"VoucherPubKey": pair.public + b"\0"}),
        claimed({"DisplayName": b"alice"}),
        claimed({"DisplayName": 7}),
        claimed({"MessageReadCap": "text"}),
        claimed({"MessageReadCap": 1 << 40}),
        claimed({"MessageReadCap": bytes(136)}),
        claimed({"MessageReadCap": cap.read_cap.encode()[:-1]}),
        claimed({"MessageReadCap": b"\xff" * 136}),
    ]


def test_a_strange_payload_is_refused_as_the_requests_fault() -> None:
    for payload in strange_payloads():
        with pytest.raises(InvalidArgument) as refused:
            inducted_by(payload)()
        assert refused.value.code == 3


def test_every_shorter_payload_is_refused() -> None:
    _, signed, pair = minted()
    payload = encode({"VoucherPubKey": pair.public, "SignedPleaseAdd": encode(signed)})
    for length in range(len(payload)):
        with pytest.raises(InvalidArgument):
            inducted_by(payload[:length])()


def sealed(plaintext: bytes, pair: KeyPair) -> bytes:
    randomness = seeded(b"sealed")
    return encapsulate(FAST.ready([pair.public], randomness), plaintext, randomness).encode()


@pytest.mark.parametrize(
    "reply",
    [
        b"",
        encode([]),
        encode({}),
        encode({"WhoReply": b"who", "VoucherSalt": bytes(31)}),
        encode({"WhoReply": b"who", "VoucherSalt": "text"}),
        encode({"WhoReply": b"who", "VoucherSalt": 1 << 40}),
        encode({"WhoReply": "who", "VoucherSalt": bytes(32)}),
    ],
)
def test_a_strange_answer_is_refused(reply: bytes) -> None:
    _, _, pair = minted()
    with pytest.raises(VoucherSealError) as refused:
        open_reply(pair.private, sealed(reply, pair), WriteCap.from_seed(NEWCOMER).encode(), FAST)
    assert refused.value.code == 30


def test_a_damaged_answer_or_anothers_does_not_open() -> None:
    _, _, pair = minted()
    cap = WriteCap.from_seed(NEWCOMER).encode()
    good = sealed(encode({"WhoReply": b"who", "VoucherSalt": bytes(32)}), pair)
    assert open_reply(pair.private, good, cap, FAST).who_reply == b"who"
    other = FAST.new_key_pair(seeded(b"other"))
    for private, answer in (
        (other.private, good),
        *((pair.private, good[:length]) for length in range(len(good))),
        (pair.private, good[:-1] + bytes([good[-1] ^ 1])),
    ):
        with pytest.raises(VoucherSealError):
            open_reply(private, answer, cap, FAST)


def test_the_first_fault_is_told_in_the_references_order() -> None:
    _, _, pair = minted()
    good = sealed(encode({"WhoReply": b"who", "VoucherSalt": bytes(32)}), pair)
    with pytest.raises(InvalidArgument, match="secret key"):
        open_reply(b"short", b"", b"", FAST)
    with pytest.raises(VoucherSealError):
        open_reply(pair.private, b"", b"", FAST)
    with pytest.raises(CapabilityError):
        open_reply(pair.private, good, b"", FAST)
    with pytest.raises(CapabilityError):
        mint(bytes(168), "alice", FAST, seeded(b""))


@given(st.binary(max_size=300))
def test_any_bytes_give_this_packages_errors(data: bytes) -> None:
    cap = WriteCap.from_seed(NEWCOMER).encode()
    _, _, pair = minted()
    for attempt in (
        inducted_by(data),
        lambda: open_reply(pair.private, data, cap, FAST),
        lambda: open_reply(pair.private, sealed(data, pair), cap, FAST),
    ):
        with pytest.raises(PigeonholeError) as refused:
            attempt()
        assert refused.value.code in (3, 30)
