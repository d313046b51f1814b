"""What comes out of an inbox: the provider's answers, their messages without the cover, and the buffer of those.

Source: the Nym 2019 Loopix client, "pull" and "what a stored message is, and how to decode it".
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kpclientd.loopix.errors import PacketError
from kpclientd.loopix.messages_pb2 import ProviderResponse
from kpclientd.loopix.packet import COMM, parse_general, payload_of
from kpclientd.loopix.protobuf import decode

LOOP_COVER: Final = b"LoopCoverMessage"
"""The content of every loop; a real message that equals it could never be delivered."""

BUFFER_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of messages that wait for an application before the oldest are dropped."""

LONGEST_MESSAGE: Final = 64 * 1024
"""Bytes; packets have at most 2,048. What a provider hands out beyond that came through no network, and would for ever
stand before all that no answer to an application has room for."""

MESSAGE_OVERHEAD: Final = 8
"""Bytes that a waiting message counts beside its content: more than a frame adds to it, and empty ones count too."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """One answer to a pull.

    Attributes:
        messages: for applications, in the order in which they came.
        covers: loops that came back.
        empty: entries without content: the provider's loss of a message that it was just writing.
        unreadable: entries that are no stored messages, or longer than `LONGEST_MESSAGE`.
    """

    messages: tuple[bytes, ...] = field(default=(), repr=False)
    covers: int = 0
    empty: int = 0
    unreadable: int = 0


def is_loop_cover(message: bytes) -> bool:
    """Whether a message is the content of a loop."""
    return message == LOOP_COVER


def read_pulled(answer: bytes, is_cover: Callable[[bytes], bool] = is_loop_cover) -> Pulled:
    """Sort out an answer to a pull; the number that it claims to hold does not count, only what it does hold.

    Args:
        answer: all that came until the end of the stream; nothing at all for an empty inbox.
        is_cover: tells messages that were cover.

    Raises:
        PacketError: if it is no answer of a provider.
    """
    messages: list[bytes] = []
    covers = empty = unreadable = 0
    for packet in decode(ProviderResponse, answer, PacketError).Packets:
        try:
            flag, data = parse_general(packet)
            if flag != COMM:
                unreadable += 1
            elif not data:
                empty += 1
            elif is_cover(message := payload_of(data)):
                covers += 1
            elif len(message) > LONGEST_MESSAGE:
                unreadable += 1
            else:
                messages.append(message)
        except PacketError:
            unreadable += 1
    return Pulled(tuple(messages), covers, empty, unreadable)


class ReceiveBuffer:
    """Messages that wait for an application, in order of arrival; one for the whole client.

    Args:
        limit: bytes, each message counting `MESSAGE_OVERHEAD` beside its content.
    """

    __slots__ = ("_length", "_limit", "_messages")

    def __init__(self, limit: int = BUFFER_LIMIT) -> None:
        self._limit = limit
        self._length = 0
        self._messages: deque[bytes] = deque()

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: bytes) -> int:
        """Append a message and return how many were dropped for it, the oldest first."""
        self._messages.append(message)
        self._length += len(message) + MESSAGE_OVERHEAD
        dropped = 0
        while self._length > self._limit:
            self._pop()
            dropped += 1
        return dropped

    def take_all(self) -> list[bytes]:
        """Return all messages and forget them."""
        return self.take_up_to(self._length)

    def take_up_to(self, length: int) -> list[bytes]:
        """Return the oldest messages that together count at most `length` bytes, and forget them; the others stay."""
        taken: list[bytes] = []
        while self._messages and (length := length - len(self._messages[0]) - MESSAGE_OVERHEAD) >= 0:
            taken.append(self._pop())
        return taken

    def _pop(self) -> bytes:
        message = self._messages.popleft()
        self._length -= len(message) + MESSAGE_OVERHEAD
        return message
