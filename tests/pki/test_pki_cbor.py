import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.cbor import ELEMENTS, FEW_PAIRS, NESTING, Allowance, Record, decode, encode
from pki.errors import EncodingError

LONGEST = 1 << 20
ITEMS = 1 << 18


def read(blob: bytes, *, integer_keys: bool = True, items: int = ITEMS) -> Record:
    return decode(blob, "thing", longest=LONGEST, allowance=Allowance(items), integer_keys=integer_keys)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (0.0, "f90000"),
        (1.0, "f93c00"),
        (0.25, "f93400"),
        (0.005, "fb3f747ae147ae147b"),
        ({"Mu": 1, "Epoch": 2, "A": None}, "a36141f6624d7501" + "6545706f636802"),
        ({300: 1, 2: 1}, "a20201" + "19012c01"),
    ],
)
def test_the_encoding_is_canonical(value: object, expected: str) -> None:
    assert encode(value).hex() == expected


@pytest.mark.parametrize(
    ("blob", "fault"),
    [
        ("", "cut short"),
        ("a1", "cut short"),
        ("a16141", "cut short"),
        ("a161", "cut short"),
        ("a16141", "cut short"),
        ("a1614178", "cut short"),
        ("a161417900", "cut short"),
        ("a16141780261", "cut short"),
        ("a161411a000000", "cut short"),
        ("a0" + "00", "1 bytes after the end"),
        ("bf6141f6ff", "indefinite"),
        ("5f4101ff", "indefinite"),
        ("a161415c", "indefinite or reserved"),
        ("a161413c", "indefinite or reserved"),
        ("a16141ff", "indefinite or reserved"),
        ("a16141" + "5b7fffffffffffffff", "cut short"),
        ("a16141" + "9b7fffffffffffffff", "elements"),
        ("a16141" + "bbffffffffffffffff", "elements"),
        ("a16141" + "9a00010000", "cut short"),
        ("a16141" + "c101", "tag"),
        ("a16141" + "c249ffffffffffffffffff", "tag"),
        ("a16141" + "f7", "simple value"),
        ("a16141" + "f820", "simple value"),
        ("a16141" + "e0", "simple value"),
        ("a16141f66141f6", "after the end"),
        ("a26141016141" + "02", "not decodable"),
        ("a16141" + "61ff", "not decodable"),
        ("80", "an array; expected a map"),
        ("01", "expected a map"),
    ],
)
def test_what_no_authority_would_write_is_refused(blob: str, fault: str) -> None:
    with pytest.raises(EncodingError, match=fault):
        read(bytes.fromhex(blob))


def test_nesting_is_bounded() -> None:
    def nested(levels: int) -> bytes:
        return bytes.fromhex("a16141") * levels + bytes.fromhex("f6")

    assert read(nested(NESTING)).mapping("A") is not None
    with pytest.raises(EncodingError, match="nested deeper"):
        read(nested(NESTING + 1))
    with pytest.raises(EncodingError, match="nested deeper"):
        read(nested(100_000))


def test_elements_are_bounded_before_anything_is_built() -> None:
    head = bytes.fromhex("a161419a")
    assert len(read(head + ELEMENTS.to_bytes(4, "big") + bytes(ELEMENTS)).array("A")) == ELEMENTS
    with pytest.raises(EncodingError, match="elements"):
        read(head + (ELEMENTS + 1).to_bytes(4, "big") + bytes(ELEMENTS + 1))


def test_items_are_bounded_over_all_levels_and_blobs() -> None:
    blob = encode({"A": [[0, 1], {"B": [2]}]})
    items = 2 + 2 + 2 + 2 + 1
    read(blob, items=items)
    with pytest.raises(EncodingError, match="more CBOR items"):
        read(blob, items=items - 1)
    allowance = Allowance(2 * items)
    for _ in range(2):
        decode(blob, "thing", longest=LONGEST, allowance=allowance)
    with pytest.raises(EncodingError, match="thing: more CBOR items"):
        decode(blob, "thing", longest=LONGEST, allowance=allowance)


def test_what_a_head_claims_must_be_there_before_it_is_walked() -> None:
    with pytest.raises(EncodingError, match="1000 elements, which are cut short"):
        read(bytes.fromhex("a161419903e8") + bytes(999))


def test_size_is_bounded() -> None:
    with pytest.raises(EncodingError, match="at most 3"):
        decode(bytes(4), "thing", longest=3, allowance=Allowance(ITEMS))


def pairs(count: int, *, strings: int = 0) -> bytes:
    """A field with a map of so many pairs, the first of which have strings for keys."""
    keys = [encode(f"{number}") if number < strings else encode(number << 32) for number in range(count)]
    return bytes.fromhex("a16141b9") + count.to_bytes(2) + b"".join(key + b"\0" for key in keys)


def test_integers_are_the_keys_of_small_maps_alone() -> None:
    """Their hashes can be made to collide; those of strings cannot."""
    assert len(read(pairs(FEW_PAIRS)).mapping("A") or {}) == FEW_PAIRS
    assert len(read(pairs(5000, strings=5000)).mapping("A") or {}) == 5000
    for count, strings in ((FEW_PAIRS + 1, 0), (5000, 0), (5000, 4999)):
        with pytest.raises(EncodingError, match="keys are no strings"):
            read(pairs(count, strings=strings))


@pytest.mark.parametrize("key", ["f4", "f90000", "80", "a0", "20", "1b0000000100000000"])
def test_nothing_but_strings_is_a_key_of_a_large_map(key: str) -> None:
    count = FEW_PAIRS + 1
    keys = [bytes.fromhex(key), *[encode(f"{number}") for number in range(FEW_PAIRS)]]
    blob = bytes.fromhex("a16141b8") + bytes([count]) + b"".join(one + b"\0" for one in keys)
    with pytest.raises(EncodingError, match="keys are no strings"):
        read(blob)


def test_values_of_a_large_map_may_be_anything() -> None:
    values = {f"{number}": [number, {number: [1.5, None]}] for number in range(3 * FEW_PAIRS)}
    assert read(encode({"A": values})).mapping("A") == values


def test_integer_keys_are_refused_where_anybody_may_have_chosen_them() -> None:
    blob = encode({"A": {1: 2}})
    assert read(blob).mapping("A") == {1: 2}
    with pytest.raises(EncodingError):
        read(blob, integer_keys=False)


def test_missing_and_null_fields_are_zero() -> None:
    for record in (read(b"\xa0"), read(encode(dict.fromkeys("ABCDEFG")))):
        assert record.text("A") == ""
        assert record.octets("B") == b""
        assert record.octets("B", 3) == bytes(3)
        assert record.unsigned("C") == 0
        assert record.number("D") == 0.0
        assert record.boolean("E") is False
        assert record.array("F") == []
        assert record.mapping("G") is None


def test_an_integer_stands_for_a_float_and_not_the_other_way() -> None:
    record = read(encode({"A": 2, "B": 2.0}))
    assert isinstance(record.number("A"), float)
    assert record.number("A") == 2.0
    with pytest.raises(EncodingError, match="thing, B: a float; expected an unsigned integer"):
        record.unsigned("B")


def test_a_key_is_found_exactly_before_it_is_found_in_another_case() -> None:
    assert read(encode({"mu": 1.0})).number("Mu") == 1.0
    assert read(encode({"mu": 1.0, "Mu": 2.0})).number("Mu") == 2.0


def test_of_several_keys_that_match_in_another_case_the_first_counts() -> None:
    assert Record({1: 0, "nAME": "first", "NAME": "second"}, "thing").text("Name") == "first"


@pytest.mark.parametrize("value", ["x" * 11, "é", "a\nb", "\x7f", b"x", 1, ["x"], True])
def test_a_note_out_of_bounds_is_none(value: object) -> None:
    record = read(encode({"A": value, "B": "~ ten long"}))
    assert record.note("A", 10) == ""
    assert record.note("B", 10) == "~ ten long"
    assert record.note("C", 10) == ""


def test_an_optional_byte_string_of_another_length_is_none() -> None:
    record = read(encode({"A": b"xxx", "B": "xxx"}))
    assert record.octets_or_none("A", (2, 3)) == b"xxx"
    assert all(record.octets_or_none(name, lengths) == b"" for name, lengths in (("A", (2,)), ("B", (3,)), ("C", (3,))))


@pytest.mark.parametrize(
    ("getter", "value"),
    [
        ("text", b"x"),
        ("octets", "x"),
        ("unsigned", -1),
        ("unsigned", True),
        ("number", "1"),
        ("number", False),
        ("boolean", 1),
        ("array", b"x"),
        ("array", {}),
        ("mapping", []),
        ("octet_strings", ["x"]),
        ("octet_strings_by_epoch", {"1": b"x"}),
        ("octet_strings_by_epoch", {-1: b"x"}),
        ("octet_strings_by_epoch", {1: "x"}),
    ],
)
def test_a_field_of_another_type_is_refused(getter: str, value: object) -> None:
    record = read(encode({"A": value}))
    with pytest.raises(EncodingError, match="thing, A: "):
        getattr(record, getter)("A")


def test_a_byte_string_of_another_length_is_refused() -> None:
    with pytest.raises(EncodingError, match="2 bytes; expected 3"):
        read(encode({"A": b"xx"})).octets("A", 3)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_map_or_an_error_of_ours(blob: bytes) -> None:
    try:
        record = read(blob)
    except EncodingError:
        return
    assert cbor2.loads(blob) == record.value or "nan" in repr(record.value)


json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(max_size=5) | st.binary(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=4),
    max_leaves=20,
)


@given(st.dictionaries(st.text(max_size=5), json_like, max_size=5))
def test_what_is_encoded_is_decoded(value: dict[str, object]) -> None:
    assert read(encode(value)).value == value


def test_a_library_that_does_not_know_our_call_is_no_fault_of_the_peer_s(monkeypatch: pytest.MonkeyPatch) -> None:
    def older(blob: bytes) -> object:
        pytest.fail("it was called as it can be")

    monkeypatch.setattr(cbor2, "loads", older)
    with pytest.raises(TypeError, match="unexpected keyword argument"):
        decode(encode({"a": 1}), "thing", longest=LONGEST, allowance=Allowance(ITEMS))
