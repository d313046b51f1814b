"""What can go wrong between the daemon and an application."""

from kpclientd.errors import KpclientdError


class ThinError(KpclientdError):
    """Root of this package's errors."""


class FrameError(ThinError):
    """The bytes of a connection are not frames of CBOR maps; the connection has to end."""


class MistypedField(ThinError):
    """A field of a request has a type that cannot be read; the connection has to end."""


class InvalidRequest(ThinError):
    """A request was understood and cannot be served as it stands; its answer says so."""


class ListenError(ThinError):
    """The socket for applications cannot be opened."""
