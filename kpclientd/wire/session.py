"""One end of a link, from its first byte to its last: a state machine without I/O.

                     initiator                           responder
    UNSTARTED        start() gives version, message 1    start()
    VERSION                                              wants 1 byte
    HANDSHAKE        wants message 2:                    wants message 1: answers message 2
                       checks the peer, answers 3        wants message 3: checks the peer,
                     wants message 4                       answers 4 and a NoOp; Established
    HEADER, BODY     the first command must be a NoOp:   commands
                       Established; then commands
    CLOSED           after close() or any error

In each state exactly one number of bytes is wanted next; whatever comes beyond waits for the next state. So no peer
can make a session hold more than one message or one frame, and the bytes may arrive in any pieces.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from kpclientd.wire.commands import Command, CommandCodec, NoOp
from kpclientd.wire.credentials import (
    ADDITIONAL_DATA_LIMIT,
    CREDENTIALS_LENGTH,
    PeerCredentials,
    decode_credentials,
    encode_credentials,
)
from kpclientd.wire.errors import (
    AuthenticationError,
    DecryptionError,
    HandshakeError,
    HandshakeState,
    ProtocolVersionError,
    SessionStateError,
    WireError,
)
from kpclientd.wire.handshake import PROLOGUE, PROTOCOL_VERSION, Handshake, message_lengths
from kpclientd.wire.noise import CipherState
from kpclientd.wire.transport import HEADER_LENGTH, open_body, open_header, seal_frame
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.errors import SphinxError
from sphinx.randomness import Randomness

__all__ = ["CommandReceived", "Established", "Event", "PeerCredentials", "Session"]

_NO_TIME: Final = 0  # an initiator does not tell its clock to a peer that it may not know
_PAYLOAD_LENGTHS: Final = (0, CREDENTIALS_LENGTH, CREDENTIALS_LENGTH, 0)
_MESSAGES: Final = len(_PAYLOAD_LENGTHS)
_SEND_STATES: Final = tuple(HandshakeState(f"message_{number + 1}_send") for number in range(_MESSAGES))
_RECEIVE_STATES: Final = tuple(HandshakeState(f"message_{number + 1}_receive") for number in range(_MESSAGES))


@dataclass(frozen=True, slots=True)
class Established:
    """The peer is who it should be, and commands may be sent.

    Attributes:
        peer: its credentials, as they passed the check.
        clock_skew: seconds by which this side's clock is ahead of the responder's, which shows whole seconds; always
            0.0 at the responder, since initiators do not tell.
    """

    peer: PeerCredentials
    clock_skew: float


@dataclass(frozen=True, slots=True)
class CommandReceived:
    """The peer sent a command, a NoOp included."""

    command: Command


Event = Established | CommandReceived


class _State(Enum):
    UNSTARTED = auto()
    VERSION = auto()
    HANDSHAKE = auto()
    HEADER = auto()
    BODY = auto()
    CLOSED = auto()


class Session:
    """One end of a link; make it with `initiator` or `responder`.

    An initiator's key pair and first message take longer than the rest of its handshake: call `start` before
    dialling, since gateways wait three seconds in all.
    """

    def __init__(
        self,
        kem: Kem,
        static_key: KemPrivateKey,
        additional_data: bytes,
        codec: CommandCodec,
        check_peer: Callable[[PeerCredentials], bool],
        randomness: Randomness,
        *,
        initiator: bool,
        body_limit: int | None,
    ) -> None:
        if len(additional_data) > ADDITIONAL_DATA_LIMIT:
            raise HandshakeError(
                HandshakeState.INITIALIZATION,
                initiator,
                f"the additional data has {len(additional_data)} bytes, at most {ADDITIONAL_DATA_LIMIT} fit",
            )
        self._initiator = initiator
        self._additional_data = additional_data
        self._codec = codec
        self._check_peer = check_peer
        self._body_limit = codec.body_limit if body_limit is None else body_limit
        self._handshake: Handshake | None = Handshake(kem, static_key, initiator, randomness)
        self._lengths = message_lengths(kem, _PAYLOAD_LENGTHS)
        self._message = 0  # the handshake message that is next, in either direction
        self._state = _State.UNSTARTED
        self._wanted = 0
        self._received = bytearray()
        self._outgoing = bytearray()
        self._sending: CipherState | None = None
        self._receiving: CipherState | None = None
        self._peer: PeerCredentials | None = None
        self._clock_skew = 0.0
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
    ) -> "Session":
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
        return cls(
            kem, static_key, additional_data, codec, check_peer, randomness, initiator=True, body_limit=body_limit
        )

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
    ) -> "Session":
        """Make the end that was dialled; arguments and errors as for `initiator`."""
        return cls(
            kem, static_key, additional_data, codec, check_peer, randomness, initiator=False, body_limit=body_limit
        )

    def __repr__(self) -> str:
        return f"<Session {'initiator' if self._initiator else 'responder'} {self._state.name}>"

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
        if self._initiator:
            first = PROLOGUE + self._write_message(b"")
            self._want_message()
            return first
        self._want(_State.VERSION, len(PROLOGUE))
        return b""

    def receive(self, data: bytes, now: float) -> list[Event]:
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
        events: list[Event] = []
        try:
            for event in self._progress(now):
                events.append(event)
        except WireError as error:
            fault = self._in_context(error)
            fault.events = tuple(events)
            self.close()
            raise fault from error.__cause__
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
        if not self.established or self._sending is None:
            raise SessionStateError(f"a session in state {self._state.name} cannot send yet or any more")
        return seal_frame(self._sending, self._codec.encode(command))

    def end_of_stream(self) -> None:
        """Take note that the peer closed the connection; this is how every refusal of the other side looks.

        Raises:
            HandshakeError: if the handshake was not complete, naming what was still awaited.
        """
        state, established = self._awaited(), self._established
        self.close()
        if not established:
            raise HandshakeError(state, self._initiator, "the peer closed the connection")

    def close(self) -> None:
        """Forget all keys and all bytes; may be called at any time, and again."""
        self._state = _State.CLOSED
        for cipher in (self._sending, self._receiving):
            if cipher is not None:
                cipher.wipe()
        self._sending = self._receiving = self._handshake = None
        for buffer in (self._received, self._outgoing):
            buffer[:] = bytes(len(buffer))
            buffer.clear()

    def _progress(self, now: float) -> Iterator[Event]:
        while self._state is not _State.CLOSED and len(self._received) >= self._wanted:
            taken = self._received[: self._wanted]
            del self._received[: self._wanted]
            event: Event | None = None
            match self._state:
                case _State.HEADER:
                    self._on_header(taken)
                case _State.BODY:
                    event = self._on_body(taken)
                case _State.HANDSHAKE:
                    event = self._on_message(bytes(taken), now)
                case _State.VERSION:
                    self._on_version(taken)
            if event is not None:
                yield event

    def _in_context(self, error: WireError) -> WireError:
        """An initiator's handshake is complete only with the first frame, so that frame's faults are its own."""
        if self._established or self._state not in (_State.HEADER, _State.BODY):
            return error
        if isinstance(error, HandshakeError):
            return error
        reason = f"failed to receive NoOp during finalization: {error}"
        return HandshakeError(HandshakeState.FINALIZATION, self._initiator, reason)

    def _want(self, state: _State, length: int) -> None:
        self._state = state
        self._wanted = length

    def _want_message(self) -> None:
        self._want(_State.HANDSHAKE, self._lengths[self._message])

    def _awaited(self) -> HandshakeState:
        if self._state is _State.HANDSHAKE:
            return _RECEIVE_STATES[self._message]
        if self._state is _State.VERSION:
            return HandshakeState.MESSAGE_1_RECEIVE
        return HandshakeState.INITIALIZATION if self._state is _State.UNSTARTED else HandshakeState.FINALIZATION

    def _on_version(self, version: bytearray) -> None:
        if version[0] != PROTOCOL_VERSION:
            raise ProtocolVersionError(
                f"protocol version mismatch: expected {PROTOCOL_VERSION:02x}, received {version[0]:02x}"
            )
        self._want_message()

    def _on_message(self, message: bytes, now: float) -> Event | None:
        payload = self._read_message(message)
        if payload:
            self._meet_peer(payload, now)
        if self._message == _MESSAGES:
            self._finish_handshake()
            return None  # the initiator is established by the NoOp that follows
        if self._message == _MESSAGES - 1:
            self._outgoing += self._write_message(b"")
            self._finish_handshake()
            established = self._establish()
            self._outgoing += self.seal(NoOp())
            return established
        own_time = _NO_TIME if self._initiator else int(now)
        self._outgoing += self._write_message(encode_credentials(self._additional_data, own_time))
        self._want_message()
        return None

    def _read_message(self, message: bytes) -> bytes:
        assert self._handshake is not None, "a message is wanted only during the handshake"
        state = _RECEIVE_STATES[self._message]
        try:
            payload = self._handshake.read(message)
        except (DecryptionError, SphinxError) as error:
            raise self._handshake_error(state, f"failed to process message {self._message + 1}", error) from error
        self._message += 1
        return payload

    def _write_message(self, payload: bytes) -> bytes:
        assert self._handshake is not None, "a message is sent only during the handshake"
        # Once the peer's static key is there, it is what the next message is encapsulated to.
        state = HandshakeState.PEER_AUTHENTICATION if self._peer else _SEND_STATES[self._message]
        try:
            message = self._handshake.write(payload)
        except SphinxError as error:
            raise self._handshake_error(state, f"failed to create message {self._message + 1}", error) from error
        self._message += 1
        return message

    def _handshake_error(self, state: HandshakeState, failure: str, error: Exception) -> HandshakeError:
        return HandshakeError(state, self._initiator, f"{failure}: {error}")

    def _meet_peer(self, payload: bytes, now: float) -> None:
        assert self._handshake is not None, "credentials come only during the handshake"
        additional_data, peer_time = decode_credentials(payload)
        self._peer = PeerCredentials(additional_data, self._handshake.peer_static_key)
        if self._initiator:
            self._clock_skew = now - peer_time
        if not self._check_peer(self._peer):
            raise AuthenticationError("peer authentication failed")

    def _finish_handshake(self) -> None:
        assert self._handshake is not None, "a handshake ends once"
        self._sending, self._receiving = self._handshake.split()
        self._handshake = None
        self._want(_State.HEADER, HEADER_LENGTH)

    def _establish(self) -> Established:
        assert self._peer is not None, "the peer was checked before"
        self._established = True
        return Established(self._peer, self._clock_skew)

    def _on_header(self, header: bytearray) -> None:
        assert self._receiving is not None, "frames come after the handshake"
        self._want(_State.BODY, open_header(self._receiving, header, self._body_limit))

    def _on_body(self, body: bytearray) -> Event:
        assert self._receiving is not None, "frames come after the handshake"
        command = self._codec.decode(open_body(self._receiving, body))
        self._want(_State.HEADER, HEADER_LENGTH)
        if self._established:
            return CommandReceived(command)
        if not isinstance(command, NoOp):
            raise HandshakeError(
                HandshakeState.FINALIZATION,
                self._initiator,
                f"expected NoOp command during finalization, received {type(command).__name__}",
            )
        return self._establish()
