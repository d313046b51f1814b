"""What can go wrong in the Loopix client, by what its user can do about it.

No message contains a key, a token or what was sent.
"""

from kpclientd.errors import KpclientdError


class LoopixError(KpclientdError):
    """Root of this package's errors."""


class LoopixConfigError(LoopixError):
    """The configuration file cannot be used."""


class KeyFileError(LoopixError):
    """A key file is missing, damaged or not of its pair."""


class DirectoryError(LoopixError):
    """The directory server could not be asked, or what it answered is not a topology."""


class TopologyError(DirectoryError):
    """What the directory answered is not a topology."""


class RegistrationError(LoopixError):
    """The provider did not answer a registration with a token."""


class PacketError(LoopixError):
    """Bytes are no packet, or none for this node."""


class FrameError(LoopixError):
    """The bytes of a connection are not frames; the connection has to end.

    Attributes:
        bodies: of the frames that were complete before the fault, from the same bytes.
    """

    bodies: tuple[bytes, ...] = ()


class RequestError(LoopixError):
    """A frame or message holds no request; the connection has to end."""


class SendError(LoopixError):
    """A message cannot be sent as it is, or not now."""


class NoPath(SendError):
    """The network has no path to the recipient, or the recipient's provider is not described well enough."""


class UnknownRecipient(SendError):
    """The recipient is not described well enough to be addressed, or contradicts itself."""


class ReservedMessage(SendError):
    """The message is the one that cover traffic consists of: its recipient would drop it."""


class MessageTooLong(SendError):
    """The message does not fit a packet on its path.

    Args:
        length: of the message (bytes).
        limit: the longest that fits on that path (bytes); negative if not even an empty one does.
    """

    def __init__(self, length: int, limit: int) -> None:
        self.length = length
        self.limit = limit
        fits = f"at most {limit} fit" if limit >= 0 else "not even an empty one fits"
        super().__init__(f"a message of {length} bytes is too long for one packet on its path; {fits}")


class Unreachable(LoopixError):
    """Nobody answered at a node's address; nothing was written."""


class ExchangeBroken(LoopixError):
    """A connection ended early, or took too long, after the packet was written: it may have arrived or not."""


class NotRunning(LoopixError):
    """The client was not started yet, or has ended."""


class LocalSocketError(LoopixError):
    """The local socket cannot be opened."""


class SealedBoxError(LoopixError):
    """Bytes are no sealed box for this client."""
