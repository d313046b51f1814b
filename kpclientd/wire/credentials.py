"""How each end introduces itself inside the handshake: Katzenpost wire protocol, "AuthenticateMessage"."""

from dataclasses import dataclass, field
from typing import Final

ADDITIONAL_DATA_LIMIT: Final = 255
_TIME_LENGTH: Final = 4
_TIME_MASK: Final = (1 << 8 * _TIME_LENGTH) - 1
CREDENTIALS_LENGTH: Final = 1 + ADDITIONAL_DATA_LIMIT + _TIME_LENGTH


@dataclass(frozen=True, slots=True)
class PeerCredentials:
    """Who the other side is: what it says of itself, under the link key that it proved to own.

    A node's additional data is its node id, a client's is its queue id; a queue id is a secret.
    """

    additional_data: bytes = field(repr=False)
    public_key: bytes = field(repr=False)


def encode_credentials(additional_data: bytes, unix_time: int) -> bytes:
    """Return the 260 bytes that introduce an end.

    Args:
        additional_data: 0 to 255 bytes.
        unix_time: whole seconds.
    """
    introduction = len(additional_data).to_bytes(1, "big") + additional_data
    padded = introduction.ljust(1 + ADDITIONAL_DATA_LIMIT, b"\0")
    return padded + (unix_time & _TIME_MASK).to_bytes(_TIME_LENGTH, "big")


def decode_credentials(payload: bytes) -> tuple[bytes, int]:
    """Return the additional data and the unix time of a peer's 260 bytes; the padding is not looked at."""
    length = payload[0]
    return payload[1 : 1 + length], int.from_bytes(payload[-_TIME_LENGTH:], "big")
