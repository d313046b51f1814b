"""The engine's arithmetic modulo 2^255 - 19 and modulo the order of the base point, beside Python's integers.

Each field in C is compiled by itself, so that its numbers can be chosen as they never come out of keys: at the bounds
that its header names, where carries run through everything and fold in more than once.
"""

import ctypes
import itertools
import os
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from sphinx.crypto.nike import X25519
from sphinx.errors import WeakPublicKeyError
from tests.sphinx.compile_c import HERE, NATIVE, compiled, needs_compiler, ran, shared_library

P: Final = 2**255 - 19
ORDER: Final = 2**252 + 27742317777372353535851937790883648493
WORD: Final = 2**64
FACTOR: Final = 121666

pytestmark = needs_compiler


@dataclass(frozen=True, slots=True)
class Form:
    """How a field's header writes numbers.

    Attributes:
        header: of the engine.
        bits: of a word, from one to the next.
        words: of a number.
        most_factor: the most that a word of a factor may be, and of a sum or difference is.
        most_term: the most that a word of a product is, and of what is added, subtracted or stored may be.
    """

    header: str
    bits: int
    words: int
    most_factor: int
    most_term: int

    def value(self, number: Sequence[int]) -> int:
        return sum(word << (self.bits * place) for place, word in enumerate(number))

    def extremes(self, most: int) -> list[int]:
        """Words at which carries and folds change, none above `most`."""
        near = (0, 1, 2, 18, 19, 20, 37, 38, 39)
        powers = (2**51, 2**52, 2**63, 2**64)
        found = {*near, most, *(power + step for power in powers for step in (*near, *(-each for each in near)))}
        return sorted(word for word in found if 0 <= word <= most)


FORMS: Final = {
    "field51.h": Form("field51.h", 51, 5, 3 * 2**51, 2**51),
    "field64.h": Form("field64.h", 64, 4, 2**64 - 1, 2**64 - 1),
}


class Arithmetic:
    """One field's functions, compiled; numbers are lists of words."""

    def __init__(self, form: Form, library: ctypes.CDLL) -> None:
        self.form = form
        self._library = library

    def call(self, name: str, *numbers: Any) -> list[int]:
        """What a function makes of numbers, and of integers."""
        out = (ctypes.c_uint64 * self.form.words)()
        getattr(self._library, name)(out, *[_passed(number) for number in numbers])
        return list(out)

    def change(self, name: str, *numbers: Any) -> list[list[int]]:
        """What a function makes of numbers that it changes."""
        passed = [_passed(number) for number in numbers]
        getattr(self._library, name)(*passed)
        return [list(number) for number in passed if isinstance(number, ctypes.Array)]

    def stored(self, number: Sequence[int]) -> int:
        bytes_ = (ctypes.c_uint8 * 32)()
        self._library.stored(bytes_, _passed(number))
        return int.from_bytes(bytes(bytes_), "little")

    def clamped(self, scalar: bytes) -> list[int]:
        out = (ctypes.c_uint64 * 4)()
        self._library.clamped(out, scalar)
        return list(out)


def _passed(number: Any) -> Any:
    return ctypes.c_uint64(number) if isinstance(number, int) else (ctypes.c_uint64 * len(number))(*number)


@pytest.fixture(scope="module", params=FORMS)
def field(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arithmetic]:
    form = FORMS[request.param]
    sources = [HERE / "field_functions.c", HERE / "scalar_functions.c"]
    if form.header == "field64.h" and os.uname().machine != "x86_64":
        pytest.skip("this is not x86")
    library, cpu = shared_library(tmp_path_factory.mktemp("field"), sources, f'-DFIELD="{form.header}"')
    if form.header == "field64.h" and not cpu.adx:
        pytest.skip("this processor has no ADX")
    assert ctypes.c_int.in_dll(library, "words_of_a_field").value == form.words
    yield Arithmetic(form, library)


def extreme_numbers(form: Form, most: int, count: int, seed: int) -> list[list[int]]:
    """Each extreme in each word, beside others that are all lowest or all highest; then a draw of mixed ones; then what
    lies around multiples of the prime, where it fits."""
    words, rng = form.extremes(most), random.Random(seed)
    found = [
        [word if at == place else other for at in range(form.words)]
        for word, other, place in itertools.product(words, (0, most), range(form.words))
    ]
    found += [[rng.choice(words) for _ in range(form.words)] for _ in range(count)]
    near = (factor * P + step for factor in range(3) for step in range(-40, 41))
    return found + [number for number in (in_words(form, value) for value in near) if max(number) <= most]


def in_words(form: Form, value: int) -> list[int]:
    """A number below 2^256; what is above 2^255 stays in the highest word. Below zero, its last word says so."""
    lower = [value >> (form.bits * place) & (2**form.bits - 1) for place in range(form.words - 1)]
    top = value >> (form.bits * (form.words - 1))
    return [*lower, top if top >= 0 else 2**64]


def is_bounded(number: Sequence[int], most: int) -> bool:
    return all(0 <= word <= most for word in number)


def test_numbers_at_all_bounds_are_stored_below_the_prime(field: Arithmetic) -> None:
    for number in extreme_numbers(field.form, field.form.most_term, 3000, 1):
        assert field.stored(number) == field.form.value(number) % P, number


def test_sums_and_differences_of_numbers_at_all_bounds_are_right_and_bounded(field: Arithmetic) -> None:
    form, rng = field.form, random.Random(2)
    numbers = extreme_numbers(form, form.most_term, 1000, 2)
    for a in numbers:
        for b in (a, [form.most_term] * form.words, [0] * form.words, rng.choice(numbers)):
            total, difference = field.call("sum", a, b), field.call("difference", a, b)
            assert form.value(total) % P == (form.value(a) + form.value(b)) % P
            assert form.value(difference) % P == (form.value(a) - form.value(b)) % P
            assert is_bounded(total, form.most_factor)
            assert is_bounded(difference, form.most_factor)


def test_what_folds_in_twice_is_added_and_taken_away_right(field: Arithmetic) -> None:
    """Sums and differences near the ends of what four words hold: a fold may bring another carry."""
    form = field.form
    ends = [*range(80), *(2**256 - step for step in range(1, 81)), *(2**255 + step for step in range(-40, 40))]
    numbers = [(value, number) for value in ends if max(number := in_words(form, value)) <= form.most_term]
    for (x, a), (y, b) in itertools.product(numbers, numbers):
        assert form.value(field.call("sum", a, b)) % P == (x + y) % P
        assert form.value(field.call("difference", a, b)) % P == (x - y) % P


def test_products_of_numbers_at_all_bounds_are_right_and_bounded(field: Arithmetic) -> None:
    form, rng = field.form, random.Random(3)
    numbers = extreme_numbers(form, form.most_factor, 2000, 3)
    highest = [form.most_factor] * form.words
    for a in [*numbers, highest]:
        for b in (highest, rng.choice(numbers)):
            product = field.call("product", a, b)
            assert form.value(product) % P == form.value(a) * form.value(b) % P, (a, b)
            assert is_bounded(product, form.most_term)
        square = field.call("squared", a)
        assert form.value(square) % P == form.value(a) ** 2 % P, a
        assert is_bounded(square, form.most_term)


def test_products_by_the_curves_constant_are_right_and_bounded(field: Arithmetic) -> None:
    form, rng = field.form, random.Random(4)
    numbers = extreme_numbers(form, form.most_factor, 1000, 4)
    # A word whose product ends in ones, or nearly, so that what comes from below carries.
    odd = FACTOR // 2
    full = [-step * pow(odd, -1, 2**63) % 2**63 for step in range(1, 5)]
    numbers += [[*number[:-1], rng.choice(full) % (form.most_factor + 1)] for number in numbers]
    for a in numbers:
        product = field.call("product_121666", a)
        assert form.value(product) % P == form.value(a) * FACTOR % P, a
        assert is_bounded(product, form.most_term)


def test_products_just_below_and_above_the_folds_are_right(field: Arithmetic) -> None:
    """Factors whose product, once folded, is just about a multiple of 2^256, where the last fold carries."""
    form, rng = field.form, random.Random(5)
    for _ in range(3000):
        a = rng.choice([rng.randrange(1, 2**64), rng.randrange(1, 2**255)]) | 1
        wanted = (rng.choice([2**256, 2**255, P]) * rng.randrange(1, 4) + rng.randrange(-40, 41)) % P
        b = wanted * pow(a, -1, P) % P
        assert field.stored(field.call("product", in_words(form, a), in_words(form, b))) == a * b % P


def test_carrying_changes_no_number_and_bounds_all_words(field: Arithmetic) -> None:
    form = field.form
    for number in extreme_numbers(form, form.most_factor, 500, 6):
        (carried,) = field.change("carried", number)
        assert form.value(carried) % P == form.value(number) % P
        assert is_bounded(carried, form.most_term)


def test_numbers_are_read_from_words_without_the_top_bit(field: Arithmetic) -> None:
    rng = random.Random(7)
    for value in (0, 1, P, 2**255 - 1, 2**255, 2**256 - 1, *(rng.randrange(2**256) for _ in range(200))):
        words = [value >> (64 * place) & (WORD - 1) for place in range(4)]
        assert field.form.value(field.call("from_words", words)) == value % 2**255
    for small in (0, 1, 2**51 - 1):
        assert field.form.value(field.call("from_small", small)) == small


def test_numbers_are_swapped_or_left(field: Arithmetic) -> None:
    a, b = (
        [rng.randrange(field.form.most_factor) for _ in range(field.form.words)] for rng in map(random.Random, (8, 9))
    )
    assert field.change("swapped", a, b, 0) == [a, b]
    assert field.change("swapped", a, b, WORD - 1) == [b, a]


@pytest.mark.parametrize("seed", range(20))
def test_long_chains_of_operations_stay_right(field: Arithmetic, seed: int) -> None:
    """As the curve uses them: of what products give, one sum or difference is taken before the next, or carried."""
    form, rng = field.form, random.Random(seed)
    fresh = extreme_numbers(form, form.most_factor, 50, seed)
    a, b = field.call("product", rng.choice(fresh), rng.choice(fresh)), field.call("squared", rng.choice(fresh))
    x, y = form.value(a) % P, form.value(b) % P
    for _ in range(500):
        step = rng.randrange(5)
        if step == 0:
            a, x = field.call("product", field.call("sum", a, b), field.call("difference", a, b)), (x + y) * (x - y) % P
        elif step == 1:
            a, x = field.call("squared", field.call("difference", b, a)), (y - x) ** 2 % P
        elif step == 2:
            a, x = field.call("product_121666", field.call("sum", b, a)), (x + y) * FACTOR % P
        elif step == 3:
            (both,) = field.change("carried", field.call("sum", a, b))
            a, x = field.call("product", field.call("sum", both, both), b), 2 * (x + y) * y % P
        else:
            a, b, x, y = *field.change("swapped", a, b, WORD - 1), y, x
        assert field.stored(a) == x
        assert field.stored(b) == y


# -- scalars


def eighth(number: Sequence[int]) -> int:
    return sum(limb << (64 * place) for place, limb in enumerate(number))


def limbs(value: int) -> list[int]:
    return [value >> (64 * place) & (WORD - 1) for place in range(4)]


def test_scalars_are_clamped_to_an_eighth(field: Arithmetic) -> None:
    rng = random.Random(9)
    for raw in (bytes(32), b"\xff" * 32, *(rng.randbytes(32) for _ in range(200))):
        whole = int.from_bytes(raw, "little") & ~7 & (2**255 - 1) | 2**254
        assert eighth(field.clamped(raw)) * 8 == whole


SCALARS: Final = [
    *range(4),
    *(ORDER - step for step in range(1, 4)),
    *(ORDER // 2 + step for step in range(-2, 3)),
    *(2**251 + step for step in range(-2, 3)),
    2**252 - 1,
    2**252,
    *(ORDER // 8 + step for step in range(-2, 3)),
    *((2**252 - ORDER) % ORDER + step for step in range(-2, 3)),
]


def test_products_of_scalars_are_right_and_of_the_kept_sign(field: Arithmetic) -> None:
    rng = random.Random(10)
    drawn = [rng.randrange(2**251, 2**252) for _ in range(300)]
    for a, b in [*itertools.product(SCALARS, SCALARS), *itertools.pairwise(drawn), *limits_of_reduction(rng)]:
        (product, _) = field.change("scalar_product", limbs(a), limbs(b))
        found, expected = eighth(product), 8 * a * b % ORDER
        assert found in (expected, ORDER - expected), (a, b)
        if found != expected:
            assert expected < 2**251
        elif expected:
            assert expected >= 2**251 or ORDER - expected < 2**251
        assert found <= ORDER


def limits_of_reduction(rng: random.Random) -> Iterator[tuple[int, int]]:
    """Factors whose product is near a multiple of the order, or of 2^252."""
    for _ in range(500):
        a = rng.randrange(1, ORDER)
        wanted = rng.choice([0, 2**251, 2**252 - ORDER, ORDER // 2]) + rng.randrange(-3, 4)
        yield a, wanted * pow(8 * a, -1, ORDER) % ORDER


def test_numbers_are_reduced_where_what_is_taken_away_is_most_or_least(field: Arithmetic) -> None:
    """2^252 is -C: of a number, parts are taken away whose sum passes the order, where the rest is next to nothing; or
    next to nothing, where the rest passes three times the order.

    Such numbers are made from their parts: no factors are known that lead to one.
    """
    c = ORDER - 2**252
    numbers = [0, 1, ORDER, 8 * (2**253 - 1) ** 2, 2**252 - 1, 2**252, *(factor * ORDER for factor in range(9))]
    for multiple in range(1, 6):
        second_high = -(-multiple * 2**252 // c)  # times C, it is just above a multiple of 2^252
        high = (second_high + 1) * 2**252 // c  # times C, just below the next one
        numbers += [high * 2**252 + low for low in (0, 1, c, 2**252 - 1)]
        second_high = multiple * 2**252 // c
        high = -(-second_high * 2**252 // c)
        numbers += [high * 2**252 + low for low in (0, 1, c, 2**252 - 1)]
    for number in numbers:
        product = [number >> (64 * place) & (WORD - 1) for place in range(8)]
        out, _ = field.change("reduced", [0] * 4, product)
        assert eighth(out) == number % ORDER


# -- the curve


def test_the_curve_gives_the_field_what_its_proofs_are_of(tmp_path: Path) -> None:
    """See curve_kinds.c, which compares kinds of numbers. Its products are right: it has the whole curve."""
    done = ran(compiled(tmp_path / "curve_kinds", [HERE / "curve_kinds.c", NATIVE / "scalar.c"]))
    assert done.returncode == 0, done.stderr
    products = done.stdout.split()
    assert len(products) == 3 * 32
    for u in range(32):
        scalar, point = bytes([u + 1]) * 32, bytes([u]) + bytes(31)
        try:
            expected = X25519().shared_secret(scalar, point)
        except WeakPublicKeyError:
            expected = bytes(32)
        assert products[3 * u : 3 * u + 3] == [X25519().public_key(scalar).hex(), expected.hex(), expected.hex()]
