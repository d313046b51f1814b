"""A storage replica as documents show it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from kpclientd.localnet.keys import NodeKeys

TOLERANCE: Final = 1
"""A document has the envelope keys of its own replica epoch, of the next, and of the one before while it is kept."""


@dataclass(frozen=True, slots=True)
class ListedReplica:
    """One configured replica.

    Attributes:
        number: its `ReplicaID`.
        identity: its name, identity and link key.
        envelope_keys: replica epoch -> public key, all that there are.
        has_old_keys: whether documents have only a key of the replica epoch before.
        is_up: whether documents list it; if not, they only say that it is configured.
    """

    number: int
    identity: NodeKeys
    envelope_keys: Mapping[int, bytes] = field(repr=False)
    has_old_keys: bool = False
    is_up: bool = True

    def published_keys(self, replica_epoch: int) -> dict[int, bytes]:
        """Return the keys in the documents of a replica epoch."""
        if self.has_old_keys and replica_epoch in self.envelope_keys:
            # Which key that is does not matter: nobody may use it.
            return {replica_epoch - 1: self.envelope_keys[replica_epoch]}
        return {epoch: key for epoch, key in self.envelope_keys.items() if abs(epoch - replica_epoch) <= TOLERANCE}
