"""Values that were computed from the protocol's text, and some of upstream's own."""

import pytest

from kpclientd.wire.commands import CommandCodec, NoOp
from kpclientd.wire.errors import DecryptionError, MessageSizeError, SessionStateError
from kpclientd.wire.handshake import PROLOGUE, protocol_name
from kpclientd.wire.noise import NONCE_LIMIT, CipherState, SymmetricState
from kpclientd.wire.transport import REFERENCE_BODY_LIMIT, open_header, seal_frame
from sphinx.crypto.kem import kem_scheme

AFTER_PROLOGUE = {
    "XWING": "5db9313fe4f4cc9175e80cab35a159c9411c62c4ab757c9d1d529f9a971d1d82"
    "26f572900cc44a725be50f1a1e88cd65cde3f2f4afd8f0a1c7f56e1ccadadf8e",
    "MLKEM768-X25519": "4ab65dc8a12b3010ae136fbf564dc3a57378c1f9cd36f77b7455c4325497ab4c"
    "9af6adf271e9a7412d1f6a79fe4cfaa64cc9996315ac8f2caeac1acf33c1dc9f",
    "Kyber768-X25519": "10fdfb121252b2b68fe988e37d30d89feb434957ecd0f46f3e54477fa1879041"
    "f137cecf0c332bfc1e76139d44abe97bcc9ce60f5f0d7d59a551e1360aec4674",
}
ZERO_KEY = bytes(32)


def after_prologue(kem_name: str) -> SymmetricState:
    symmetric = SymmetricState(protocol_name(kem_scheme(kem_name)))
    symmetric.mix_hash(PROLOGUE)
    return symmetric


@pytest.mark.parametrize("kem_name", AFTER_PROLOGUE)
def test_the_transcript_after_the_prologue_depends_on_the_canonical_name(kem_name: str) -> None:
    assert after_prologue(kem_name.lower()).transcript.hex() == AFTER_PROLOGUE[kem_name]


def test_a_name_longer_than_the_hash_is_hashed() -> None:
    assert SymmetricState(b"n" * 64).transcript == b"n" * 64
    assert len(SymmetricState(b"n" * 65).transcript) == 64


def test_mixing_key_and_hash_gives_the_known_transcript_key_and_split() -> None:
    symmetric = after_prologue("XWING")
    symmetric.mix_key_and_hash(bytes(32))
    assert symmetric.transcript.hex() == (
        "172e3c12fdff85f9d2c4eb8b62fcd2111579f471ac11c72db480b35ea3fa0c61"
        "6d4b0521993c4e3a5106fc9cdbf77e669761cab0925bc488454ed3fc52397ce9"
    )
    assert symmetric.cipher is not None
    key = "3c73afaee3608e495c604d15e75017cd702486ab7c331118b6dce67ed9490268"
    sealed = symmetric.cipher.encrypt(b"", b"probe")
    assert sealed == CipherState(bytes.fromhex(key)).encrypt(b"", b"probe")
    expected = (
        "b0024392597289a0ef3103eba2375d3017f82d05eaa164a75f2993d049bb1eb7",
        "a8919c14e611eaed3c15aa7cee4456e3b86c64b2667f6c06b6bc69099281bcc1",
    )
    for cipher, direction_key in zip(symmetric.split(), expected, strict=True):
        assert cipher.encrypt(b"", b"probe") == CipherState(bytes.fromhex(direction_key)).encrypt(b"", b"probe")


def test_the_known_first_frame_rekeys_without_setting_the_nonce_back() -> None:
    cipher = CipherState(ZERO_KEY)
    no_op = CommandCodec(None).encode(NoOp())
    assert seal_frame(cipher, no_op).hex() == (
        "9f07e7a869539976d0f0928d17bba38da9d96c265305e5e44aff86c757d00e5df54352e9243d4681183a"
    )
    assert cipher.nonce == 2
    successor = CipherState(bytes.fromhex("25ce5d37df19f3783185f2ffd5ab17fa3397c212f02d62fb1733e0b875b74c58"), 2)
    second = seal_frame(cipher, no_op)
    assert second[:20].hex() == "b988419d4b75224060e57020467ffcad9fbab8e5"
    assert second == seal_frame(successor, no_op)


def test_the_last_nonce_is_never_used_for_a_message() -> None:
    with pytest.raises(SessionStateError, match="nonce"):
        CipherState(ZERO_KEY, NONCE_LIMIT).encrypt(b"", b"")


def test_a_wiped_key_neither_seals_nor_opens() -> None:
    cipher = CipherState(ZERO_KEY)
    cipher.wipe()
    with pytest.raises(SessionStateError):
        cipher.encrypt(b"", b"")
    with pytest.raises(SessionStateError):
        cipher.decrypt(b"", bytes(16))


def test_a_message_of_another_number_or_transcript_does_not_open() -> None:
    sealed = CipherState(ZERO_KEY).encrypt(b"said before", b"secret")
    for cipher, said in ((CipherState(ZERO_KEY, 1), b"said before"), (CipherState(ZERO_KEY), b"said otherwise")):
        with pytest.raises(DecryptionError):
            cipher.decrypt(said, sealed)
    assert CipherState(ZERO_KEY).decrypt(b"said before", sealed) == b"secret"


@pytest.mark.parametrize("length", [0, 15, 3140, REFERENCE_BODY_LIMIT + 1, 0xFFFFFFFF])
def test_a_header_announcing_too_little_or_too_much_is_refused(length: int) -> None:
    header = CipherState(ZERO_KEY).encrypt(b"", length.to_bytes(4, "big"))
    with pytest.raises(MessageSizeError, match=str(length)):
        open_header(CipherState(ZERO_KEY), header, limit=3139)


@pytest.mark.parametrize("length", [16, 3139])
def test_the_shortest_and_the_longest_body_are_taken(length: int) -> None:
    header = CipherState(ZERO_KEY).encrypt(b"", length.to_bytes(4, "big"))
    assert open_header(CipherState(ZERO_KEY), header, limit=3139) == length


def test_a_command_longer_than_the_protocol_allows_is_refused_before_the_key_advances(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("kpclientd.wire.transport.REFERENCE_BODY_LIMIT", 100)
    cipher = CipherState(ZERO_KEY)
    with pytest.raises(MessageSizeError, match="85"):
        seal_frame(cipher, bytes(85))
    assert cipher.nonce == 0
    seal_frame(cipher, bytes(84))
