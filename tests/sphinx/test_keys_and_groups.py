import hashlib

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import ECB
from hypothesis import given, settings
from hypothesis import strategies as st

from sphinx.crypto.kdf import hop_keys
from sphinx.crypto.mac import replay_tag
from sphinx.crypto.nike import X448, X25519, Nike, nike_scheme
from sphinx.crypto.stream import blinding_stream, header_stream, xor
from sphinx.errors import KeyLengthError, UnsupportedSchemeError, WeakPublicKeyError
from sphinx.randomness import seeded

SECRET = bytes.fromhex("9dd74a26535e05ba0ddb62e06ef9b3b29b089707b4652b9172d91e529c938b51")
LOW_ORDER_POINTS = [bytes(32), bytes([1]) + bytes(31)]


def test_hop_keys_are_those_of_upstreams_own_test() -> None:
    keys = hop_keys(SECRET)
    assert keys.mac_key.hex() == "56a3cca100da21fa9823df7884132e89e2155dadbf425e62ba43392c81581a69"
    assert keys.header_key.hex() == "fa4f8808bad302e8247cf71dbaefe3ae3499437e566a8f8cae363b428db7eff9"
    assert keys.iv.hex() == "382d5480e7ebc3c001d04a350f6da768"
    assert keys.sprp_key.hex() == (
        "82f26dff7fd14e304bce0aa6d464e6e4a440aad784b18c062700c352e7df6c4422884af95653aef353d3bd3e8b7f9ac2"
    )
    factor = nike_scheme("x25519").generate(blinding_stream(keys.blinding_seed))
    assert factor.hex() == "8e869512c77c2c0ca7b718d68b4a571824e788d38b223b921460769c34a89501"


def test_hop_keys_never_show_themselves() -> None:
    keys = hop_keys(SECRET)
    for secret in (keys.mac_key, keys.header_key, keys.iv, keys.sprp_key, keys.blinding_seed):
        assert repr(secret) not in repr(keys)
        assert secret.hex() not in repr(keys)


def test_the_replay_tag_is_that_of_upstreams_own_test() -> None:
    element = bytes.fromhex("f72fbd7f19e0f192524aea4973354479d6507d964242b30ded31c87e81c5c889")
    expected = "9b931e466dc077f2cdf57784996dd19006a60e411692a8bdca4882c129c03a86"
    assert replay_tag(element).hex() == expected


def test_the_whole_counter_block_of_the_header_stream_counts() -> None:
    key = bytes(range(32))
    counters = [bytes([0xFF] * 16), bytes(16), bytes(15) + b"\x01"]
    block_cipher = Cipher(AES(key), ECB()).encryptor()
    expected = b"".join(block_cipher.update(counter) for counter in counters)
    assert header_stream(key, counters[0], 40) == expected[:40]


def test_the_blinding_stream_reads_on_where_it_ended() -> None:
    whole = blinding_stream(SECRET)(200)
    read = blinding_stream(SECRET)
    assert read(1) + read(70) + read(129) == whole


@given(st.binary(min_size=1, max_size=64))
def test_xor_keeps_length_and_undoes_itself(data: bytes) -> None:
    mask = hashlib.shake_128(data).digest(len(data))
    assert xor(xor(data, mask), mask) == data


@pytest.mark.parametrize("name", ["x25519", "X25519", "x448", "X448"])
def test_both_sides_share_a_secret_and_blinding_commutes(name: str) -> None:
    nike, randomness = nike_scheme(name), seeded(b"pair")
    mine, yours, factor = (nike.generate(randomness.bytes) for _ in range(3))
    secret = nike.shared_secret(mine, nike.public_key(yours))
    assert secret == nike.shared_secret(yours, nike.public_key(mine))
    blinded = nike.blind(nike.public_key(mine), factor)
    assert nike.shared_secret(yours, blinded) == nike.blind(secret, factor)


def test_x25519_multiplies_as_in_rfc_7748() -> None:
    scalar = bytes.fromhex("a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4")
    point = bytes.fromhex("e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c")
    expected = "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552"
    assert nike_scheme("x25519").shared_secret(scalar, point).hex() == expected


def both_ways(seed: bytes, hops: int) -> tuple[list[bytes], list[bytes], list[bytes], list[bytes]]:
    nike, randomness = X25519(), seeded(seed)
    private = randomness.bytes(32)
    publics = [nike.public_key(randomness.bytes(32)) for _ in range(hops)]
    fast_secrets: list[bytes] = []
    slow_secrets: list[bytes] = []

    def factor_into(secrets: list[bytes], secret: bytes) -> bytes:
        secrets.append(secret)
        return hashlib.sha256(secret).digest()

    fast = nike.blinded_elements(private, publics, lambda secret: factor_into(fast_secrets, secret))
    slow = Nike.blinded_elements(nike, private, publics, lambda secret: factor_into(slow_secrets, secret))
    return fast, slow, fast_secrets, slow_secrets


@settings(max_examples=25, deadline=None)
@given(st.binary(min_size=8, max_size=8), st.integers(1, 10))
def test_multiplied_scalars_give_what_blinding_step_by_step_gives(seed: bytes, hops: int) -> None:
    fast, slow, fast_secrets, slow_secrets = both_ways(seed, hops)
    assert fast == slow
    assert fast_secrets == slow_secrets
    assert len(fast_secrets) == hops


@pytest.mark.parametrize("point", LOW_ORDER_POINTS)
def test_a_degenerate_x25519_key_is_refused(point: bytes) -> None:
    with pytest.raises(WeakPublicKeyError, match="x25519"):
        X25519().shared_secret(SECRET, point)


def test_a_degenerate_x448_key_is_refused() -> None:
    with pytest.raises(WeakPublicKeyError, match="x448"):
        X448().shared_secret(bytes(range(56)), bytes(56))


@pytest.mark.parametrize("nike", [X25519(), X448()], ids=lambda nike: nike.name)
def test_keys_of_another_length_are_refused_without_being_shown(nike: Nike) -> None:
    private, public = bytes([7] * nike.private_key_length), bytes([9] * nike.public_key_length)
    with pytest.raises(KeyLengthError, match="a private") as caught:
        nike.shared_secret(private[1:], public)
    assert private[1:].hex() not in str(caught.value)
    with pytest.raises(KeyLengthError, match="a public"):
        nike.shared_secret(private, public + b"\0")
    with pytest.raises(KeyLengthError, match="a private"):
        nike.public_key(b"")
    with pytest.raises(KeyLengthError, match="a private"):
        nike.blinded_elements(b"", [public], lambda secret: secret)


@pytest.mark.parametrize("name", ["ctidh511", "CTIDH512-X448", "ctidh2048-x448"])
def test_registered_schemes_without_implementation_say_why(name: str) -> None:
    with pytest.raises(UnsupportedSchemeError, match="not supported here, because nodes of the reference draw"):
        nike_scheme(name)


def test_an_unknown_scheme_is_named_in_the_error() -> None:
    with pytest.raises(UnsupportedSchemeError, match="'rot13'"):
        nike_scheme("rot13")
