"""Project Wycheproof's cases for what the engines have of their own: X25519, HMAC and HKDF with SHA-256, AES-256.

Of X25519 they hold keys on the twist, of low order and beyond the prime, and products that pass through rare carries.
"""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from sphinx.crypto.mac import header_mac
from sphinx.crypto.nike import X25519
from sphinx.crypto.stream import header_stream, xor
from sphinx.errors import KeyLengthError, WeakPublicKeyError
from tests.sphinx.compile_c import NATIVE, needs_compiler, shared_library
from tests.sphinx.compiled import libraries
from tests.support.vectors import recorded

MOST_KEY = 64
TABLE_BYTES = 26 * 16 * 96
GCM_START = bytes(3) + b"\2"
"""The counter behind a nonce of 12 bytes, at a message's first block (NIST SP 800-38D, 7.1)."""


def cases(name: str) -> list[Any]:
    found: list[Any] = recorded(f"wycheproof_{name}.json")["cases"]
    return [[bytes.fromhex(part) if isinstance(part, str) else part for part in case] for case in found]


def test_products_are_wycheproofs() -> None:
    weak = 0
    for number, private, public, shared, _ in cases("x25519"):
        if any(shared):
            assert X25519().shared_secret(private, public) == shared, number
        else:
            weak += 1
            with pytest.raises(WeakPublicKeyError):
                X25519().shared_secret(private, public)
        for library in libraries():
            assert library.multiply(private, public) == shared, number
    assert weak == 31


@needs_compiler
@pytest.mark.parametrize("form", ["portable", "adx"])
def test_products_by_tables_are_wycheproofs(form: str, tmp_path: Path) -> None:
    """Keys on the twist, or of low order, have no table: the others' products are right by theirs."""
    curve, cpu = shared_library(tmp_path, [NATIVE / f"x25519_{form}.c", NATIVE / "scalar.c"])
    if form == "adx" and not (cpu.adx and cpu.avx2):
        pytest.skip("this processor has not both ADX and AVX2")
    table = ctypes.create_string_buffer(TABLE_BYTES)
    by_table = {True: 0, False: 0}
    for number, private, public, shared, flags in cases("x25519"):
        has_table = bool(curve[f"kp_make_table_{form}"](table, public))
        by_table[has_table] += 1
        assert has_table == (any(shared) and "Twist" not in flags), number
        if has_table:
            scalar, product = ctypes.create_string_buffer(32), ctypes.create_string_buffer(32)
            curve.kp_scalar_clamped(scalar, private)
            curve[f"kp_multiply_by_table_{form}"](product, scalar, table)
            assert product.raw == shared, number
    assert by_table == {True: 271, False: 247}


def test_macs_are_wycheproofs() -> None:
    for number, key, message, tag, is_valid in cases("hmac_sha256"):
        assert (header_mac(key, message)[: len(tag)] == tag) == is_valid, number
        for library in libraries():
            if len(key) > MOST_KEY:  # no key of Sphinx has more than a block
                with pytest.raises(KeyLengthError):
                    library.authenticate(key, message)
            else:
                assert (library.authenticate(key, message)[: len(tag)] == tag) == is_valid, number


def test_key_streams_are_those_of_wycheproofs_gcm() -> None:
    for number, key, nonce, message, ciphertext in cases("aes_gcm"):
        stream = xor(message, ciphertext)
        assert header_stream(key, nonce + GCM_START, len(message)) == stream, number
        for library in libraries():
            assert library.key_stream(key, nonce + GCM_START, len(message)) == stream, number


def test_key_streams_are_those_of_nist_sp_800_38a() -> None:
    """Its F.5.5."""
    key = bytes.fromhex("603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4")
    start = bytes(range(0xF0, 0x100))
    plain = bytes.fromhex(
        "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e51"
        "30c81c46a35ce411e5fbc1191a0a52eff69f2445df4f9b17ad2b417be66c3710"
    )
    expected = bytes.fromhex(
        "601ec313775789a5b7a7f504bbf3d228f443e3ca4d62b59aca84e990cacaf5c5"
        "2b0930daa23de94ce87017ba2d84988ddfc9c58db67aada613c2dd08457941a6"
    )
    for made in (header_stream(key, start, 64), *(library.key_stream(key, start, 64) for library in libraries())):
        assert xor(made, plain) == expected


@needs_compiler
@pytest.mark.parametrize("compression", ["portable", "ni"])
def test_keys_are_derived_as_wycheproof_does(compression: str, tmp_path: Path) -> None:
    sources = [NATIVE / name for name in ("hmac.c", "sha256_portable.c", "sha256_ni.c")]
    functions, cpu = shared_library(tmp_path, sources)
    if compression == "ni" and not cpu.sha:
        pytest.skip("this processor has no SHA instructions")
    blocks = functions[f"kp_sha256_{compression}"]
    for number, secret, salt, info, size, expected in cases("hkdf_sha256"):
        pseudorandom_key = header_mac(salt, secret)
        made = ctypes.create_string_buffer(-(-size // 32) * 32)
        arguments = (pseudorandom_key, ctypes.c_size_t(32), info, ctypes.c_size_t(len(info)))
        functions.kp_hkdf_expand(blocks, *arguments, made, ctypes.c_size_t(len(made)))
        assert made.raw[:size] == expected, number
