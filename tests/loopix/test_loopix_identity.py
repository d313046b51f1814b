import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.errors import KeyFileError
from kpclientd.loopix.identity import (
    MAX_KEY_FILE,
    PRIVATE_KEY_TYPE,
    PUBLIC_KEY_TYPE,
    client_id,
    decode_key,
    generate,
    load_identity,
    save_key,
)
from pki.pem import encode_block
from sphinx.randomness import seeded

PRIVATE = bytes.fromhex("bf2b5aaf32e09c16ccad57ff4098111e30a2245f3922bbb7cbd719ac37c7d33b")
PUBLIC = bytes.fromhex("11aa0f969b4bf0423664837fc10a85203e9b092ec8373c7ddf4caaa76422b075")
PRIVATE_PEM = (
    "-----BEGIN SPHINX CURVE25519 PRIVATE KEY-----\n"
    "vytarzLgnBbMrVf/QJgRHjCiJF85Iru3y9cZrDfH0zs=\n"
    "-----END SPHINX CURVE25519 PRIVATE KEY-----\n"
)


def files(folder: Path, private: bytes = PRIVATE, public: bytes = PUBLIC) -> tuple[Path, Path]:
    paths = folder / "private_key.pem", folder / "public_key.pem"
    save_key(paths[0], PRIVATE_KEY_TYPE, private)
    save_key(paths[1], PUBLIC_KEY_TYPE, public)
    return paths


def test_a_key_is_three_lines_of_pem() -> None:
    assert encode_block(PRIVATE_KEY_TYPE, PRIVATE) == PRIVATE_PEM
    assert decode_key(PRIVATE_KEY_TYPE, PRIVATE_PEM) == PRIVATE


@given(st.binary(min_size=32, max_size=32))
def test_every_key_survives_pem(key: bytes) -> None:
    assert decode_key(PUBLIC_KEY_TYPE, encode_block(PUBLIC_KEY_TYPE, key)) == key


@pytest.mark.parametrize(
    "text",
    [
        "a comment\n" + PRIVATE_PEM,
        "-----BEGIN\n" + PRIVATE_PEM,
        PRIVATE_PEM.removesuffix("\n"),
        PRIVATE_PEM.replace("\n", "\r\n"),
        PRIVATE_PEM.replace("zLgn", "zLgn\n"),
    ],
)
def test_what_the_reference_tolerates_is_tolerated(text: str) -> None:
    assert decode_key(PRIVATE_KEY_TYPE, text) == PRIVATE


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", "no PEM block"),
        ("vytarzLgnBbMrVf/QJgRHjCiJF85Iru3y9cZrDfH0zs=", "no PEM block"),
        (PRIVATE_PEM.replace("END SPHINX", "END OTHER"), "no PEM block"),
        (PRIVATE_PEM + "\n", "trailing garbage after PEM encoded key"),
        (PRIVATE_PEM + PRIVATE_PEM, "trailing garbage after PEM encoded key"),
        (PRIVATE_PEM.replace("PRIVATE", "PUBLIC"), "invalid PEM Type: 'SPHINX CURVE25519 PUBLIC KEY'"),
        (PRIVATE_PEM.replace("zs=", "zs"), "failed to read key from PEM file"),
        (PRIVATE_PEM.replace("vyta", ""), "failed to read key from PEM file: 29 bytes"),
        (PRIVATE_PEM.replace("vyta", "vytaAAAA"), "failed to read key from PEM file: 35 bytes"),
    ],
)
def test_a_damaged_key_is_refused_and_the_fault_named(text: str, fault: str) -> None:
    with pytest.raises(KeyFileError, match=fault):
        decode_key(PRIVATE_KEY_TYPE, text)


@given(st.text(max_size=200) | st.text(alphabet="-BEGINDSPHX KEY\nA=", max_size=200))
def test_any_text_is_a_key_or_refused(text: str) -> None:
    try:
        decode_key(PRIVATE_KEY_TYPE, text)
    except KeyFileError:
        pass


def test_a_pair_is_read_from_its_files_which_their_owner_alone_can_read(tmp_path: Path) -> None:
    paths = files(tmp_path)
    identity = load_identity(*paths)
    assert (identity.private_key, identity.public_key) == (PRIVATE, PUBLIC)
    assert [stat.S_IMODE(path.stat().st_mode) for path in paths] == [0o600, 0o600]


def test_a_missing_file_is_an_error_and_no_key_of_zeros(tmp_path: Path) -> None:
    private, public = files(tmp_path)
    public.unlink()
    with pytest.raises(KeyFileError, match=r"public_key\.pem: cannot be read"):
        load_identity(private, public)


def test_a_file_too_long_for_a_key_is_not_searched_for_one(tmp_path: Path) -> None:
    private, public = files(tmp_path)
    private.write_text(" " * MAX_KEY_FILE + PRIVATE_PEM)
    with pytest.raises(KeyFileError, match="is longer than"):
        load_identity(private, public)


def test_keys_that_are_no_pair_are_refused_without_being_shown(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match="is not the public key of") as caught:
        load_identity(*files(tmp_path, public=PRIVATE))
    assert "vytarz" not in str(caught.value)


def test_an_existing_key_is_overwritten_only_on_demand(tmp_path: Path) -> None:
    private, public = files(tmp_path)
    with pytest.raises(KeyFileError, match="cannot be written"):
        save_key(private, PRIVATE_KEY_TYPE, bytes(32))
    assert load_identity(private, public).private_key == PRIVATE
    private.chmod(0o644)
    save_key(private, PRIVATE_KEY_TYPE, PUBLIC, overwrite=True)
    assert decode_key(PRIVATE_KEY_TYPE, private.read_text()) == PUBLIC
    assert stat.S_IMODE(private.stat().st_mode) == 0o600


def test_a_new_identity_has_an_id_of_its_public_key_and_hides_its_private_one() -> None:
    identity = generate(seeded(b"identity"))
    assert identity == generate(seeded(b"identity")) != generate(seeded(b"another"))
    assert identity.client_id == client_id(identity.public_key)
    assert repr(identity.private_key) not in repr(identity)


def test_the_id_of_the_reference_s_benchmark_key() -> None:
    assert client_id(PUBLIC) == "EaoPlptL8EI2ZIN_wQqFID6bCS7INzx930yqp2QisHU="


def test_a_damaged_file_is_named_with_its_fault(tmp_path: Path) -> None:
    private, public = files(tmp_path)
    public.write_text(PRIVATE_PEM)
    with pytest.raises(KeyFileError, match=r"public_key\.pem: invalid PEM Type"):
        load_identity(private, public)
