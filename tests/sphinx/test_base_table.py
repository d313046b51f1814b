"""The table of points in the compiled engine is that of edwards25519, as libsodium computes it."""

import re

from nacl.bindings import (
    crypto_core_ed25519_add,
    crypto_scalarmult_base,
    crypto_scalarmult_ed25519_base_noclamp,
    crypto_scalarmult_ed25519_noclamp,
)

from sphinx.native.base_table import (
    COFACTOR,
    COLUMNS,
    DIGIT_BITS,
    MULTIPLES,
    WORDS,
    D,
    P,
    Point,
    add,
    base_point,
    header,
    times,
)

CONSTANTS = 3

BASE = crypto_scalarmult_ed25519_base_noclamp((1).to_bytes(32, "little"))


def encoded(point: Point) -> bytes:
    """RFC 8032, section 5.1.2."""
    x, y = point
    return (y | (x & 1) << 255).to_bytes(32, "little")


def test_the_base_point_and_its_sums_are_libsodiums() -> None:
    assert encoded(base_point()) == BASE
    double = crypto_core_ed25519_add(BASE, BASE)
    assert encoded(add(base_point(), base_point())) == double
    assert encoded(times(3, base_point())) == crypto_core_ed25519_add(double, BASE)
    assert times(1, base_point()) == base_point()


def numbers() -> list[int]:
    """All numbers of the header, in its order."""
    words = [int(word, 16) for word in re.findall(r"0x([0-9a-f]+)u", header())]
    return [
        sum(word << (64 * k) for k, word in enumerate(words[at : at + WORDS])) for at in range(0, len(words), WORDS)
    ]


def test_the_constants_are_those_of_the_curve() -> None:
    d, twice_d, root = numbers()[:CONSTANTS]
    assert d == D == -121665 * pow(121666, -1, P) % P
    assert twice_d == 2 * D % P
    assert root * root % P == P - 1


def test_every_entry_is_the_multiple_that_its_place_says() -> None:
    values = numbers()[CONSTANTS:]
    assert len(values) == COLUMNS * MULTIPLES * 3
    for place in range(COLUMNS * MULTIPLES):
        column, multiple = divmod(place, MULTIPLES)
        total, difference, product = values[3 * place : 3 * place + 3]
        y = (total + difference) * pow(2, -1, P) % P
        x = (total - difference) * pow(2, -1, P) % P
        assert product == 2 * D * x * y % P
        factor = (
            (multiple + 1) * 4 ** (DIGIT_BITS * column) * COFACTOR % (2**252 + 27742317777372353535851937790883648493)
        )
        assert encoded((x, y)) == crypto_scalarmult_ed25519_noclamp(factor.to_bytes(32, "little"), BASE)


def test_the_points_lead_to_those_of_x25519() -> None:
    # Clamping leaves 2^254 + 8 as it is.
    high = base_point()
    for _ in range(254):
        high = add(high, high)
    _, y = add(high, times(COFACTOR, base_point()))
    u = (1 + y) * pow(1 - y, -1, P) % P
    assert u.to_bytes(32, "little") == crypto_scalarmult_base((2**254 + 8).to_bytes(32, "little"))
