"""The local WebSocket: whom it lets in, what it answers, and how it ends."""

import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import h11
import pytest
import trio
import trio.testing
import trio_websocket
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.config import new_config
from kpclientd.loopix.nodes import ClientConfig
from kpclientd.loopix.request_handler import RequestHandler
from kpclientd.loopix.requests import Failed, Fetch, Fetched, Flush, Nothing, Send
from kpclientd.loopix.service import SocketType
from kpclientd.loopix.upgrade import check_upgrade, is_allowed_origin
from kpclientd.loopix.websocket import MAX_MESSAGE, WebSocketServer
from tests.loopix.applications import WebSocketApplication, served, websocket_application
from tests.loopix.world import world

HEAD = {
    "Host": "localhost",
    "Connection": "keep-alive, Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(bytes(16)).decode(),
}


class Idle:
    """A client to which nothing was sent."""

    async def send_message(self, message: bytes, recipient: object) -> None:
        await trio.sleep(100)

    def take_received(self, length: int) -> list[bytes]:
        return []

    async def all_recipients(self) -> list[object]:
        return []

    def own_details(self) -> object:
        raise AssertionError


def server(origins: Sequence[str] = ()) -> WebSocketServer:
    return WebSocketServer(RequestHandler(Idle(), flushes=False), origins)  # type: ignore[arg-type]


def request(path: str = "/mix", method: str = "GET", **headers: str | None) -> bytes:
    """A request's head; headers by their names with underscores, None to leave one out."""
    given_headers = {name.replace("_", "-"): value for name, value in headers.items()}
    lines = [f"{name}: {value}" for name, value in (HEAD | given_headers).items() if value is not None]
    return "\r\n".join((f"{method} {path} HTTP/1.1", *lines, "", "")).encode()


async def answer_to(head: bytes, origins: Sequence[str] = ()) -> bytes:
    """All that the server sends until it closes, or until it has upgraded the connection."""
    ours, theirs = trio.testing.memory_stream_pair()
    answer = b""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server(origins).serve, theirs)
        await ours.send_all(head)
        while not answer.startswith(b"HTTP/1.1 101") and (data := await ours.receive_some()):
            answer += data
        nursery.cancel_scope.cancel()
    return answer


@pytest.mark.parametrize(
    ("head", "status", "body"),
    [
        (request("/"), b"200", b""),
        (request("/?query"), b"200", b""),
        (request("/", "POST", Content_Length="0"), b"405", b"Method not allowed\n"),
        (request("/mix/"), b"404", b"Not found\n"),
        (request("/elsewhere"), b"404", b"Not found\n"),
        (request(Connection="close"), b"400", b"Bad Request\n"),
        (request(Upgrade="h2c"), b"400", b"Bad Request\n"),
        (request(method="POST"), b"405", b"Method Not Allowed\n"),
        (request(Sec_WebSocket_Version="8"), b"400", b"Bad Request\n"),
        (request(Sec_WebSocket_Key=None), b"400", b"Bad Request\n"),
        (request(Origin="https://attacker.example"), b"403", b"Forbidden\n"),
        (request(Origin="null"), b"403", b"Forbidden\n"),
    ],
)
async def test_http_is_answered_as_documented(head: bytes, status: bytes, body: bytes) -> None:
    answer = await answer_to(head)
    assert answer.split(b" ")[1] == status
    assert answer.partition(b"\r\n\r\n")[2] == body
    refused_upgrade = status not in (b"200", b"404") and body != b"Method not allowed\n"
    assert (b"Sec-Websocket-Version: 13\r\n" in answer) == refused_upgrade


@pytest.mark.parametrize("origin", [None, "file://", "http://localhost:3000", "https://127.0.0.1", "http://[::1]:80"])
async def test_pages_of_this_machine_may_connect(origin: str | None) -> None:
    assert (await answer_to(request(Origin=origin))).startswith(b"HTTP/1.1 101 ")


async def test_further_origins_are_let_in_by_the_configuration() -> None:
    head = request(Origin="https://chat.example")
    assert (await answer_to(head)).startswith(b"HTTP/1.1 403 ")
    assert (await answer_to(head, ["https://chat.example"])).startswith(b"HTTP/1.1 101 ")


async def test_no_extension_is_negotiated() -> None:
    answer = await answer_to(request(Sec_WebSocket_Extensions="permessage-deflate"))
    assert answer.startswith(b"HTTP/1.1 101 ") and b"extensions" not in answer.lower()


@pytest.mark.parametrize(
    "origin",
    ["http://localhost.attacker.example", "http://localhost@attacker.example", "http://127.0.0.2", "ftp://localhost"],
)
def test_look_alikes_of_this_machine_are_foreign(origin: str) -> None:
    assert not is_allowed_origin(origin)


def test_requests_of_other_machines_are_refused() -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(request())
    head = connection.next_event()
    assert isinstance(head, h11.Request)
    assert check_upgrade(head, "127.0.0.1") is None
    refusal = check_upgrade(head, "192.0.2.1")
    assert refusal is not None and refusal.status == 403


@given(st.binary(max_size=300), st.booleans())
def test_any_bytes_end_in_an_answer_or_an_end(data: bytes, well_begun: bool) -> None:
    async def main() -> None:
        ours, theirs = trio.testing.memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(server().serve, theirs)
            await ours.send_all(request() + data if well_begun else data)
            await ours.send_eof()
            with trio.fail_after(1000):
                while await ours.receive_some():
                    pass

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@asynccontextmanager
async def connected(client: Idle) -> AsyncIterator[WebSocketApplication]:
    """The library's client, joined to the server without a socket."""
    ours, theirs = trio.testing.memory_stream_pair()
    service = WebSocketServer(RequestHandler(client, flushes=False))  # type: ignore[arg-type]
    async with trio.open_nursery() as nursery:
        nursery.start_soon(service.serve, theirs)
        socket = await trio_websocket.wrap_client_stream(nursery, cast(Any, ours), "localhost", "/mix")
        yield WebSocketApplication(socket, json=True)
        nursery.cancel_scope.cancel()


async def test_requests_are_answered_in_their_own_form(autojump_clock: trio.abc.Clock) -> None:
    async with connected(Idle()) as application:
        for application.json in (True, False):
            assert await application.ask(Fetch()) == Fetched(())
            assert await application.ask(Flush()) == Failed("Invalid server request")
            assert await application.ask(Nothing()) == Failed("Invalid server request")
            assert await application.ask(Send(None, None)) == Failed("message or recipient missing")
        await application.socket.send_message(b"")
        assert await application.socket.get_message() != ""


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not JSON", 1007),
        ('{"unknown": {}}', 1007),
        ('{"send": {"message": "_-"}}', 1007),
        (b"\xff\xff", 1007),
        ("x" * (MAX_MESSAGE + 1), 1009),
        (bytes(MAX_MESSAGE + 1), 1009),
        ("é" * MAX_MESSAGE, 1009),
    ],
)
async def test_what_is_no_request_ends_the_connection(
    message: str | bytes, code: int, autojump_clock: trio.abc.Clock
) -> None:
    async with connected(Idle()) as application:
        assert await application.ask(Fetch()) == Fetched(())
        await application.socket.send_message(message)
        with pytest.raises(trio_websocket.ConnectionClosed) as closed:
            await application.socket.get_message()
        assert closed.value.reason is not None and closed.value.reason.code == code


async def test_a_peer_that_answers_pings_stays(autojump_clock: trio.abc.Clock) -> None:
    async with connected(Idle()) as application:
        await trio.sleep(600)
        assert await application.ask(Fetch()) == Fetched(())


async def test_a_peer_that_answers_no_ping_is_cut_after_thirty_seconds(autojump_clock: trio.abc.Clock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server().serve, theirs)
        await ours.send_all(request())
        received = [(trio.current_time(), bytes(await ours.receive_some()))]
        while received[-1][1]:
            data = bytes(await ours.receive_some())
            received.append((trio.current_time(), data))
    start = received[0][0]
    assert [(when - start, data) for when, data in received[1:]] == [(27.0, b"\x89\x00"), (30.0, b"")]


async def test_a_peer_whose_request_takes_long_is_not_cut(autojump_clock: trio.abc.Clock) -> None:
    async with connected(Idle()) as application, trio.open_nursery() as nursery:

        async def ask_often() -> None:
            for _ in range(40):  # more than the server reads ahead
                await application.socket.send_message('{"fetch": {}}')

        nursery.start_soon(application.ask, Send(b"x", ClientConfig("bob")))
        await trio.sleep(1)
        nursery.start_soon(ask_often)
        await trio.sleep(200)
        assert application.socket.closed is None
        nursery.cancel_scope.cancel()


async def test_a_head_that_does_not_come_is_not_waited_for(autojump_clock: trio.abc.Clock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(server().serve, theirs)
        await ours.send_all(request()[:20])
        with trio.fail_after(11):
            assert await ours.receive_some() == b""


async def test_the_socket_goes_on_after_a_bad_peer() -> None:
    async with world() as here:
        client = here.make("alice")
        async with served(client, SocketType.WEBSOCKET) as port:
            async with websocket_application(port, json=True) as bad:
                await bad.socket.send_message("garbage")
                with pytest.raises(trio_websocket.ConnectionClosed):
                    await bad.socket.get_message()
            async with websocket_application(port, json=False) as good:
                assert await good.ask(Fetch()) == Fetched(())


def test_a_configuration_names_no_foreign_origin_by_itself() -> None:
    assert new_config("alice", Path("/home/alice"), "").allowed_origins == ()
