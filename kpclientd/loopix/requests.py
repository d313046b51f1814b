"""What applications ask through the local sockets, and what they are answered, in protobuf and in JSON.

Source: the Nym 2019 Loopix client, "protobuf messages", "requests, responses, flush" and "JSON form".
"""

from dataclasses import dataclass, field
from typing import Final

from kpclientd.loopix import messages_pb2 as pb
from kpclientd.loopix.errors import RequestError
from kpclientd.loopix.json_form import from_json, to_json
from kpclientd.loopix.nodes import ClientConfig
from kpclientd.loopix.protobuf import decode


@dataclass(frozen=True, slots=True)
class Send:
    """Asks to send a message; either part is None where it was not given."""

    message: bytes | None = field(repr=False)
    recipient: ClientConfig | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Fetch:
    """Asks for all messages received so far."""


@dataclass(frozen=True, slots=True)
class GetClients:
    """Asks for everybody to whom messages can be sent."""


@dataclass(frozen=True, slots=True)
class OwnDetails:
    """Asks what others need to know to send messages here."""


@dataclass(frozen=True, slots=True)
class Flush:
    """Asks for all answers so far; exists on the TCP socket only."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """A request that asks for nothing, or for something unknown."""


Request = Send | Fetch | GetClients | OwnDetails | Flush | Nothing


@dataclass(frozen=True, slots=True)
class Failed:
    """The request was not served; on the wire an exception."""

    error: str


@dataclass(frozen=True, slots=True)
class Sent:
    """The message was taken over."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """The messages received since the last such answer."""

    messages: tuple[bytes, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Clients:
    """Everybody registered, in any order."""

    clients: tuple[ClientConfig, ...]


@dataclass(frozen=True, slots=True)
class Details:
    """This client."""

    details: ClientConfig


@dataclass(frozen=True, slots=True)
class Flushed:
    """Nothing is held back any more."""


Response = Failed | Sent | Fetched | Clients | Details | Flushed

INVALID_REQUEST: Final = Failed("Invalid server request")
INCOMPLETE_SEND: Final = Failed("message or recipient missing")


def immediate_answer(request: Request, *, flushes: bool) -> Response | None:
    """Return the answer to a request that needs no client; None where it does.

    Args:
        request: as it was decoded.
        flushes: whether the socket knows flushing; the WebSocket does not.
    """
    match request:
        case Nothing():
            return INVALID_REQUEST
        case Flush():
            return Flushed() if flushes else INVALID_REQUEST
        case Send(message=None) | Send(recipient=None):
            return INCOMPLETE_SEND
        case _:
            return None


def decode_request(body: bytes) -> Request:
    """Read a request in protobuf; of several in one, the last counts.

    Raises:
        RequestError: if the bytes are no request.
    """
    return _request(decode(pb.Request, body, RequestError))


def decode_json(text: str) -> Request:
    """Read a request in JSON.

    Raises:
        RequestError: if the text is no request, or more than one.
    """
    return _request(from_json(pb.Request, text, RequestError))


def encode_response(response: Response) -> bytes:
    """Return a response in protobuf."""
    return _response_message(response).SerializeToString()


def encode_json(response: Response) -> str:
    """Return a response in JSON."""
    return to_json(_response_message(response))


def encode_request(request: Request) -> bytes:
    """Return a request in protobuf, for the application's side of a socket."""
    return _request_message(request).SerializeToString()


def encode_json_request(request: Request) -> str:
    """Return a request in JSON, for the application's side of a socket."""
    return to_json(_request_message(request))


def decode_response(body: bytes) -> Response:
    """Read a response in protobuf, on the application's side of a socket.

    Raises:
        RequestError: if the bytes are no response, or one that says nothing.
    """
    return _response(decode(pb.Response, body, RequestError))


def decode_json_response(text: str) -> Response:
    """Read a response in JSON, on the application's side of a socket.

    Raises:
        RequestError: if the text is no response, or one that says nothing.
    """
    return _response(from_json(pb.Response, text, RequestError))


def _request(message: pb.Request) -> Request:
    match message.WhichOneof("value"):
        case "send":
            send = message.send
            recipient = ClientConfig.from_message(send.recipient) if send.HasField("recipient") else None
            return Send(send.message if send.HasField("message") else None, recipient)
        case "fetch":
            return Fetch()
        case "clients":
            return GetClients()
        case "details":
            return OwnDetails()
        case "flush":
            return Flush()
        case _:
            return Nothing()


def _request_message(request: Request) -> pb.Request:
    match request:
        case Send(message, recipient):
            described = None if recipient is None else recipient.message()
            return pb.Request(send=pb.RequestSendMessage(message=message, recipient=described))
        case Fetch():
            return pb.Request(fetch=pb.RequestFetchMessages())
        case GetClients():
            return pb.Request(clients=pb.RequestGetClients())
        case OwnDetails():
            return pb.Request(details=pb.RequestOwnDetails())
        case Flush():
            return pb.Request(flush=pb.RequestFlush())
        case Nothing():
            return pb.Request()


def _response_message(response: Response) -> pb.Response:
    match response:
        case Failed(error):
            return pb.Response(exception=pb.ResponseException(error=error))
        case Sent():
            return pb.Response(send=pb.ResponseSendMessage())
        case Fetched(messages):
            return pb.Response(fetch=pb.ResponseFetchMessages(messages=messages))
        case Clients(clients):
            return pb.Response(clients=pb.ResponseGetClients(clients=[client.message() for client in clients]))
        case Details(details):
            return pb.Response(details=pb.ResponseOwnDetails(details=details.message()))
        case Flushed():
            return pb.Response(flush=pb.ResponseFlush())


def _response(message: pb.Response) -> Response:
    match message.WhichOneof("value"):
        case "exception":
            return Failed(message.exception.error)
        case "send":
            return Sent()
        case "fetch":
            return Fetched(tuple(message.fetch.messages))
        case "clients":
            return Clients(tuple(map(ClientConfig.from_message, message.clients.clients)))
        case "details":
            return Details(ClientConfig.from_message(message.details.details))
        case "flush":
            return Flushed()
        case _:
            raise RequestError("a response that says nothing")
