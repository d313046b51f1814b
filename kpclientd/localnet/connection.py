"""One client's connection to the local network's gateway.

The deadlines, the order of pushes and what closes a connection are the reference gateway's; where the reference
lets its sender and its command handler write at once, here every frame is sealed and written under one lock.
"""

import hmac
import math
from collections.abc import Sequence
from enum import Enum, auto
from typing import Final, Protocol

import trio

from kpclientd.localnet.counters import Counted, Counters
from kpclientd.localnet.faults import Faults
from kpclientd.localnet.spool import Delivery, Spool
from kpclientd.streams import READ_SIZE, reset_when_closed
from kpclientd.wire.commands import (
    Command,
    Consensus2,
    GetConsensus2,
    MessageDelivered,
    NoOp,
    SendPacket,
)
from kpclientd.wire.errors import WireError
from kpclientd.wire.session import CommandReceived, Established, NoiseSession, PeerCredentials
from sphinx.types import RecipientId, SurbId

HANDSHAKE_SECONDS: Final = 3.0
"""From accepting the connection to the client's last handshake message."""

READ_IDLE_SECONDS: Final = 120.0
"""A client that sends no whole command for so long is disconnected."""

WRITE_SECONDS: Final = 60.0
HEARTBEAT_SECONDS: Final = 10.0
"""A NoOp is sent when nothing was pushed for so long."""

ACKNOWLEDGEMENT_SECONDS: Final = 60.0
"""A sender whose message is not acknowledged for so long stops for good; the connection stays open, but mute."""


class Host(Protocol):
    """What a connection needs of the gateway behind it."""

    faults: Faults
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


class ConnectionState(Enum):
    """How far a connection has come."""

    HANDSHAKE = auto()
    CONNECTED = auto()
    FROZEN = auto()


class ClientConnection:
    """Serves one stream until it ends.

    Args:
        host: the gateway.
        stream: the bytes; closed when `run` returns.
    """

    def __init__(self, host: Host, stream: trio.abc.Stream) -> None:
        self.state = ConnectionState.HANDSHAKE
        self.additional_data = b""
        self.link_key = b""
        self.admitted_at = -math.inf
        self._host = host
        self._stream = stream
        self._session = host.new_session(self)
        self._delivery: Delivery | None = None
        self._scope = trio.CancelScope()
        self._write_lock = trio.Lock()
        self._wake = trio.Event()
        self._acknowledged = trio.Event()
        self._acknowledged_at = -math.inf
        self._damage = False

    async def run(self) -> None:
        """Shake hands, then push and serve until the client leaves, breaks the protocol, or is reset."""
        try:
            with self._scope:
                await self._serve()
                if self.state is ConnectionState.FROZEN:  # a dead peer has no deadlines either
                    await trio.sleep_forever()
        except* WireError:
            established = self.state is not ConnectionState.HANDSHAKE
            self._host.counters.add(Counted.PROTOCOL_ERRORS if established else Counted.HANDSHAKES_FAILED)
        except* (trio.BrokenResourceError, trio.ClosedResourceError, trio.TooSlowError):
            pass  # the client has gone, or does not read: as if it had closed
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

    def reset(self) -> None:
        """End the connection at once; on TCP by a reset."""
        reset_when_closed(self._stream)
        self._scope.cancel()

    def freeze(self) -> None:
        """Never read or write again, but stay open."""
        self.state = ConnectionState.FROZEN

    def damage_next_frame(self) -> None:
        """Flip a bit of the next frame's authenticator, and send that frame now."""
        self._damage = True
        self.wake()

    async def _serve(self) -> None:
        if self._host.faults.silent_handshake:
            await trio.sleep_forever()
        early: Sequence[Command] | None = None
        with trio.move_on_after(HANDSHAKE_SECONDS):
            early = await self._handshake()
        if early is None:
            self._host.counters.add(Counted.HANDSHAKES_FAILED)
            return
        if self.state is not ConnectionState.FROZEN:
            self.state = ConnectionState.CONNECTED
        self._delivery = Delivery(self._host.spool, RecipientId(self.additional_data))
        self._host.established(self)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._push)
            await self._read(early)
            nursery.cancel_scope.cancel()

    async def _handshake(self) -> Sequence[Command] | None:
        while not self._session.established:
            data = await self._receive()
            if not data:
                return None
            events = self._session.receive(data, self._host.unix())
            if reply := self._session.outgoing():
                await self._write(reply)
            if any(isinstance(event, Established) for event in events):
                return [event.command for event in events if isinstance(event, CommandReceived)]
        return ()

    async def _read(self, early: Sequence[Command]) -> None:
        for command in early:
            if not await self._handle(command):
                return
        with trio.move_on_after(READ_IDLE_SECONDS) as idle:
            while data := await self._receive():
                for event in self._session.receive(data, self._host.unix()):
                    idle.deadline = trio.current_time() + READ_IDLE_SECONDS
                    if isinstance(event, CommandReceived) and not await self._handle(event.command):
                        return

    async def _handle(self, command: Command) -> bool:
        """Execute one command; False if
        the client may not send it and the connection must be closed."""
        match command:
            case NoOp():
                pass
            case SendPacket(packet=packet):
                self._host.take_packet(self, packet)
            case MessageDelivered(sequence=sequence):
                if self._delivery is not None and self._delivery.acknowledge(sequence):
                    self._host.counters.add(Counted.MESSAGES_ACKNOWLEDGED)
                    self._acknowledged_at = trio.current_time()
                    self._acknowledged.set()
            case GetConsensus2(epoch=epoch):
                for chunk in self._host.consensus(epoch):
                    await self._send(chunk)
            case _:
                self._host.counters.add(Counted.PROTOCOL_ERRORS)
                return False
        return True

    async def _push(self) -> None:
        """The per-client sender: heartbeats, and one message at a time until it is acknowledged."""
        self.wake()
        while True:
            with trio.move_on_after(HEARTBEAT_SECONDS) as quiet:
                await self._wake.wait()
            self._wake = trio.Event()
            if quiet.cancelled_caught or self._damage:
                await self._send(NoOp())
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

    async def _receive(self) -> bytes:
        data = await self._stream.receive_some(READ_SIZE)
        if self.state is ConnectionState.FROZEN:
            await trio.sleep_forever()
        return bytes(data)

    async def _send(self, command: Command) -> None:
        async with self._write_lock:
            frame = self._session.seal(command)
            if self._damage:
                self._damage = False
                frame = frame[:-1] + bytes([frame[-1] ^ 1])
            await self._write(frame)

    async def _write(self, data: bytes) -> None:
        if self.state is ConnectionState.FROZEN:
            await trio.sleep_forever()
        with trio.fail_after(WRITE_SECONDS):
            await self._stream.send_all(data)
