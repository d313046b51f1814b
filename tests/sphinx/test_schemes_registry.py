"""The registry: it agrees with the implementations, with the reference's sizes, and with its own table."""

import importlib.util
from pathlib import Path

import pytest

from sphinx import Geometry, Sphinx
from sphinx.crypto import ctidh
from sphinx.crypto.ctidh import Ctidh
from sphinx.crypto.kem import KEM_NAMES, kem_scheme
from sphinx.crypto.nike import X448, X25519, nike_scheme
from sphinx.crypto.nike_hybrid import HybridNike
from sphinx.errors import KeyLengthError, UnsupportedSchemeError, WeakPublicKeyError
from sphinx.randomness import seeded
from sphinx.schemes import CTIDH_EXTRA, KEMS, NIKES, Scheme, registered
from tests.support.scheme_table import table
from tests.support.vectors import recorded

HAS_CTIDH = importlib.util.find_spec("highctidh") is not None
TABLE = Path(__file__).parents[2] / "docs" / "schemes.md"
REFERENCE_KEMS = recorded("kem_schemes_ctidh.json")["sizes"]


def usable(schemes: dict[str, Scheme]) -> list[Scheme]:
    return [scheme for scheme in schemes.values() if not scheme.refusal and (HAS_CTIDH or not scheme.extra)]


def test_the_table_in_the_documents_is_current() -> None:
    assert TABLE.read_text() == table(), "run: python -m tests.support.scheme_table > docs/schemes.md"


def test_every_kem_of_the_reference_is_registered_under_its_name_with_its_sizes() -> None:
    theirs = {each["name"]: (each["public_key_size"], each["ciphertext_size"]) for each in REFERENCE_KEMS}
    assert {scheme.name: (scheme.public_key_length, scheme.element_length) for scheme in KEMS.values()} == theirs


def test_every_nike_of_the_recorded_geometries_is_registered_under_its_name() -> None:
    names = {case["geometry"]["NIKEName"] for case in recorded("geometry_hashes.json")["cases"]}
    assert {scheme.name for scheme in NIKES.values()} == names - {"", "X25519"}  # the second is another spelling


@pytest.mark.parametrize("scheme", usable(dict(NIKES)), ids=lambda scheme: scheme.name)
def test_what_the_registry_supports_as_nike_makes_packets_and_has_its_lengths(scheme: Scheme) -> None:
    nike = Sphinx(Geometry.nike(scheme.name.swapcase(), 5, 2000)).nike
    assert (nike.name, nike.public_key_length) == (scheme.name, scheme.public_key_length)


@pytest.mark.parametrize("scheme", usable(dict(KEMS)), ids=lambda scheme: scheme.name)
def test_what_the_registry_supports_as_kem_makes_packets_and_has_its_lengths(scheme: Scheme) -> None:
    sphinx, kem = Sphinx(Geometry.kem(scheme.name.swapcase(), 5, 2000)), kem_scheme(scheme.name.swapcase())
    assert sphinx.public_key_length == kem.public_key_length == scheme.public_key_length
    assert (kem.name, kem.ciphertext_length) == (scheme.name, scheme.element_length)


@pytest.mark.parametrize("kind", ["NIKE", "KEM"])
def test_what_the_registry_refuses_is_refused_by_name_and_with_the_reason(kind: str) -> None:
    make, schemes = (Geometry.nike, NIKES) if kind == "NIKE" else (Geometry.kem, KEMS)
    refused = [scheme for scheme in schemes.values() if scheme.refusal]
    assert refused
    for scheme in refused:
        with pytest.raises(UnsupportedSchemeError) as caught:
            Sphinx(make(scheme.name, 5, 2000))
        expected = f"the {kind} {scheme.name} is not supported here, because {scheme.refusal}"
        assert str(caught.value) == expected


@pytest.mark.parametrize(("kind", "look_up"), [("NIKE", nike_scheme), ("KEM", kem_scheme)])
def test_an_unknown_name_is_refused_with_the_supported_ones(kind: str, look_up: object) -> None:
    assert callable(look_up)
    with pytest.raises(UnsupportedSchemeError) as caught:
        look_up("rot13")
    message = str(caught.value)
    assert message.startswith(f"no {kind} is called 'rot13'; supported are ")
    assert "x448" in message
    assert "HQC" not in message


def test_only_what_needs_an_extra_is_slow_and_the_links_kems_need_none() -> None:
    for scheme in [*NIKES.values(), *KEMS.values()]:
        assert scheme.slow == (scheme.extra == CTIDH_EXTRA) == ("ctidh" in scheme.name.lower())
    assert {"XWING", "MLKEM768-X25519", "Kyber768-X25519"} <= set(KEM_NAMES)
    assert not any(registered("KEM", name).extra for name in KEM_NAMES)


def test_without_its_package_ctidh_says_which_extra_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctidh, "_PACKAGE", "a_package_that_is_missing")
    with pytest.raises(UnsupportedSchemeError, match=r"ctidh1024 needs the package .* \(pip install 'kpclientd\[ctidh"):
        Ctidh(1024)


def test_a_hybrid_is_its_halves_one_behind_the_other() -> None:
    first, second = X448(), X25519()
    hybrid, randomness = HybridNike("x448+x25519", first, second), seeded(b"hybrid")
    alice, bob = hybrid.generate(randomness.bytes), hybrid.generate(randomness.bytes)
    assert len(alice) == hybrid.private_key_length == 88
    public = hybrid.public_key(bob)
    assert public == first.public_key(bob[:56]) + second.public_key(bob[56:])
    secret = hybrid.shared_secret(alice, public)
    assert secret == hybrid.shared_secret(bob, hybrid.public_key(alice))
    assert secret == first.shared_secret(alice[:56], public[:56]) + second.shared_secret(alice[56:], public[56:])
    assert hybrid.blind(public, alice) == secret


def test_a_hybrid_refuses_wrong_lengths_and_a_degenerate_half() -> None:
    hybrid = HybridNike("x448+x25519", X448(), X25519())
    private = hybrid.generate(seeded(b"private").bytes)
    with pytest.raises(KeyLengthError, match=r"a private x448\+x25519 key has 87 bytes, expected 88"):
        hybrid.public_key(private[1:])
    with pytest.raises(KeyLengthError, match=r"a public x448\+x25519 key has 0 bytes, expected 88"):
        hybrid.shared_secret(private, b"")
    public = hybrid.public_key(private)
    for degenerate in (bytes(56) + public[56:], public[:56] + bytes(32)):
        with pytest.raises(WeakPublicKeyError):
            hybrid.shared_secret(private, degenerate)
