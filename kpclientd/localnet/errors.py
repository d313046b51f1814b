"""What can go wrong in a local network: only its set-up and the commands given to it."""

from kpclientd.errors import KpclientdError


class LocalNetworkError(KpclientdError):
    """A local network cannot do what was asked of it; the message says what to change."""


class PathTooLongError(LocalNetworkError):
    """A socket's path does not fit the operating system's limit."""


class DirectoryInUseError(LocalNetworkError):
    """Another network runs in the directory; it is not disturbed."""


class ControlError(LocalNetworkError):
    """A control command is unknown, malformed, or cannot be delivered to a running network."""
