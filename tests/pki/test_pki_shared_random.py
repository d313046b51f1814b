from hypothesis import given
from hypothesis import strategies as st

from pki.shared_random import commit_to, epoch_of, opens
from tests.pki.network import new_reveal


def test_a_commit_is_opened_by_its_reveal_alone() -> None:
    reveal, other = new_reveal(7, b"a"), new_reveal(7, b"b")
    commit = commit_to(reveal)
    assert len(reveal) == len(commit) == 40
    assert epoch_of(reveal) == epoch_of(commit) == 7
    assert opens(reveal, commit)
    assert not opens(other, commit)
    assert not opens(new_reveal(8, b"a"), commit)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_other_bytes_open_nothing(reveal: bytes, commit: bytes) -> None:
    assert not opens(reveal, commit)
    assert (epoch_of(reveal) is None) == (len(reveal) != 40)
