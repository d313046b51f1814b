"""The local TCP socket: what it answers to good frames and bad ones, and that it goes on."""

import pytest
import trio
import trio.testing

from kpclientd.loopix.errors import LocalSocketError, MessageTooLong, SendError
from kpclientd.loopix.framing import MAX_BODY, encode_frame
from kpclientd.loopix.nodes import ClientConfig
from kpclientd.loopix.profile import DEFAULT, PROFILES, Profile
from kpclientd.loopix.request_handler import MAX_FETCHED, RequestHandler
from kpclientd.loopix.requests import (
    Clients,
    Details,
    Failed,
    Fetch,
    Fetched,
    Flush,
    Flushed,
    GetClients,
    Nothing,
    OwnDetails,
    Send,
    Sent,
    encode_request,
)
from kpclientd.loopix.service import SocketType, open_listener, parse_port, parse_socket_type
from kpclientd.loopix.tcp_socket import TcpServer
from tests.loopix.applications import TcpApplication

BOB = ClientConfig("bob")


class Scripted:
    """A client that does what a test says."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.received: list[bytes] = []
        self.fault: SendError | None = None

    async def send_message(self, message: bytes, recipient: ClientConfig) -> None:
        await trio.sleep(1)
        if self.fault is not None:
            raise self.fault
        self.sent.append(message)

    def take_received(self, length: int) -> list[bytes]:
        assert length == MAX_FETCHED < MAX_BODY
        taken, self.received = self.received, []
        return taken

    async def all_recipients(self) -> list[ClientConfig]:
        return [BOB]

    def own_details(self) -> ClientConfig:
        return ClientConfig("alice")


def connect(nursery: trio.Nursery, client: Scripted, profile: Profile = DEFAULT) -> TcpApplication:
    ours, theirs = trio.testing.memory_stream_pair()
    nursery.start_soon(TcpServer(RequestHandler(client, flushes=True), profile).serve, theirs)
    return TcpApplication(ours, profile)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
async def test_every_request_has_its_answer_in_both_framings(profile: Profile, autojump_clock: trio.abc.Clock) -> None:
    client = Scripted()
    client.received = [b"one", b"", b"two"]
    async with trio.open_nursery() as nursery:
        application = connect(nursery, client, profile)
        assert await application.ask(Send(b"hello", BOB)) == Sent()
        assert await application.ask(Fetch()) == Fetched((b"one", b"", b"two"))
        assert await application.ask(Fetch()) == Fetched(())
        assert await application.ask(GetClients()) == Clients((BOB,))
        assert await application.ask(OwnDetails()) == Details(ClientConfig("alice"))
        assert await application.ask(Nothing()) == Failed("Invalid server request")
        assert await application.ask(Send(None, BOB)) == Failed("message or recipient missing")
        assert await application.ask(Flush()) == Flushed()
        client.fault = MessageTooLong(1000, 302)
        assert await application.ask(Send(b"long", BOB)) == Failed(str(client.fault))
        nursery.cancel_scope.cancel()
    assert client.sent == [b"hello"]


async def test_requests_are_answered_in_their_order_though_sending_takes_time(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        application = connect(nursery, Scripted())
        for request in (Send(b"x", BOB), OwnDetails(), Send(b"y", BOB), Flush()):
            await application.write(encode_request(request))
        answers = [await application.read() for _ in range(4)]
        assert answers == [Sent(), Details(ClientConfig("alice")), Sent(), Flushed()]
        nursery.cancel_scope.cancel()


async def test_answers_come_without_a_flush_and_after_a_half_close(autojump_clock: trio.abc.Clock) -> None:
    async with trio.open_nursery() as nursery:
        application = connect(nursery, Scripted())
        await application.write(encode_request(Send(b"x", BOB)))
        await application.stream.send_eof()  # type: ignore[attr-defined]
        assert await application.read() == Sent()
        assert await application.stream.receive_some() == b""


@pytest.mark.parametrize(
    "garbage",
    [
        b"\x01",
        encode_frame(DEFAULT, b"\xff\xff\xff"),
        b"\xff" * 11,
        encode_frame(DEFAULT, b"\x12\x05x"),
        b"\x82\x80\x80\x01" + bytes(100),
    ],
    ids=["negative length", "not protobuf", "endless length", "cut protobuf", "too long"],
)
async def test_garbage_ends_the_connection_after_what_came_before_it(
    garbage: bytes, autojump_clock: trio.abc.Clock
) -> None:
    client = Scripted()
    async with trio.open_nursery() as nursery:
        application = connect(nursery, client)
        await application.stream.send_all(encode_frame(DEFAULT, encode_request(OwnDetails())) + garbage)
        assert await application.read() == Details(ClientConfig("alice"))
        assert await application.stream.receive_some() == b""
        another = connect(nursery, client)
        assert await another.ask(GetClients()) == Clients((BOB,))
        nursery.cancel_scope.cancel()


async def test_half_a_frame_has_no_answer(autojump_clock: trio.abc.Clock) -> None:
    frame = encode_frame(DEFAULT, encode_request(Send(b"half", BOB)))
    client = Scripted()
    async with trio.open_nursery() as nursery:
        application = connect(nursery, client)
        await application.stream.send_all(frame[:-1])
        await application.stream.send_eof()  # type: ignore[attr-defined]
        assert await application.stream.receive_some() == b""
    assert client.sent == []


async def test_a_peer_that_reads_nothing_is_left(autojump_clock: trio.abc.Clock) -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(TcpServer(RequestHandler(Scripted(), flushes=True), DEFAULT).serve, theirs)
        await ours.send_all(encode_frame(DEFAULT, encode_request(OwnDetails())))
        with trio.fail_after(61):
            await ours.wait_send_all_might_not_block()
            with pytest.raises(trio.BrokenResourceError):
                await ours.send_all(b"more")


async def test_a_port_that_is_taken_is_refused() -> None:
    listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port = listeners[0].socket.getsockname()[1]
    async with listeners[0]:
        with pytest.raises(LocalSocketError, match=f"listen tcp 127.0.0.1:{port}: .*in use"):
            await open_listener(port)


@pytest.mark.parametrize("text", ["", "0", "65536", "-1", "9x", "٣", "1" * 5000])
def test_what_is_no_port_is_refused(text: str) -> None:
    with pytest.raises(LocalSocketError):
        parse_port(text)


@pytest.mark.parametrize("text", ["", "grpc", "TCP"])
def test_what_is_no_socket_type_is_refused(text: str) -> None:
    with pytest.raises(LocalSocketError, match=f"unknown server type: {text}$"):
        parse_socket_type(text)


def test_ports_and_types_are_read() -> None:
    assert (parse_port("9001"), parse_socket_type("websocket")) == (9001, SocketType.WEBSOCKET)
