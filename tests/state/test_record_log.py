"""The state file's format: what is whole is read, what is not is found, and nothing is believed that was moved."""

import itertools
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.state.errors import HeadDamagedError, StateError
from kpclientd.state.record_log import (
    HEAD_LENGTH,
    RECORD_HEAD_LENGTH,
    Damage,
    LogWriter,
    last_record,
    recover,
)
from sphinx.randomness import seeded

KEY = bytes(range(32))
ROWS = st.dictionaries(
    st.binary(min_size=1, max_size=3),
    st.none() | st.integers() | st.binary(max_size=40) | st.text(max_size=5),
    max_size=4,
)


def a_file(*commits: dict[bytes, Any], marked: bool = True, seed: bytes = b"log") -> tuple[bytes, list[int]]:
    """A file, and where each record begins, and the end."""
    writer = LogWriter(KEY, seeded(seed))
    data, places = writer.head(), []
    for rows in commits:
        places.append(len(data))
        data += writer.record(rows)
        if marked:
            data += writer.mark()
    return data, [*places, len(data)]


def numbered(count: int) -> list[dict[bytes, Any]]:
    return [{b"row %d" % number: number} for number in range(count)]


@given(st.lists(ROWS, max_size=6), st.booleans())
def test_later_rows_replace_earlier_ones_and_null_removes_them(commits: list[dict[bytes, Any]], marked: bool) -> None:
    expected: dict[bytes, Any] = {}
    for rows in commits:
        expected |= rows
    found = recover(a_file(*commits, marked=marked)[0], KEY)
    assert found.rows == {key: value for key, value in expected.items() if value is not None}
    assert (found.records, found.damages) == (len(commits), [])


@settings(max_examples=300)
@given(st.integers(1, 6), st.booleans(), st.data())
def test_a_file_cut_anywhere_keeps_all_records_before_the_cut(count: int, marked: bool, data: st.DataObject) -> None:
    whole, places = a_file(*numbered(count), marked=marked)
    cut = data.draw(st.integers(HEAD_LENGTH, len(whole)))
    mark = RECORD_HEAD_LENGTH if marked else 0
    kept = sum(end - mark <= cut for end in places[1:])
    found = recover(whole[:cut], KEY)
    assert found.rows == {b"row %d" % number: number for number in range(kept)}
    assert all(damage.is_torn and damage.offset + damage.length == cut for damage in found.damages)
    assert len(found.damages) <= 1


@settings(max_examples=300)
@given(st.integers(2, 6), st.data())
def test_an_altered_byte_costs_at_most_the_record_it_is_in_and_is_told(count: int, data: st.DataObject) -> None:
    whole, places = a_file(*numbered(count))
    place = data.draw(st.integers(HEAD_LENGTH, len(whole) - 1))
    altered = bytearray(whole)
    altered[place] ^= data.draw(st.integers(1, 255))
    found = recover(bytes(altered), KEY)
    hit = max(number for number in range(count) if places[number] <= place)
    assert found.rows.items() >= {b"row %d" % n: n for n in range(count) if n != hit}.items()
    (damage,) = found.damages
    assert damage.offset <= place < damage.offset + damage.length
    assert damage.is_torn == (damage.offset + damage.length == len(whole))


def test_damage_before_a_mark_is_no_torn_end() -> None:
    whole, places = a_file(*numbered(2))
    altered = bytearray(whole)
    altered[places[1] + RECORD_HEAD_LENGTH] ^= 1
    assert recover(bytes(altered), KEY).damages == [
        Damage(places[1], len(whole) - RECORD_HEAD_LENGTH - places[1], is_torn=False)
    ]


def test_zeros_at_the_end_as_some_file_systems_leave_them_are_a_torn_end() -> None:
    whole, places = a_file(*numbered(2), marked=False)
    for cut in (places[1], places[1] + 20, places[2]):
        found = recover(whole[:cut] + bytes(300), KEY)
        assert [damage.is_torn for damage in found.damages] == [True]
        assert b"row 0" in found.rows


def test_records_that_were_moved_repeated_or_left_out_are_noticed() -> None:
    whole, places = a_file(*numbered(4), marked=False)
    head = whole[:HEAD_LENGTH]
    records = [whole[begin:end] for begin, end in itertools.pairwise(places)]
    for order, rows in (((0, 2, 3), 3), ((0, 2, 1, 3), 3), ((0, 0, 1), 2), ((1, 0), 1)):
        found = recover(head + b"".join(records[number] for number in order), KEY)
        assert found.damages, order
        assert len(found.rows) == rows, order
        assert not any(damage.is_torn for damage in found.damages[:-1])


def test_a_record_of_another_file_is_none_in_this_one() -> None:
    ours, places = a_file(*numbered(2), marked=False)
    theirs, _ = a_file({b"planted": 1}, {b"planted": 2}, {b"planted": 3}, seed=b"another", marked=False)
    planted = recover(ours[: places[2]] + theirs[-(len(theirs) - HEAD_LENGTH) // 3 :], KEY)
    assert b"planted" not in planted.rows
    assert len(planted.damages) == 1


def test_another_key_opens_nothing_and_that_is_told() -> None:
    whole, _ = a_file(*numbered(2))
    with pytest.raises(StateError, match="another key"):
        recover(whole, bytes(32))
    assert recover(a_file()[0], bytes(32)).rows == {}


@pytest.mark.parametrize("length", [0, 1, 15, 16, 47, HEAD_LENGTH - 1])
def test_a_torn_head_is_damage_and_no_foreign_file(length: int) -> None:
    with pytest.raises(HeadDamagedError):
        recover(a_file(*numbered(1))[0][:length], KEY)


@pytest.mark.parametrize(("data", "said"), [(b"#!/bin/sh\n" * 20, "no state file"), (b"x", "no state file")])
def test_a_foreign_file_is_refused(data: bytes, said: str) -> None:
    with pytest.raises(StateError, match=said) as caught:
        recover(data, KEY)
    assert not isinstance(caught.value, HeadDamagedError)


def test_another_version_is_named() -> None:
    whole, _ = a_file(*numbered(1))
    with pytest.raises(StateError, match="version 9, and this daemon knows version 1"):
        recover(whole[:15] + b"\x09" + whole[16:], KEY)


def test_nothing_of_what_is_kept_can_be_read_without_the_key() -> None:
    whole, _ = a_file({b"key of a row": b"a payload"})
    assert b"payload" not in whole
    assert b"key of a row" not in whole
    assert "payload" not in repr(recover(whole, KEY))


def test_the_last_record_is_found_by_framing_alone() -> None:
    whole, places = a_file(*numbered(3))
    assert last_record(whole) == len(whole) - RECORD_HEAD_LENGTH
    assert last_record(whole[:-RECORD_HEAD_LENGTH]) == places[2]
    assert last_record(whole[:HEAD_LENGTH]) == HEAD_LENGTH


@settings(max_examples=200)
@given(st.binary(max_size=400))
def test_anything_behind_a_head_is_read_without_a_crash(rest: bytes) -> None:
    head = a_file()[0]
    found = recover(head + rest, KEY)
    assert found.rows == {}
    assert sum(damage.length for damage in found.damages) == len(rest)
