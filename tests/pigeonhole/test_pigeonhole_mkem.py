"""Encryption to several recipients: the reference's bytes, hpqc's with the same entropy, and damaged ones."""

import importlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.pigeonhole.errors import MessageError, SealError, UnusableKey, UnusablePrivateKey
from kpclientd.pigeonhole.libraries import nike
from kpclientd.pigeonhole.mkem import (
    OVERHEAD,
    Ciphertext,
    Mkem,
    encapsulate,
    open_sealed,
    open_with,
    seal,
)
from kpclientd.pigeonhole.trunnel import digest
from pki.cbor import encode
from sphinx.crypto.nike import nike_scheme
from sphinx.randomness import seeded
from tests.pigeonhole.genuine import DAEMON_READ, DAEMON_WRITE, GENUINE
from tests.pigeonhole.installed import needs_libraries
from tests.support.vectors import recorded

FAST = Mkem(nike_scheme("x25519"))
"""The same construction with a key exchange that takes no time; the slow one is in few tests."""

VECTORS: list[dict[str, Any]] = recorded("pigeonhole_hpqc.json")["files"]["kem/mkem.json"]["vectors"]


@settings(max_examples=30)
@given(st.binary(max_size=300), st.integers(1, 4), st.binary(max_size=10))
def test_each_recipient_opens_it_and_its_reply_comes_back(payload: bytes, recipients: int, seed: bytes) -> None:
    randomness = seeded(seed)
    pairs = [FAST.new_key_pair(randomness) for _ in range(recipients)]
    exchange = FAST.ready([pair.public for pair in pairs], randomness)
    sealed = encapsulate(exchange, payload, randomness)
    assert len(sealed.envelope) == len(payload) + OVERHEAD
    assert {len(dek) for dek in sealed.deks} == {60}
    for pair, key in zip(pairs, exchange.keys, strict=True):
        assert FAST.decapsulate(pair.private, Ciphertext.parse(sealed.encode())) == payload
        agreed = FAST.agree(pair.private, sealed.sender_key)
        assert agreed == key
        reply = seal(agreed, b"reply" + payload, randomness)
        assert FAST.decrypt_reply(exchange.pair.private, pair.public, reply) == open_sealed(key, reply)
    with pytest.raises(SealError):
        FAST.decapsulate(FAST.new_key_pair(randomness).private, sealed)


@needs_libraries
@settings(max_examples=20)
@given(st.binary(max_size=300), st.integers(1, 3), st.binary(max_size=10))
def test_hpqc_makes_the_same_bytes_of_the_same_entropy(payload: bytes, recipients: int, seed: bytes) -> None:
    x25519 = importlib.import_module("hpqc.nike.x25519").X25519()
    oracle = importlib.import_module("hpqc.kem.mkem").MKEMScheme(x25519)
    pairs = [FAST.new_key_pair(seeded(seed + bytes([number]))) for number in range(recipients)]
    publics = [pair.public for pair in pairs]
    private, expected = oracle.encapsulate(
        [x25519.public_key_from_bytes(public) for public in publics], payload, entropy=seeded(seed).bytes
    )
    randomness = seeded(seed)
    exchange = FAST.ready(publics, randomness)
    sealed = encapsulate(exchange, payload, randomness)
    assert sealed.encode() == expected.marshal()
    assert exchange.pair.private == private.to_bytes()
    assert oracle.decapsulate(x25519.private_key_from_bytes(pairs[-1].private), expected) == payload
    reply = oracle.envelope_reply(
        x25519.private_key_from_bytes(pairs[0].private), x25519.public_key_from_bytes(exchange.pair.public), payload
    )
    assert open_sealed(exchange.keys[0], reply.envelope) == payload


@needs_libraries
@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_references_ciphertexts_open(vector: dict[str, Any]) -> None:
    data = bytes.fromhex(vector["ciphertext_hex"])
    ciphertext = Ciphertext.parse(data)
    assert ciphertext.encode() == data
    private = bytes.fromhex(vector["recipient_private_keys_hex"][-1])
    assert Mkem(nike()).decapsulate(private, ciphertext).hex() == vector["plaintext_hex"]


@needs_libraries
def test_the_references_shared_secret() -> None:
    pair = GENUINE["nike_go"]
    agreed = Mkem(nike()).agree(bytes.fromhex(pair["private"]), bytes.fromhex(pair["peer_public"]))
    assert agreed == digest(bytes.fromhex(pair["shared_secret"])) == bytes.fromhex(pair["blake2b_256"])


@pytest.mark.parametrize("query", [DAEMON_WRITE, DAEMON_READ], ids=["write", "read"])
def test_the_daemons_envelopes_open_with_the_agreed_keys(query: dict[str, Any]) -> None:
    parts = {name: bytes.fromhex(value) for name, value in query["parts"].items() if isinstance(value, str)}
    for key in query["parts"]["recipient_keys"]:
        opened = open_with(bytes.fromhex(key), (parts["dek1"], parts["dek2"]), parts["ciphertext"])
        assert opened == parts["inner_padded"]


def test_a_key_made_before_agrees_later() -> None:
    pair, recipient = FAST.new_key_pair(seeded(b"early")), FAST.new_key_pair(seeded(b"late"))
    assert FAST.ready_with(pair, [recipient.public]) == FAST.ready([recipient.public], seeded(b"early"))


def test_an_exchange_for_many_serves_some_of_them() -> None:
    randomness = seeded(b"many")
    pairs = [FAST.new_key_pair(randomness) for _ in range(3)]
    exchange = FAST.ready([pair.public for pair in pairs], randomness)
    chosen = exchange.only((pairs[2].public, pairs[0].public))
    assert chosen.keys == (exchange.keys[2], exchange.keys[0])
    sealed = encapsulate(chosen, b"for two", randomness)
    assert FAST.decapsulate(pairs[0].private, sealed) == b"for two"
    with pytest.raises(SealError):
        FAST.decapsulate(pairs[1].private, sealed)
    with pytest.raises(UnusableKey):
        exchange.only((exchange.pair.public,))


@given(st.data())
def test_damaged_bytes_do_not_open(data: st.DataObject) -> None:
    key = bytes(32)
    sealed = bytearray(seal(key, b"plaintext", seeded(b"damaged")))
    damaged = sealed[: data.draw(st.integers(0, len(sealed) - 1))] if data.draw(st.booleans()) else sealed
    if len(damaged) == len(sealed):
        damaged[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    with pytest.raises(SealError):
        open_sealed(key, bytes(damaged))


def test_an_encrypted_message_key_of_another_length_is_refused() -> None:
    randomness = seeded(b"length")
    dek = seal(bytes(32), bytes(31), randomness)
    with pytest.raises(SealError, match="31 bytes"):
        open_with(bytes(32), (b"", b"short", dek), seal(bytes(32), b"x", randomness))


def test_keys_of_no_use_are_told_apart() -> None:
    pair = FAST.new_key_pair(seeded(b"keys"))
    for private in (b"", pair.private[:-1], pair.private + b"\0"):
        with pytest.raises(UnusablePrivateKey):
            FAST.agree(private, pair.public)
    for public in (b"", pair.public[:-1], bytes(32)):
        with pytest.raises(UnusableKey) as refused:
            FAST.agree(pair.private, public)
        assert not isinstance(refused.value, UnusablePrivateKey)


@needs_libraries
def test_slow_keys_of_no_use_are_told_apart_too() -> None:
    pair = GENUINE["nike_go"]
    private, public = bytes.fromhex(pair["private"]), bytes.fromhex(pair["public"])
    with pytest.raises(UnusablePrivateKey):
        Mkem(nike()).agree(private[:32] + b"\x7f" * 130, public)
    for bad in (public[:32] + b"\xff" * 128, public[:32] + bytes(128), bytes(32) + public[32:], public[:-1]):
        with pytest.raises(UnusableKey) as refused:
            Mkem(nike()).agree(private, bad)
        assert not isinstance(refused.value, UnusablePrivateKey)


MALFORMED: list[object] = [
    [],
    7,
    {"Envelope": "text", "DEKCiphertexts": [], "EphemeralPublicKey": b""},
    {"Envelope": b"", "DEKCiphertexts": [1 << 40], "EphemeralPublicKey": b""},
    {"Envelope": b"", "DEKCiphertexts": b"", "EphemeralPublicKey": b""},
    {"Envelope": 1 << 40, "DEKCiphertexts": [], "EphemeralPublicKey": b""},
    {"Envelope": b"", "DEKCiphertexts": [b""] * 2000, "EphemeralPublicKey": b""},
]


@pytest.mark.parametrize("value", MALFORMED, ids=range(len(MALFORMED)))
def test_other_cbor_is_no_ciphertext(value: object) -> None:
    with pytest.raises(MessageError):
        Ciphertext.parse(encode(value))


def truncations(data: bytes) -> list[bytes]:
    return [data[:length] for length in range(len(data))]


def test_every_shorter_ciphertext_is_refused() -> None:
    parse: Callable[[bytes], object] = Ciphertext.parse
    for shorter in truncations(bytes.fromhex(VECTORS[0]["ciphertext_hex"])):
        with pytest.raises(MessageError):
            parse(shorter)
