"""Answers applications' requests, whichever socket they came by."""

from typing import Final, Protocol

from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.framing import MAX_BODY
from kpclientd.loopix.nodes import ClientConfig
from kpclientd.loopix.requests import (
    INVALID_REQUEST,
    Clients,
    Details,
    Failed,
    Fetch,
    Fetched,
    GetClients,
    OwnDetails,
    Request,
    Response,
    Send,
    Sent,
    immediate_answer,
)

MAX_FETCHED: Final = MAX_BODY - 1024
"""Bytes of messages in one answer, so that readers accept its frame; what is beyond stays for the next."""


class Client(Protocol):
    """What is needed of the client."""

    async def send_message(self, message: bytes, recipient: ClientConfig) -> None:
        """Return once the message is taken over, or raise LoopixError."""

    def take_received(self, length: int) -> list[bytes]:
        """Return the oldest received messages, of so many bytes together, and forget them."""

    async def all_recipients(self) -> list[ClientConfig]:
        """Return who is registered."""

    def own_details(self) -> ClientConfig:
        """Return the client's own description."""


class RequestHandler:
    """Serves the requests of all connections of one socket.

    Args:
        client: does what is asked.
        flushes: whether the socket knows flushing.
    """

    def __init__(self, client: Client, *, flushes: bool) -> None:
        self._client = client
        self._flushes = flushes

    async def answer(self, request: Request) -> Response:
        """Return the answer to a request; sending takes until the out queue takes the message."""
        immediate = immediate_answer(request, flushes=self._flushes)
        if immediate is not None:
            return immediate
        try:
            return await self._ask_client(request)
        except LoopixError as error:
            return Failed(str(error))

    async def _ask_client(self, request: Request) -> Response:
        match request:
            case Send(bytes() as message, ClientConfig() as recipient):
                await self._client.send_message(message, recipient)
                return Sent()
            case Fetch():
                return Fetched(tuple(self._client.take_received(MAX_FETCHED)))
            case GetClients():
                return Clients(tuple(await self._client.all_recipients()))
            case OwnDetails():
                return Details(self._client.own_details())
            case _:
                return INVALID_REQUEST
