"""Draws of every kind are unbiased, within their bounds, and follow from the source alone."""

import hashlib
import math
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx.randomness import Randomness, seeded


def counting_source(*draws: bytes) -> Randomness:
    waiting = list(draws)

    def source(length: int) -> bytes:
        draw = waiting.pop(0)
        assert len(draw) == length
        return draw

    return Randomness(source)


@given(st.integers(1, 1 << 70), st.binary(min_size=4, max_size=4))
def test_a_draw_is_below_its_bound(bound: int, seed: bytes) -> None:
    assert 0 <= seeded(seed).below(bound) < bound


@pytest.mark.parametrize("bound", [0, -1])
def test_nothing_is_below_zero(bound: int) -> None:
    with pytest.raises(ValueError, match=f"below {bound} is impossible"):
        seeded(b"").below(bound)


def test_every_value_below_a_bound_comes_from_equally_many_bytes() -> None:
    # Six values need three bits; two of eight are drawn again.
    drawn = Counter(counting_source(bytes([byte]), b"\x00").below(6) for byte in range(256))
    assert drawn == {0: 32 + 64, **dict.fromkeys(range(1, 6), 32)}


def test_a_draw_takes_the_bytes_it_needs_and_uses_the_highest_bits() -> None:
    assert counting_source(b"\xff").below(256) == 255
    assert counting_source(b"\x80\x00").below(257 * 2) == 0x8000 >> 6
    assert counting_source(b"").below(1) == 0


def test_each_item_can_be_chosen() -> None:
    randomness = seeded(b"choice")
    assert {randomness.choice("abc") for _ in range(60)} == set("abc")


def test_each_order_of_some_items_is_equally_likely() -> None:
    randomness = seeded(b"orders")
    counts = Counter(tuple(randomness.shuffled(b"abcd")) for _ in range(24 * 500))
    assert len(counts) == 24
    # Chi-square with 23 degrees of freedom is beyond this in one of ten thousand runs; this run is always the same.
    assert sum((count - 500) ** 2 / 500 for count in counts.values()) < 56
    assert randomness.shuffled("") == []


def test_a_uniform_draw_is_never_zero_and_reaches_one() -> None:
    assert counting_source(bytes(7)).uniform() == 2.0**-53
    assert counting_source(b"\xff" * 7).uniform() == 1.0


def test_an_exponential_draw_is_the_logarithm_of_a_uniform_one_in_the_unit_of_the_mean() -> None:
    assert seeded(b"x").exponential(250.0) == -math.log(seeded(b"x").uniform()) * 250.0
    assert counting_source(b"\xff" * 7).exponential(7.0) == 0.0
    randomness = seeded(b"exponential")
    assert math.fsum(randomness.exponential(3.0) for _ in range(4000)) / 4000 == pytest.approx(3.0, rel=0.1)


def test_a_seeded_stream_is_the_hash_of_its_seed_however_it_is_cut() -> None:
    blocks = [hashlib.shake_256(b"seed" + number.to_bytes(8)).digest(4096) for number in range(2)]
    randomness = seeded(b"seed")
    assert randomness.bytes(1) + randomness.bytes(5000) + randomness.bytes(0) + randomness.bytes(3191) == b"".join(
        blocks
    )


def test_what_a_fork_draws_changes_nothing_in_its_parent() -> None:
    one, other = seeded(b"parent"), seeded(b"parent")
    first, second = one.fork(), other.fork()
    assert first.bytes(1000) == second.bytes(1000)
    first.bytes(100)
    assert one.bytes(64) == other.bytes(64)


def test_a_forked_stream_takes_another_key_with_each_block_however_it_is_cut() -> None:
    key, expected = bytes(range(32)), b""
    for _ in range(3):
        block = hashlib.shake_256(key).digest(32 + 4096)
        key, expected = block[:32], expected + block[32:]
    fork = Randomness(lambda length: bytes(range(32))[:length]).fork()
    assert fork.bytes(1) + fork.bytes(9000) + fork.bytes(0) + fork.bytes(3 * 4096 - 9001) == expected


def contents(function: Callable[..., object]) -> list[object]:
    """All that a function holds, and the functions in it."""
    held = [cell.cell_contents for cell in getattr(function, "__closure__", None) or ()]
    return [*held, *(inner for one in held if callable(one) for inner in contents(one))]


def test_what_a_forked_stream_holds_tells_nothing_of_what_it_gave() -> None:
    seed = bytes(range(32))
    fork = Randomness(lambda length: seed).fork()
    first = fork.bytes(4096)
    fork.bytes(100)
    held = contents(fork._source)
    assert seed not in held
    key, left = (next(value for value in held if isinstance(value, kind)) for kind in (bytes, bytearray))
    second = hashlib.shake_256(hashlib.shake_256(seed).digest(32)).digest(32 + 4096)
    assert (key, bytes(left)) == (second[:32], second[132:])
    assert first[:16] not in b"".join((key, left))
