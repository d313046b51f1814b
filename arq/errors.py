"""Why the engine refuses a message, by what its application can do about it."""

from sphinx.errors import MixnetError


class ArqError(MixnetError):
    """Root of this package's errors."""


class SurbIdInUse(ArqError):
    """The application chose a SURB id that still awaits its reply: choose a fresh one for each message."""


class TooManyInFlight(ArqError):
    """One application has more messages waiting and in flight than the daemon keeps: wait for replies."""


class TooMuchHeld(ArqError):
    """All applications together have as many bytes waiting and in flight as the daemon keeps: try again later."""


class RecordError(ArqError):
    """A record of an operation contradicts itself; nothing was restored from it."""
