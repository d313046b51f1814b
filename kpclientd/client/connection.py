"""One connection to a daemon: its first messages, and whatever frames follow.

`session` keeps one for longer than a connection lasts; `kpclientd ping`, which is to tell of every break, uses this.

Source: the Katzenpost thin-client protocol, "first messages" and "session token". One task reads, any number may send.
"""

from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Final

import trio

from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.streams import reason_of
from kpclientd.thin.errors import ThinError
from kpclientd.thin.fields import Fields
from kpclientd.thin.framing import FrameReader, encode_frame
from kpclientd.thin.listener_token import read_token, token_line
from pki.document import Document
from sphinx.types import NodeId, SurbId

TOKEN_LENGTH: Final = 16

HANDSHAKE_SECONDS: Final = 40.0
"""A daemon without a document says nothing for 30 s, waiting for one; this leaves it time to say so."""

SILENCE_SECONDS: Final = 1.0
"""A daemon that has a document says so at once."""

_STEP_TOLERANCE: Final = 16
"""Other messages to pass over at each step of the handshake, as many as the released Python client does."""

_CLOSE_SECONDS: Final = 1.0
_READ_LENGTH: Final = 65536

LOOPBACK: Final = "localhost"
"""Where a daemon is found that listens at every interface."""

_STATUS: Final = "connection_status_event"
_DOCUMENT: Final = "new_pki_document_event"
_SESSION: Final = "session_token_reply"

Message = dict[str, Any]


class DaemonUnreachableError(ThinError):
    """Nobody listens where the daemon should be."""


class DaemonGoneError(ThinError):
    """The daemon closed the connection."""


class UnexpectedMessageError(ThinError):
    """What listens there does not speak the thin-client protocol, or not in its order."""


class ThinClient:
    """One application's connection to its daemon; made by `connected_to`.

    Attributes:
        connected: whether the daemon's link to its gateway is up, as last told.
        document_payload: the network's current document as last told, or None.
        geometry: the network's Sphinx geometry, by the reference's field names.
        storage_geometry: the lengths of boxes, by the same.
        app_id: the name of this session (16 bytes), empty until the handshake is done.
        resumed: whether the daemon knew the session's token.
    """

    def __init__(self, stream: trio.abc.Stream) -> None:
        self._stream = stream
        self._frames = FrameReader()
        self._arrived: deque[Message] = deque()
        self._sending = trio.Lock()
        self.connected = False
        self.document_payload: bytes | None = None
        self.geometry: Mapping[str, Any] = {}
        self.storage_geometry: Mapping[str, Any] = {}
        self.app_id = b""
        self.resumed = False

    @property
    def document(self) -> Document | None:
        """The network's current document, if the daemon has told us one.

        Raises:
            EncodingError: what it told us is none.
        """
        return None if self.document_payload is None else Document.parse(self.document_payload)

    async def send(self, request: Mapping[str, object]) -> None:
        """Send one request. Cancelled half-way, it leaves the connection fit for nothing but closing.

        Raises:
            DaemonGoneError: the connection is down.
        """
        frame = encode_frame(request)
        async with self._sending:
            try:
                await self._stream.send_all(frame)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise DaemonGoneError("the daemon closed the connection") from error

    async def send_message(
        self, destination: NodeId, recipient: bytes, payload: bytes, surb_id: SurbId | None = None
    ) -> None:
        """Send a message to a service; with a `surb_id` (16 bytes) its events and its reply will name that.

        Raises:
            DaemonGoneError: the connection is down.
        """
        await self.send(
            {
                "send_message": {
                    "id": None,
                    "with_surb": surb_id is not None,
                    "surbid": surb_id,
                    "destination_id_hash": destination,
                    "recipient_queue_id": recipient,
                    "payload": payload,
                }
            }
        )

    async def receive(self) -> Message:
        """The daemon's next message, as a map of its live keys only. Cancelling it loses nothing.

        Raises:
            DaemonGoneError: the connection is down.
            FrameError: what came is no message.
            MistypedField: a status or document event is malformed.
        """
        await self.wait_for_message()
        return self._arrived.popleft()

    async def wait_for_message(self) -> None:
        """Wait until `receive` has something to return, and raise what it raises. Cancelling it loses nothing."""
        while not self._arrived:
            try:
                data = await self._stream.receive_some(_READ_LENGTH)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                raise DaemonGoneError("the connection to the daemon broke") from error
            if not data:
                raise DaemonGoneError("the daemon closed the connection")
            for frame in self._frames.feed(bytes(data)):
                message = {name: value for name, value in frame.items() if isinstance(name, str) and value is not None}
                self._note(message)
                self._arrived.append(message)

    async def shake_hands(self, token: bytes) -> None:
        """Go through the first messages; `token` (16 bytes) is this application's, the same at each reconnection.

        Raises:
            UnexpectedMessageError: they do not come.
            ThinError: as `receive`.
        """
        passed_over = [*await self._step(_STATUS), *await self._step(_DOCUMENT)]
        await self.send({"session_token": {"client_instance_token": token}})
        passed_over += await self._step(_SESSION)
        self._arrived.extendleft(reversed(passed_over))

    async def _step(self, awaited: str) -> list[Message]:
        """Wait for one message of the handshake and return those that came before it."""
        passed_over: list[Message] = []
        while len(passed_over) <= _STEP_TOLERANCE:
            message = await self.receive()
            if awaited in message:
                return passed_over
            passed_over.append(message)
        raise UnexpectedMessageError(f"{len(passed_over)} messages came where {awaited} was due")

    def _note(self, message: Message) -> None:
        if _STATUS in message:
            status = _fields(_STATUS, message)
            self.connected = status.flag("is_connected")
            geometry = status.raw("sphinx_geometry")
            self.geometry = geometry if isinstance(geometry, dict) else {}
            storage_geometry = status.raw("pigeonhole_geometry")
            self.storage_geometry = storage_geometry if isinstance(storage_geometry, dict) else {}
        if _DOCUMENT in message:
            payload = _fields(_DOCUMENT, message).payload("payload")
            self.document_payload = bytes(payload) if payload else self.document_payload
        if _SESSION in message:
            session = _fields(_SESSION, message)
            self.app_id = session.octets("app_id") or b""
            self.resumed = session.flag("resumed")

    async def leave(self) -> None:
        """Tell the daemon that the application is done, and close; takes a second at most, cancelled or not."""
        with trio.move_on_after(_CLOSE_SECONDS) as scope:
            scope.shield = True
            try:
                await self.send({"thin_close": {}})
            except DaemonGoneError:
                pass
        await self.hang_up()

    async def hang_up(self) -> None:
        """Close without a word: the daemon keeps the session for a while."""
        await trio.aclose_forcefully(self._stream)


async def open_connection(
    address: ListenTcp | ListenUnix,
    token: bytes,
    *,
    deadline_seconds: float = HANDSHAKE_SECONDS,
    on_silence: Callable[[], None] = lambda: None,
) -> ThinClient:
    """Connect to the daemon that listens at `address`, and go through the first messages.

    Args:
        address: where the daemon listens.
        token: this application's own (16 random bytes).
        deadline_seconds: how long the first messages may take.
        on_silence: called if the first of them has not come after `SILENCE_SECONDS`: the daemon has no document.

    Raises:
        DaemonUnreachableError: nobody listens there.
        UnexpectedMessageError: who listens there does not say what a daemon says, or not in time.
        TokenError: the daemon wants a token, and the file that should hold it does not.
        ThinError: as `ThinClient.receive`.
    """
    client = ThinClient(await dial(address))
    try:
        with trio.fail_after(deadline_seconds):
            with trio.move_on_after(SILENCE_SECONDS) as first:
                await client.wait_for_message()
            if first.cancelled_caught:
                on_silence()
            await client.shake_hands(token)
    except trio.TooSlowError:
        await client.leave()
        raise UnexpectedMessageError(
            f"what listens at {display(address)} did not greet us within {deadline_seconds:g} s"
        ) from None
    except DaemonGoneError as error:
        await client.leave()
        if isinstance(address, ListenTcp):
            wrong = f"the token in {address.token_file} was not accepted" if address.token_file else "it wants a token"
            raise DaemonGoneError(f"{error}; perhaps {wrong} (TokenFile), or all its places are taken") from error
        raise
    except BaseException:
        await client.leave()
        raise
    return client


@asynccontextmanager
async def connected_to(
    address: ListenTcp | ListenUnix,
    token: bytes,
    *,
    deadline_seconds: float = HANDSHAKE_SECONDS,
    on_silence: Callable[[], None] = lambda: None,
) -> AsyncIterator[ThinClient]:
    """A connection as `open_connection` makes it, closed with the block."""
    client = await open_connection(address, token, deadline_seconds=deadline_seconds, on_silence=on_silence)
    try:
        yield client
    finally:
        await client.leave()


def display(address: ListenTcp | ListenUnix) -> str:
    """An address as people write it."""
    if isinstance(address, ListenUnix):
        return address.address
    host = f"[{address.host}]" if ":" in address.host else address.host
    return f"{host}:{address.port}"


async def dial(address: ListenTcp | ListenUnix) -> trio.abc.Stream:
    """A stream to the daemon that listens at `address`; its token has been shown, where there is one.

    Raises:
        DaemonUnreachableError: nobody listens there, or this user may not connect.
        DaemonGoneError: it closed the connection.
        TokenError: the daemon wants a token, and the file that should hold it does not.
    """
    token_file = address.token_file if isinstance(address, ListenTcp) else None
    token = read_token(token_file) if token_file is not None else None
    try:
        if isinstance(address, ListenUnix):
            return await trio.open_unix_socket(address.socket_address)
        stream = await trio.open_tcp_stream(address.host or LOOPBACK, address.port)
        if token is not None:
            await stream.send_all(token_line(token))
        return stream
    except trio.BrokenResourceError as error:
        raise DaemonGoneError("the daemon closed the connection") from error
    except PermissionError as error:
        raise DaemonUnreachableError(
            f"this user may not connect to {display(address)}: whoever runs the daemon can allow it by Mode and Group"
            " in its [Listen.Unix]"
        ) from error
    except OSError as error:
        raise DaemonUnreachableError(f"no daemon listens at {display(address)}: {reason_of(error)}") from error


def _fields(verb: str, message: Message) -> Fields:
    values = message[verb]
    if not isinstance(values, dict):
        raise UnexpectedMessageError(f"{verb} is of type {type(values).__name__} where a map belongs")
    return Fields(verb, values)
