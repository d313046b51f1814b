"""AEZ v5, the wide-block cipher of Sphinx payloads, in pure Python: the readable reference.

Hoang, Krovetz and Rogaway, "AEZ v5: Authenticated Encryption by Enciphering" (2017), as far as Sphinx uses it: no
associated data and no redundancy, so that it enciphers messages of any length to the same length, and any flipped bit
of one makes noise of all of the other. Blocks are big-endian integers; names are the paper's.
"""

from collections.abc import Sequence
from typing import Final

from sphinx.crypto.bitslice import BLOCK_BITS, BLOCK_LENGTH, lanes
from sphinx.errors import KeyLengthError

KEY_LENGTH: Final = 48
NONCE_LENGTH: Final = 16
PAIR_LENGTH: Final = 2 * BLOCK_LENGTH
CORE_MINIMUM: Final = PAIR_LENGTH
"""The shortest message for AEZ-core; shorter ones take AEZ-tiny."""

_BLOCK_MASK: Final = (1 << BLOCK_BITS) - 1
_DOUBLING: Final = 0x87
_TEN_ROUNDS: Final = -1
"""The index j of the tweaked permutations that have ten rounds instead of four."""
_TWEAK_GROUP: Final = 8
_HALF_BYTE_BITS: Final = 4
_TINY_ROUNDS: Final = ((1, 24), (2, 16), (BLOCK_LENGTH - 1, 10), (CORE_MINIMUM - 1, 8))
"""AEZ-tiny's rounds: up to each length, that many."""

Tweaked = tuple[int, int, int]
"""j, i and the block to which E(j, i) is applied."""


def encipher(key: bytes, nonce: bytes, message: bytes) -> bytes:
    """Return the ciphertext of `message`, of the same length.

    Args:
        key: 48 bytes.
        nonce: 16 bytes.
        message: any length.

    Raises:
        KeyLengthError: if key or nonce have another length.
    """
    cipher = Aez(key)
    return cipher.encipher(cipher.delta(nonce), message)


def decipher(key: bytes, nonce: bytes, message: bytes) -> bytes:
    """Return the plaintext of `message`; arguments and errors as for `encipher`."""
    cipher = Aez(key)
    return cipher.decipher(cipher.delta(nonce), message)


class Aez:
    """AEZ under one key; `delta` is the hash of whatever tweaks a call.

    Args:
        key: 48 bytes, the subkeys I, J and L.

    Raises:
        KeyLengthError: if it has another length.
    """

    __slots__ = ("_i", "_j", "_l")

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_LENGTH:
            raise KeyLengthError(f"an AEZ key has {len(key)} bytes, expected {KEY_LENGTH}")
        self._i, self._j, self._l = _blocks(key)

    def permute(self, *tweaked: Tweaked) -> tuple[int, ...]:
        """Apply E(j, i) to each block; all j of one call must agree in their number of rounds."""
        i, j, l = self._i, self._j, self._l  # noqa: E741
        room = lanes(len(tweaked))
        inputs = b"".join(_bytes(block ^ self._offset(*tweak)) for *tweak, block in tweaked)
        ten = tweaked[0][0] == _TEN_ROUNDS
        keys = (i, j, l) * 3 + (i,) if ten else (j, i, l, 0)
        state = int.from_bytes(inputs.ljust(room.count * BLOCK_LENGTH, b"\0"))
        cache = {key: room.key(key) for key in set(keys)}
        state = room.rounds(state, [cache[key] for key in keys])
        return tuple(_blocks(state.to_bytes(room.count * BLOCK_LENGTH)[: len(inputs)]))

    def delta(self, nonce: bytes) -> int:
        """Return the tweak's hash for a nonce, no associated data and no redundancy.

        Raises:
            KeyLengthError: if the nonce has not 16 bytes.
        """
        if len(nonce) != NONCE_LENGTH:
            raise KeyLengthError(f"an AEZ nonce has {len(nonce)} bytes, expected {NONCE_LENGTH}")
        redundancy, hashed = self.permute((3, 1, 0), (4, 1, int.from_bytes(nonce)))
        return redundancy ^ hashed

    def encipher(self, delta: int, message: bytes) -> bytes:
        """Encipher under the tweak that `delta` is the hash of."""
        return self._core(delta, message, 0) if len(message) >= CORE_MINIMUM else self._tiny(delta, message, 0)

    def decipher(self, delta: int, message: bytes) -> bytes:
        """Decipher under the tweak that `delta` is the hash of."""
        return self._core(delta, message, 1) if len(message) >= CORE_MINIMUM else self._tiny(delta, message, 1)

    def _offset(self, j: int, i: int) -> int:
        if j == _TEN_ROUNDS:
            return _multiple(i, self._l)
        return _multiple(j, self._j) ^ _doubled(self._i, -(-i // _TWEAK_GROUP)) ^ _multiple(i % _TWEAK_GROUP, self._l)

    def _core(self, delta: int, message: bytes, inverse: int) -> bytes:
        pairs_length = len(message) // PAIR_LENGTH * PAIR_LENGTH - PAIR_LENGTH
        fragment = message[pairs_length:-PAIR_LENGTH]
        ax, ay = _blocks(message[-PAIR_LENGTH:])
        pairs = _Pairs(self, message[:pairs_length]) if pairs_length else None

        x_sum = pairs.first_pass() if pairs else 0
        masked, *hashed = self.permute((0, 1 + inverse, ay), *_fragment_tweaks(fragment))
        sx = ax ^ delta ^ x_sum ^ masked ^ _xor(hashed)
        (sy,) = self.permute((_TEN_ROUNDS, 1 + inverse, sx))
        sy ^= ay
        s = sx ^ sy

        y_sum = pairs.second_pass(s) if pairs else 0
        cy, pad0, pad1 = self.permute((_TEN_ROUNDS, 2 - inverse, sy), (_TEN_ROUNDS, 4, s), (_TEN_ROUNDS, 5, s))
        cy ^= sx
        fragment = bytes(a ^ b for a, b in zip(fragment, _bytes(pad0) + _bytes(pad1), strict=False))
        masked, *hashed = self.permute((0, 2 - inverse, cy), *_fragment_tweaks(fragment))
        cx = sy ^ delta ^ y_sum ^ masked ^ _xor(hashed)
        return (pairs.output() if pairs else b"") + fragment + _bytes(cx) + _bytes(cy)

    def _tiny(self, delta: int, message: bytes, inverse: int) -> bytes:
        length = len(message)
        if length == 0:
            return b""
        half = length * _HALF_BYTE_BITS
        spare = BLOCK_BITS - half
        rounds = next(rounds for limit, rounds in _TINY_ROUNDS if length <= limit)
        index = 7 if length < BLOCK_LENGTH else 6
        value = int.from_bytes(message)
        if inverse:
            value ^= self._flip(delta, value, length)
        left, right = value >> half, value & ((1 << half) - 1)
        for number in reversed(range(rounds)) if inverse else range(rounds):
            (mask,) = self.permute((0, index, delta ^ (right << spare) ^ (1 << (spare - 1)) ^ number))
            left, right = right, left ^ (mask >> spare)
        value = (right << half) | left
        if not inverse:
            value ^= self._flip(delta, value, length)
        return value.to_bytes(length)

    def _flip(self, delta: int, value: int, length: int) -> int:
        """AEZ-tiny would be an even permutation without this: the first bit, flipped or not by all the others."""
        if length >= BLOCK_LENGTH:
            return 0
        bits = 8 * length
        block = (value << (BLOCK_BITS - bits)) | (1 << (BLOCK_BITS - 1))
        (mask,) = self.permute((0, 3, delta ^ block))
        return (mask >> (BLOCK_BITS - 1)) << (bits - 1)


class _Pairs:
    """The pairs of blocks at the front of a message: both passes of AEZ-core over all of them at once."""

    def __init__(self, cipher: Aez, message: bytes) -> None:
        i, j, l = cipher._i, cipher._j, cipher._l  # noqa: E741
        self._count = len(message) // PAIR_LENGTH
        self._room = room = lanes(self._count)
        self._spare = (room.count - self._count) * BLOCK_BITS
        self._keys = [room.key(key) for key in (j, i, l, 0)]
        self._unindexed = i * room.ones
        self._indexed = self._offsets(i, l)
        self._j = j * room.ones
        self._2j = _doubled(j, 1) * room.ones
        self._first = self._pack(message, 0)
        self._second = self._pack(message, BLOCK_LENGTH)

    def first_pass(self) -> int:
        """Turn each pair (A, B) into (V, W) and return X, the sum of all V."""
        room, keys = self._room, self._keys
        self._first ^= room.rounds(self._second ^ self._indexed ^ self._j, keys)
        self._second ^= room.rounds(self._first ^ self._unindexed, keys)
        self._first, self._second = self._second, self._first
        return self._sum(self._first)

    def second_pass(self, s: int) -> int:
        """Finish each pair from its (V, W) and return Y, the sum that goes into the last block."""
        room, keys = self._room, self._keys
        mask = room.rounds((s * room.ones) ^ self._indexed ^ self._2j, keys)
        first, second = self._first ^ mask, self._second ^ mask
        y_sum = self._sum(second)
        second ^= room.rounds(first ^ self._unindexed, keys)
        first ^= room.rounds(second ^ self._indexed ^ self._j, keys)
        self._first, self._second = first, second
        return y_sum

    def output(self) -> bytes:
        """Return the pairs' bytes."""
        length = self._room.count * BLOCK_LENGTH
        first, second = self._first.to_bytes(length), self._second.to_bytes(length)
        return b"".join(
            half[offset : offset + BLOCK_LENGTH]
            for offset in range(0, self._count * BLOCK_LENGTH, BLOCK_LENGTH)
            for half in (first, second)
        )

    def _offsets(self, i: int, l: int) -> int:  # noqa: E741
        """The summands of I and L in the offset of E(j, i), for each pair i = 1, 2, ..."""
        multiples = b"".join(_bytes(_multiple(k % _TWEAK_GROUP, l)) for k in range(1, _TWEAK_GROUP + 1))
        ones = lanes(_TWEAK_GROUP).ones
        offsets = []
        for _ in range(0, self._room.count, _TWEAK_GROUP):
            i = _doubled(i, 1)
            offsets.append((int.from_bytes(multiples) ^ (i * ones)).to_bytes(len(multiples)))
        return int.from_bytes(b"".join(offsets))

    def _pack(self, message: bytes, start: int) -> int:
        blocks = [message[at : at + BLOCK_LENGTH] for at in range(start, len(message), PAIR_LENGTH)]
        return int.from_bytes(b"".join(blocks)) << self._spare

    def _sum(self, blocks: int) -> int:
        blocks >>= self._spare
        count = self._count
        while count > 1:
            half = count // 2
            low = blocks & ((1 << (half * BLOCK_BITS)) - 1)
            blocks = (blocks >> (half * BLOCK_BITS)) ^ low
            count -= half
        return blocks


def _fragment_tweaks(fragment: bytes) -> list[Tweaked]:
    """What the fragment between pairs and last blocks adds to X, and its ciphertext to Y."""
    if not fragment:
        return []
    if len(fragment) < BLOCK_LENGTH:
        return [(0, 4, _padded(fragment))]
    head, tail = fragment[:BLOCK_LENGTH], fragment[BLOCK_LENGTH:]
    return [(0, 4, int.from_bytes(head)), (0, 5, _padded(tail))]


def _padded(part: bytes) -> int:
    return int.from_bytes((part + b"\x80").ljust(BLOCK_LENGTH, b"\0"))


def _blocks(data: bytes) -> list[int]:
    return [int.from_bytes(data[at : at + BLOCK_LENGTH]) for at in range(0, len(data), BLOCK_LENGTH)]


def _bytes(block: int) -> bytes:
    return block.to_bytes(BLOCK_LENGTH)


def _xor(blocks: Sequence[int]) -> int:
    total = 0
    for block in blocks:
        total ^= block
    return total


def _doubled(block: int, times: int) -> int:
    for _ in range(times):
        block = ((block << 1) & _BLOCK_MASK) ^ (_DOUBLING * (block >> (BLOCK_BITS - 1)))
    return block


def _multiple(factor: int, block: int) -> int:
    product = 0
    while factor:
        product ^= block * (factor & 1)
        block = _doubled(block, 1)
        factor >>= 1
    return product
