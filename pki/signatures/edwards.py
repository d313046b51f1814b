"""Which public keys of Ed25519 and Ed448 (RFC 8032) no authority can have."""

from typing import Final

_P25519: Final = 2**255 - 19
_D25519: Final = -121665 * pow(121666, -1, _P25519) % _P25519
_ORDER_EIGHT: Final = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
"""The y of a point of order eight; of the others it is the same or the negative (the list is Bernstein's)."""

_P448: Final = 2**448 - 2**224 - 1
_D448: Final = -39081


def fault_of_ed25519(public_key: bytes) -> str:
    """What is wrong with a key of 32 bytes; empty if it is one."""
    y = (int.from_bytes(public_key, "little") & (1 << 255) - 1) % _P25519
    if y in (0, 1, _P25519 - 1, _ORDER_EIGHT, _P25519 - _ORDER_EIGHT):
        return _of_low_order(public_key)
    return _off_the_curve(y * y - 1, _D25519 * y * y + 1, _P25519)


def fault_of_ed448(public_key: bytes) -> str:
    """What is wrong with a key of 57 bytes; empty if it is one."""
    y = int.from_bytes(public_key[:-1], "little") % _P448
    if y in (0, 1, _P448 - 1):
        return _of_low_order(public_key)
    return _off_the_curve(y * y - 1, _D448 * y * y - 1, _P448)


def _of_low_order(public_key: bytes) -> str:
    zero = "is all zero, which is a point of low order" if not any(public_key) else "is a point of low order"
    return f"{zero}: anybody could sign for it"


def _off_the_curve(numerator: int, denominator: int, p: int) -> str:
    """x squared is the quotient: whether it is a square, the product says as well (Euler)."""
    if pow(numerator * denominator, (p - 1) // 2, p) == 1:
        return ""
    return "is no point of the curve: nobody could sign for it"
