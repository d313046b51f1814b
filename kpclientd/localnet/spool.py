"""Where replies wait for their client, and the rules by which they are pushed to it.

Sans-IO: the gateway's connections ask what to send next and tell what was acknowledged. (Katzenpost wire protocol,
gateway side: one message at a time, sequence numbers from 1 on each connection, the same entry again on the next
connection while it is not acknowledged.)
"""

from collections import deque
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Final

from kpclientd.wire.commands import Message
from sphinx.types import RecipientId, SurbId

MAX_QUEUE_LENGTH: Final = 4096
"""Replies held for one recipient; our own bound, the reference has none but its disk."""

MAX_QUEUES: Final = 4096
"""Recipients for whom replies are held; our own bound too."""


@dataclass(frozen=True, slots=True)
class SpooledReply:
    """One reply as the last mix left it: still sealed for the client by all layers (payload: tag + plaintext bytes)."""

    surb_id: SurbId = field(repr=False)
    payload: bytes = field(repr=False)


class Spool:
    """First in, first out, per recipient."""

    __slots__ = ("_queues",)

    def __init__(self) -> None:
        self._queues: dict[RecipientId, deque[SpooledReply]] = {}

    def store(self, recipient: RecipientId, reply: SpooledReply) -> bool:
        """Keep `reply` for `recipient`; False when a bound is reached and the reply is lost."""
        queue = self._queues.get(recipient)
        if queue is None:
            if len(self._queues) >= MAX_QUEUES:
                return False
            queue = self._queues[recipient] = deque()
        if len(queue) >= MAX_QUEUE_LENGTH:
            return False
        queue.append(reply)
        return True

    def head(self, recipient: RecipientId) -> SpooledReply | None:
        """Return the oldest reply that `recipient` has not acknowledged."""
        queue = self._queues.get(recipient)
        return queue[0] if queue else None

    def acknowledge(self, recipient: RecipientId, reply: SpooledReply) -> None:
        """Forget `reply` if it is still the oldest one of `recipient`."""
        queue = self._queues.get(recipient)
        if queue and queue[0] is reply:
            queue.popleft()
            if not queue:
                del self._queues[recipient]

    def waiting(self, recipient: RecipientId) -> int:
        """Return how many replies wait for `recipient`."""
        return len(self._queues.get(recipient, ()))

    def keep_only(self, connected: Collection[RecipientId]) -> int:
        """Delete what waits for anybody else, as the reference does once per epoch; returns how many replies."""
        absent = [recipient for recipient in self._queues if recipient not in connected]
        return sum(len(self._queues.pop(recipient)) for recipient in absent)


class Delivery:
    """The pushes to one connection: at most one message is under way until its own sequence number comes back.

    Args:
        spool: where the replies wait.
        recipient: the connection's additional data, byte for byte; other lengths than 32 simply never match.
    """

    __slots__ = ("_recipient", "_sequence", "_spool", "_under_way")

    def __init__(self, spool: Spool, recipient: RecipientId) -> None:
        self._spool = spool
        self._recipient = recipient
        self._sequence = 0
        self._under_way: SpooledReply | None = None

    def next_message(self) -> Message | None:
        """Return the message to push now, or None when nothing waits or one is already under way."""
        if self._under_way is not None:
            return None
        reply = self._spool.head(self._recipient)
        if reply is None:
            return None
        self._under_way = reply
        self._sequence += 1
        return Message(sequence=self._sequence, surb_id=reply.surb_id, payload=reply.payload)

    def acknowledge(self, sequence: int) -> bool:
        """Take a MessageDelivered; True if it was for the message under way (any other is ignored)."""
        if self._under_way is None or sequence != self._sequence:
            return False
        self._spool.acknowledge(self._recipient, self._under_way)
        self._under_way = None
        return True
