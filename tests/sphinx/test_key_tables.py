"""Tables of mix keys change how long a packet takes to make, and nothing else."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nacl.bindings import crypto_scalarmult_base

from sphinx import Geometry, NodeId, PathHop, Recipient, RecipientId, Sphinx
from sphinx.errors import WeakPublicKeyError
from sphinx.key_tables import MOST_BYTES, KeyTables
from sphinx.native import engine
from sphinx.native.base_table import COFACTOR, COLUMNS, DIGIT_BITS, MULTIPLES, WORDS, D, P, Point, add
from sphinx.native.library import Library
from sphinx.randomness import Randomness, seeded
from tests.sphinx.compiled import COMPILED, needs_engine
from tests.sphinx.test_native_primitives import LOW_ORDER, SCALARS, STRANGE_POINTS, TOP_BIT

HOPS = 5
GEOMETRY = Geometry.nike("x25519", HOPS, 100)
PAYLOAD = bytes(GEOMETRY.forward_payload_length)
KEY_LENGTH = 32
A = 486662

pytestmark = needs_engine


def is_on_the_curve(u: int) -> bool:
    """Whether v^2 = u^3 + Au^2 + u has a solution other than 0: Euler's criterion."""
    return pow(u * (u * u + A * u + 1) % P, (P - 1) // 2, P) == 1


def keys(count: int) -> list[bytes]:
    draws = seeded(b"keys")
    return [crypto_scalarmult_base(draws.bytes(KEY_LENGTH)) for _ in range(count)]


def path(public_keys: Sequence[bytes]) -> list[PathHop]:
    recipient = Recipient(RecipientId(bytes(32)))
    last = len(public_keys) - 1
    return [
        PathHop(NodeId(bytes([number]) * 32), key, (recipient,) if number == last else ())
        for number, key in enumerate(public_keys)
    ]


def drawn(ephemeral: bytes) -> Randomness:
    """Draws that begin with a private key."""
    left = bytearray(ephemeral)

    def draw(length: int) -> bytes:
        taken = bytes(left[:length]).ljust(length, b"\x55")
        del left[:length]
        return taken

    return Randomness(draw)


def made(sphinx: Sphinx, public_keys: Sequence[bytes], ephemeral: bytes) -> bytes | None:
    """A packet whose maker's private key is that one, or None where a key is weak."""
    try:
        return sphinx.new_packet(path(public_keys), PAYLOAD, drawn(ephemeral))
    except WeakPublicKeyError:
        return None


def both(name: str, public_keys: Sequence[bytes], ephemeral: bytes) -> tuple[bytes | None, bytes | None]:
    """What is made without tables and with them."""
    without, with_tables = Sphinx(GEOMETRY, engine=name), Sphinx(GEOMETRY, engine=name)
    with_tables.keep_tables(public_keys)
    return made(without, public_keys, ephemeral), made(with_tables, public_keys, ephemeral)


@settings(max_examples=100)
@given(st.binary(min_size=32, max_size=32), st.binary(min_size=32, max_size=32))
def test_any_key_gives_the_same_packet_with_a_table_and_without(ephemeral: bytes, key: bytes) -> None:
    """Half of all keys are on the curve's twist, and have none."""
    for name in COMPILED:
        without, with_table = both(name, [key], ephemeral)
        assert without == with_table


@settings(max_examples=20)
@given(st.binary(min_size=32, max_size=32), st.integers(1, HOPS))
def test_whole_paths_are_the_same_on_all_engines(ephemeral: bytes, hops: int) -> None:
    expected = made(Sphinx(GEOMETRY, engine="python"), keys(hops), ephemeral)
    for name in COMPILED:
        assert both(name, keys(hops), ephemeral) == (expected, expected)


@pytest.mark.parametrize("name", COMPILED)
def test_a_path_may_have_tables_for_some_of_its_keys(name: str) -> None:
    public_keys, ephemeral = keys(HOPS), bytes(range(32))
    expected = made(Sphinx(GEOMETRY, engine=name), public_keys, ephemeral)
    for which in range(2**HOPS):
        sphinx = Sphinx(GEOMETRY, engine=name)
        sphinx.keep_tables([key for number, key in enumerate(public_keys) if which >> number & 1])
        assert made(sphinx, public_keys, ephemeral) == expected


@pytest.mark.parametrize("name", COMPILED)
@pytest.mark.parametrize("scalar", SCALARS, ids=bytes.hex)
def test_strange_scalars_and_keys_give_the_same(name: str, scalar: bytes) -> None:
    for u in (*STRANGE_POINTS, *LOW_ORDER):
        for top_bit in (0, TOP_BIT):
            without, with_table = both(name, [(u | top_bit).to_bytes(32, "little")], scalar)
            assert without == with_table, u
            assert (without is None) == (u in LOW_ORDER)


@pytest.mark.parametrize("name", COMPILED)
def test_every_digit_of_a_scalar_reaches_its_column(name: str) -> None:
    sphinx, with_table, (key,) = Sphinx(GEOMETRY, engine=name), Sphinx(GEOMETRY, engine=name), keys(1)
    with_table.keep_tables([key])
    for digit in range(2**DIGIT_BITS):
        for place in range(2 * COLUMNS):
            scalar = ((digit * COFACTOR << (DIGIT_BITS * place)) % 2**256).to_bytes(32, "little")
            assert made(sphinx, [key], scalar) == made(with_table, [key], scalar)


@pytest.mark.parametrize("u", [*STRANGE_POINTS, *LOW_ORDER, *range(10, 60)])
def test_there_is_a_table_just_where_the_key_is_on_the_curve_and_of_high_order(library: Library, u: int) -> None:
    table = library.table(u.to_bytes(32, "little"))
    assert (table is not None) == (is_on_the_curve(u % P) and u not in LOW_ORDER)


def test_the_point_that_has_no_twin_on_edwards25519_has_no_table(library: Library) -> None:
    assert library.table((P - 1).to_bytes(32, "little")) is None


def entries(module: Any, table: Any) -> list[list[int]]:
    """A table's numbers, three for each entry."""
    raw = bytes(module.ffi.buffer(table))
    size = 8 * WORDS
    numbers = [int.from_bytes(raw[at : at + size], "little") for at in range(0, len(raw), size)]
    return [numbers[at : at + 3] for at in range(0, len(numbers), 3)]


def test_every_entry_is_the_multiple_that_its_place_says(library: Library) -> None:
    from sphinx.native import _engine

    (key,) = keys(1)
    u = int.from_bytes(key, "little")
    found = entries(_engine, library.table(key))
    assert len(found) == COLUMNS * MULTIPLES
    assert all(number < P for entry in found for number in entry)
    points: list[Point] = []
    for total, difference, product in found:
        point = ((total - difference) * pow(2, -1, P) % P, (total + difference) * pow(2, -1, P) % P)
        assert product == 2 * D * point[0] * point[1] % P
        points.append(point)
    # The key's own point, from the birational map: either sign.
    y = (u - 1) * pow(u + 1, -1, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * pow(2, (P - 1) // 4, P) % P
    eight = (x, y)
    for _ in range(3):
        eight = add(eight, eight)
    assert points[0] in (eight, (P - eight[0], eight[1]))
    first = points[0]
    for column in range(COLUMNS):
        multiple = first
        for number in range(MULTIPLES):
            assert points[column * MULTIPLES + number] == multiple
            multiple = add(multiple, first)
        for _ in range(2 * DIGIT_BITS):
            first = add(first, first)


def test_both_engines_make_the_same_table() -> None:
    from sphinx.native import _engine

    (key,) = keys(1)
    tables = []
    for name in COMPILED:
        library = engine(name).library
        assert library is not None
        tables.append(bytes(_engine.ffi.buffer(library.table(key))))
    assert all(table == tables[0] for table in tables)


# -- which keys have tables


def test_the_first_keys_have_tables_as_far_as_there_is_room(library: Library) -> None:
    public_keys = keys(4)
    tables = KeyTables(library, 3 * library.table_bytes + 1)
    tables.keep(public_keys)
    assert len(tables) == 3
    assert [table is not None for table in tables.of(public_keys)] == [True, True, True, False]


def test_there_is_room_for_the_keys_of_two_epochs_of_forty_nodes(library: Library) -> None:
    assert MOST_BYTES // library.table_bytes >= 80


def test_what_is_no_longer_in_use_is_dropped_and_what_is_stays(library: Library) -> None:
    old, kept, new = keys(3)
    tables = KeyTables(library)
    tables.keep([old, kept])
    (before,) = tables.of([kept])
    tables.keep([new, kept, kept])
    assert [table is not None for table in tables.of([old, kept, new])] == [False, True, True]
    assert tables.of([kept])[0] is before
    assert len(tables) == 2
    tables.keep([])
    assert len(tables) == 0


def test_keys_without_a_table_are_no_trouble(library: Library) -> None:
    (good,) = keys(1)
    weak, short, on_the_twist = bytes(32), bytes(31), (2).to_bytes(32, "little")
    assert not is_on_the_curve(2)
    tables = KeyTables(library)
    tables.keep([weak, short, on_the_twist, good])
    assert [table is not None for table in tables.of([weak, short, on_the_twist, good])] == [False, False, False, True]
    assert len(tables) == 1


def test_without_a_compiled_engine_it_changes_nothing() -> None:
    sphinx = Sphinx(GEOMETRY, engine="python")
    sphinx.keep_tables(keys(2))
    assert made(sphinx, keys(2), bytes(32)) is not None
