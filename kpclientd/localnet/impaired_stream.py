"""The bytes' way between a client and its gateway, and what can go wrong on it.

It stands between any transport's stream and the connection that speaks the protocol, so every fault of a network works
on every transport, and on streams in memory. What is held up is not lost: a network that drops packets for a while
makes them late, because the transport sends them again.
"""

import math
from typing import Final

import trio

from kpclientd.localnet.faults import Direction, GatewayFaults
from kpclientd.streams import READ_SIZE, reset_when_closed

WRITE_SECONDS: Final = 60.0
"""For how long a peer may keep a write waiting."""


class ImpairedStream(trio.abc.Stream):
    """A stream under the faults of a gateway.

    Attributes:
        in_handshake: whether bytes still count towards the reset of a handshake.

    Args:
        stream: the transport's.
        faults: the gateway's.
    """

    def __init__(self, stream: trio.abc.Stream, faults: GatewayFaults) -> None:
        self.in_handshake = True
        self._stream = stream
        self._faults = faults
        self._travelled = 0
        self._frozen = False

    def freeze(self) -> None:
        """Let no byte through any more, in either direction, for ever."""
        self._frozen = True

    def reset_when_closed(self) -> None:
        """Let the closing be a reset, where the transport knows such a thing."""
        reset_when_closed(self._stream)

    async def until_passable(self, direction: Direction) -> None:
        """Wait while bytes that travel in `direction` are held up."""
        await self._faults.until(lambda faults: not faults.drops(direction))
        if self._frozen:
            await trio.sleep_forever()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        """Receive what the client sent.

        Raises:
            trio.BrokenResourceError: if the connection is to be reset at this byte.
        """
        wanted = min(max_bytes or READ_SIZE, self._room())
        data = bytes(await self._stream.receive_some(int(wanted))) if wanted else b""
        self._count(len(data), nothing_fits=not wanted)
        await self.until_passable(Direction.IN)
        return data

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        """Send to the client.

        Raises:
            trio.BrokenResourceError: if the connection is to be reset at one of these bytes.
            trio.TooSlowError: if the client does not read.
        """
        rest = bytes(data)
        while rest:
            await self.until_passable(Direction.OUT)
            pause = self._faults.effective().drip
            length = min(1 if pause else len(rest), self._room())
            if length:
                with trio.fail_after(WRITE_SECONDS):
                    await self._stream.send_all(rest[: int(length)])
            self._count(int(length), nothing_fits=not length)
            rest = rest[int(length) :]
            if pause:
                await trio.sleep(pause)

    async def wait_send_all_might_not_block(self) -> None:
        """Wait until the transport would take bytes."""
        await self._stream.wait_send_all_might_not_block()

    async def aclose(self) -> None:
        """Close the transport's stream, whatever is held up."""
        await self._stream.aclose()

    def _room(self) -> float:
        """Bytes until the connection is to be reset."""
        most = self._faults.effective().reset_handshake if self.in_handshake else None
        return math.inf if most is None else max(0, most - self._travelled)

    def _count(self, length: int, *, nothing_fits: bool) -> None:
        self._travelled += length
        if nothing_fits or (length and not self._room()):
            self.reset_when_closed()
            raise trio.BrokenResourceError("reset on command")
