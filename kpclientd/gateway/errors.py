"""Why there is no connection to a gateway. The texts are for the operator; none holds a key or a payload."""

from kpclientd.errors import KpclientdError


class GatewayError(KpclientdError):
    """Root of this package's errors."""


class NotConnected(GatewayError):
    """There is no link to a gateway at present."""


class NoGateway(GatewayError):
    """There is no gateway to dial, or none of its addresses can be dialled."""


class LinkLost(GatewayError):
    """The link ended: the gateway closed it, fell silent, or broke the protocol."""


class FetchFailed(GatewayError):
    """A document did not come this time; asking again later may help."""


class DocumentGone(GatewayError):
    """The gateway will never have the document of that epoch."""
