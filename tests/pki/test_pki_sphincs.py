import base64
import dataclasses
import hashlib
from typing import Any

import pytest

from pki.certificate import Certificate, Verifier, key_hash, threshold
from pki.errors import KeyLengthError, ThresholdError
from pki.pem import decode_pem, encode_pem
from pki.signatures import signature_scheme, sphincs_trees
from pki.signatures.sphincs_trees import NODE, SIGNATURE_LENGTH, message_digest
from sphinx.native import ENGINE_VARIABLE, engine, engine_names
from sphinx.randomness import seeded
from tests.support.vectors import recorded, upstream

VECTORS: dict[str, Any] = recorded("pki_sphincs.json")
MESSAGE = bytes.fromhex(VECTORS["message"])
SCHEMES: list[dict[str, Any]] = VECTORS["schemes"]
GENUINE: dict[str, Any] = VECTORS["certificate"]
CERTIFIED = bytes.fromhex(recorded("pki_documents.json")["without_replicas"])
SIGNATURES = {bytes.fromhex(signer): base64.b64decode(text) for signer, text in GENUINE["signatures"].items()}
SPHINCS = signature_scheme("Sphincs+")
EDWARDS_LENGTHS = {"Ed25519": (32, 64), "Ed448": (57, 114)}

each_scheme = pytest.mark.parametrize("vector", SCHEMES, ids=lambda vector: vector["name"])


@pytest.fixture(params=["python", "portable", "aes-ni"])
def each_engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    name: str = request.param
    if name not in engine_names():
        pytest.skip(f"the engine {name!r} was not built, or this processor can not run it")
    monkeypatch.setenv(ENGINE_VARIABLE, name)
    return name


def edwards_lengths(vector: dict[str, Any]) -> tuple[int, int]:
    """Of the half before SPHINCS+'s: bytes of its public key and of its signature."""
    return next((lengths for name, lengths in EDWARDS_LENGTHS.items() if vector["name"].startswith(name)), (0, 0))


def genuine_signature(vector: dict[str, Any]) -> bytes:
    """The reference's signature, made again from its private key and the random string that it begins with."""
    key_split, split = edwards_lengths(vector)
    first = bytes.fromhex(vector["signature_first"])
    private_key = bytes.fromhex(vector["private_key"])[-SPHINCS.private_key_length :]
    secret_seed, public_seed, start = private_key[:NODE], private_key[2 * NODE : 3 * NODE], first[split : split + NODE]
    digest = message_digest(start, bytes.fromhex(vector["public_key"])[key_split:], MESSAGE)
    library = engine().library
    sign = sphincs_trees.sign if library is None else library.sphincs_sign
    return first[:split] + start + sign(secret_seed, public_seed, digest)


def certificate(**changed: Any) -> Certificate:
    whole = {
        "key_type": GENUINE["key_type"],
        "certified": CERTIFIED,
        "expiration": GENUINE["expiration"],
        "signatures": SIGNATURES,
    }
    return Certificate(**(whole | changed))


def verifiers() -> tuple[Verifier, ...]:
    scheme = signature_scheme(GENUINE["key_type"])
    return tuple(
        Verifier(authority["name"], scheme, bytes.fromhex(authority["identity_public"]))
        for authority in GENUINE["authorities"]
    )


def flipped(octets: bytes, position: int) -> bytes:
    changed = bytearray(octets)
    changed[position] ^= 0x10
    return bytes(changed)


@each_scheme
def test_sizes_names_and_texts_are_the_reference_s(vector: dict[str, Any]) -> None:
    scheme = signature_scheme(vector["name"].swapcase())
    assert scheme.name == vector["name"]
    assert scheme.public_key_length == vector["public_key_size"]
    assert scheme.private_key_length == vector["private_key_size"]
    assert scheme.signature_length == vector["signature_size"]
    assert key_hash(bytes.fromhex(vector["public_key"])).hex() == vector["key_hash"]
    raw = decode_pem(vector["public_pem"], vector["name"], "PUBLIC", scheme.public_key_length)
    assert raw.hex() == vector["public_key"]
    assert encode_pem(scheme.name, "PUBLIC", raw) == vector["public_pem"]
    assert encode_pem(scheme.name, "PRIVATE", bytes.fromhex(vector["private_key"])) == vector["private_pem"]


@each_scheme
def test_the_reference_s_signature_is_made_to_the_byte_and_verifies(vector: dict[str, Any], each_engine: str) -> None:
    if each_engine == "python" and vector is not SCHEMES[0]:
        pytest.skip("a second for each signature: one is enough")
    signature = genuine_signature(vector)
    assert hashlib.sha256(signature).hexdigest() == vector["signature_sha256"]
    scheme, public_key = signature_scheme(vector["name"]), bytes.fromhex(vector["public_key"])
    assert scheme.verify(public_key, MESSAGE, signature)
    assert not scheme.verify(public_key, MESSAGE + b"!", signature)
    assert not scheme.verify(flipped(public_key, len(public_key) - 1), MESSAGE, signature)


@each_scheme
def test_either_half_of_a_hybrid_must_be_genuine(vector: dict[str, Any]) -> None:
    scheme, public_key = signature_scheme(vector["name"]), bytes.fromhex(vector["public_key"])
    key = scheme.signing_key(bytes.fromhex(vector["private_key"]))
    signature, other = key.sign(MESSAGE), key.sign(MESSAGE + b"!")
    _, split = edwards_lengths(vector)
    assert scheme.verify(public_key, MESSAGE, signature)
    assert not scheme.verify(public_key, MESSAGE, signature[:split] + other[split:])
    assert not split or not scheme.verify(public_key, MESSAGE, other[:split] + signature[split:])


def test_the_old_and_the_new_name_of_a_hybrid_are_of_one_make() -> None:
    old, new = signature_scheme("Ed25519 Sphincs+"), signature_scheme("Ed25519-Sphincs+")
    key = new.generate(seeded(b"hybrid"))
    assert old.verify(key.public_key, MESSAGE, key.sign(MESSAGE))
    assert old.signing_key(key.private_key).public_key == key.public_key


def test_a_genuine_certificate_meets_its_threshold(each_engine: str) -> None:
    genuine, now = certificate(), GENUINE["verify_at_epoch"]
    genuine.verify_threshold(verifiers(), threshold(3), now)
    with pytest.raises(ThresholdError, match="2 of 3"):
        genuine.verify_threshold(verifiers(), 3, now)
    with pytest.raises(ThresholdError, match="0 of 3"):
        certificate(key_type="Ed25519-Sphincs+").verify_threshold(verifiers(), 2, now)
    signer = next(iter(SIGNATURES))
    spoiled = SIGNATURES | {signer: flipped(SIGNATURES[signer], SIGNATURE_LENGTH)}
    with pytest.raises(ThresholdError, match="1 of 3"):
        certificate(signatures=spoiled).verify_threshold(verifiers(), 2, now)


def test_the_whole_of_the_genuine_certificate_verifies() -> None:
    """With the third signature, and the encoding around all of them."""
    recording = upstream("genuine_consensus_sphincs.json")
    whole = Certificate.parse(bytes.fromhex(recording["document"]))
    assert hashlib.sha256(whole.encode()).hexdigest() == GENUINE["whole_sha256"]
    whole.verify_threshold(verifiers(), 3, GENUINE["verify_at_epoch"])


def test_upstream_s_own_signature_verifies(each_engine: str) -> None:
    vector = {name: bytes.fromhex(value) for name, value in upstream("sphincs_shake256f_robust.json").items()}
    assert SPHINCS.verify(vector["pk"], vector["msg"], vector["sig"])
    assert not SPHINCS.verify(vector["pk"], vector["msg"][:-1], vector["sig"])


def parts() -> list[int]:
    """A byte of each part of a signature: the random string, secrets and ways of few-time trees, chains and ways."""
    forest, trees, layer = NODE, NODE + 35 * 320, 71 * NODE
    offsets = [0, forest, forest + NODE, forest + 34 * 320, forest + 34 * 320 + 9 * NODE]
    for number in range(17):
        start = trees + number * layer
        offsets += [start, start + 66 * NODE, start + 67 * NODE, start + 70 * NODE]
    return offsets


def test_no_part_of_a_signature_can_be_changed(each_engine: str) -> None:
    scheme = signature_scheme(GENUINE["key_type"])
    verifier = next(verifier for verifier in verifiers() if verifier.key_hash in SIGNATURES)
    genuine, message = SIGNATURES[verifier.key_hash], certificate().signed_message()
    assert scheme.verify(verifier.public_key, message, genuine)
    for offset in parts()[:: 5 if each_engine == "python" else 1]:
        assert not scheme.verify(verifier.public_key, message, flipped(genuine, 64 + offset)), offset
    assert not scheme.verify(verifier.public_key, message, flipped(genuine, len(genuine) - 1))


def test_wrong_lengths_are_no_signature_and_no_crash(each_engine: str) -> None:
    for vector in SCHEMES:
        scheme = signature_scheme(vector["name"])
        public_key, signature = bytes.fromhex(vector["public_key"]), bytes(scheme.signature_length)
        for bad in (b"", signature[:-1], signature + b"\0", signature):
            assert not scheme.verify(public_key, MESSAGE, bad)
        for bad in (b"", public_key[:-1], public_key + b"\0", b"\xff" * len(public_key)):
            assert not scheme.verify(bad, MESSAGE, signature)


def test_keys_follow_the_randomness_given_and_keep_their_secrets(each_engine: str) -> None:
    key = SPHINCS.generate(seeded(b"one"))
    assert key.public_key == SPHINCS.generate(seeded(b"one")).public_key
    assert key.public_key != SPHINCS.generate(seeded(b"two")).public_key
    assert SPHINCS.signing_key(key.private_key) == key
    assert repr(key.private_key) not in repr(key)
    assert repr(key.private_key[:NODE])[2:-1] not in repr(key)


def test_a_private_key_that_is_none_is_refused() -> None:
    key = SPHINCS.generate(seeded(b"one"))
    with pytest.raises(KeyLengthError, match="expected 128"):
        SPHINCS.signing_key(key.private_key[:-1])
    with pytest.raises(KeyLengthError, match="of 127 bytes; expected 128"):
        dataclasses.replace(key, private_key=key.private_key[1:])  # type: ignore[type-var]
    with pytest.raises(KeyLengthError, match="public half"):
        SPHINCS.signing_key(flipped(key.private_key, 0))
