"""Listeners that want a token: the token's file, what a connection begins with, and who waits there how long."""

import logging
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from kpclientd.config.model import ListenTcp, ListenWebSocket
from kpclientd.thin.admission import MOST_UNAUTHORIZED, SAY_AGAIN_SECONDS, Admission
from kpclientd.thin.listener import open_listeners
from kpclientd.thin.listener_token import (
    SAID_NOTHING,
    TOKEN_SECONDS,
    GuardedListener,
    TokenError,
    TokenListener,
    read_token,
)
from tests.thin.serving import settle
from tests.thin.test_thin_admission import Connection, is_closed

TOKEN = b"0123456789abcdef~!"
LINE = TOKEN + b"\n"


def token_file(folder: Path, content: bytes = LINE, mode: int = 0o600) -> Path:
    path = folder / "token"
    path.write_bytes(content)
    path.chmod(mode)
    return path


# -- the file


@pytest.mark.parametrize(
    ("content", "mode"),
    [(TOKEN, 0o600), (LINE, 0o400), (LINE, 0o640), (b"x" * 16, 0o600), (b"x" * 256 + b"\n", 0o600)],
)
def test_a_token_is_one_line_of_its_owners(tmp_path: Path, content: bytes, mode: int) -> None:
    assert read_token(token_file(tmp_path, content, mode)) == content.rstrip(b"\n")


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"x" * 15, b"x" * 257, b"x" * 100_000, LINE + LINE, LINE + b"\n", TOKEN + b"\r\n", b"a b" * 9],
)
def test_what_is_no_token_is_told_with_the_way_to_make_one(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(TokenError, match="does not hold a token: write one line of 16 to 256") as told:
        read_token(token_file(tmp_path, content))
    assert content.strip() == b"" or content.decode().strip() not in str(told.value)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o602, 0o620, 0o777])
def test_a_token_that_others_can_read_or_change_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    path = token_file(tmp_path, mode=mode)
    with pytest.raises(TokenError, match=f"chmod 600 {path}"):
        read_token(path)


def test_a_token_that_is_not_there_is_told(tmp_path: Path) -> None:
    for path, reason in ((tmp_path / "absent", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(TokenError, match=f"{path} cannot be read: {reason}"):
            read_token(path)


@pytest.mark.parametrize("kind", ["tcp", "WebSocket"])
async def test_nothing_is_bound_for_want_of_a_token(tmp_path: Path, kind: str) -> None:
    absent = tmp_path / "absent"
    listen = (
        ListenTcp("127.0.0.1", 0, "tcp", absent)
        if kind == "tcp"
        else ListenWebSocket("127.0.0.1", 0, token_file=absent)
    )
    with pytest.raises(TokenError, match="absent cannot be read"):
        async with open_listeners((listen,)):
            pass


# -- by TCP


@asynccontextmanager
async def opened(folder: Path) -> AsyncIterator[tuple[TokenListener, str, int]]:
    async with open_listeners((ListenTcp("127.0.0.1", 0, "tcp", token_file(folder)),)) as (listener,):
        assert isinstance(listener, TokenListener)
        yield listener, *listener.socket.getsockname()[:2]


async def test_what_follows_the_token_is_left_to_the_protocol(tmp_path: Path) -> None:
    async with opened(tmp_path) as (listener, host, port), await trio.open_tcp_stream(host, port) as app:
        accepted = await listener.accept()
        await app.send_all(LINE + b"\0\0\0\1\xa0")
        assert await listener.refusal(accepted) is None
        assert await accepted.receive_some() == b"\0\0\0\1\xa0"
        await accepted.aclose()


@pytest.mark.parametrize(
    "piece", [b"x" * 100, TOKEN[:-1] + b"?\n", b"\0\0\0\1\xa0", TOKEN[:-1] + b"\n", b"\n", b"\xff" * 10_000]
)
async def test_what_is_not_the_token_is_refused(piece: bytes, autojump_clock: MockClock) -> None:
    ours, theirs = memory_stream_pair()
    listener = TokenListener(trio.SocketListener(bound()), TOKEN)
    await ours.send_all(piece)
    assert await listener.refusal(theirs) == "it did not begin with the token"
    assert trio.current_time() <= TOKEN_SECONDS
    listener.socket.close()


async def test_a_token_byte_by_byte_has_its_time_and_no_more(autojump_clock: MockClock) -> None:
    listener = TokenListener(trio.SocketListener(bound()), TOKEN)
    for pause, expected in ((0.2, None), (0.5, "it did not begin with the token")):
        ours, theirs = memory_stream_pair()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(slowly, ours, pause)
            assert await listener.refusal(theirs) == expected
            nursery.cancel_scope.cancel()
    listener.socket.close()


async def test_who_says_nothing_is_told_apart(autojump_clock: MockClock) -> None:
    listener = TokenListener(trio.SocketListener(bound()), TOKEN)
    silent, gone = memory_stream_pair(), memory_stream_pair()
    await gone[0].aclose()
    assert await listener.refusal(gone[1]) == SAID_NOTHING
    assert trio.current_time() == 0
    assert await listener.refusal(silent[1]) == SAID_NOTHING
    listener.socket.close()


def bound() -> trio.socket.SocketType:
    one = socket.socket()
    one.bind(("127.0.0.1", 0))
    one.listen()
    one.setblocking(False)
    return trio.socket.from_stdlib_socket(one)


async def slowly(stream: trio.abc.Stream, pause: float) -> None:
    for octet in LINE:
        await trio.sleep(pause)
        await stream.send_all(bytes([octet]))


# -- not authorized yet


class Guarded(GuardedListener):
    """Gives the streams that a test puts into it, and wants a token of each."""

    def __init__(self) -> None:
        self._guard = TokenListener(trio.SocketListener(bound()), TOKEN)
        self._put, self._waiting = trio.open_memory_channel[trio.abc.Stream](1000)

    def come(self) -> trio.abc.Stream:
        ours, theirs = memory_stream_pair()
        self._put.send_nowait(theirs)
        return ours

    async def accept(self) -> trio.abc.Stream:
        return await self._waiting.receive()

    async def refusal(self, stream: trio.abc.Stream) -> str | None:
        return await self._guard.refusal(stream)

    async def aclose(self) -> None:
        self._guard.socket.close()


@asynccontextmanager
async def a_guarded_listener(most: int = 10) -> AsyncIterator[tuple[Guarded, Admission]]:
    guarded, admission = Guarded(), Admission(most, Connection)
    async with trio.open_nursery() as nursery, guarded:
        nursery.start_soon(admission.run, [guarded], nursery)
        yield guarded, admission
        nursery.cancel_scope.cancel()


async def test_nobody_has_a_place_before_the_token_was_right(autojump_clock: MockClock) -> None:
    async with a_guarded_listener(most=1) as (guarded, admission):
        others = [guarded.come() for _ in range(10)]
        await others[0].send_all(b"something else, and long enough")
        await settle(TOKEN_SECONDS - 1.0)
        assert (len(admission), admission.admitted, admission.refused) == (0, 0, 1)
        app = guarded.come()
        await app.send_all(LINE)
        await settle()
        assert (len(admission), admission.admitted) == (1, 1)
        await settle(1.1)
        assert [await is_closed(stream) for stream in others] == [True] * 10
        assert not await is_closed(app)
        assert (len(admission), admission.admitted, admission.refused, admission.turned_away) == (1, 1, 10, 0)


async def test_a_crowd_a_guarded_listener_keeps_nobody_out_who_has_the_token(autojump_clock: MockClock) -> None:
    async with a_guarded_listener() as (guarded, admission):
        crowd = [guarded.come() for _ in range(5 * MOST_UNAUTHORIZED)]
        await settle()
        assert admission.refused == 4 * MOST_UNAUTHORIZED, "the first make room for the last"
        app = guarded.come()
        await app.send_all(LINE)
        await settle()
        assert admission.admitted == 1
        assert await is_closed(crowd[0])


async def test_refusals_are_said_once_in_a_while_and_silence_never(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with a_guarded_listener() as (guarded, admission):
        for number in range(100):
            stream = guarded.come()
            if number % 2:
                await stream.send_all(b"something else, and long enough")
            await settle()
            await stream.aclose()
            await settle()
        told = ["A connection was refused: it did not begin with the token."]
        assert [record.getMessage() for record in caplog.records] == told
        await trio.sleep(SAY_AGAIN_SECONDS)
        await guarded.come().send_all(b"something else, and long enough")
        await settle()
        assert [record.getMessage() for record in caplog.records] == told * 2
        assert admission.refused == 101


async def test_those_a_guarded_listener_are_closed_at_the_end() -> None:
    async with a_guarded_listener() as (guarded, _):
        stream = guarded.come()
        await settle()
    assert await stream.receive_some() == b""
