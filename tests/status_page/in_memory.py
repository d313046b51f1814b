"""Clients of the status page's server without sockets, as virtual clocks need them."""

import trio
import trio.testing

Client = trio.StapledStream[trio.testing.MemorySendStream, trio.testing.MemoryReceiveStream]


class MemoryListener(trio.abc.Listener[trio.abc.HalfCloseableStream]):
    """Where tests connect, and whose queue is as long as it must be."""

    def __init__(self) -> None:
        self._connect, self._connected = trio.open_memory_channel[trio.abc.HalfCloseableStream | OSError](10_000)

    async def accept(self) -> trio.abc.HalfCloseableStream:
        accepted = await self._connected.receive()
        if isinstance(accepted, OSError):
            raise accepted
        return accepted

    async def aclose(self) -> None:
        await self._connected.aclose()

    def fail(self, error: OSError) -> None:
        """Let the next accept fail."""
        self._connect.send_nowait(error)

    def connect(self) -> Client:
        ours, theirs = trio.testing.memory_stream_pair()
        self._connect.send_nowait(theirs)
        return ours

    def connect_without_buffers(self) -> trio.abc.HalfCloseableStream:
        """As to a client whose system takes no byte that it does not read itself."""
        ours, theirs = trio.testing.lockstep_stream_pair()
        self._connect.send_nowait(theirs)
        return ours


async def answer(client: trio.abc.ReceiveStream) -> bytes:
    """All that comes until the connection ends."""
    received = b""
    try:
        while data := await client.receive_some(65536):
            received += data
    except trio.BrokenResourceError:
        pass
    return received
