"""One end of a link, from its first byte to its last: a state machine without I/O.

    UNSTARTED --start()--> HANDSHAKE --last message--> HEADER <--> BODY      any --close(), error--> CLOSED

In each state exactly one number of bytes is wanted next; whatever comes beyond waits for the next state. So no peer
can make a session hold more than one message or one frame, and the bytes may arrive in any pieces.

The responder is established when it has sent the last message, and says so with a NoOp; the initiator is established
when that NoOp has come.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto

from kpclientd.wire.commands import Command, CommandCodec, NoOp
from kpclientd.wire.credentials import PeerCredentials
from kpclientd.wire.errors import HandshakeError, HandshakeState, SessionStateError, WireError
from kpclientd.wire.handshake_driver import HandshakeDriver
from kpclientd.wire.noise import CipherState
from kpclientd.wire.transport import HEADER_LENGTH, open_body, open_header, seal_frame
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.randomness import Randomness

__all__ = ["CommandReceived", "Established", "NoiseEvent", "NoiseSession", "PeerCredentials"]


@dataclass(frozen=True, slots=True)
class Established:
    """The peer is who it should be, and commands may be sent.

    Attributes:
        peer: its credentials, as they passed the check.
        clock_skew: seconds by which this end's clock is ahead of the responder's, which shows whole seconds; always
            0.0 at the responder, since initiators do not tell.
    """

    peer: PeerCredentials
    clock_skew: float


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """The peer sent a command, a NoOp included."""

    command: Command


NoiseEvent = Established | CommandReceived


class _State(Enum):
    UNSTARTED = auto()
    HANDSHAKE = auto()
    HEADER = auto()
    BODY = auto()
    CLOSED = auto()


class NoiseSession:
    """One end of a link; make it with `initiator` or `responder`.

    An initiator's first message takes as long as the rest of its handshake: call `start` before dialling, since
    gateways wait three seconds in all.
    """

    def __init__(
        self, handshake: HandshakeDriver, codec: CommandCodec, body_limit: int | None, *, initiator: bool
    ) -> None:
        self._initiator = initiator
        self._handshake = handshake
        self._codec = codec
        self._body_limit = codec.body_limit if body_limit is None else body_limit
        self._state = _State.UNSTARTED
        self._wanted = 0
        self._received = bytearray()
        self._outgoing = bytearray()
        self._sending: CipherState | None = None
        self._receiving: CipherState | None = None
        self._established = False

    @classmethod
    def initiator(
        cls,
        kem: Kem,
        static_key: KemPrivateKey,
        additional_data: bytes,
        codec: CommandCodec,
        check_peer: Callable[[PeerCredentials], bool],
        randomness: Randomness,
        *,
        body_limit: int | None = None,
    ) -> "NoiseSession":
        """Make the end that dials.

        Args:
            kem: the link's KEM; both ends must use the same.
            static_key: this end's link key.
            additional_data: what this end says of itself, 0 to 255 bytes: a client's queue id.
            codec: for the commands of this kind of link.
            check_peer: whether the peer is the right one; asked before this end reveals its own key.
            randomness: for ephemeral keys.
            body_limit: the longest sealed command to take (bytes); by default the codec's.

        Raises:
            HandshakeError: if the additional data is too long.
        """
        handshake = HandshakeDriver(kem, static_key, additional_data, check_peer, randomness, initiator=True)
        return cls(handshake, codec, body_limit, initiator=True)

    @classmethod
    def responder(
        cls,
        kem: Kem,
        static_key: KemPrivateKey,
        additional_data: bytes,
        codec: CommandCodec,
        check_peer: Callable[[PeerCredentials], bool],
        randomness: Randomness,
        *,
        body_limit: int | None = None,
    ) -> "NoiseSession":
        """Make the end that was dialled; arguments and errors as for `initiator`. It needs no `start`."""
        handshake = HandshakeDriver(kem, static_key, additional_data, check_peer, randomness, initiator=False)
        return cls(handshake, codec, body_limit, initiator=False)

    def __repr__(self) -> str:
        return f"<NoiseSession {'initiator' if self._initiator else 'responder'} {self._state.name}>"

    @property
    def established(self) -> bool:
        """Whether the handshake is complete and the session not closed."""
        return self._established and self._state is not _State.CLOSED

    def start(self) -> bytes:
        """Begin, and return the first bytes to write: an initiator's version and message 1, a responder's none.

        Raises:
            SessionStateError: if it has begun before.
        """
        if self._state is not _State.UNSTARTED:
            raise SessionStateError(f"a session in state {self._state.name} cannot be started")
        first = self._handshake.start()
        self._want(_State.HANDSHAKE, self._handshake.wanted)
        return first

    def receive(self, data: bytes, now: float) -> list[NoiseEvent]:
        """Take bytes from the peer; afterwards write what `outgoing` returns.

        Args:
            data: as they came, in pieces of any length.
            now: unix seconds.

        Returns:
            What happened, in order.

        Raises:
            WireError: the session is dead now; `events` of the error has what was read before the fault.
        """
        if self._state is _State.UNSTARTED and not self._initiator:
            self.start()
        if self._state in (_State.UNSTARTED, _State.CLOSED):
            raise SessionStateError(f"a session in state {self._state.name} takes no bytes")
        self._received += data
        events: list[NoiseEvent] = []
        try:
            for event in self._progress(now):
                events.append(event)
        except WireError as error:
            fault = self._in_context(error)
            fault.events = tuple(events)
            self.close()
            if fault is error:
                raise
            raise fault from error
        return events

    def outgoing(self) -> bytes:
        """Return the bytes of the handshake that are to be written now, each once."""
        drained = bytes(self._outgoing)
        self._outgoing.clear()
        return drained

    def seal(self, command: Command) -> bytes:
        """Return one whole frame; frames must be written in the order they were sealed.

        Raises:
            SessionStateError: if the session is not established.
            CommandError: if this kind of link has no such command; the session lives on.
            MessageSizeError: if it is too long for the protocol; the session lives on.
        """
        if self._sending is None or not self._established:
            raise SessionStateError(f"a session in state {self._state.name} cannot send")
        return seal_frame(self._sending, self._codec.encode(command))

    def close(self) -> None:
        """Forget all keys and all bytes; may be called at any time, and again."""
        self._state = _State.CLOSED
        for cipher in (self._sending, self._receiving):
            if cipher is not None:
                cipher.wipe()
        self._sending = self._receiving = None
        self._handshake.wipe()
        for buffer in (self._received, self._outgoing):
            buffer[:] = bytes(len(buffer))
            buffer.clear()

    def _want(self, state: _State, length: int) -> None:
        self._state = state
        self._wanted = length

    def _progress(self, now: float) -> Iterator[NoiseEvent]:
        while self._state is not _State.CLOSED and len(self._received) >= self._wanted:
            taken = self._received[: self._wanted]
            del self._received[: self._wanted]
            event: NoiseEvent | None = None
            if self._state is _State.HEADER:
                self._on_header(taken)
            elif self._state is _State.BODY:
                event = self._on_body(taken)
            else:
                event = self._on_handshake(taken, now)
            if event is not None:
                yield event

    def _on_handshake(self, data: bytearray, now: float) -> NoiseEvent | None:
        self._outgoing += self._handshake.take(bytes(data), now)
        if not self._handshake.complete:
            self._want(_State.HANDSHAKE, self._handshake.wanted)
            return None
        self._sending, self._receiving = self._handshake.split()
        self._want(_State.HEADER, HEADER_LENGTH)
        if self._initiator:
            return None
        established = self._establish()
        self._outgoing += self.seal(NoOp())
        return established

    def _establish(self) -> Established:
        assert self._handshake.peer is not None, "the handshake is complete only with a peer that passed the check"
        self._established = True
        return Established(self._handshake.peer, self._handshake.clock_skew)

    def _on_header(self, header: bytearray) -> None:
        assert self._receiving is not None, "frames come after the handshake"
        self._want(_State.BODY, open_header(self._receiving, header, self._body_limit))

    def _on_body(self, body: bytearray) -> NoiseEvent:
        assert self._receiving is not None, "frames come after the handshake"
        command = self._codec.decode(open_body(self._receiving, body))
        self._want(_State.HEADER, HEADER_LENGTH)
        if self._established:
            return CommandReceived(command)
        if not isinstance(command, NoOp):
            reason = f"expected NoOp command during finalization, received {type(command).__name__}"
            raise HandshakeError(HandshakeState.FINALIZATION, self._initiator, reason)
        return self._establish()

    def _in_context(self, error: WireError) -> WireError:
        """An initiator's handshake ends with the first frame, so the faults of that frame are the handshake's."""
        if self._established or isinstance(error, HandshakeError) or not self._handshake.complete:
            return error
        reason = f"failed to receive NoOp during finalization: {error}"
        return HandshakeError(HandshakeState.FINALIZATION, self._initiator, reason)
