"""X25519 of the links' KEMs: the engine's where there is one, with libsodium's results and errors."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.nike import X25519
from sphinx.crypto.xwing import XWing
from sphinx.errors import KeyLengthError, WeakPublicKeyError
from sphinx.native import ENGINE_VARIABLE, engine
from sphinx.native.curve import CompiledX25519, fastest_x25519
from sphinx.randomness import seeded

KEYS = st.binary(min_size=32, max_size=32)


def outcome(curve: X25519, private: bytes, public: bytes) -> bytes | None:
    try:
        return curve.shared_secret(private, public)
    except WeakPublicKeyError:
        return None


def test_it_is_the_engines_where_the_engine_is_compiled() -> None:
    assert isinstance(fastest_x25519(), CompiledX25519) == (engine().library is not None)


@pytest.mark.parametrize("name", ["python", "nobody's"])
def test_without_a_compiled_engine_it_is_libsodiums(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, name)
    assert type(fastest_x25519()) is X25519


@given(KEYS, st.one_of(KEYS, st.sampled_from([bytes(32), b"\1" + bytes(31)])))
def test_results_and_refusals_are_those_of_libsodium(private: bytes, public: bytes) -> None:
    assert outcome(fastest_x25519(), private, public) == outcome(X25519(), private, public)
    assert fastest_x25519().public_key(private) == X25519().public_key(private)


@pytest.mark.parametrize(("private", "public"), [(31, 32), (33, 32), (32, 31), (32, 33)])
def test_keys_of_other_lengths_never_reach_the_engine(private: int, public: int) -> None:
    with pytest.raises(KeyLengthError):
        fastest_x25519().shared_secret(bytes(private), bytes(public))
    with pytest.raises(KeyLengthError):
        fastest_x25519().public_key(bytes(private if private != 32 else public))


def test_x_wing_is_the_same_over_both() -> None:
    seed, randomness = bytes(range(32)), seeded(b"ephemeral")
    one, other = (XWing(curve).private_key(seed) for curve in (fastest_x25519(), X25519()))
    assert one.public_key == other.public_key
    ciphertext, secret = kem_scheme("XWING").encapsulate(one.public_key, randomness)
    assert one.decapsulate(ciphertext) == other.decapsulate(ciphertext) == secret
