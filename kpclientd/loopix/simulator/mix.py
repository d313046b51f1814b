"""What every node does with a packet, and what a mix makes of it.

Sans-IO: what one read of a connection gave goes in, what is to be done about it comes out. (The Nym 2019 Loopix
client, "processing at a node" and "wire protocol to provider and mixes".)
"""

import math
from dataclasses import dataclass, field
from typing import Final

from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.nodes import key_text
from kpclientd.loopix.packet import COMM, RELAY, general, parse_general, process
from kpclientd.loopix.simulator.actions import Drop, Forward, NodeAction, Store
from kpclientd.loopix.simulator.counters import DropReason
from sphinx.crypto.nike import nike_scheme
from sphinx.randomness import Randomness

LONGEST_DELAY_SECONDS: Final = 3600.0
"""A bound of our own: senders draw a fifth of a second on average."""


@dataclass(frozen=True, slots=True)
class NodeKeys:
    """Who a node is.

    Attributes:
        name: by which faults and logs call it.
        private_key, public_key: X25519, 32 bytes each.
    """

    name: str
    private_key: bytes = field(repr=False)
    public_key: bytes

    @classmethod
    def generate(cls, name: str, randomness: Randomness) -> "NodeKeys":
        """Make new keys."""
        nike = nike_scheme("x25519")
        private = nike.generate(randomness.bytes)
        return cls(name, private, nike.public_key(private))

    @property
    def key_text(self) -> str:
        """The public key as directories show it."""
        return key_text(self.public_key)


class Mix:
    """A node that takes packets and passes them on.

    Args:
        keys: who it is.
        honour_delays: wait as long as packets say; the genuine nodes cut every delay down to whole seconds.
    """

    def __init__(self, keys: NodeKeys, *, honour_delays: bool) -> None:
        self.keys = keys
        self._honour_delays = honour_delays

    def take(self, data: bytes) -> NodeAction:
        """Say what to do about what a connection brought.

        Args:
            data: the first read, of at most the profile's packet limit.
        """
        try:
            flag, body = parse_general(data)
        except LoopixError:
            return Drop(DropReason.NOT_A_PACKET)
        if flag != COMM:
            return Drop(DropReason.UNKNOWN_FLAG)
        action = self.relay(body)
        return Drop(DropReason.FINAL_AT_MIX) if isinstance(action, Store) else action

    def relay(self, packet: bytes) -> Forward | Store | Drop:
        """Open a Sphinx packet."""
        try:
            processed = process(self.keys.private_key, packet)
        except LoopixError:
            return Drop(DropReason.PROCESSING_FAILED)
        bounded = min(processed.delay, LONGEST_DELAY_SECONDS)
        delay = bounded if self._honour_delays else float(math.trunc(bounded))
        if processed.flag == RELAY:
            return Forward(processed.next_address, general(COMM, processed.packet), delay)
        return Store(processed.next_id, processed.packet, delay)
