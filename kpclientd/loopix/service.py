"""Runs a client, with or without a local socket, until a signal ends it."""

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import StrEnum

import trio

from kpclientd.addresses import LOOPBACK, MAX_PORT
from kpclientd.loopix.client import LoopixClient
from kpclientd.loopix.errors import LocalSocketError
from kpclientd.loopix.request_handler import RequestHandler
from kpclientd.loopix.tcp_socket import TcpServer
from kpclientd.loopix.websocket import WebSocketServer

Serve = Callable[[trio.abc.Stream], Awaitable[None]]


class SocketType(StrEnum):
    """What a local socket speaks."""

    TCP = "tcp"
    WEBSOCKET = "websocket"


def parse_socket_type(text: str) -> SocketType:
    """Return the type that a command line names.

    Raises:
        LocalSocketError: if there is no such type.
    """
    try:
        return SocketType(text)
    except ValueError:
        raise LocalSocketError(f"unknown server type: {text}") from None


def parse_port(text: str) -> int:
    """Return the port that a command line names.

    Raises:
        LocalSocketError: if it is none; the reference takes a missing one for any free port, which nobody would find.
    """
    if not text:
        raise LocalSocketError("no port was given: --port NUMBER")
    port = int(text) if text.isascii() and text.isdecimal() and len(text) <= len(str(MAX_PORT)) else 0
    if not 1 <= port <= MAX_PORT:
        raise LocalSocketError(f"{text!r} is not a port from 1 to {MAX_PORT}")
    return port


async def open_listener(port: int) -> trio.SocketListener:
    """Bind a port of the loopback.

    Raises:
        LocalSocketError: if it cannot be bound.
    """
    try:
        (listener,) = await trio.open_tcp_listeners(port, host=LOOPBACK)
    except OSError as error:
        raise LocalSocketError(f"listen tcp {LOOPBACK}:{port}: {error.strerror or error}") from None
    return listener


def server_of(client: LoopixClient, kind: SocketType) -> Serve:
    """Return what serves the connections of a socket of that kind."""
    if kind is SocketType.TCP:
        return TcpServer(RequestHandler(client, flushes=True), client.config.profile).serve
    return WebSocketServer(RequestHandler(client, flushes=False), client.config.allowed_origins).serve


async def serve_sockets(client: LoopixClient, sockets: list[tuple[trio.SocketListener, SocketType]]) -> None:
    """Start the client, then serve its sockets until cancelled. Until then connections wait to be accepted.

    Raises:
        LoopixError: if the client cannot start.
    """
    async with client.running(), trio.open_nursery() as nursery:
        for listener, kind in sockets:
            nursery.start_soon(trio.serve_listeners, server_of(client, kind), [listener])
        await trio.sleep_forever()


async def run_until_signal(client: LoopixClient, kind: SocketType | None = None, port: int = 0) -> None:
    """Run the client until SIGINT or SIGTERM.

    Args:
        client: not started yet.
        kind: of the local socket; None for none.
        port: of the loopback, for the socket.

    Raises:
        LocalSocketError: if the port cannot be bound.
        LoopixError: if the client cannot start.
    """
    sockets = [] if kind is None else [(await open_listener(port), kind)]
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals, trio.CancelScope() as scope:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on, signals, scope)
            await serve_sockets(client, sockets)


async def _cancel_on(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()
