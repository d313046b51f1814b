"""What other implementations got wrong: Project Wycheproof's cases, and NIST's for the key stream, on every engine."""

import ctypes
from pathlib import Path
from typing import Any

import pytest

from sphinx import Sphinx
from sphinx.crypto.kdf import hop_keys
from sphinx.crypto.mac import header_mac
from sphinx.crypto.nike import X25519
from sphinx.crypto.stream import header_stream, xor
from sphinx.errors import KeyLengthError, PacketError, WeakPublicKeyError
from sphinx.geometry import MAC_LENGTH, PAYLOAD_TAG_LENGTH, VERSION
from sphinx.native import engine
from sphinx.native.base_table import COLUMNS, MULTIPLES, WORDS
from sphinx.native.library import Library
from tests.sphinx.compile_c import NATIVE, needs_compiler, shared_library
from tests.sphinx.test_key_tables import GEOMETRY, PAYLOAD, made
from tests.support.vectors import recorded

Case = dict[str, Any]

SECRETS: list[Case] = recorded("wycheproof_x25519.json")["cases"]
PUBLIC_KEYS: list[Case] = recorded("wycheproof_x25519_keys.json")["cases"]
MACS: list[Case] = recorded("wycheproof_hmac_sha256.json")["cases"]
DERIVED: list[Case] = recorded("wycheproof_hkdf_sha256.json")["cases"]
GCM: list[Case] = recorded("wycheproof_aes256_ctr.json")["gcm"]
CCM: list[Case] = recorded("wycheproof_aes256_ctr.json")["ccm"]

ZERO = bytes(32)
TABLE_LENGTH = 3 * 8 * WORDS * COLUMNS * MULTIPLES
LONGEST_KEY = 64
"""Bytes of a block of SHA-256: longer keys of HMAC are hashed, and Sphinx has none."""
COUNTER_LENGTH = 16

# NIST SP 800-38A, F.5.5.
NIST_KEY = "603deb1015ca71be2b73aef0857d77811f352c073b6108d72d9810a30914dff4"
NIST_COUNTER = "f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff"
NIST_BLOCKS = [
    ("6bc1bee22e409f96e93d7e117393172a", "601ec313775789a5b7a7f504bbf3d228"),
    ("ae2d8a571e03ac9c9eb76fac45af8e51", "f443e3ca4d62b59aca84e990cacaf5c5"),
    ("30c81c46a35ce411e5fbc1191a0a52ef", "2b0930daa23de94ce87017ba2d84988d"),
    ("f69f2445df4f9b17ad2b417be66c3710", "dfc9c58db67aada613c2dd08457941a6"),
]


def of(case: Case, *names: str) -> list[bytes]:
    return [bytes.fromhex(case[name]) for name in names]


# -- X25519


def test_products_are_right(library: Library) -> None:
    wrong = []
    for case in SECRETS:
        private, public, shared = of(case, "private", "public", "shared")
        if library.multiply(private, public) != shared:
            wrong.append(case["tcId"])
    assert not wrong


def test_products_are_right_without_a_compiled_engine() -> None:
    wrong = []
    for case in SECRETS:
        private, public, shared = of(case, "private", "public", "shared")
        try:
            found = X25519().shared_secret(private, public)
        except WeakPublicKeyError:
            found = ZERO
        if found != shared:
            wrong.append(case["tcId"])
    assert not wrong


def test_a_secret_is_all_zero_just_where_the_key_is_of_low_order() -> None:
    """So each of the tests here has weak keys and others."""
    weak = [case["tcId"] for case in SECRETS if bytes.fromhex(case["shared"]) == ZERO]
    assert weak == [case["tcId"] for case in SECRETS if "ZeroSharedSecret" in case["flags"]]
    assert 0 < len(weak) < len(SECRETS)


def test_public_keys_are_right(library: Library) -> None:
    wrong = [
        case["tcId"] for case in PUBLIC_KEYS if library.multiply_base(*of(case, "private")).hex() != case["public"]
    ]
    assert not wrong


def test_public_keys_are_right_without_a_compiled_engine() -> None:
    wrong = [case["tcId"] for case in PUBLIC_KEYS if X25519().public_key(*of(case, "private")).hex() != case["public"]]
    assert not wrong


def test_there_are_tables_of_all_keys_but_those_on_the_twist_and_of_low_order(library: Library) -> None:
    wrong = []
    for case in SECRETS:
        (public,) = of(case, "public")
        expected = not {"Twist", "LowOrderPublic"} & set(case["flags"])
        if (library.table(public) is not None) != expected:
            wrong.append(case["tcId"])
    assert not wrong


@pytest.mark.parametrize("tables", [False, True], ids=["without tables", "with tables"])
def test_a_packet_to_each_key_is_made_with_the_right_secret(engine_name: str, tables: bool) -> None:
    """The MAC tells which secret there was; with a table, this is the way to its products."""
    sphinx, wrong = Sphinx(GEOMETRY, engine=engine_name), []
    for case in SECRETS:
        private, public, shared = of(case, "private", "public", "shared")
        sphinx.keep_tables([public] if tables else [])
        packet = made(sphinx, [public], private)
        if packet is None:
            right = shared == ZERO
        else:
            header = packet[: GEOMETRY.header_length]
            right = header[-MAC_LENGTH:] == header_mac(hop_keys(shared).mac_key, header[:-MAC_LENGTH])
        if not right:
            wrong.append(case["tcId"])
    assert not wrong


def addressed(element: bytes, shared: bytes, engine_name: str) -> bytes:
    """A packet without commands that shows `element` to a node whose secret with it is that one."""
    keys = hop_keys(shared)
    header = VERSION + element + header_stream(keys.header_key, keys.iv, GEOMETRY.routing_info_length)
    payload = engine(engine_name).encipher(keys.payload_material, bytes(PAYLOAD_TAG_LENGTH) + PAYLOAD)
    return header + header_mac(keys.mac_key, header) + payload


def test_a_packet_with_each_key_as_its_element_is_opened(engine_name: str) -> None:
    sphinx, wrong = Sphinx(GEOMETRY, engine=engine_name), []
    for case in SECRETS:
        private, public, shared = of(case, "private", "public", "shared")
        packet = addressed(public, shared, engine_name)
        try:
            right = sphinx.unwrap(private, packet).payload == PAYLOAD
        except PacketError as error:
            right = shared == ZERO and "degenerate" in str(error)
        if not right:
            wrong.append(case["tcId"])
    assert not wrong


@needs_compiler
@pytest.mark.parametrize("form", ["portable", "adx"])
def test_products_by_tables_are_right(form: str, tmp_path: Path) -> None:
    curve, cpu = shared_library(tmp_path, [NATIVE / f"x25519_{form}.c", NATIVE / "scalar.c"])
    if form == "adx" and not (cpu.adx and cpu.avx2):
        pytest.skip("this processor has not both ADX and AVX2")
    table, scalar, product = map(ctypes.create_string_buffer, (TABLE_LENGTH, len(ZERO), len(ZERO)))
    found, wrong = 0, []
    for case in SECRETS:
        private, public, shared = of(case, "private", "public", "shared")
        if not curve[f"kp_make_table_{form}"](table, public):
            continue
        found += 1
        curve.kp_scalar_clamped(scalar, private)
        curve[f"kp_multiply_by_table_{form}"](product, scalar, table)
        if product.raw != shared:
            wrong.append(case["tcId"])
    assert not wrong
    assert found == len([case for case in SECRETS if not {"Twist", "LowOrderPublic"} & set(case["flags"])])


# -- HMAC-SHA-256


def is_right(case: Case, mac: bytes) -> bool:
    """Whether a MAC is the case's where that is valid, and another where it is not."""
    tag = bytes.fromhex(case["tag"])
    return (mac[: len(tag)] == tag) is (case["result"] == "valid")


def test_macs_are_right(library: Library) -> None:
    wrong = []
    for case in MACS:
        key, message = of(case, "key", "msg")
        if len(key) <= LONGEST_KEY and not is_right(case, library.authenticate(key, message)):
            wrong.append(case["tcId"])
    assert not wrong


def test_keys_longer_than_a_block_are_refused(library: Library) -> None:
    longer = [case for case in MACS if len(case["key"]) > 2 * LONGEST_KEY]
    assert len(longer) == 6
    for case in longer:
        with pytest.raises(KeyLengthError, match="65 bytes, expected at most 64"):
            library.authenticate(*of(case, "key", "msg"))


def test_macs_are_right_without_a_compiled_engine() -> None:
    assert not [case["tcId"] for case in MACS if not is_right(case, header_mac(*of(case, "key", "msg")))]


# -- HKDF-Expand with SHA-256


@needs_compiler
@pytest.mark.parametrize("compression", ["portable", "ni"])
def test_keys_are_derived_right(compression: str, tmp_path: Path) -> None:
    sources = [NATIVE / name for name in ("hmac.c", "sha256_portable.c", "sha256_ni.c")]
    functions, cpu = shared_library(tmp_path, sources)
    if compression == "ni" and not cpu.sha:
        pytest.skip("this processor has no SHA instructions")
    wrong = []
    for case in DERIVED:
        secret, salt, info, expected = of(case, "ikm", "salt", "info", "okm")
        made = ctypes.create_string_buffer(
            -(-case["size"] // MAC_LENGTH) * MAC_LENGTH
        )  # whole digests, as a hop's keys
        lengths = [ctypes.c_size_t(length) for length in (MAC_LENGTH, len(info), len(made))]
        extracted, blocks = header_mac(salt, secret), functions[f"kp_sha256_{compression}"]
        functions.kp_hkdf_expand(blocks, extracted, lengths[0], info, lengths[1], made, lengths[2])
        if made.raw[: case["size"]] != expected:
            wrong.append(case["tcId"])
    assert not wrong


# -- the key stream of AES-256-CTR


def streams() -> list[tuple[str, bytes, bytes, bytes]]:
    """What a case is called, its key, its first counter and its key stream."""
    found = [("nist", NIST_KEY, NIST_COUNTER, *("".join(column) for column in zip(*NIST_BLOCKS, strict=True)))]
    for case in GCM:  # counter 1 is the tag's
        found.append((f"gcm {case['tcId']}", case["key"], f"{case['iv']}00000002", case["msg"], case["ct"]))
    for case in CCM:  # the width of the counter less one, the IV, the counter, of which 0 is the tag's (RFC 3610, 2.3)
        width = COUNTER_LENGTH - 1 - len(case["iv"]) // 2
        counter = f"{width - 1:02x}{case['iv']}{1:0{2 * width}x}"
        found.append((f"ccm {case['tcId']}", case["key"], counter, case["msg"], case["ct"]))
    return [
        (name, bytes.fromhex(key), bytes.fromhex(counter), xor(bytes.fromhex(plain), bytes.fromhex(cipher)))
        for name, key, counter, plain, cipher in found
    ]


def test_key_streams_are_right(library: Library) -> None:
    assert not [name for name, key, start, stream in streams() if library.key_stream(key, start, len(stream)) != stream]


def test_key_streams_are_right_without_a_compiled_engine() -> None:
    assert not [name for name, key, start, stream in streams() if header_stream(key, start, len(stream)) != stream]
