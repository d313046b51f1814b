"""One established link to a gateway: commands in, commands out, until it ends for one stated reason.

Theory of operation. Delivery is push: the gateway sends a message, waits for its acknowledgement, sends the next. A
message is acknowledged before anything is done with it, and whether or not anybody waits for it: until then nothing
that runs may depend on what it is, a reply that an application waits for or the return of a decoy. Only when all that
was read is acknowledged is it handed on; the next message cannot come before, as the gateway waits for that.

How fast this machine is at that moment still depends on what its applications do, and they are busy when replies come:
measured, acknowledgements of their replies were 30 µs later than those of decoys. So each waits for a random time
beside which that cannot be seen.

Frames leave in the order in which they were sealed, under one lock, and a frame that was sealed and not written whole
ends the link. The link ends for the first of: the peer closed it, broke the protocol, was silent, took no data; or
somebody here closed it. Each has a deadline of its own.

Source: the Katzenpost wire protocol, "connected state" and "fetching the consensus".
"""

import hmac
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from kpclientd.gateway.choice import GatewayChoice
from kpclientd.gateway.errors import DocumentGone, FetchFailed, LinkLost, NotConnected
from kpclientd.gateway.tokens import TokenEstimate
from kpclientd.streams import READ_SIZE
from kpclientd.wire.commands import (
    Command,
    CommandCodec,
    Consensus2,
    ConsensusCode,
    Disconnect,
    Message,
    MessageDelivered,
    NoOp,
    SendPacket,
)
from kpclientd.wire.consensus import ConsensusAssembler, Fetched, FetchResult
from kpclientd.wire.credentials import PeerCredentials
from kpclientd.wire.errors import WireError
from kpclientd.wire.session import CommandReceived, Established, NoiseEvent, NoiseSession
from sphinx.crypto.kem import Kem
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness
from sphinx.types import NodeId, RecipientId, SurbId

HANDSHAKE_SECONDS: Final = 20.0
READ_SECONDS: Final = 15.0
"""A gateway sends a heartbeat each 10 s; one that is silent for longer than this is gone."""

WRITE_SECONDS: Final = 60.0
STUCK: Final = f"the gateway took no data for {WRITE_SECONDS:.0f} s"
FETCH_SECONDS: Final = 30.0
KEEPALIVE_SECONDS: Final = 60.0
"""A gateway drops a client that sends nothing for 120 s; without cover traffic only this keeps the link."""

LONGEST_PAUSE_SECONDS: Final = 0.02
"""Before an acknowledgement, see above. It costs an answer ten milliseconds on average; its way back takes seconds."""

QUEUE_ID_BYTES: Final = 16
LEAST_UNCERTAINTY_SECONDS: Final = 0.02
"""Jitter of a local network; see `TokenEstimate`."""


class GatewayLink:
    """A link after its handshake. Made by `open_link`; lives while `run` runs.

    Attributes:
        choice: the gateway.
        queue_id: this connection's name at the gateway (32 bytes); the SURBs of its packets lead to it.
        tokens: what the gateway's rate limiter surely has for us.
        clock_skew: our clock less the gateway's (seconds), as measured in the handshake.
        since: monotonic seconds at which it was established.
    """

    def __init__(
        self,
        stream: trio.abc.Stream,
        session: NoiseSession,
        choice: GatewayChoice,
        queue_id: RecipientId,
        tokens: TokenEstimate,
        *,
        clock_skew: float,
        since: float,
        wall_clock: Callable[[], float],
        on_message: Callable[[SurbId, bytes], None],
        randomness: Randomness,
        early: list[NoiseEvent],
    ) -> None:
        self.choice = choice
        self.queue_id = queue_id
        self.tokens = tokens
        self.clock_skew = clock_skew
        self.since = since
        self._stream = stream
        self._session = session
        self._wall_clock = wall_clock
        self._on_message = on_message
        self._randomness = randomness
        self._early = early
        self._delivered: list[Message] = []
        self._assembler = ConsensusAssembler()
        self._waiter: trio.MemorySendChannel[FetchResult] | None = None
        self._writing = trio.Lock()
        self._last_write = trio.current_time()
        self._write_began = math.inf
        self._scope = trio.CancelScope()
        self._end: LinkLost | None = None

    @property
    def gateway(self) -> NodeId:
        """The gateway's node id (32 bytes)."""
        return self.choice.node_id

    @property
    def is_up(self) -> bool:
        """Whether the link has not ended."""
        return self._end is None

    async def run(self) -> LinkLost:
        """Serve the link until it ends, and return why it did. Cancellation closes it."""
        try:
            with self._scope:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(self._keep_alive)
                    await self._read()
        finally:
            self.close("the daemon stops")
            self._hand_on()
            self._session.close()
            await trio.aclose_forcefully(self._stream)
        return self._end or LinkLost("the link was closed")

    def close(self, reason: str) -> None:
        """End the link; the first reason given is the one that counts."""
        if self._end is None:
            self._end = LinkLost(reason)
        self._scope.cancel()
        if self._waiter is not None:
            self._waiter.close()

    async def send_packet(self, packet: bytes) -> None:
        """Write one Sphinx packet (`packet_length` bytes) to the gateway.

        Raises:
            LinkLost: if the link ends before the packet is written.
        """
        self.tokens.spend(trio.current_time())
        await self._send(SendPacket(packet))

    async def fetch(self, epoch: int) -> bytes:
        """Return the signed consensus document of `epoch`, unverified.

        Raises:
            FetchFailed: if it is not there yet, did not come within 30 s, or an earlier request is still unfinished.
            DocumentGone: if there will never be one.
            NotConnected: if the link ended meanwhile.
        """
        if self._waiter is not None or self._assembler.busy:
            raise FetchFailed("an earlier document request is still unfinished on this link")
        self._waiter, answers = trio.open_memory_channel[FetchResult](1)
        try:
            with answers, trio.fail_after(FETCH_SECONDS):
                await self._send(self._assembler.request(epoch))
                answer = await answers.receive()
        except trio.TooSlowError:
            self._assembler.give_up()
            raise FetchFailed(f"the gateway did not send epoch {epoch}'s document in {FETCH_SECONDS:.0f} s") from None
        except (trio.EndOfChannel, LinkLost):
            raise NotConnected("the link to the gateway ended") from None
        finally:
            self._waiter = None
        if isinstance(answer, Fetched):
            return answer.blob
        if answer.code is ConsensusCode.GONE:
            raise DocumentGone(f"the gateway will never have a document of epoch {epoch}")
        raise FetchFailed(f"the gateway has no document of epoch {epoch} yet")

    async def _send(self, command: Command) -> None:
        """Write one command whole, or raise LinkLost: then it is not, or only in part, on the wire."""
        async with self._writing:
            if self._end is not None:
                raise self._end
            self._write_began = trio.current_time()
            try:
                # Sealing advances the cipher: the frame must be the next one written, or the link is lost.
                await self._stream.send_all(self._session.seal(command))
            except (trio.BrokenResourceError, trio.ClosedResourceError, WireError) as error:
                raise self._lost(f"writing failed: {error}") from None
            except trio.Cancelled:
                self.close(STUCK if self._is_stuck() else "a write was cut short")
                raise
            self._last_write, self._write_began = trio.current_time(), math.inf

    def _lost(self, reason: str) -> LinkLost:
        self.close(reason)
        return self._end or LinkLost(reason)

    async def _keep_alive(self) -> None:
        """Write something where nothing else is written, and end the link where nothing can be."""
        while True:
            is_writing = self._write_began < math.inf
            await trio.sleep_until(
                self._write_began + WRITE_SECONDS if is_writing else self._last_write + KEEPALIVE_SECONDS
            )
            if self._is_stuck():
                self.close(STUCK)
            elif self._write_began == math.inf and trio.current_time() >= self._last_write + KEEPALIVE_SECONDS:
                try:
                    with trio.move_on_after(WRITE_SECONDS):
                        await self._send(NoOp())
                except LinkLost:
                    return

    def _is_stuck(self) -> bool:
        return trio.current_time() >= self._write_began + WRITE_SECONDS

    async def _read(self) -> None:
        try:
            await self._dispatch_all(self._early)
            with trio.fail_after(READ_SECONDS) as limit:
                while self.is_up:
                    data = await self._stream.receive_some(READ_SIZE)
                    if not data:
                        self.close("the gateway closed the connection")
                        return
                    events = self._session.receive(bytes(data), self._wall_clock())
                    if events:
                        limit.deadline = math.inf
                        await self._dispatch_all(events)
                        limit.deadline = trio.current_time() + READ_SECONDS
        except trio.TooSlowError:
            self.close(f"the gateway was silent for {READ_SECONDS:.0f} s")
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            self.close(f"the connection broke: {error}")
        except WireError as error:
            # What came intact before the fault is as good as ever; it only cannot be acknowledged any more.
            for event in error.events:
                if isinstance(event, CommandReceived) and isinstance(event.command, Message):
                    self._delivered.append(event.command)
            self.close(f"the gateway broke the protocol: {error}")
        except LinkLost:
            return

    def _hand_on(self) -> None:
        delivered, self._delivered = self._delivered, []
        for message in delivered:
            self._on_message(message.surb_id, message.payload)

    async def _dispatch_all(self, events: list[NoiseEvent]) -> None:
        for event in events:
            if isinstance(event, CommandReceived):
                await self._dispatch(event.command)
        self._hand_on()

    async def _dispatch(self, command: Command) -> None:
        match command:
            case NoOp():
                pass
            case Message():
                self._delivered.append(command)
                await trio.sleep(LONGEST_PAUSE_SECONDS * self._randomness.uniform())
                await self._send(MessageDelivered(command.sequence))
            case Consensus2():
                outcome = self._assembler.feed(command)
                if outcome is not None and self._waiter is not None:
                    self._waiter.send_nowait(outcome)
            case Disconnect():
                self.close("the gateway disconnected us")
            case _:
                self.close(f"the gateway sent a {type(command).__name__}, which clients do not take")


@dataclass(frozen=True, slots=True)
class PreparedHandshake:
    """What a handshake needs that can be made before anybody waits for it: keys of the link, and a queue's name."""

    choice: GatewayChoice
    queue_id: RecipientId = field(repr=False)
    session: NoiseSession = field(repr=False)


def prepare_handshake(
    choice: GatewayChoice, *, kem: Kem, geometry: Geometry, randomness: Randomness
) -> PreparedHandshake:
    """Make a fresh link key and a fresh queue id for one handshake with `choice`."""
    queue_id = RecipientId(randomness.bytes(QUEUE_ID_BYTES).hex().encode())

    def is_the_chosen(peer: PeerCredentials) -> bool:
        owns_key = hmac.compare_digest(peer.public_key, choice.link_key)
        return hmac.compare_digest(peer.additional_data, choice.node_id) and owns_key

    session = NoiseSession.initiator(
        kem, kem.generate(randomness), queue_id, CommandCodec(geometry), is_the_chosen, randomness
    )
    return PreparedHandshake(choice, queue_id, session)


async def open_link(
    stream: trio.abc.Stream,
    prepared: PreparedHandshake,
    *,
    wall_clock: Callable[[], float],
    on_message: Callable[[SurbId, bytes], None],
    randomness: Randomness,
) -> GatewayLink:
    """Shake hands over `stream`.

    Raises:
        LinkLost: if the peer is not the gateway chosen, breaks the protocol or is too slow; the stream is closed then.
    """
    session = prepared.session
    try:
        with trio.fail_after(HANDSHAKE_SECONDS):
            await stream.send_all(session.start())
            asked = trio.current_time()
            while True:
                data = await stream.receive_some(READ_SIZE)
                if not data:
                    raise LinkLost("the gateway closed the connection in the handshake")
                events = session.receive(bytes(data), wall_clock())
                if events:
                    break
                answer = session.outgoing()
                if answer:
                    await stream.send_all(answer)
                    # The gateway's limiter begins to count when it reads what was just written.
                    asked = trio.current_time()
    except BaseException as error:
        session.close()
        await trio.aclose_forcefully(stream)
        match error:
            case trio.TooSlowError():
                raise LinkLost(f"the handshake took longer than {HANDSHAKE_SECONDS:.0f} s") from None
            case trio.BrokenResourceError() | trio.ClosedResourceError():
                raise LinkLost(f"the connection broke in the handshake: {error}") from None
            case WireError():
                raise LinkLost(f"the handshake failed: {error}") from None
        raise
    established, early = events[0], events[1:]
    assert isinstance(established, Established)
    opened = trio.current_time()
    tokens = TokenEstimate(opened, uncertainty=2 * (opened - asked) + LEAST_UNCERTAINTY_SECONDS)
    return GatewayLink(
        stream,
        session,
        prepared.choice,
        prepared.queue_id,
        tokens,
        clock_skew=established.clock_skew,
        since=opened,
        wall_clock=wall_clock,
        on_message=on_message,
        randomness=randomness,
        early=early,
    )
