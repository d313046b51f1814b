"""Why a message cannot be made into a packet."""

from kpclientd.errors import KpclientdError


class CompositionError(KpclientdError):
    """A packet cannot be built: the message names a service that is not there, or no route can be found."""
