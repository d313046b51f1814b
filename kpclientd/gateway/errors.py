"""Why there is no connection to a gateway. The texts are for the operator; none holds a key or a payload."""

from kpclientd.errors import KpclientdError


class LinkLost(KpclientdError):
    """The link ended: the gateway closed it, fell silent, or broke the protocol; or we left it."""
