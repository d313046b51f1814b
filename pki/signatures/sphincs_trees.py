"""The trees of SPHINCS+-SHAKE-256f-robust, round 3.1, in plain Python: the readable twin of `sphincs.c`.

A signature is a way from the message up to the root that the public key names:

* The digest of the message picks one of 2^68 leaves below the hypertree, and one of 512 secret nodes in each of 35
  few-time trees (FORS) that belong to that leaf. The signature shows these nodes, and beside each one the nodes that
  lead from it to its tree's root. All 35 roots are hashed to one node.
* That node is signed by a one-time key (WOTS): each of its 64 nibbles, and three of a checksum that counts the other
  way, says how often a chain's secret node was hashed. Whoever hashes on to step 15 has the key's leaf, and climbs
  from there to the root of its tree of 16. The next tree up signs that root; there are 17 layers.

Every hash is SHAKE256 of the public seed, an address that says where in all this it stands, and nodes; the nodes are
masked first with more of SHAKE256 (the "robust" variant). Source: Aumasson and others, "SPHINCS+: submission to the
NIST post-quantum project, v.3.1", 2022. FIPS 205 is another scheme: its signatures are other bytes.
"""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final

NODE: Final = 32
"""Bytes of a node, a seed, an address, and of the random string at a signature's beginning."""

DIGEST_LENGTH: Final = 49

_TREES: Final = 35
_HEIGHT: Final = 9
_LAYERS: Final = 17
_LEVELS: Final = 4
_DIGITS: Final = 64
_CHAINS: Final = 67
_LAST_STEP: Final = 15

_FORS_TREE_LENGTH: Final = (1 + _HEIGHT) * NODE
_LAYER_LENGTH: Final = (_CHAINS + _LEVELS) * NODE
SIGNATURE_LENGTH: Final = NODE + _TREES * _FORS_TREE_LENGTH + _LAYERS * _LAYER_LENGTH

_TREE_AT: Final = 40
_LEAF_AT: Final = 48


class _Type(IntEnum):
    """What is hashed under an address."""

    CHAIN = 0
    CHAIN_ENDS = 1
    TREE = 2
    FORS_TREE = 3
    FORS_ROOTS = 4
    CHAIN_SECRET = 5
    FORS_SECRET = 6


def message_digest(start: bytes, public_key: bytes, message: bytes) -> bytes:
    """What is signed of a message (49 bytes): `start` is the random string that its signature begins with."""
    shake = hashlib.shake_256(start + public_key)
    shake.update(message)
    return shake.digest(DIGEST_LENGTH)


def root_of_signature(public_seed: bytes, digest: bytes, signature: bytes) -> bytes:
    """The root to which a signature leads: the public key's, if it is genuine.

    Args:
        public_seed: the first half of the public key (32 bytes).
        digest: of the message (49 bytes).
        signature: `SIGNATURE_LENGTH` bytes.
    """
    hashes = _Hashes(public_seed)
    tree, leaf = _leaf_of(digest)
    parts = _parts(signature)
    next(parts)
    node = _fors_root(hashes, tree, leaf, digest, [next(parts) for _ in range(_TREES)])
    for layer, part in enumerate(parts):
        node = _tree_root(hashes, layer, tree, leaf, node, part)
        tree, leaf = _parent(tree)
    return node


def generate(secret_seed: bytes, public_seed: bytes) -> bytes:
    """The root (32 bytes) of the key that belongs to two seeds of 32 bytes. Takes some milliseconds."""
    return _make_tree(_Hashes(public_seed, secret_seed), _LAYERS - 1, 0, 0, None)[0]


def sign(secret_seed: bytes, public_seed: bytes, digest: bytes) -> bytes:
    """A signature over a digest, without the random string before it. Takes about a second."""
    hashes = _Hashes(public_seed, secret_seed)
    tree, leaf = _leaf_of(digest)
    node, signature = _make_fors(hashes, tree, leaf, digest)
    for layer in range(_LAYERS):
        node, part = _make_tree(hashes, layer, tree, leaf, node)
        signature += part
        tree, leaf = _parent(tree)
    return signature


@dataclass(frozen=True, slots=True)
class _Hashes:
    """The scheme's hash functions for one pair of seeds; the secret one is left out where nothing is signed."""

    public_seed: bytes
    secret_seed: bytes = field(default=b"", repr=False)

    def hash(self, address: bytes, nodes: bytes) -> bytes:
        """One node from any number of them."""
        head = self.public_seed + address
        mask = hashlib.shake_256(head).digest(len(nodes))
        masked = int.from_bytes(nodes) ^ int.from_bytes(mask)
        return hashlib.shake_256(head + masked.to_bytes(len(nodes))).digest(NODE)

    def secret(self, address: bytes) -> bytes:
        """The secret node of an address."""
        return hashlib.shake_256(self.public_seed + address + self.secret_seed).digest(NODE)


def _address(layer: int, tree: int, kind: _Type, pair: int, height: int = 0, index: int = 0) -> bytes:
    """Where a hash stands: `height` may be a chain, and `index` a step in it."""
    return b"\0\0\0%c\0\0\0\0%b\0\0\0%c\0\0\0%c\0\0\0%c%b" % (
        layer,
        tree.to_bytes(8),
        kind,
        pair,
        height,
        index.to_bytes(4),
    )


def _leaf_of(digest: bytes) -> tuple[int, int]:
    """The tree of the lowest layer and the leaf in it."""
    return int.from_bytes(digest[_TREE_AT:_LEAF_AT]), digest[_LEAF_AT] & ((1 << _LEVELS) - 1)


def _parent(tree: int) -> tuple[int, int]:
    """The tree of the next layer up, and its leaf that signs the root of `tree`."""
    return tree >> _LEVELS, tree & ((1 << _LEVELS) - 1)


def _fors_leaf(digest: bytes, tree: int) -> int:
    """The leaf that the digest names in a few-time tree: nine bits, the lowest first."""
    return int.from_bytes(digest[:_TREE_AT], "little") >> (tree * _HEIGHT) & ((1 << _HEIGHT) - 1)


def _digits(node: bytes) -> list[int]:
    """The steps at which a one-time key shows its chains to sign a node."""
    digits = [nibble for byte in node for nibble in (byte >> 4, byte & 15)]
    checksum = sum(_LAST_STEP - digit for digit in digits)
    return [*digits, checksum >> 8, checksum >> 4 & 15, checksum & 15]


def _parts(signature: bytes) -> Iterator[bytes]:
    """The random string, the few-time trees, the layers."""
    at = 0
    for length in (NODE, *[_FORS_TREE_LENGTH] * _TREES, *[_LAYER_LENGTH] * _LAYERS):
        yield signature[at : at + length]
        at += length


def _nodes(part: bytes) -> list[bytes]:
    return [part[at : at + NODE] for at in range(0, len(part), NODE)]


def _climb(
    hashes: _Hashes, layer: int, tree: int, kind: _Type, pair: int, node: bytes, place: int, way: Sequence[bytes]
) -> bytes:
    """The root above a leaf, by the nodes beside the way."""
    for height, beside in enumerate(way, 1):
        both = beside + node if place & 1 else node + beside
        place >>= 1
        node = hashes.hash(_address(layer, tree, kind, pair, height, place), both)
    return node


def _reduce(
    hashes: _Hashes, layer: int, tree: int, kind: _Type, pair: int, nodes: list[bytes], first: int, leaf: int
) -> tuple[bytes, bytes]:
    """The root above all leaves of a tree, and the nodes beside the way up from one of them."""
    way = b""
    height = 0
    while len(nodes) > 1:
        way += nodes[leaf >> height ^ 1]
        height += 1
        nodes = [
            hashes.hash(
                _address(layer, tree, kind, pair, height, (first >> height) + place),
                nodes[2 * place] + nodes[2 * place + 1],
            )
            for place in range(len(nodes) // 2)
        ]
    return nodes[0], way


def _fors_root(hashes: _Hashes, tree: int, pair: int, digest: bytes, parts: list[bytes]) -> bytes:
    roots = b""
    for number, part in enumerate(parts):
        secret, *way = _nodes(part)
        place = (number << _HEIGHT) + _fors_leaf(digest, number)
        node = hashes.hash(_address(0, tree, _Type.FORS_TREE, pair, 0, place), secret)
        roots += _climb(hashes, 0, tree, _Type.FORS_TREE, pair, node, place, way)
    return hashes.hash(_address(0, tree, _Type.FORS_ROOTS, pair), roots)


def _make_fors(hashes: _Hashes, tree: int, pair: int, digest: bytes) -> tuple[bytes, bytes]:
    """The hash of a few-time key, and its signature over the digest."""
    roots = signature = b""
    for number in range(_TREES):
        first, leaf = number << _HEIGHT, _fors_leaf(digest, number)
        places = range(first, first + (1 << _HEIGHT))
        secrets = [hashes.secret(_address(0, tree, _Type.FORS_SECRET, pair, 0, place)) for place in places]
        nodes = [
            hashes.hash(_address(0, tree, _Type.FORS_TREE, pair, 0, place), secret)
            for place, secret in zip(places, secrets, strict=True)
        ]
        root, way = _reduce(hashes, 0, tree, _Type.FORS_TREE, pair, nodes, first, leaf)
        roots += root
        signature += secrets[leaf] + way
    return hashes.hash(_address(0, tree, _Type.FORS_ROOTS, pair), roots), signature


def _run_chain(hashes: _Hashes, layer: int, tree: int, pair: int, chain: int, node: bytes, steps: range) -> bytes:
    for step in steps:
        node = hashes.hash(_address(layer, tree, _Type.CHAIN, pair, chain, step), node)
    return node


def _tree_root(hashes: _Hashes, layer: int, tree: int, leaf: int, node: bytes, part: bytes) -> bytes:
    """The root of a tree whose leaf has signed `node`."""
    *shown, _, _, _, _ = nodes = _nodes(part)
    ends = b"".join(
        _run_chain(hashes, layer, tree, leaf, chain, start, range(digit, _LAST_STEP))
        for chain, (start, digit) in enumerate(zip(shown, _digits(node), strict=True))
    )
    reached = hashes.hash(_address(layer, tree, _Type.CHAIN_ENDS, leaf), ends)
    return _climb(hashes, layer, tree, _Type.TREE, 0, reached, leaf, nodes[_CHAINS:])


def _make_tree(hashes: _Hashes, layer: int, tree: int, leaf: int, node: bytes | None) -> tuple[bytes, bytes]:
    """A tree's root, and its leaf's signature over `node`, if one is given."""
    leaves = []
    signature = b""
    for pair in range(1 << _LEVELS):
        shown_at = _digits(node) if node is not None and pair == leaf else [0] * _CHAINS
        shown = [
            _run_chain(
                hashes,
                layer,
                tree,
                pair,
                chain,
                hashes.secret(_address(layer, tree, _Type.CHAIN_SECRET, pair, chain)),
                range(digit),
            )
            for chain, digit in enumerate(shown_at)
        ]
        ends = b"".join(
            _run_chain(hashes, layer, tree, pair, chain, start, range(digit, _LAST_STEP))
            for chain, (start, digit) in enumerate(zip(shown, shown_at, strict=True))
        )
        leaves.append(hashes.hash(_address(layer, tree, _Type.CHAIN_ENDS, pair), ends))
        if node is not None and pair == leaf:
            signature = b"".join(shown)
    root, way = _reduce(hashes, layer, tree, _Type.TREE, 0, leaves, 0, leaf)
    return root, signature + way
