"""An index has to be on its capability's stream, however it was checked before."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.errors import IndexNotOnStream, IndexTooFar
from kpclientd.pigeonhole.libraries import bacap
from kpclientd.pigeonhole.stream_checks import LONGEST_WALK, StreamChecks
from tests.pigeonhole.installed import needs_libraries

pytestmark = needs_libraries


def at(cap: WriteCap, ahead: int) -> BoxIndex:
    return cap.index.advanced_to(cap.index.counter + ahead)


def based(cap: WriteCap, index: BoxIndex) -> WriteCap:
    return WriteCap.parse(cap.encode()[:64] + index.encode())


def check(checks: StreamChecks, cap: WriteCap | ReadCap, index: BoxIndex) -> None:
    walk = checks.begin(cap, index)
    walk.check()
    checks.end(walk)


@pytest.fixture
def cap() -> WriteCap:
    return WriteCap.from_seed(bytes(32))


def test_indices_of_the_stream_are_good_for_its_writer_and_its_readers(cap: WriteCap) -> None:
    checks = StreamChecks()
    for ahead in (0, 100, 3, 100, 101, 0):
        check(checks, cap, at(cap, ahead))
        check(checks, cap.read_cap, at(cap, ahead))
    assert len(checks) == 1


def test_indices_of_another_stream_or_from_before_are_not(cap: WriteCap) -> None:
    ahead = at(cap, 100)
    mutated = cap.mutated(bytes(32))
    last_bit = ahead.encode()[:-1] + bytes([ahead.encode()[-1] ^ 1])
    other_keys = ahead.encode()[:8] + bytes(64) + ahead.encode()[72:]
    checks = StreamChecks()
    for _ in range(2):  # nothing known of the stream, and then much
        for asked, index in (
            (cap, mutated.index),
            (mutated, cap.index),
            (based(cap, ahead), cap.index),
            (cap, BoxIndex.parse(last_bit)),
            (cap, BoxIndex.parse(other_keys)),
        ):
            with pytest.raises(IndexNotOnStream) as refused:
                check(checks, asked, index)
            assert refused.value.code == 33
        check(checks, cap, at(cap, 200))


def test_an_index_too_far_ahead_is_not_walked_to(cap: WriteCap) -> None:
    counter = cap.index.counter + LONGEST_WALK + 1
    with pytest.raises(IndexTooFar, match=f"{LONGEST_WALK + 1} boxes ahead") as refused:
        check(StreamChecks(), cap, BoxIndex.parse(counter.to_bytes(8, "little") + cap.index.encode()[8:]))
    assert refused.value.code == 34
    assert bacap().stateless.MAX_CONTAINS_WALK == LONGEST_WALK


@settings(max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-20, 40), st.booleans()), max_size=12))
def test_what_is_remembered_changes_no_verdict(asked: list[tuple[int, int, bool]]) -> None:
    caps = [based(cap, at(cap, 20)) for cap in (WriteCap.from_seed(bytes([number]) * 32) for number in range(3))]
    checks = StreamChecks(most_streams=2)
    for number, ahead, is_damaged in asked:
        cap = WriteCap.from_seed(bytes([number]) * 32)
        index = at(cap, 20 + ahead)
        if is_damaged:
            index = BoxIndex.parse(index.encode()[:-1] + bytes([index.encode()[-1] ^ 1]))
        if is_damaged or ahead < 0:
            with pytest.raises(IndexNotOnStream):
                check(checks, caps[number], index)
        else:
            check(checks, caps[number], index)
        assert len(checks) <= 2
