"""How long packets become: headers grow with every name on the path, and what is too long is lost silently.

Source: the Nym 2019 Loopix client, "sizes".
"""

from collections.abc import Sequence
from typing import Final

from kpclientd.loopix.nodes import KEY_LENGTH, ClientConfig, MixConfig
from kpclientd.loopix.profile import Profile

_TAG: Final = 1
_VARINT_BITS: Final = 7
_MAC_LENGTH: Final = 32
_FLAG_LENGTH: Final = 1
_DOUBLE_LENGTH: Final = 8
_ANY_DELAY: Final = 1.0


def longest_message(path: Sequence[MixConfig], recipient: ClientConfig, profile: Profile) -> int:
    """Return the length of the longest message (bytes) that fits a packet to `recipient` along `path`.

    Negative if not even an empty one does.
    """
    delays = [_ANY_DELAY] * len(path)
    limit = profile.packet_limit
    longest = limit - packet_length(path, delays, recipient, 0)
    while longest >= 0 and packet_length(path, delays, recipient, longest) > limit:
        longest -= 1
    return longest


def packet_length(
    path: Sequence[MixConfig], delays: Sequence[float], recipient: ClientConfig, message_length: int
) -> int:
    """Return the length (bytes) of the general packet that carries a message of `message_length` bytes."""
    names = [_text(node.id) + _text(node.address) + _field(KEY_LENGTH) for node in path[1:]]
    names.append(_text(recipient.id) + _text(recipient.address))
    routing = 0
    for name, delay in reversed(list(zip(names, delays, strict=False))):
        commands = _field(_FLAG_LENGTH) + (_TAG + _DOUBLE_LENGTH if delay else 0)
        inner = _field(routing) + _field(_MAC_LENGTH) if routing else 0
        routing = _field(name) + _field(commands) + inner
    header = _field(KEY_LENGTH) + _field(routing) + _field(_MAC_LENGTH)
    payload = _field(message_length) if message_length else 0
    return _field(_FLAG_LENGTH) + _field(_field(header) + payload)


def _field(length: int) -> int:
    """The length of a protobuf field with a content of `length` bytes."""
    return _TAG + max(1, -(-length.bit_length() // _VARINT_BITS)) + length


def _text(text: str) -> int:
    length = len(text.encode("utf-8", "replace"))
    return _field(length) if length else 0
