"""From a message, or none, to the packet that carries it through the network as it is known now.

Source: the Nym 2019 Loopix client, "path and delays", "sizes" and "library API".
"""

from dataclasses import replace
from typing import Final

from kpclientd.loopix.errors import LoopixError, MessageTooLong, NoPath, ReservedMessage, UnknownRecipient
from kpclientd.loopix.inbox import LOOP_COVER
from kpclientd.loopix.nodes import KEY_LENGTH, ClientConfig, MixConfig, key_text, split_host
from kpclientd.loopix.packet import COMM, SECRET_LENGTH, general, wrap
from kpclientd.loopix.profile import Profile
from kpclientd.loopix.schedule import node_delays
from kpclientd.loopix.sizes import longest_message
from kpclientd.loopix.topology import Topology
from sphinx.randomness import Randomness

PATHS_TO_TRY: Final = 8
"""For a message that is too long for the path that was drawn: others may have shorter addresses."""


class Composer:
    """Makes packets for one client.

    Args:
        provider: the client's own, where packets begin.
        profile: how long they may be.
        randomness: for paths, delays and keys.
    """

    __slots__ = ("_profile", "_randomness", "provider")

    def __init__(self, provider: MixConfig, profile: Profile, randomness: Randomness) -> None:
        self.provider = provider
        self._profile = profile
        self._randomness = randomness

    def message(self, topology: Topology, recipient: ClientConfig, message: bytes) -> bytes:
        """Return the general packet that carries an application's message.

        Raises:
            SendError: if it cannot be sent: reserved content, a recipient that contradicts itself, no path, too long.
        """
        if message == LOOP_COVER:
            raise ReservedMessage(f"the {len(LOOP_COVER)} bytes that loops consist of cannot be sent as a message")
        return self._packet(topology, _addressable(recipient), message)

    def loop(self, topology: Topology, own: ClientConfig, content: bytes = LOOP_COVER) -> bytes:
        """Return the general packet of a loop, which comes back to the client itself.

        Raises:
            SendError: if there is no path.
        """
        return self._packet(topology, own, content)

    def _packet(self, topology: Topology, recipient: ClientConfig, message: bytes) -> bytes:
        longest = -1
        for _ in range(PATHS_TO_TRY):
            path = topology.path(self.provider, recipient, self._randomness)
            limit = longest_message(path, recipient, self._profile)
            if len(message) <= limit:
                delays = node_delays(len(path), self._randomness)
                secret = self._randomness.bytes(SECRET_LENGTH)
                return general(COMM, wrap(path, delays, recipient, message, secret))
            longest = max(longest, limit)
        raise MessageTooLong(len(message), longest)


def _addressable(recipient: ClientConfig) -> ClientConfig:
    """The recipient with its id, by which alone its provider knows the inbox; made from the key where it is missing."""
    key = recipient.public_key
    if key and len(key) != KEY_LENGTH:
        raise UnknownRecipient(f"the recipient's key has {len(key)} bytes, expected {KEY_LENGTH}")
    if not (recipient.id or key):
        raise UnknownRecipient("the recipient has neither an id nor a key")
    if key and recipient.id not in ("", key_text(key)):
        raise UnknownRecipient("the recipient's id is not that of its key")
    if recipient.provider is not None:
        _check_address(recipient.provider)
    return replace(recipient, id=recipient.id or key_text(key))


def _check_address(provider: MixConfig) -> None:
    host = f"[{provider.host}]" if ":" in provider.host else provider.host
    try:
        split_host(f"{host}:{provider.port}")
    except LoopixError as error:
        raise NoPath(f"the recipient's provider cannot be reached: {error}") from None
