"""Why a message cannot be made into a packet."""


class CompositionError(Exception):
    """A packet cannot be built: the message names a service that is not there, or no route can be found."""
