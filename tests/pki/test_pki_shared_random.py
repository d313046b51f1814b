import hashlib

from hypothesis import given
from hypothesis import strategies as st

from pki.shared_random import commit_to, epoch_of, new_reveal, opens, shared_random_value
from sphinx.randomness import seeded


def test_a_commit_is_opened_by_its_reveal_alone() -> None:
    reveal, other = new_reveal(7, seeded(b"a")), new_reveal(7, seeded(b"b"))
    commit = commit_to(reveal)
    assert len(reveal) == len(commit) == 40
    assert epoch_of(reveal) == epoch_of(commit) == 7
    assert opens(reveal, commit)
    assert not opens(other, commit)
    assert not opens(new_reveal(8, seeded(b"a")), commit)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_other_bytes_open_nothing(reveal: bytes, commit: bytes) -> None:
    assert not opens(reveal, commit)
    assert (epoch_of(reveal) is None) == (len(reveal) != 40)


def test_the_value_hashes_the_reveals_in_descending_order() -> None:
    low, high = bytes(39) + b"\1", b"\1" + bytes(39)
    reveals = {b"a" * 32: low, b"b" * 32: high}
    head = b"shared-random" + (5).to_bytes(8, "big") + b"b" * 32 + high + b"a" * 32 + low
    genesis = hashlib.blake2b(head + bytes(32), digest_size=32).digest()
    assert shared_random_value(5, reveals, None) == genesis
    assert shared_random_value(5, reveals, b"p" * 32) == hashlib.blake2b(head + b"p" * 32, digest_size=32).digest()
