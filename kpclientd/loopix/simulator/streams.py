"""How connections end: closed, reset, or left open in silence."""

import contextlib
from collections.abc import Awaitable, Callable
from typing import TypeAlias

import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.loopix.simulator.actions import Ending
from kpclientd.streams import READ_SIZE, reset_when_closed

Dial: TypeAlias = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Connects to a host and a port; raises OSError if nobody is there."""

Serve: TypeAlias = Callable[[trio.abc.Stream], Awaitable[None]]
"""Serves one connection and closes it."""


async def end(stream: trio.abc.Stream, ending: Ending) -> None:
    """End a connection: by closing it, by a reset, or only when the peer does."""
    try:
        if ending is Ending.SILENCE:
            await wait_for_end(stream)
        if ending is Ending.RESET:
            reset_when_closed(stream)
    finally:
        await trio.aclose_forcefully(stream)


async def wait_for_end(stream: trio.abc.Stream) -> None:
    """Read what comes and forget it, until the peer closes."""
    with contextlib.suppress(trio.BrokenResourceError):
        while await stream.receive_some(READ_SIZE):
            pass


def source_of(stream: trio.abc.Stream) -> str:
    """Return the address of the peer, the loopback's where there are no addresses."""
    if isinstance(stream, trio.SocketStream):
        address: str = stream.socket.getpeername()[0]
        return address
    return LOOPBACK
