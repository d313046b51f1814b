"""Applications that come by WebSocket, as a library of others' speaks it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing
import trio_websocket

from kpclientd.thin.framing import encode_frame
from kpclientd.thin.websocket import HEAD_SECONDS, MOST_HEAD_BYTES, MOST_UNWRITTEN_BYTES, WebSocketStream

HOST = "127.0.0.1:64332"
ORIGIN = "https://chat.example"
UPGRADE = (
    "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


async def connect(
    nursery: trio.Nursery, theirs: Any, host: str = HOST, origin: str | None = None
) -> trio_websocket.WebSocketConnection:
    """Be an application; the library would take any stream, though its types say otherwise."""
    headers = [] if origin is None else [(b"Origin", origin.encode())]
    return await trio_websocket.wrap_client_stream(nursery, theirs, host, "/", extra_headers=headers)


@asynccontextmanager
async def pair(
    origin: str | None = None, host: str = HOST
) -> AsyncIterator[tuple[WebSocketStream, trio_websocket.WebSocketConnection]]:
    """The daemon's end and an application's."""
    ours, theirs = trio.testing.memory_stream_pair()
    stream = WebSocketStream(ours, (ORIGIN,))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_open, stream)
        socket = await connect(nursery, theirs, host, origin)
        yield stream, socket
        nursery.cancel_scope.cancel()


async def _open(stream: WebSocketStream) -> None:
    try:
        await stream.wait_send_all_might_not_block()
    except trio.BrokenResourceError:
        pass


async def received(stream: WebSocketStream, length: int) -> bytes:
    data = b""
    while len(data) < length:
        more = await stream.receive_some(7)
        assert more
        data += more
    return data


async def test_boundaries_of_messages_mean_nothing_one_way() -> None:
    async with pair() as (stream, socket):
        for piece in (b"\0\0\0", b"\1", b"x" * 1000, b"y"):
            await socket.send_message(piece)
        assert await received(stream, 1005) == b"\0\0\0\1" + b"x" * 1000 + b"y"


@pytest.mark.parametrize("size", [1, 3, 5, 1_000, 100_000])
async def test_and_the_other_way_a_message_is_a_frame(size: int) -> None:
    frames = [encode_frame({"reply": "x" * length}) for length in (0, 1, 200, 3_000)]
    data = b"".join(frames)
    async with pair() as (stream, socket), trio.open_nursery() as nursery:

        async def write() -> None:
            for at in range(0, len(data), size):
                await stream.send_all(data[at : at + size])

        nursery.start_soon(write)
        assert [await socket.get_message() for _ in frames] == frames


async def test_a_ping_is_answered_while_the_daemon_reads() -> None:
    async with pair() as (stream, socket), trio.open_nursery() as nursery:
        nursery.start_soon(stream.receive_some)
        with trio.fail_after(5):
            await socket.ping(b"there?")
        nursery.cancel_scope.cancel()


async def test_pings_without_end_that_nobody_reads_the_answers_of_take_no_memory() -> None:
    ours, theirs = trio.testing.lockstep_stream_pair()
    stream = WebSocketStream(ours)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(_open, stream)
        socket = await connect(nursery, theirs)
        reader = trio.CancelScope()

        async def read() -> None:
            with reader:
                await stream.receive_some()

        nursery.start_soon(read)
        frame = b"\x89\xfd" + bytes(4) + b"p" * 125
        with trio.move_on_after(1.0):
            for _ in range(10_000):
                await theirs.send_all(frame)
        assert len(stream._unwritten) <= 2 * MOST_UNWRITTEN_BYTES + 65_536
        del socket
        nursery.cancel_scope.cancel()


async def test_an_orderly_close_is_the_streams_end() -> None:
    async with pair() as (stream, socket):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(socket.aclose)
            assert await stream.receive_some() == b""
        with pytest.raises(trio.BrokenResourceError):
            await stream.send_all(encode_frame({}))


async def test_a_close_with_another_code_breaks_it() -> None:
    async with pair() as (stream, socket), trio.open_nursery() as nursery:
        nursery.start_soon(socket.aclose, 1011)
        with pytest.raises(trio.BrokenResourceError, match="code 1011"):
            await stream.receive_some()


async def test_a_text_message_ends_it_with_code_1003() -> None:
    async with pair() as (stream, socket):
        await socket.send_message("{}")
        with pytest.raises(trio.BrokenResourceError, match="text message"):
            await stream.receive_some()
        with pytest.raises(trio_websocket.ConnectionClosed) as caught:
            await socket.get_message()
        assert caught.value.reason is not None and caught.value.reason.code == 1003


async def test_the_daemons_close_is_told() -> None:
    async with pair() as (stream, socket):
        await stream.aclose()
        with pytest.raises(trio_websocket.ConnectionClosed) as caught:
            await socket.get_message()
        assert caught.value.reason is not None and caught.value.reason.code == 1000


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        (None, HOST),
        (None, "kpclientd:64332"),
        (f"http://{HOST}", HOST),
        ("http://localhost:64332", "localhost:64332"),
        ("http://[::1]:64332", "[::1]:64332"),
        (ORIGIN, HOST),
        (ORIGIN, "kpclientd.example:64332"),
    ],
)
async def test_who_may_come(origin: str | None, host: str) -> None:
    async with pair(origin, host) as (stream, socket):
        await socket.send_message(b"hello")
        assert await stream.receive_some() == b"hello"


@pytest.mark.parametrize(
    ("origin", "host"),
    [
        ("https://evil.example", HOST),
        ("http://127.0.0.1:1", HOST),
        ("null", HOST),
        ("file://", HOST),
        ("http://rebound.example:64332", "rebound.example:64332"),
        ("http://[", HOST),
    ],
)
async def test_pages_of_others_may_not(origin: str, host: str) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    stream = WebSocketStream(ours, (ORIGIN,))
    head = f"GET / HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\n{UPGRADE}\r\n"
    await theirs.send_all(head.encode())
    with pytest.raises(trio.BrokenResourceError, match="comes from a page"):
        await stream.receive_some()
    assert (await theirs.receive_some()).startswith(b"HTTP/1.1 403")


@pytest.mark.parametrize(
    "head",
    [b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\0\0\0\1\xa0", b"POST / HTTP/1.0\r\n\r\n", b"\xff" * 100 + b"\r\n\r\n"],
)
async def test_what_is_no_upgrade_is_answered_and_ends(head: bytes) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    stream = WebSocketStream(ours)
    await theirs.send_all(head)
    assert theirs.send_stream is not None
    await theirs.send_stream.aclose()
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    await stream.aclose()
    answer = await theirs.receive_some()
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")


TOKEN = b"correct-horse+battery/staple="


@pytest.mark.parametrize(
    ("target", "header"),
    [
        ("/", f"Authorization: Bearer {TOKEN.decode()}"),
        ("/", f"authorization: bearer  {TOKEN.decode()}"),
        ("/chat?page=3&token=correct-horse%2Bbattery%2Fstaple%3D", "Accept: */*"),
    ],
)
async def test_who_shows_the_token_may_come(target: str, header: str) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    stream = WebSocketStream(ours, (), TOKEN)
    await theirs.send_all(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{header}\r\n{UPGRADE}\r\n".encode())
    assert await stream.refusal() is None
    assert (await theirs.receive_some()).startswith(b"HTTP/1.1 101")


@pytest.mark.parametrize(
    ("target", "header"),
    [
        ("/", "Accept: */*"),
        ("/", f"Authorization: Basic {TOKEN.decode()}"),
        ("/", f"Authorization: Bearer {TOKEN.decode()[:-1]}"),
        (f"/?token={TOKEN.decode()[:-1]}", f"Authorization: Bearer {TOKEN.decode()}x"),
        (f"/?Token={TOKEN.decode()}", "Accept: */*"),
        ("/?token=", "Authorization: Bearer"),
        ("//[?token=", "Accept: */*"),
        ("/?token=%ff%fe", "Accept: */*"),
    ],
)
async def test_who_does_not_is_answered_with_401(target: str, header: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    ours, theirs = trio.testing.memory_stream_pair()
    stream = WebSocketStream(ours, (), TOKEN)
    await theirs.send_all(f"GET {target} HTTP/1.1\r\nHost: {HOST}\r\n{header}\r\n{UPGRADE}\r\n".encode())
    reason = await stream.refusal()
    assert reason == "its request does not show the token"
    answer = bytes(await theirs.receive_some()).lower()
    assert answer.startswith(b"http/1.1 401")
    assert b"www-authenticate: bearer" in answer
    with pytest.raises(trio.BrokenResourceError):
        await stream.receive_some()
    assert "horse" not in caplog.text


async def test_a_broken_head_is_not_told(caplog: pytest.LogCaptureFixture) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    stream = WebSocketStream(ours, (), TOKEN)
    await theirs.send_all(b"GET / HTTP/1.1\r\nAuthorization\0: Bearer " + TOKEN + b"\r\n\r\n")
    assert await stream.refusal() == "it opened no WebSocket"


async def test_a_head_without_end_is_given_up() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    stream = WebSocketStream(ours)
    await theirs.send_all(b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * MOST_HEAD_BYTES)
    with pytest.raises(trio.BrokenResourceError, match="more than"):
        await stream.receive_some()


async def test_a_head_that_does_not_come_is_given_up(autojump_clock: trio.abc.Clock) -> None:
    ours, _theirs = trio.testing.memory_stream_pair()
    began = trio.current_time()
    with pytest.raises(trio.BrokenResourceError, match="no WebSocket was opened"):
        await WebSocketStream(ours).receive_some()
    assert trio.current_time() - began == pytest.approx(HEAD_SECONDS, abs=1.1)
