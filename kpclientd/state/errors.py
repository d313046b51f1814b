"""What can go wrong with the state file."""

from kpclientd.errors import KpclientdError


class StateError(KpclientdError):
    """The state cannot be read, or not be kept; the text says what to do."""


class HeadDamagedError(StateError):
    """The beginning of the state file is damaged: nothing in it can be read, and it is to be put aside."""
