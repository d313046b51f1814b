"""One client's connection to the local network's gateway.

The deadlines, the order of pushes and what closes a connection are the reference gateway's; where the reference
lets its sender and its command handler write at once, here every frame is sealed and written under one lock.

Three tasks serve a connection: one reads commands, one pushes replies and heartbeats, one answers requests for
documents in the order in which they came.
"""

import hmac
import math
from collections.abc import Sequence
from typing import Final, Protocol

import trio

from kpclientd.localnet.counters import Counted, Counters
from kpclientd.localnet.faults import Direction, GatewayFaults
from kpclientd.localnet.impaired_stream import ImpairedStream
from kpclientd.localnet.spool import Delivery, Spool
from kpclientd.streams import READ_SIZE
from kpclientd.wire.commands import (
    Command,
    Consensus2,
    GetConsensus2,
    MessageDelivered,
    NoOp,
    SendPacket,
)
from kpclientd.wire.consensus import not_found
from kpclientd.wire.errors import WireError
from kpclientd.wire.session import CommandReceived, Established, NoiseSession, PeerCredentials
from sphinx.types import RecipientId, SurbId

HANDSHAKE_SECONDS: Final = 3.0
"""From accepting the connection to the client's last handshake message."""

READ_IDLE_SECONDS: Final = 120.0
"""A client that sends no whole command for so long is disconnected."""

HEARTBEAT_SECONDS: Final = 10.0
"""A NoOp is sent when nothing was pushed for so long."""

ACKNOWLEDGEMENT_SECONDS: Final = 60.0
"""A sender whose message is not acknowledged for so long stops for good; the connection stays open, but mute."""

MOST_REQUESTS: Final = 16
"""Requests for documents that wait for their answer; while there are as many, nothing more is read."""

LATEST_TIME: Final = float((1 << 32) - 1)
"""Unix seconds that a handshake can show."""

Request = tuple[Sequence[Consensus2], float]
"""An answer that is to be sent, and when (trio's clock)."""


class Host(Protocol):
    """What a connection needs of the gateway behind it."""

    faults: GatewayFaults
    counters: Counters
    spool: Spool

    def new_session(self, connection: "ClientConnection") -> NoiseSession:
        """Return a responder that asks the connection's `admit` about its peer."""

    def unix(self) -> float:
        """Return the wall clock, unix seconds."""

    def established(self, connection: "ClientConnection") -> None:
        """Take note that a client is there; its replies go to this connection from now on."""

    def take_packet(self, connection: "ClientConnection", packet: bytes) -> None:
        """Take a client's packet in."""

    def acknowledged(self, surb_id: SurbId, seconds: float) -> None:
        """Take note that a client acknowledged a reply so long after it was pushed."""

    def consensus(self, epoch: int) -> Sequence[Consensus2]:
        """Return the answer to a request for the document of `epoch`; empty if there is to be none."""


class ClientConnection:
    """Serves one stream until it ends.

    Args:
        host: the gateway.
        stream: the bytes; closed when `run` returns.

    Attributes:
        is_established: whether the handshake is over.
        additional_data: the client's name for its queue, once it is admitted.
        link_key: its link key.
        admitted_at: when it was (trio's clock).
    """

    def __init__(self, host: Host, stream: trio.abc.Stream) -> None:
        self.is_established = False
        self.additional_data = b""
        self.link_key = b""
        self.admitted_at = -math.inf
        self._host = host
        self._stream = ImpairedStream(stream, host.faults)
        self._session = host.new_session(self)
        self._delivery: Delivery | None = None
        self._scope = trio.CancelScope()
        self._write_lock = trio.Lock()
        self._wake = trio.Event()
        self._acknowledged = trio.Event()
        self._acknowledged_at = -math.inf
        self._damage = False
        self._unasked = 0

    async def run(self) -> None:
        """Shake hands, then push and serve until the client leaves, breaks the protocol, or is reset."""
        try:
            with self._scope:
                await self._serve_guarded()
                await self._stream.until_passable(Direction.OUT)  # the end of a connection is held up like its bytes
        finally:
            self._session.close()
            await trio.aclose_forcefully(self._stream)

    def admit(self, peer: PeerCredentials) -> bool:
        """Let anybody in, as gateways do; the client's queue is named by its additional data."""
        self.additional_data = peer.additional_data
        self.link_key = peer.public_key
        self.admitted_at = trio.current_time()
        return True

    def is_same_client(self, other: "ClientConnection") -> bool:
        """Whether both ends gave the same queue and link key."""
        return hmac.compare_digest(self.additional_data, other.additional_data) and hmac.compare_digest(
            self.link_key, other.link_key
        )

    def wake(self) -> None:
        """Tell the sender that something was spooled."""
        self._wake.set()

    def end(self) -> None:
        """Close the connection at once."""
        self._scope.cancel()

    def reset(self) -> None:
        """End the connection at once; on TCP by a reset."""
        self._stream.reset_when_closed()
        self.end()

    def freeze(self) -> None:
        """Never read or write again, but stay open."""
        self._stream.freeze()

    def damage_next_frame(self) -> None:
        """Flip a bit of the next frame's authenticator, and send that frame now."""
        self._damage = True
        self.wake()

    def send_unasked(self) -> None:
        """Send an answer to a request for a document that there was not."""
        self._unasked += 1
        self.wake()

    async def _serve_guarded(self) -> None:
        try:
            await self._serve()
        except* WireError:
            self._host.counters.add(Counted.PROTOCOL_ERRORS if self.is_established else Counted.HANDSHAKES_FAILED)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # the client has gone, or does not read: as if it had closed

    async def _serve(self) -> None:
        await self._host.faults.until(lambda faults: not faults.silent_handshake)
        early: Sequence[Command] | None = None
        with trio.move_on_after(math.inf if self._host.faults.effective().drip else HANDSHAKE_SECONDS):
            early = await self._handshake()
        if early is None:
            self._host.counters.add(Counted.HANDSHAKES_FAILED)
            return
        self.is_established = True
        self._stream.in_handshake = False
        self._delivery = Delivery(self._host.spool, RecipientId(self.additional_data))
        self._host.established(self)
        requests, answered = trio.open_memory_channel[Request](MOST_REQUESTS)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._push)
            nursery.start_soon(self._answer, answered)
            await self._read(early, requests)
            nursery.cancel_scope.cancel()

    async def _handshake(self) -> Sequence[Command] | None:
        while not self._session.established:
            data = await self._stream.receive_some(READ_SIZE)
            if not data:
                return None
            shown = self._host.unix() + self._host.faults.effective().clock_off
            events = self._session.receive(data, min(max(0.0, shown), LATEST_TIME))
            if reply := self._session.outgoing():
                await self._stream.send_all(reply)
            if any(isinstance(event, Established) for event in events):
                return [event.command for event in events if isinstance(event, CommandReceived)]
        return ()

    async def _read(self, early: Sequence[Command], requests: trio.MemorySendChannel[Request]) -> None:
        for command in early:
            if not await self._handle(command, requests):
                return
        with trio.move_on_after(READ_IDLE_SECONDS) as idle:
            while data := await self._stream.receive_some(READ_SIZE):
                for event in self._session.receive(data, self._host.unix()):
                    idle.deadline = trio.current_time() + READ_IDLE_SECONDS
                    if isinstance(event, CommandReceived) and not await self._handle(event.command, requests):
                        return

    async def _handle(self, command: Command, requests: trio.MemorySendChannel[Request]) -> bool:
        """Execute one command; False if the client may not send it and the connection must be closed."""
        match command:
            case NoOp():
                pass
            case SendPacket(packet=packet):
                self._host.take_packet(self, packet)
            case MessageDelivered(sequence=sequence):
                self._take_acknowledgement(sequence)
            case GetConsensus2(epoch=epoch):
                due = trio.current_time() + self._host.faults.effective().document_delay
                await requests.send((self._host.consensus(epoch), due))
            case _:
                self._host.counters.add(Counted.PROTOCOL_ERRORS)
                return False
        return True

    def _take_acknowledgement(self, sequence: int) -> None:
        if self._delivery is None or self._host.faults.effective().ignore_acknowledgements:
            return
        if self._delivery.acknowledge(sequence):
            self._host.counters.add(Counted.MESSAGES_ACKNOWLEDGED)
            self._acknowledged_at = trio.current_time()
            self._acknowledged.set()

    async def _answer(self, requests: trio.MemoryReceiveChannel[Request]) -> None:
        async for answer, due in requests:
            await trio.sleep_until(due)
            for chunk in answer:
                await self._send(chunk)

    async def _push(self) -> None:
        """The per-client sender: heartbeats, and one message at a time until it is acknowledged."""
        self.wake()
        while True:
            with trio.move_on_after(HEARTBEAT_SECONDS) as quiet:
                await self._wake.wait()
            self._wake = trio.Event()
            if self._damage or (quiet.cancelled_caught and not self._host.faults.effective().no_heartbeats):
                await self._send(NoOp())
            while self._unasked:
                self._unasked -= 1
                await self._send(not_found())
            while self._delivery is not None and (message := self._delivery.next_message()) is not None:
                self._acknowledged = trio.Event()
                self._host.counters.add(Counted.MESSAGES_PUSHED)
                pushed_at = trio.current_time()
                await self._send(message)
                with trio.move_on_after(ACKNOWLEDGEMENT_SECONDS) as patience:
                    await self._acknowledged.wait()
                if patience.cancelled_caught:
                    self._host.counters.add(Counted.ACKNOWLEDGEMENTS_MISSED)
                    return
                self._host.acknowledged(message.surb_id, self._acknowledged_at - pushed_at)

    async def _send(self, command: Command) -> None:
        async with self._write_lock:
            frame = self._session.seal(command)
            if self._damage:
                self._damage = False
                frame = frame[:-1] + bytes([frame[-1] ^ 1])
            await self._stream.send_all(frame)
