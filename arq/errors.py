"""Why the engine refuses a message."""

from sphinx.errors import MixnetError


class ArqError(MixnetError):
    """Root of this package's errors."""


class SurbIdInUse(ArqError):
    """The application chose a SURB id that still awaits its reply: choose a fresh one for each message."""


class TooManyInFlight(ArqError):
    """One application has more messages waiting and in flight than the daemon keeps: wait for replies."""
