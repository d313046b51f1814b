"""What can go wrong in a local Loopix network."""

from kpclientd.loopix.errors import LoopixError


class DoubleError(LoopixError):
    """A local Loopix network cannot do what was asked of it; the message says what to change."""


class PresenceError(DoubleError):
    """What a node announced cannot be listed; the message is what the directory answers."""
