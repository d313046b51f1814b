"""What can go wrong on a link. Nothing here is told to the peer: after any of these the connection is closed.

No message contains a key, a payload or an address.
"""

from enum import StrEnum
from typing import TYPE_CHECKING

from kpclientd.errors import KpclientdError

if TYPE_CHECKING:
    from kpclientd.wire.session import NoiseEvent


class HandshakeState(StrEnum):
    """Where a handshake ended, in the reference's words."""

    INITIALIZATION = "initialization"
    MESSAGE_1_SEND = "message_1_send"
    MESSAGE_1_RECEIVE = "message_1_receive"
    MESSAGE_2_SEND = "message_2_send"
    MESSAGE_2_RECEIVE = "message_2_receive"
    MESSAGE_3_SEND = "message_3_send"
    MESSAGE_3_RECEIVE = "message_3_receive"
    MESSAGE_4_SEND = "message_4_send"
    MESSAGE_4_RECEIVE = "message_4_receive"
    PEER_AUTHENTICATION = "peer_authentication"
    FINALIZATION = "finalization"


class WireError(KpclientdError):
    """Root of this package's errors: the session is dead, whoever is on the other side.

    Attributes:
        events: what `NoiseSession.receive` had read intact from the same bytes before the fault.
    """

    events: "tuple[NoiseEvent, ...]" = ()


class HandshakeError(WireError):
    """The handshake broke off: try another gateway.

    Attributes:
        state: where.
        initiator: whether this side had dialled.
    """

    def __init__(self, state: HandshakeState, initiator: bool, reason: str) -> None:
        role = "initiator" if initiator else "responder"
        super().__init__(f"handshake failed at {state} ({role}): {reason}")
        self.state = state
        self.initiator = initiator


class ProtocolVersionError(WireError):
    """The peer speaks another version of the protocol, or something else altogether."""


class AuthenticationError(WireError):
    """The peer proved to own its keys, but they are not those that were expected."""


class MessageSizeError(WireError):
    """A frame announces a length that no honest peer sends, or one to be sent is too long."""


class DecryptionError(WireError):
    """Bytes do not decrypt: altered on their way, out of order, or from somebody else."""


class CommandError(WireError):
    """A frame decrypted, but what it contains is no command of this link."""


class ConsensusError(WireError):
    """The chunks of a document contradict each other, or do not decompress within bounds."""


class SessionStateError(WireError):
    """The session cannot do this now: not yet established, started twice, or dead."""
