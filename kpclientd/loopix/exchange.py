"""One packet over one connection: connect, write at once, read to the end, close.

Source: the Nym 2019 Loopix client, "transport". The reference waits for ever; every step has a deadline here.
"""

import socket
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from kpclientd.loopix.errors import ExchangeBroken, Unreachable
from kpclientd.loopix.nodes import MixConfig
from kpclientd.streams import READ_SIZE, reason_of

CONNECT_SECONDS: Final = 10.0
EXCHANGE_SECONDS: Final = 30.0
"""From the first attempt to connect to the end of the reply."""

MAX_REPLY: Final = 64 * 1024 * 1024
"""Bytes of a reply; a pulled inbox may be of any size, so only a runaway one is refused."""

Dial = Callable[[str, int], Awaitable[trio.abc.Stream]]
"""Opens a byte stream to a host and a port; raises OSError."""


async def dial_tcp(host: str, port: int) -> trio.abc.Stream:
    """Open a TCP stream that sends at once what it is given.

    Raises:
        OSError: if nobody answers there.
    """
    stream = await trio.open_tcp_stream(host, port)
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return stream


async def exchange(dial: Dial, node: MixConfig, packet: bytes) -> bytes:
    """Hand `packet` to `node` and return all it answers, often nothing.

    Nodes read once: the packet has to leave in a single write, and no half of the connection may be closed before the
    node closes it. Cancelled, it leaves no connection behind; the packet may have arrived.

    Raises:
        Unreachable: if no connection came about. The packet can be sent again without being sent twice.
        ExchangeBroken: if the connection broke, or did not end in time. Nobody knows whether the packet arrived.
    """
    with trio.move_on_after(EXCHANGE_SECONDS):
        stream = await _connect(dial, node)
        try:
            await stream.send_all(packet)
            return await _read_to_end(stream, node.address)
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise ExchangeBroken(f"{node.address} broke the connection: {error.__cause__ or 'reset'}") from None
        finally:
            await trio.aclose_forcefully(stream)
    raise ExchangeBroken(f"{node.address} did not end the connection within {EXCHANGE_SECONDS:.0f} s")


async def _connect(dial: Dial, node: MixConfig) -> trio.abc.Stream:
    try:
        with trio.fail_after(CONNECT_SECONDS):
            return await dial(node.host, int(node.port))
    except trio.TooSlowError:
        raise Unreachable(f"{node.address} did not answer within {CONNECT_SECONDS:.0f} s") from None
    except (OSError, ValueError) as error:
        raise Unreachable(f"{node.address} cannot be reached: {reason_of(error)}") from None


async def _read_to_end(stream: trio.abc.Stream, address: str) -> bytes:
    reply = bytearray()
    while data := await stream.receive_some(READ_SIZE):
        reply += data
        if len(reply) > MAX_REPLY:
            raise ExchangeBroken(f"{address} answered more than {MAX_REPLY} bytes")
    return bytes(reply)
