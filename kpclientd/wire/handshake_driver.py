"""Drives the handshake of a link: which message is sent when, and when the peer is authenticated.

    initiator                                responder
    version, message 1            ------>    version must be ours
    authenticate the peer         <------    message 2: own credentials, whoever the initiator is
    message 3: own credentials    ------>    authenticate the peer
                                  <------    message 4

The initiator authenticates the peer before it sends message 3, so an impostor never learns its key. An end that
rejects the other closes the connection and says nothing.
"""

from collections.abc import Callable
from typing import Final

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
)
from kpclientd.wire.handshake import PROLOGUE, Handshake, message_lengths
from kpclientd.wire.noise import CipherState
from sphinx.crypto.kem import Kem, KemPrivateKey
from sphinx.errors import SphinxError
from sphinx.randomness import Randomness

_NO_TIME: Final = 0  # an initiator does not tell its clock to a peer that it may not know
_PAYLOAD_LENGTHS: Final = (0, CREDENTIALS_LENGTH, CREDENTIALS_LENGTH, 0)
_MESSAGES: Final = len(_PAYLOAD_LENGTHS)
_SEND_STATES: Final = tuple(HandshakeState(f"message_{number + 1}_send") for number in range(_MESSAGES))
_RECEIVE_STATES: Final = tuple(HandshakeState(f"message_{number + 1}_receive") for number in range(_MESSAGES))


class HandshakeDriver:
    """One end of the handshake; it is handed exactly as many bytes as it wants next.

    Args:
        kem: the link's KEM.
        static_key: this end's link key.
        additional_data: what this end says of itself.
        check_peer: whether the peer is the right one.
        randomness: for the ephemeral keys.
        initiator: whether this end dialled.

    Attributes:
        wanted: how many bytes to hand in next.
        complete: whether all messages were sent and received.
        peer: the peer's credentials, once they passed the check.
        clock_skew: seconds by which this end's clock is ahead of the responder's.

    Raises:
        HandshakeError: if the additional data is too long.
    """

    __slots__ = (
        "_additional_data",
        "_check_peer",
        "_handshake",
        "_initiator",
        "_lengths",
        "_next",
        "_version_known",
        "clock_skew",
        "peer",
        "wanted",
    )

    def __init__(
        self,
        kem: Kem,
        static_key: KemPrivateKey,
        additional_data: bytes,
        check_peer: Callable[[PeerCredentials], bool],
        randomness: Randomness,
        *,
        initiator: bool,
    ) -> None:
        if len(additional_data) > ADDITIONAL_DATA_LIMIT:
            reason = f"the additional data has {len(additional_data)} bytes, at most {ADDITIONAL_DATA_LIMIT} fit"
            raise HandshakeError(HandshakeState.INITIALIZATION, initiator, reason)
        self._additional_data = additional_data
        self._check_peer = check_peer
        self._initiator = initiator
        self._handshake = Handshake(kem, static_key, initiator, randomness)
        self._lengths = message_lengths(kem, _PAYLOAD_LENGTHS)
        self._next = 0  # which message is next, in either direction
        self._version_known = initiator
        self.wanted = len(PROLOGUE)
        self.peer: PeerCredentials | None = None
        self.clock_skew = 0.0

    @property
    def complete(self) -> bool:
        """Whether all messages were sent and received."""
        return self._next == _MESSAGES

    def start(self) -> bytes:
        """Return what to write first: an initiator's version and message 1."""
        if not self._initiator:
            return b""
        first = PROLOGUE + self._write(b"")
        self.wanted = self._lengths[self._next]
        return first

    def take(self, data: bytes, now: float) -> bytes:
        """Take what was wanted, `wanted` bytes, and return what to write.

        Args:
            data: the bytes.
            now: unix seconds.

        Raises:
            ProtocolVersionError: if the peer speaks another version.
            AuthenticationError: if the peer is not the right one.
            HandshakeError: if a message does not decrypt, or a key in it is none.
        """
        reply = b""
        if self._version_known:
            self._read(data, now)
            if not self.complete:
                reply = self._write(self._own_payload(now))
        elif data == PROLOGUE:
            self._version_known = True
        else:
            raise ProtocolVersionError(f"protocol version mismatch: expected {PROLOGUE.hex()}, received {data.hex()}")
        self.wanted = 0 if self.complete else self._lengths[self._next]
        return reply

    def split(self) -> tuple[CipherState, CipherState]:
        """After the last message: this end's sending key and its receiving key."""
        return self._handshake.split()

    def wipe(self) -> None:
        """Forget the keys of the handshake."""
        self._handshake.wipe()

    def _own_payload(self, now: float) -> bytes:
        if _PAYLOAD_LENGTHS[self._next] == 0:
            return b""
        return encode_credentials(self._additional_data, _NO_TIME if self._initiator else int(now))

    def _read(self, message: bytes, now: float) -> None:
        try:
            payload = self._handshake.read(message)
        except (DecryptionError, SphinxError) as error:
            raise self._failed(_RECEIVE_STATES[self._next], "process", error) from error
        self._next += 1
        if payload:
            self._check_credentials(payload, now)

    def _write(self, payload: bytes) -> bytes:
        # Once the peer's static key has come, a message can only fail because that key is none.
        state = HandshakeState.PEER_AUTHENTICATION if self.peer else _SEND_STATES[self._next]
        try:
            message = self._handshake.write(payload)
        except SphinxError as error:
            raise self._failed(state, "create", error) from error
        self._next += 1
        return message

    def _failed(self, state: HandshakeState, action: str, error: Exception) -> HandshakeError:
        return HandshakeError(state, self._initiator, f"failed to {action} message {self._next + 1}: {error}")

    def _check_credentials(self, payload: bytes, now: float) -> None:
        additional_data, peer_time = decode_credentials(payload)
        peer = PeerCredentials(additional_data, self._handshake.peer_static_key)
        if not self._check_peer(peer):
            raise AuthenticationError("peer authentication failed: its keys are not those that were expected")
        self.peer = peer
        if self._initiator:
            self.clock_skew = now - peer_time
