"""Applications that mean a daemon no good: `python -m benchmarks.app_attackers NAME ADDRESS`, until its input ends.

Each goes on for ever, and connects anew whenever the daemon has had enough of it. They run with less claim to the
processors than anything else of the benchmark: what is measured is what they make the daemon do, not how much of the
machine they take from it.
"""

import os
import random
import select
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

import cbor2
import trio

from kpclientd.thin.framing import LENGTH_BYTES, encode_frame

NICENESS: Final = 10
CONNECTIONS: Final = 5
"""Of each kind of application, but for those that say otherwise."""

RETRY_SECONDS: Final = 0.1
READ_LENGTH: Final = 262_144

ITEMS: Final = 32_700
"""In one frame: as many as a daemon may have to look at one by one."""

REQUESTS: Final = 10_000
IDLE_CONNECTIONS: Final = 500
STALLED_REQUESTS: Final = 2_000
DRIP_FRAME: Final = 40 * 1024 * 1024 - 1
DRIP_PIECE: Final = 50_000
DRIP_SECONDS: Final = 0.05
"""Between two pieces: a megabyte a second."""

LOOK_SECONDS: Final = 0.2

UNSERVED_VERB: Final = "new_keypair"
FORGOTTEN_EPOCH: Final = 1
QUERY: Final = bytes(range(16))

Attack = Callable[[trio.SocketStream], Awaitable[None]]


async def items(stream: trio.SocketStream) -> None:
    """Send frames with many small items, again and again."""
    frame = encode_frame({"padding": [1] * (ITEMS - 3)})  # the map, its key and the list are items too
    await _while_drained(stream, lambda: stream.send_all(frame))


async def requests(stream: trio.SocketStream) -> None:
    """Ask for ten thousand small things at once, and for as many again when all are answered."""
    frames = encode_frame({"get_pki_document": {"query_id": QUERY, "epoch": FORGOTTEN_EPOCH}}) * REQUESTS
    answers = _AnswerCount()
    while True:
        goal = answers.complete + REQUESTS
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.send_all, frames)
            while answers.complete < goal:
                answers.feed(await _receive(stream))


async def drip(stream: trio.SocketStream) -> None:
    """Send the longest frames there are, slowly."""
    head = cbor2.dumps({UNSERVED_VERB: {"padding": b""}})[:-1]  # without the empty string, which is its last byte
    length = DRIP_FRAME - len(head) - 1 - LENGTH_BYTES
    head = DRIP_FRAME.to_bytes(LENGTH_BYTES, "big") + head + b"\x5a" + length.to_bytes(LENGTH_BYTES, "big")
    piece = bytes(DRIP_PIECE)

    async def send_one() -> None:
        await trio.sleep(random.uniform(0, DRIP_SECONDS))
        await stream.send_all(head)
        for begin in range(0, length, DRIP_PIECE):
            await stream.send_all(piece[: length - begin])
            await trio.sleep(DRIP_SECONDS)

    await _while_drained(stream, send_one)


async def idle(stream: trio.SocketStream) -> None:
    """Say nothing at all, and listen."""
    while True:
        await _receive(stream)


async def stalled_reader(stream: trio.SocketStream) -> None:
    """Ask for the document two thousand times, and read nothing."""
    frames = encode_frame({"get_pki_document": {"query_id": QUERY, "epoch": 0}}) * STALLED_REQUESTS
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.send_all, frames)
        look = select.poll()
        look.register(stream.socket.fileno(), select.POLLRDHUP)
        while not look.poll(0):
            await trio.sleep(LOOK_SECONDS)
        nursery.cancel_scope.cancel()


ATTACKS: Final[Mapping[str, tuple[Attack, int]]] = {
    "items": (items, CONNECTIONS),
    "requests": (requests, 1),
    "drip": (drip, CONNECTIONS),
    "idle": (idle, IDLE_CONNECTIONS),
    "stalled-reader": (stalled_reader, CONNECTIONS),
}


class _AnswerCount:
    """Counts frames without looking into them."""

    def __init__(self) -> None:
        self.complete = 0
        self._buffer = bytearray()

    def feed(self, data: bytes) -> None:
        self._buffer += data
        begin = 0
        while len(self._buffer) - begin >= LENGTH_BYTES:
            end = begin + LENGTH_BYTES + int.from_bytes(self._buffer[begin : begin + LENGTH_BYTES], "big")
            if end > len(self._buffer):
                break
            self.complete += 1
            begin = end
        del self._buffer[:begin]


async def _receive(stream: trio.SocketStream) -> bytes:
    data = bytes(await stream.receive_some(READ_LENGTH))
    if not data:
        raise trio.BrokenResourceError("the daemon hung up")
    return data


async def _while_drained(stream: trio.SocketStream, act: Callable[[], Awaitable[None]]) -> None:
    """Do it again and again, and read away whatever is answered."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(idle, stream)
        while True:
            await act()


async def _keep_up(attack: Attack, address: str) -> None:
    host, _, port = address.rpartition(":")
    while True:
        try:
            async with await trio.open_tcp_stream(host, int(port)) as stream:
                await attack(stream)
        except* (OSError, trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # that is what a daemon may do about it
        await trio.sleep(RETRY_SECONDS)


async def _run(name: str, address: str) -> None:
    attack, connections = ATTACKS[name]
    async with trio.open_nursery() as nursery:
        for _ in range(connections):
            nursery.start_soon(_keep_up, attack, address)
        async with trio.lowlevel.FdStream(sys.stdin.fileno()) as words:
            while await words.receive_some(1):
                pass
        nursery.cancel_scope.cancel()


if __name__ == "__main__":
    os.nice(NICENESS)
    trio.run(_run, sys.argv[1], sys.argv[2])
