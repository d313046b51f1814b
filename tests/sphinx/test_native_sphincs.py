"""SPHINCS+ of the compiled engine beside its readable twin in Python."""

import hashlib
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pki.signatures import sphincs_trees
from pki.signatures.sphincs_trees import DIGEST_LENGTH, NODE, SIGNATURE_LENGTH
from sphinx.native.library import Library
from tests.sphinx.compiled import libraries, needs_engine

pytestmark = needs_engine


@settings(max_examples=4, deadline=None)
@given(st.integers(0), st.binary(min_size=DIGEST_LENGTH, max_size=DIGEST_LENGTH))
def test_any_bytes_lead_to_the_same_root(seed: int, digest: bytes) -> None:
    draws = random.Random(seed)
    public_seed, signature = draws.randbytes(NODE), draws.randbytes(SIGNATURE_LENGTH)
    expected = sphincs_trees.root_of_signature(public_seed, digest, signature)
    for library in libraries():
        assert library.sphincs_root(public_seed, digest, signature) == expected


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_the_first_and_the_last_leaf_of_all_trees_are_reached(library: Library, byte: int) -> None:
    digest = bytes([byte]) * DIGEST_LENGTH
    signature = hashlib.shake_256(digest).digest(SIGNATURE_LENGTH)
    expected = sphincs_trees.root_of_signature(digest[:NODE], digest, signature)
    assert library.sphincs_root(digest[:NODE], digest, signature) == expected


def test_the_same_key_belongs_to_the_same_seeds(library: Library) -> None:
    for number in range(3):
        seeds = random.Random(number).randbytes(2 * NODE)
        assert library.sphincs_generate(seeds[:NODE], seeds[NODE:]) == sphincs_trees.generate(
            seeds[:NODE], seeds[NODE:]
        )


@pytest.mark.parametrize("number", range(3))
def test_what_is_signed_leads_to_the_public_root(library: Library, number: int) -> None:
    draws = random.Random(number)
    secret_seed, public_seed, digest = draws.randbytes(NODE), draws.randbytes(NODE), draws.randbytes(DIGEST_LENGTH)
    signature = bytes(NODE) + library.sphincs_sign(secret_seed, public_seed, digest)
    assert len(signature) == SIGNATURE_LENGTH
    assert library.sphincs_root(public_seed, digest, signature) == library.sphincs_generate(secret_seed, public_seed)


def test_both_sign_alike(library: Library) -> None:
    draws = random.Random("both")
    secret_seed, public_seed, digest = draws.randbytes(NODE), draws.randbytes(NODE), draws.randbytes(DIGEST_LENGTH)
    expected = sphincs_trees.sign(secret_seed, public_seed, digest)
    assert library.sphincs_sign(secret_seed, public_seed, digest) == expected
