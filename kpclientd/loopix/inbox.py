"""What comes out of an inbox: the provider's answers, their messages without the cover, and the buffer of those.

Source: the Nym 2019 Loopix client, "registration", "pull" and "what a stored message is".
"""

import hashlib
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from kpclientd.loopix.errors import PacketError, RegistrationError
from kpclientd.loopix.messages_pb2 import ProviderResponse, PullRequest
from kpclientd.loopix.nodes import ClientConfig, key_text
from kpclientd.loopix.packet import ASSIGN, COMM, PULL, TOKEN, general, parse_general, payload_of
from kpclientd.loopix.protobuf import decode

LOOP_COVER: Final = b"LoopCoverMessage"
"""The content of every loop; a real message that equals it could never be delivered."""

TOKEN_PREFIX: Final = b"TMP_Token"
BUFFER_LIMIT: Final = 16 * 1024 * 1024
"""Bytes of messages that wait for an application before the oldest are dropped."""

MESSAGE_OVERHEAD: Final = 8
"""Bytes that a waiting message counts beside its content, so that empty ones count too; more than a frame adds to it."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """One answer to a pull.

    Attributes:
        messages: for applications, in the order in which they came.
        covers: loops that came back.
        empty: entries without content: the provider's loss of a message that it was just writing.
        unreadable: entries that are no stored messages.
    """

    messages: tuple[bytes, ...] = field(default=(), repr=False)
    covers: int = 0
    empty: int = 0
    unreadable: int = 0


def registration(client: ClientConfig) -> bytes:
    """Return the packet with which `client` registers at its provider."""
    own = ClientConfig(id=client.id, public_key=client.public_key, provider=client.provider)
    return general(ASSIGN, own.encode())


def registered_token(answer: bytes) -> bytes:
    """Return the token that the provider answered a registration with.

    Raises:
        RegistrationError: if it did not answer with exactly one token.
    """
    try:
        packets = decode(ProviderResponse, answer, PacketError).Packets
        if len(packets) == 1:
            flag, token = parse_general(packets[0])
            if flag == TOKEN and token:
                return token
    except PacketError as error:
        raise RegistrationError(f"the provider's answer cannot be read: {error}") from None
    raise RegistrationError(f"the provider answered a registration with {len(packets)} packets, none of them a token")


def token_of(public_key: bytes) -> bytes:
    """Return the token (32 bytes) that genuine providers give to the client with this key: anybody can compute it."""
    return hashlib.sha256(TOKEN_PREFIX + key_text(public_key).encode()).digest()


def pull(token: bytes, public_key: bytes) -> bytes:
    """Return the packet that asks for an inbox."""
    return general(PULL, PullRequest(Token=token, ClientPublicKey=public_key).SerializeToString())


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
