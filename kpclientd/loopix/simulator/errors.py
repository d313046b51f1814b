"""What can go wrong in a local Loopix network."""

from kpclientd.loopix.errors import LoopixError


class SimulatorError(LoopixError):
    """A local Loopix network cannot do what was asked of it; the message says what to change."""


class PresenceError(SimulatorError):
    """What a node announced cannot be listed; the message is what the directory answers."""
