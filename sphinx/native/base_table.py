"""Writes the table for multiples of the base point, and the curve's constants: a C header, computed, not copied."""

from typing import Final

P: Final = 2**255 - 19
D: Final = -121665 * pow(121666, -1, P) % P
SQRT_OF_MINUS_1: Final = pow(2, (P - 1) // 4, P)
DIGIT_BITS: Final = 5
COLUMNS: Final = 26
MULTIPLES: Final = 16
COFACTOR: Final = 8
WORDS: Final = 4

Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    """Add two points of edwards25519 (RFC 8032, 5.1)."""
    (x1, y1), (x2, y2) = a, b
    product = D * x1 * x2 * y1 * y2
    x = (x1 * y2 + x2 * y1) * pow(1 + product, -1, P) % P
    y = (y1 * y2 + x1 * x2) * pow(1 - product, -1, P) % P
    return x, y


def times(factor: int, point: Point) -> Point:
    """Multiply a point by a small positive factor."""
    total = point
    for _ in range(factor - 1):
        total = add(total, point)
    return total


def base_point() -> Point:
    """The point with y = 4/5 and even x (RFC 8032, 5.1)."""
    y = 4 * pow(5, -1, P) % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P:
        x = x * SQRT_OF_MINUS_1 % P
    return (P - x if x % 2 else x), y


def entry(point: Point) -> str:
    """One point as y + x, y - x and 2dxy, each in words of 64 bits, the lowest first."""
    x, y = point
    coordinates = ((y + x) % P, (y - x) % P, 2 * D * x * y % P)
    return "{" + ", ".join(map(words, coordinates)) + "}"


def words(value: int) -> str:
    """A number below 2^256 in words of 64 bits, the lowest first."""
    return ", ".join(f"{value >> (64 * k) & (2**64 - 1):#x}u" for k in range(WORDS))


def header() -> str:
    """The header's text: constants of edwards25519, and the table.

    Column k of that holds 1 to 16 times 1024^k times 8 times the base point.
    """
    rows = []
    point = times(COFACTOR, base_point())
    for _ in range(COLUMNS):
        multiples = [point]
        while len(multiples) < MULTIPLES:
            multiples.append(add(multiples[-1], point))
        rows.append("    {" + ",\n     ".join(entry(multiple) for multiple in multiples) + "},\n")
        for _ in range(2 * DIGIT_BITS):
            point = add(point, point)
    constants = {"d": D, "twice_d": 2 * D % P, "root_of_minus_1": SQRT_OF_MINUS_1}
    return (
        "#include <stdint.h>\n"
        + "".join(f"static const uint64_t kp_{name}[] = {{{words(value)}}};\n" for name, value in constants.items())
        + f"static const uint64_t kp_base_table[{COLUMNS}][{MULTIPLES}][{3 * WORDS}] = {{\n"
        + "".join(rows)
        + "};\n"
    )


if __name__ == "__main__":
    print(header(), end="")
