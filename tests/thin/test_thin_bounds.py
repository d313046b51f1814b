"""Bounds of a frame, checked before anything is built from it: items, nesting, and pauses on the way."""

import tracemalloc
from typing import Any

import cbor2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.thin.bounds import LONG_STRING, MAX_ITEMS, MAX_NESTING, STEP_ITEMS, BoundsCheck
from kpclientd.thin.errors import FrameError
from kpclientd.thin.framing import MAX_FRAME, decode_body, decode_checked
from kpclientd.thin.verbs.table import ALLOWANCES

MANY = "create_courier_envelopes_from_multi_payload"
MOST = 8192


def checked(message: object, allowances: dict[bytes, int] | None = None) -> BoundsCheck:
    check = BoundsCheck(cbor2.dumps(message), allowances or {})
    check.run()
    return check


def nested(levels: int) -> bytes:
    """A map at the end of arrays, `levels` containers in all; the outermost is a map."""
    return b"\xa1\x61k" + b"\x81" * (levels - 2) + b"\xa0"


def test_containers_nest_as_deep_as_the_reference_allows_and_no_deeper() -> None:
    assert MAX_NESTING == 32
    decode_body(nested(MAX_NESTING))
    with pytest.raises(FrameError, match="deeper"):
        decode_body(nested(MAX_NESTING + 1))
    with pytest.raises(FrameError, match="deeper"):
        decode_body(b"\xbf\x61k" + b"\x9f" * 1_000_000)


def test_a_frame_may_hold_so_many_items_and_no_more() -> None:
    assert MAX_ITEMS == 1024
    items = MAX_ITEMS - 3  # beside them: the map, its key and the array
    assert len(decode_body(cbor2.dumps({"k": [0] * items}))["k"]) == items
    with pytest.raises(FrameError, match=str(MAX_ITEMS)):
        decode_body(cbor2.dumps({"k": [0] * (items + 1)}))


@pytest.mark.parametrize("item", [b"\x80", b"\x00", b"\x40", b"\xa0"], ids=["arrays", "integers", "strings", "maps"])
def test_the_longest_frame_of_tiny_items_costs_little_more_than_its_own_length(item: bytes) -> None:
    count = MAX_FRAME - 8
    body = b"\xa1\x61k\x9a" + count.to_bytes(4, "big") + item * count
    tracemalloc.start()
    try:
        with pytest.raises(FrameError, match="items"):
            decode_body(body)
        assert tracemalloc.get_traced_memory()[1] < 1024 * 1024
    finally:
        tracemalloc.stop()


# -- allowances


def test_one_verb_of_all_may_have_more_items() -> None:
    assert dict(ALLOWANCES) == {MANY.encode(): MOST}


def large(items: int, around: int = 5) -> dict[str, Any]:
    """The body of a request with so many items of the whole frame; `around` of them are not in its list."""
    return {"destinations": [0] * (items - around)}


def test_the_verb_that_needs_more_items_may_have_them_and_no_more() -> None:
    allowances = dict(ALLOWANCES)
    checked({MANY: large(MOST)}, allowances)
    with pytest.raises(FrameError, match=str(MOST)):
        checked({MANY: large(MOST + 1)}, allowances)


@pytest.mark.parametrize(
    "message",
    {
        "of another verb": {"send_message": large(2000)},
        "of a name that goes on": {MANY + "s": large(2000)},
        "of a name in another case": {MANY.upper(): large(2000)},
        "with a list behind the key": {MANY: [0] * 2000},
        "with a text behind the key": {MANY: "text", "k": large(2000)},
        "with null behind the key": {MANY: None, "k": large(2000)},
        "with the key further in": {"k": {MANY: large(2000)}},
        "with the key as a value": {"k": MANY, "l": large(2000)},
        "with the key in an array": {"k": [MANY, large(2000)]},
        "behind the items": {"k": [0] * 2000, MANY: {}},
        "with the key as bytes": {MANY.encode(): large(2000)},
    }.items(),
    ids=lambda message: message[0],
)
def test_no_other_frame_has_the_allowance(message: tuple[str, Any]) -> None:
    with pytest.raises(FrameError, match=str(MAX_ITEMS)):
        checked(message[1], dict(ALLOWANCES))


def test_the_allowance_is_for_the_whole_frame_once_the_key_has_come() -> None:
    checked({"k": None, MANY: {}, "l": [0] * 2000}, dict(ALLOWANCES))


def test_an_indefinite_map_behind_the_key_has_the_allowance_too() -> None:
    body = b"\xbf" + cbor2.dumps(MANY) + b"\xbf" + cbor2.dumps("k") + cbor2.dumps([0] * 2000) + b"\xff\xff"
    check = BoundsCheck(body, ALLOWANCES)
    check.run()
    assert len(decode_checked(check)[MANY]["k"]) == 2000


def test_an_allowance_that_is_less_than_the_common_one_takes_nothing_away() -> None:
    checked({"few": large(1000)}, {b"few": 10})


# -- steps and long strings


@pytest.mark.parametrize("items", [3, STEP_ITEMS - 1, STEP_ITEMS, STEP_ITEMS + 1, 3 * STEP_ITEMS, 1000])
def test_the_walk_pauses_after_each_so_many_items(items: int) -> None:
    body = cbor2.dumps({"k": [0] * (items - 3)})
    assert len(list(BoundsCheck(body).steps())) == items // STEP_ITEMS


def test_a_walk_that_is_not_finished_has_found_nothing_wrong_yet() -> None:
    steps = BoundsCheck(cbor2.dumps({"k": [0] * 600}) + b"\x00").steps()
    next(steps)
    next(steps)
    with pytest.raises(FrameError, match="1 bytes follow"):
        next(steps)


def test_a_string_is_long_from_sixty_four_kibibytes_on() -> None:
    assert LONG_STRING == 64 * 1024


def test_long_byte_strings_are_noted_with_where_they_are() -> None:
    strings = [b"a" * LONG_STRING, b"b" * (LONG_STRING - 1), b"c" * 100_000]
    check = checked({"k": strings, "t": "x" * 100_000})
    assert [check.body[start:end] for _, start, end in check.long_strings] == [strings[0], strings[2]]
    assert [check.body[head] >> 5 for head, _, _ in check.long_strings] == [2, 2]
    assert [start - head for head, start, _ in check.long_strings] == [5, 5]


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**64), 2**64 - 1), st.binary(max_size=20), st.text(max_size=8)),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=4), inner, max_size=6),
    max_leaves=30,
)


def count(value: object) -> int:
    if isinstance(value, list):
        return 1 + sum(map(count, value))
    if isinstance(value, dict):
        return 1 + sum(1 + count(inner) for inner in value.values())
    return 1


@settings(max_examples=200)
@given(st.dictionaries(st.text(max_size=4), VALUES, max_size=5), st.integers(1, 40))
def test_every_item_of_a_frame_is_counted_once(message: dict[str, Any], spare: int) -> None:
    items = count(message)
    padded = message | {"padding": [0] * (MAX_ITEMS - items - 2)}
    if "padding" in message:
        return
    checked(padded)
    with pytest.raises(FrameError, match="items"):
        checked(padded | {"padding": [0] * (MAX_ITEMS - items - 2 + spare)})
