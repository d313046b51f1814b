"""Why a stream to a gateway did not come about."""

from kpclientd.errors import KpclientdError


class DialError(KpclientdError):
    """A gateway cannot be reached; the text names each address with its reason.

    Attributes:
        is_refused: whether everything that was tried was refused at once, so that nobody listens there: the gateway,
            or the proxy on the way to it. What did not answer, or was unreachable, is not refused.
        is_by_proxy: whether it has failed before any gateway could, so that it is the same for all of them: the proxy
            is not there, or does not serve us.
    """

    def __init__(self, text: str, *, is_refused: bool = False, is_by_proxy: bool = False) -> None:
        super().__init__(text)
        self.is_refused = is_refused
        self.is_by_proxy = is_by_proxy
