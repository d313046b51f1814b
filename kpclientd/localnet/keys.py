"""All keys of a local network, grown from one master secret.

Every key has its own stream of the master secret, named by a label. The same seed therefore gives the same network,
and a mix key of any epoch can be made when a document or a packet asks for it and forgotten afterwards.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from pki.certificate import key_hash
from pki.signatures import SignatureScheme, SigningKey
from pki.signatures.hybrid import HybridScheme
from sphinx.agreement import PrivateKey
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.packet import Sphinx
from sphinx.randomness import Randomness, seeded
from sphinx.types import NodeId

MASTER_SECRET_LENGTH: Final = 32

PUBLISHED_EPOCHS: Final = 3
"""A descriptor of epoch E carries the Sphinx keys of E, E+1 and E+2."""

QUICKLY_MADE: Final = frozenset({"Ed25519", "Ed448"})
"""Signature schemes whose key pairs cost microseconds; others take milliseconds."""

KEPT_EPOCHS: Final = 3
"""Keys and replay tags are dropped once they are this many epochs old."""


class KeyTree:
    """Independent streams of randomness under one master secret.

    Args:
        master: any bytes; the whole network follows from them.
    """

    __slots__ = ("_root",)

    def __init__(self, master: bytes) -> None:
        self._root = hashlib.blake2b(master, digest_size=32, person=b"localnet").digest()

    @classmethod
    def of_seed(cls, seed: bytes | None) -> "KeyTree":
        """The keys that follow from `seed`; with None, keys of this run only."""
        return cls(os.urandom(MASTER_SECRET_LENGTH) if seed is None else seed)

    def randomness(self, *label: str | int) -> Randomness:
        """Return the stream named `label`, from its beginning."""
        name = "/".join(str(part) for part in label).encode()
        return seeded(hashlib.blake2b(name, key=self._root, digest_size=32).digest())


class MixKeyring:
    """The Sphinx keys of one node, by epoch, and the packets each has already opened.

    Args:
        sphinx: makes the keys, by the scheme of its geometry.
        randomness: returns the stream from which an epoch's private key is made.
    """

    __slots__ = ("_pairs", "_randomness", "_sphinx", "_tags")

    def __init__(self, sphinx: Sphinx, randomness: Callable[[int], Randomness]) -> None:
        self._sphinx = sphinx
        self._randomness = randomness
        self._pairs: dict[int, tuple[PrivateKey, bytes]] = {}
        self._tags: dict[int, set[bytes]] = {}

    def private_key(self, epoch: int) -> PrivateKey:
        """Return the private key of `epoch`."""
        return self._pair(epoch)[0]

    def public_key(self, epoch: int) -> bytes:
        """Return the public key of `epoch`."""
        return self._pair(epoch)[1]

    def published(self, epoch: int) -> dict[int, bytes]:
        """Return the public keys that a descriptor of `epoch` carries, by epoch."""
        return {later: self.public_key(later) for later in range(epoch, epoch + PUBLISHED_EPOCHS)}

    def is_replay(self, epoch: int, replay_tag: bytes) -> bool:
        """Remember `replay_tag` (32 bytes) under the key of `epoch`; True if it was there already."""
        tags = self._tags.setdefault(epoch, set())
        if replay_tag in tags:
            return True
        tags.add(replay_tag)
        return False

    def forget_before(self, epoch: int) -> None:
        """Drop keys and tags of the epochs before `epoch`."""
        self._pairs = {known: pair for known, pair in self._pairs.items() if known >= epoch}
        self._tags = {known: tags for known, tags in self._tags.items() if known >= epoch}

    def _pair(self, epoch: int) -> tuple[PrivateKey, bytes]:
        if epoch not in self._pairs:
            self._pairs[epoch] = self._sphinx.new_key_pair(self._randomness(epoch))
        return self._pairs[epoch]


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """What makes a node that node: its name and all its keys."""

    name: str
    identity_key: bytes
    link: KemPrivateKey = field(repr=False)
    mix: MixKeyring = field(repr=False)

    @property
    def node_id(self) -> NodeId:
        """The hash of the identity key, by which packets and links name the node (32 bytes)."""
        return NodeId(key_hash(self.identity_key))


@dataclass(frozen=True, slots=True)
class AuthorityKeys:
    """A directory authority: its signing key, and the link key that configurations demand though nobody dials it."""

    identifier: str
    signing: SigningKey = field(repr=False)
    link: KemPrivateKey = field(repr=False)


class KeyMaker:
    """Makes the keys of a network's members.

    Further generations of a member's keys are other keys.

    Args:
        tree: what they grow from.
        sphinx: makes the Sphinx keys.
        kem: the links' KEM.
        signatures: the scheme of identity keys.
    """

    __slots__ = ("_kem", "_shared", "_signatures", "_sphinx", "_tree")

    def __init__(self, tree: KeyTree, sphinx: Sphinx, kem: Kem, signatures: SignatureScheme) -> None:
        self._tree = tree
        self._sphinx = sphinx
        self._kem = kem
        self._signatures = signatures
        self._shared: dict[str, bytes] = {}

    def node(self, name: str, generation: int = 0) -> NodeKeys:
        """Make the keys of a gateway or of a service node."""
        label = _label(name, generation)
        return self._node(name, label, self._signatures.generate(self._identity_randomness(label)).public_key)

    def mix(self, name: str, generation: int = 0) -> NodeKeys:
        """Make the keys of a mix.

        There may be hundreds, and nobody asks a mix to sign: of a hybrid identity key, only the half that is quickly
        made is its own. The other is all mixes' together.
        """
        label = _label(name, generation)
        return self._node(name, label, self._mix_identity(self._signatures, label))

    def with_new_mix_keys(self, keys: NodeKeys, generation: int) -> NodeKeys:
        """Give a node other Sphinx keys only."""
        return replace(keys, mix=self._keyring(_label(keys.name, generation)))

    def authority(self, identifier: str) -> AuthorityKeys:
        """Make the keys of an authority."""
        return AuthorityKeys(
            identifier=identifier,
            signing=self._signatures.generate(self._identity_randomness(identifier)),
            link=self._kem.generate(self._tree.randomness(identifier, "link")),
        )

    def _node(self, name: str, label: str, identity_key: bytes) -> NodeKeys:
        link = self._kem.generate(self._tree.randomness(label, "link"))
        return NodeKeys(name, identity_key, link, self._keyring(label))

    def _keyring(self, label: str) -> MixKeyring:
        return MixKeyring(self._sphinx, lambda epoch: self._tree.randomness(label, "mix", epoch))

    def _identity_randomness(self, label: str) -> Randomness:
        return self._tree.randomness(label, "identity")

    def _mix_identity(self, scheme: SignatureScheme, label: str) -> bytes:
        if isinstance(scheme, HybridScheme):
            return b"".join(self._half(half, label) for half in (scheme.first, scheme.second))
        return scheme.generate(self._identity_randomness(label)).public_key

    def _half(self, scheme: SignatureScheme, label: str) -> bytes:
        if scheme.name in QUICKLY_MADE:
            return scheme.generate(self._tree.randomness(label, "identity", scheme.name)).public_key
        if scheme.name not in self._shared:
            randomness = self._tree.randomness("mixes", "identity", scheme.name)
            self._shared[scheme.name] = scheme.generate(randomness).public_key
        return self._shared[scheme.name]


def _label(name: str, generation: int) -> str:
    return name if generation == 0 else f"{name}#{generation}"
