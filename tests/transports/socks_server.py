"""A SOCKS5 server (RFC 1928, 1929), written from the RFCs and not from our client; it keeps every byte it sees.

Each request's stream ends in the server, which echoes it, or goes where `forward` says.
"""

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import trio


@dataclass
class Seen:
    """One connection to the server."""

    greeting: bytes = b""
    authentication: bytes = b""
    request: bytes = b""
    payload: bytearray = field(default_factory=bytearray)

    @property
    def user(self) -> bytes:
        return self.authentication[2 : 2 + self.authentication[1]]

    @property
    def password(self) -> bytes:
        return self.authentication[3 + self.authentication[1] :]


class ReadExactly:
    def __init__(self, stream: trio.abc.Stream) -> None:
        self.stream = stream

    async def __call__(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = await self.stream.receive_some(count - len(data))
            if not more:
                raise EOFError
            data += more
        return data


@dataclass
class SocksServer:
    """What the server does, and what it has seen.

    Attributes:
        method: the authentication that it chooses; None for the last that is offered, as Tor does.
        accounts: whom it lets in; None for everybody.
        reply: the answer to a request.
        prefix: what it sends in one piece with the answer, already from the far end.
        silent_after: says nothing more after a greeting of so many bytes.
        forward: opens the far end of a request's stream; None for an echo.
    """

    address: str = ""
    method: int | None = None
    accounts: dict[bytes, bytes] | None = None
    reply: Callable[[bytes], bytes] = lambda request: b"\5\0\0\1\0\0\0\0\0\0"
    prefix: bytes = b""
    silent_after: int | None = None
    forward: Callable[[bytes], Awaitable[trio.abc.Stream]] | None = None
    seen: list[Seen] = field(default_factory=list)

    async def serve(self, stream: trio.abc.Stream) -> None:
        seen = Seen()
        self.seen.append(seen)
        try:
            async with stream:
                await self._serve(stream, seen)
        except (EOFError, trio.BrokenResourceError):
            pass

    async def _serve(self, stream: trio.abc.Stream, seen: Seen) -> None:
        read = ReadExactly(stream)
        seen.greeting = await read(2)
        seen.greeting += await read(seen.greeting[1])
        if self.silent_after == len(seen.greeting):
            await trio.sleep_forever()
        method = seen.greeting[-1] if self.method is None else self.method
        await stream.send_all(bytes([5, method]))
        if method == 2:
            seen.authentication = await read(2)
            seen.authentication += await read(seen.authentication[1] + 1)
            seen.authentication += await read(seen.authentication[-1])
            good = self.accounts is None or self.accounts.get(seen.user) == seen.password
            await stream.send_all(bytes([1, 0 if good else 1]))
        seen.request = await read(5)
        rest = {1: 3, 3: seen.request[4], 4: 15}[seen.request[3]]
        seen.request += await read(rest + 2)
        await stream.send_all(self.reply(seen.request) + self.prefix)
        if self.forward is not None:
            await _join(stream, await self.forward(seen.request))
        while data := await stream.receive_some(65536):
            seen.payload += data
            await stream.send_all(data)


async def _join(near: trio.abc.Stream, far: trio.abc.Stream) -> None:
    """Copy both ways until either side ends."""
    async with far, trio.open_nursery() as nursery:

        async def copy(source: trio.abc.Stream, sink: trio.abc.Stream) -> None:
            while data := await source.receive_some(65536):
                await sink.send_all(data)
            nursery.cancel_scope.cancel()

        nursery.start_soon(copy, far, near)
        nursery.start_soon(copy, near, far)


@asynccontextmanager
async def listening(server: SocksServer, path: Path | None = None) -> AsyncIterator[SocksServer]:
    """Run the server at a free port, or at the Unix socket `path`."""
    listener: trio.SocketListener
    if path is None:
        (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
        server.address = f"127.0.0.1:{listener.socket.getsockname()[1]}"
    else:
        unix = trio.socket.socket(socket.AF_UNIX)
        await unix.bind(str(path))
        unix.listen()
        listener = trio.SocketListener(unix)
        server.address = str(path)
    async with trio.open_nursery() as nursery:
        await nursery.start(trio.serve_listeners, server.serve, [listener])
        yield server
        nursery.cancel_scope.cancel()
