"""How CTIDH's package is used, on a stand-in for it: what is checked before a call, and what its errors become."""

import pytest

from sphinx.agreement import NikeAgreement
from sphinx.crypto import ctidh
from sphinx.crypto.ctidh import Ctidh
from sphinx.crypto.nike import X448
from sphinx.crypto.nike_hybrid import HybridNike
from sphinx.crypto.nike_kem import NikeKem
from sphinx.errors import KemError, KeyLengthError, PacketError, PrivateKeyError, WeakPublicKeyError
from sphinx.randomness import seeded


@pytest.fixture
def nike(monkeypatch: pytest.MonkeyPatch) -> Ctidh:
    monkeypatch.setattr(ctidh, "_PACKAGE", "tests.sphinx.toy_isogenies")
    return Ctidh(1024)


def test_lengths_are_the_packages(nike: Ctidh) -> None:
    assert (nike.name, nike.public_key_length, nike.private_key_length) == ("ctidh1024", 128, 130)


def test_every_hop_of_a_hybrid_path_derives_what_the_sender_derived(nike: Ctidh) -> None:
    randomness = seeded(b"hybrid path")
    agreement = NikeAgreement(HybridNike("ctidh1024+x448", nike, X448()))
    privates = [agreement.nike.generate(randomness.bytes) for _ in range(4)]
    elements, keys = agreement.with_hops([agreement.nike.public_key(key) for key in privates], randomness)
    element = elements[0]
    for private, expected, theirs in zip(privates, elements, keys, strict=True):
        assert element == expected
        ours = agreement.at_hop(private, element)
        assert ours == theirs
        element = agreement.next_element(element, ours, b"")
    assert len(set(elements)) == 4


@pytest.mark.parametrize("public", [bytes(128), b"\xff" * 128], ids=["start", "no curve"])
def test_a_public_key_that_is_no_other_curve_is_refused_everywhere(nike: Ctidh, public: bytes) -> None:
    private, randomness = nike.generate(seeded(b"private").bytes), seeded(b"kem")
    with pytest.raises(WeakPublicKeyError, match="a public ctidh1024 key is no other curve of the group"):
        nike.shared_secret(private, public)
    with pytest.raises(PacketError, match="group element is degenerate: a public ctidh1024 key"):
        NikeAgreement(nike).at_hop(private, public)
    with pytest.raises(KemError, match="an unusable ctidh1024 public key"):
        NikeKem(nike).encapsulate(public, randomness)
    with pytest.raises(KemError, match="a ctidh1024 ciphertext cannot be opened"):
        NikeKem(nike).load(private).decapsulate(public)


def test_a_private_key_out_of_range_is_refused_without_being_shown(nike: Ctidh) -> None:
    out_of_range = b"\x7e" * 130
    public = nike.public_key(nike.generate(seeded(b"public").bytes))
    for use in (nike.public_key, NikeKem(nike).load, lambda key: nike.shared_secret(key, public)):
        with pytest.raises(PrivateKeyError, match="an unusable private ctidh1024 key: Private key exceeds") as caught:
            use(out_of_range)
        assert "7e7e" not in str(caught.value)


def test_keys_of_another_length_never_reach_the_package(nike: Ctidh) -> None:
    with pytest.raises(KeyLengthError, match="a private ctidh1024 key has 0 bytes, expected 130"):
        nike.public_key(b"")
    with pytest.raises(KeyLengthError, match="a private ctidh1024 key has 131 bytes, expected 130"):
        nike.shared_secret(bytes(131), bytes(128))
    with pytest.raises(KeyLengthError, match="a public ctidh1024 key has 127 bytes, expected 128"):
        nike.shared_secret(bytes(130), bytes(127))


def test_a_source_that_fails_makes_no_key_and_is_asked_no_more(nike: Ctidh) -> None:
    asked: list[int] = []

    def broken(length: int) -> bytes:
        asked.append(length)
        raise OSError("no randomness left")

    with pytest.raises(OSError, match="no randomness left"):
        nike.generate(broken)
    assert asked == [64]


def test_a_key_is_made_of_all_that_the_source_gave(nike: Ctidh) -> None:
    given = bytes(range(64)) + bytes([5] * 66)
    offset = 0

    def source(length: int) -> bytes:
        nonlocal offset
        offset += length
        return given[offset - length : offset]

    assert nike.generate(source) == given
