"""Carries the bytes of one connection to a gateway; what they mean is the `LinkProtocol`'s.

Theory of operation. One task reads, one minds the deadlines, and anybody may write. Whatever is sealed is written under
one lock, in the order in which it was sealed; a write that is cut short ends the connection. Who finds the lock taken
leaves what it has to whoever holds it, so that the reader does not wait for a gateway that waits for us to read.

An acknowledgement is written before what it acknowledges is handed on: until then nothing that runs may depend on what
that is, a reply that an application waits for or the return of a decoy. So events are taken after each write. A packet
that leaves while the reader pauses before an acknowledgement takes that along; what was acknowledged is handed on when
the pause is over all the same, so that no other packet waits for what comes of it.
"""

from collections.abc import Callable
from typing import Final

import trio

from kpclientd.gateway.protocol import DocumentAnswer, LinkLost, LinkProtocol
from kpclientd.gateway.tokens import TokenEstimate
from kpclientd.streams import READ_SIZE, reason_of
from kpclientd.wire.commands import SendPacket
from kpclientd.wire.consensus import FetchResult
from sphinx.types import NodeId, RecipientId, SurbId

LEAST_UNCERTAINTY_SECONDS: Final = 0.02
"""Jitter of a local network; see `TokenEstimate`."""

LATE_SECONDS: Final = 1.0
CATCH_UP_SECONDS: Final = 0.1
"""A deadline that is noticed so late was slept through, by the process or the machine: then what has come meanwhile is
read first, for so long."""


class GatewayLink:
    """One open stream, and the protocol on it.

    Args:
        stream: the stream; it is closed when `run` returns.
        protocol: at its beginning.
        wall_clock: this machine's clock (Unix seconds).
        on_message: takes each delivered (SURB id, payload); must not block.
        on_answer: takes what became of a document request; must not block.
        on_progress: called whenever the protocol was given something.

    Attributes:
        tokens: what the gateway's rate limiter surely has for us, from the end of the handshake on.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        protocol: LinkProtocol,
        *,
        wall_clock: Callable[[], float],
        on_message: Callable[[SurbId, bytes], None],
        on_answer: Callable[[FetchResult], None],
        on_progress: Callable[[], None],
    ) -> None:
        self.tokens = TokenEstimate(trio.current_time(), LEAST_UNCERTAINTY_SECONDS)
        self._stream = stream
        self._protocol = protocol
        self._wall_clock = wall_clock
        self._on_message = on_message
        self._on_answer = on_answer
        self._on_progress = on_progress
        self._writing = trio.Lock()
        self._asked_at = trio.current_time()
        self._is_pausing = False

    @property
    def gateway(self) -> NodeId:
        """The gateway's node id (32 bytes)."""
        return self._protocol.choice.node_id

    @property
    def queue_id(self) -> RecipientId:
        """Where the replies to this connection's packets wait."""
        return self._protocol.queue_id

    @property
    def local_address(self) -> str | None:
        """This machine's end of the connection, as an IP address; None where it is no such connection."""
        if not isinstance(self._stream, trio.SocketStream):
            return None
        name = self._stream.socket.getsockname()
        return str(name[0]) if isinstance(name, tuple) else None

    async def run(self) -> None:
        """Carry bytes until the connection ends. Cancellation ends it."""
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._mind_deadlines, nursery)
                await self._read()
                nursery.cancel_scope.cancel()
        finally:
            self._protocol.leave("it was given up")
            self._take_events()
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(self._stream)
        self._on_progress()

    async def send_packet(self, packet: bytes) -> None:
        """Write one Sphinx packet (`packet_length` bytes) to the gateway.

        Raises:
            LinkLost: if the connection ends before the packet is written. If it ends thereafter, the packet has left.
        """
        self.tokens.spend(trio.current_time())
        await self._begin_writing()
        try:
            self._protocol.send(SendPacket(packet))
            is_written = await self._drain()
        finally:
            self._writing.release()
        if not is_written:
            raise self._protocol.end or LinkLost("the packet was not written")

    async def flush(self) -> None:
        """Write what the protocol has to say."""
        await self._begin_writing()
        try:
            await self._drain()
        finally:
            self._writing.release()

    async def _begin_writing(self) -> None:
        """Take the lock: at once where it is free, without a pass of the event loop; the write that follows has one.

        What would run in that pass might have been woken by what the packet carries.
        """
        await trio.lowlevel.checkpoint_if_cancelled()
        try:
            self._writing.acquire_nowait()
        except trio.WouldBlock:
            await self._writing.acquire()

    async def _drain(self) -> bool:
        """Write all that is sealed; whether what was sealed at first is written."""
        is_written = False
        while data := self._protocol.outgoing(trio.current_time()):
            try:
                await self._stream.send_all(data)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                self._protocol.broke(reason_of(error))
            except trio.Cancelled:
                self._protocol.leave("a write was cut short")
                raise
            else:
                is_written = True
                self._protocol.wrote()
                if not self._is_pausing:
                    self._take_events()
        return is_written

    async def _read(self) -> None:
        protocol = self._protocol
        try:
            await self.flush()
            self._asked_at = trio.current_time()
            while protocol.end is None:
                data = await self._stream.receive_some(READ_SIZE)
                was_up = protocol.was_up
                protocol.receive(bytes(data), trio.current_time(), self._wall_clock())
                if pause := protocol.pause():
                    self._is_pausing = True
                    await trio.sleep(pause)
                    self._is_pausing = False
                if protocol.is_backed_up or not self._writing.locked():
                    await self.flush()
                if not was_up:
                    self._note_handshake()
                self._take_events()
                self._on_progress()
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            protocol.broke(reason_of(error))

    def _note_handshake(self) -> None:
        now = trio.current_time()
        if self._protocol.was_up:
            # The gateway's limiter began to count when it read our last message, or thereafter.
            self.tokens = TokenEstimate(now, uncertainty=2 * (now - self._asked_at) + LEAST_UNCERTAINTY_SECONDS)
        else:
            self._asked_at = now

    def _take_events(self) -> None:
        while (event := self._protocol.next_event()) is not None:
            if isinstance(event, DocumentAnswer):
                self._on_answer(event.result)
            else:
                self._on_message(event.surb_id, event.payload)

    async def _mind_deadlines(self, nursery: trio.Nursery) -> None:
        """Never waits for a write: one that does not end is what it has to notice."""
        while self._protocol.end is None:
            timer = self._protocol.next_timer()
            await trio.sleep_until(timer)
            if trio.current_time() > timer + LATE_SECONDS:
                await trio.sleep(CATCH_UP_SECONDS)
            self._protocol.handle_timers(trio.current_time())
            if self._protocol.end is None:
                if not self._writing.locked():  # else whoever writes will write this too
                    nursery.start_soon(self.flush)
                self._on_progress()
        nursery.cancel_scope.cancel()
