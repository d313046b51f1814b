"""One connection to a gateway, from its first byte to its end: a state machine without I/O.

    state       ends by                                   deadline
    HANDSHAKE   the gateway's last message --> UP         8 s for all of it
    UP          whatever comes first of:                  15 s without a whole command
                  the stream's end or a fault in it       60 s in which a write does not end
                  `leave`                                 30 s after a document was asked for
    ENDED       --

Theory of operation. Delivery is push: the gateway sends a message, waits for its acknowledgement, sends the next. So an
acknowledgement is written before anything is done with what was delivered, and whether or not anybody waits for it:
`receive` answers into `outgoing`, and an event is given out when what was answered before it is written.

Nothing that is to be written may keep the reader waiting, or two ends that wait for each other to read would do so for
ever. Only where more has come than a gateway sends without an acknowledgement is it `backed_up`, and not read on.

How fast this machine is at that moment still depends on what its applications do, and they are busy when replies come:
measured, acknowledgements of their replies were 30 µs later than those of decoys. So each waits for a random time, the
`pause`, beside which that cannot be seen.

A gateway sends a heartbeat where it has nothing else to send, each 10 s, and drops a client that sends nothing for two
minutes; so each end notices within its own time that the other is gone, although the stream would not tell. The client
sends a heartbeat each 10 s, whatever else it sends, as the newest reference does.

An answer to a document request carries neither epoch nor number. Once it was waited for too long it could not be told
from the answer to a next request; such a connection is ended.

Frames leave in the order in which they were sealed, and all that was sealed must leave: so whoever writes drains
`outgoing` under a lock, and a write that is cut short ends the connection. All sealed frames wait in `outgoing`; at
most one call's worth of it is being written.

Source: the Katzenpost wire protocol, "connected state", "fetching the consensus", "timeouts".
"""

import hmac
from collections import deque
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from kpclientd.errors import KpclientdError
from kpclientd.gateway.choice import GatewayChoice
from kpclientd.wire.commands import (
    DOCUMENT_LIMIT,
    Command,
    CommandCodec,
    Consensus2,
    Disconnect,
    Message,
    MessageDelivered,
    NoOp,
)
from kpclientd.wire.consensus import ConsensusAssembler, FetchResult, chunk_length
from kpclientd.wire.credentials import PeerCredentials
from kpclientd.wire.errors import AuthenticationError, HandshakeError, HandshakeState, WireError
from kpclientd.wire.session import CommandReceived, Established, NoiseEvent, NoiseSession
from sphinx.crypto.kem import Kem
from sphinx.geometry import Geometry
from sphinx.randomness import Randomness
from sphinx.types import RecipientId, SurbId

HANDSHAKE_SECONDS: Final = 8.0
"""A gateway gives a handshake three seconds in all; the rest is for a slow way to it."""

READ_SECONDS: Final = 15.0
WRITE_SECONDS: Final = 60.0
ANSWER_SECONDS: Final = 30.0
HEARTBEAT_SECONDS: Final = 10.0

LONGEST_PAUSE_SECONDS: Final = 0.02
"""Before an acknowledgement. It costs an answer ten milliseconds on average; its way back takes seconds."""

MOST_UNWRITTEN_BYTES: Final = 65_536
MOST_UNACKNOWLEDGED: Final = 16
"""Events that wait for an acknowledgement to be written; a gateway sends one message at a time."""

QUEUE_ID_BYTES: Final = 16

PREMATURE_CLOSE: Final = "premature_close"
OTHER_FAILURE: Final = "other"
"""Where a handshake failed, in the reference's words, beside `HandshakeState`."""


class LinkLost(KpclientdError):
    """The link ended: the gateway closed it, fell silent, or broke the protocol; or we left it.

    The text is for the operator; it holds no key and no payload.
    """


@dataclass(frozen=True, slots=True)
class Delivered:
    """A reply that the gateway kept for us; its acknowledgement has been written."""

    surb_id: SurbId
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class DocumentAnswer:
    """What became of the request for a document."""

    result: FetchResult


LinkEvent = Delivered | DocumentAnswer


class _State(Enum):
    HANDSHAKE = auto()
    UP = auto()
    ENDED = auto()


class LinkProtocol:
    """The client's end of one connection.

    A gateway waits only seconds for a handshake, and keys take their time to make: so make this before dialling.

    Args:
        choice: the gateway; it must own this link key and present this node id.
        kem: the network's link KEM.
        geometry: the network's packets.
        randomness: for the keys and the queue id.
        document_limit: the longest document to take (bytes), compressed and decompressed.
        far_end: who closes the connection, for people: there may be a proxy on the way.

    Attributes:
        choice: the gateway.
        queue_id: this connection's name at the gateway (32 bytes, fresh and secret); the SURBs of its packets lead to
            it.
        end: why it ended, or None as long as it has not.
        clock_skew: our clock less the gateway's (seconds), which tells whole ones; 0 before the handshake is over.
        connected_at: when the stream was open (monotonic seconds).
        was_up: whether the handshake was ever over.
        was_closed_by_peer: whether it ended because the gateway closed the stream.
        was_too_slow: whether it ended by a deadline.
        failed_at: where the handshake failed, in the reference's words; "other" where it has none, or did not fail.
    """

    def __init__(
        self,
        choice: GatewayChoice,
        *,
        kem: Kem,
        geometry: Geometry,
        randomness: Randomness,
        document_limit: int = DOCUMENT_LIMIT,
        far_end: str = "the gateway",
    ) -> None:
        self.choice = choice
        self.queue_id = RecipientId(randomness.bytes(QUEUE_ID_BYTES).hex().encode())
        self.end: LinkLost | None = None
        self.clock_skew = 0.0
        self.connected_at = 0.0
        self.was_up = False
        self.was_closed_by_peer = self.was_too_slow = False
        self.failed_at = OTHER_FAILURE
        self._far_end = far_end
        self._state = _State.HANDSHAKE
        self._session = NoiseSession.initiator(
            kem, kem.generate(randomness), self.queue_id, CommandCodec(geometry), self._is_the_chosen, randomness
        )
        self._assembler = ConsensusAssembler(chunk_length(geometry), document_limit)
        self._outgoing = bytearray(self._session.start())
        self._events: deque[LinkEvent] = deque()
        self._covered = 0  # of the first events: what was answered before them is being written
        self._free = 0  # of the first events: it is written
        self._is_writing = False
        self._randomness = randomness
        self._handshake_seconds = HANDSHAKE_SECONDS
        self._handshake_by = float("inf")
        self._read_by = float("inf")
        self._written_by = float("inf")
        self._answered_by = float("inf")
        self._heartbeat_at = float("inf")

    @property
    def is_up(self) -> bool:
        """Whether the handshake is over and the connection has not ended."""
        return self._state is _State.UP

    @property
    def is_asking(self) -> bool:
        """Whether a document was asked for and has not come."""
        return self._assembler.busy

    @property
    def is_backed_up(self) -> bool:
        """Whether so much waits to be written that nothing more is to be read before."""
        return len(self._outgoing) > MOST_UNWRITTEN_BYTES or len(self._events) >= MOST_UNACKNOWLEDGED

    def connected(self, now: float, *, within: float = HANDSHAKE_SECONDS) -> None:
        """The stream is open: what is in `outgoing` may be written.

        Args:
            now: monotonic seconds, as every `now` here.
            within: seconds for the handshake; above 8 they are 8.
        """
        self.connected_at = now
        self._handshake_seconds = min(within, HANDSHAKE_SECONDS)
        self._handshake_by = now + self._handshake_seconds

    def receive(self, data: bytes, now: float, wall: float) -> None:
        """Take bytes from the gateway.

        Args:
            data: as they came, in pieces of any length; no bytes are the stream's end.
            now: monotonic seconds.
            wall: this machine's clock, against which the gateway's is measured, in Unix seconds.
        """
        if self._state is _State.ENDED:
            return
        if not data:
            self._was_closed("")
            return
        try:
            events = self._session.receive(data, wall)
        except WireError as error:
            # What came intact before the fault is as good as ever; it only cannot be acknowledged any more.
            for event in error.events:
                if isinstance(event, CommandReceived) and isinstance(event.command, Message):
                    self._events.append(Delivered(event.command.surb_id, event.command.payload))
            if isinstance(error, HandshakeError):
                self.failed_at = error.state
            if isinstance(error, AuthenticationError):
                self.failed_at = HandshakeState.PEER_AUTHENTICATION
                self.leave("the gateway's identity or link key is another than the document, or the configuration, has")
                return
            where = "broke the protocol" if self.is_up else "and we did not agree in the handshake"
            self.leave(f"the gateway {where}: {error}")
            return
        self._outgoing += self._session.outgoing()
        for event in events:
            if self.end is None:
                self._take(event, now)

    def broke(self, reason: str) -> None:
        """The stream failed, as it does where the peer resets it."""
        self._was_closed(reason)

    def _was_closed(self, how: str) -> None:
        self.was_closed_by_peer = self.end is None
        if self.was_closed_by_peer:
            self.failed_at = PREMATURE_CLOSE
        if not self.is_up:  # an end or a reset: which of them is chance, while a gateway starts
            self.leave(f"{self._far_end} closed the connection in the handshake")
        else:
            self.leave(f"the connection broke: {how}" if how else f"{self._far_end} closed the connection")

    def leave(self, reason: str) -> None:
        """End it; the first reason counts."""
        if self._state is _State.ENDED:
            return
        self._state = _State.ENDED
        self.end = LinkLost(reason)
        self._session.close()
        self._outgoing.clear()
        self._is_writing = False

    def send(self, command: Command) -> None:
        """Seal a command into `outgoing`.

        Raises:
            LinkLost: if the connection is not up, or cannot seal any more.
        """
        if self._state is not _State.UP:
            raise self.end or LinkLost("the handshake is not over")
        try:
            self._outgoing += self._session.seal(command)
        except WireError as error:
            self.leave(f"a command could not be sealed: {error}")
            raise self.end or LinkLost(str(error)) from error

    def ask(self, epoch: int, now: float) -> None:
        """Ask for the document of `epoch`; one at a time, see `is_asking`.

        Raises:
            LinkLost: if the connection is not up.
        """
        self.send(self._assembler.request(epoch))
        self._answered_by = now + ANSWER_SECONDS

    def outgoing(self, now: float) -> bytes:
        """Return what is to be written now, each byte once; `wrote` must follow, or `broke`."""
        drained = bytes(self._outgoing)
        self._outgoing.clear()
        if drained:
            self._written_by = now + WRITE_SECONDS
            self._is_writing = True
            self._covered = len(self._events)
        return drained

    def wrote(self) -> None:
        """All that `outgoing` gave is written."""
        self._written_by = float("inf")
        self._is_writing = False
        self._free = self._covered

    def pause(self) -> float:
        """For how long (seconds) `outgoing` is not to be written now: drawn anew where it holds an acknowledgement."""
        if not any(isinstance(event, Delivered) for event in self._events):
            return 0.0
        return LONGEST_PAUSE_SECONDS * self._randomness.uniform()

    def next_event(self) -> LinkEvent | None:
        """What happened, in order, as far as what was answered before it is written."""
        nothing_to_write = not self._outgoing and not self._is_writing
        if not self._events or not (self._free or nothing_to_write):
            return None
        self._free = max(0, self._free - 1)
        self._covered = max(0, self._covered - 1)
        return self._events.popleft()

    def next_timer(self) -> float:
        """When `handle_timers` has something to do: monotonic seconds; at no time as soon as it has ended."""
        if self._state is _State.ENDED:
            return float("inf")
        return min(self._handshake_by, self._read_by, self._written_by, self._answered_by, self._heartbeat_at)

    def handle_timers(self, now: float) -> None:
        """Do what is due."""
        deadline = min(self._handshake_by, self._read_by, self._written_by, self._answered_by)
        self.was_too_slow = self.was_too_slow or (self._state is not _State.ENDED and now >= deadline)
        if now >= self._handshake_by:
            self.leave(f"the handshake took longer than {self._handshake_seconds:.0f} s")
        elif now >= self._read_by:
            self.leave(f"the gateway was silent for {READ_SECONDS:.0f} s")
        elif now >= self._written_by:
            self.leave(f"the gateway took no data for {WRITE_SECONDS:.0f} s")
        elif now >= self._answered_by:
            self.leave(f"the gateway did not answer a document request in {ANSWER_SECONDS:.0f} s")
        elif now >= self._heartbeat_at:
            self._heartbeat_at = now + HEARTBEAT_SECONDS
            self._answer(NoOp())

    def _is_the_chosen(self, peer: PeerCredentials) -> bool:
        owns_key = hmac.compare_digest(peer.public_key, self.choice.link_key)
        return hmac.compare_digest(peer.additional_data, self.choice.node_id) and owns_key

    def _take(self, event: NoiseEvent, now: float) -> None:
        self._read_by = now + READ_SECONDS
        match event:
            case Established():
                self._state = _State.UP
                self._handshake_by = float("inf")
                self._heartbeat_at = now + HEARTBEAT_SECONDS
                self.clock_skew, self.was_up = event.clock_skew, True
            case CommandReceived():
                self._take_command(event.command)

    def _take_command(self, command: Command) -> None:
        match command:
            case NoOp():
                pass
            case Message():
                self._answer(MessageDelivered(command.sequence))
                self._events.append(Delivered(command.surb_id, command.payload))
            case Consensus2():
                self._take_chunk(command)
            case Disconnect():
                self.leave("the gateway disconnected us")
            case _:
                self.leave(f"the gateway sent a {type(command).__name__}, which clients do not take")

    def _answer(self, command: Command) -> None:
        """Send something of our own accord: where that fails, the connection has ended and says why."""
        try:
            self.send(command)
        except LinkLost:
            pass

    def _take_chunk(self, chunk: Consensus2) -> None:
        try:
            result = self._assembler.feed(chunk)
        except WireError as error:
            self.leave(f"the gateway broke the protocol: {error}")
            return
        if result is not None:
            self._answered_by = float("inf")
            self._events.append(DocumentAnswer(result))
