import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.cbor import ELEMENTS, NESTING, Record, decode, encode
from pki.errors import EncodingError

LONGEST = 1 << 20


def read(blob: bytes, *, integer_keys: bool = True) -> Record:
    return decode(blob, "thing", longest=LONGEST, integer_keys=integer_keys)


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
        ("a161", "left"),
        ("a0" + "00", "1 bytes after the end"),
        ("bf6141f6ff", "indefinite"),
        ("5f4101ff", "indefinite"),
        ("a161415c", "indefinite or reserved"),
        ("a16141" + "5b7fffffffffffffff", "left"),
        ("a16141" + "9b7fffffffffffffff", "elements"),
        ("a16141" + "bbffffffffffffffff", "elements"),
        ("a16141" + "9a00010000", "cut short"),
        ("a16141" + "c101", "tag"),
        ("a16141" + "c249ffffffffffffffffff", "tag"),
        ("a16141" + "f7", "simple value"),
        ("a16141" + "f820", "simple value"),
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
        return bytes.fromhex("a16141") * (levels - 1) + bytes.fromhex("a0")

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


def test_items_are_bounded_over_all_levels() -> None:
    inner = bytes.fromhex("9a") + (100_000).to_bytes(4, "big") + bytes(100_000)
    with pytest.raises(EncodingError, match="CBOR items"):
        decode(bytes.fromhex("a161418b") + inner * 11, "thing", longest=2 * LONGEST)


def test_size_is_bounded() -> None:
    with pytest.raises(EncodingError, match="at most 3"):
        decode(bytes(4), "thing", longest=3)


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
