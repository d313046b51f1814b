"""An application of the benchmarks: the thin-client protocol in blocking calls, over TCP or a Unix socket."""

import os
import socket
import time
from collections import deque
from typing import Any, Final

from benchmarks.app_processes import DaemonProcess
from kpclientd.addresses import LOOPBACK
from kpclientd.thin.framing import FrameReader, encode_frame
from pki.document import Document, ServiceEndpoint

PATIENCE_SECONDS: Final = 30.0
"""For how long anything may take; whatever took so long counts as having taken just that."""

START_SECONDS: Final = 40.0
READ_LENGTH: Final = 262_144
ID_LENGTH: Final = 16
FORGOTTEN_EPOCH: Final = 1
"""No daemon has its document, so that the answer is short."""

Message = dict[str, Any]


def connect(address: str) -> socket.socket:
    """A connection to `address`: a path, or host:port on the loopback.

    Raises:
        OSError: if nobody takes it.
    """
    if address.startswith("/"):
        stream = socket.socket(socket.AF_UNIX)
        target: str | tuple[str, int] = address
    else:
        host, _, port = address.rpartition(":")
        if host != LOOPBACK:
            raise ValueError(f"{address} is not on the loopback")
        stream = socket.socket(socket.AF_INET)
        target = host, int(port)
    stream.settimeout(PATIENCE_SECONDS)
    try:
        stream.connect(target)
    except OSError:
        stream.close()
        raise
    return stream


class App:
    """A connection that was greeted.

    Args:
        address: where the daemon listens.
        token: registers a session; none is registered without one.

    Raises:
        OSError: if there is no daemon, or it ends the connection or says nothing for too long.
    """

    def __init__(self, address: str, token: bytes | None = None) -> None:
        self._stream = connect(address)
        self._frames = FrameReader()
        self._arrived: deque[Message] = deque()
        try:
            self.geometry: Message = self._await("connection_status_event")["sphinx_geometry"]
            self._document = self._await("new_pki_document_event")["payload"]
            if token is not None:
                self.send({"session_token": {"client_instance_token": token}})
                self._await("session_token_reply")
        except OSError:
            self._stream.close()
            raise

    @property
    def echo(self) -> ServiceEndpoint:
        """The network's echo service."""
        return Document.parse(self._document).services("echo")[0]

    def close(self) -> None:
        """Hang up without a word."""
        self._stream.close()

    def send(self, request: Message) -> None:
        """Send one request."""
        self._stream.sendall(encode_frame(request))

    def send_message(self, service: ServiceEndpoint, payload: bytes, surb_id: bytes) -> None:
        """Send a message that is to be answered."""
        body = {
            "id": None,
            "with_surb": True,
            "surbid": surb_id,
            "destination_id_hash": service.node_id,
            "recipient_queue_id": service.endpoint,
            "payload": payload,
        }
        self.send({"send_message": body})

    def receive(self, seconds: float = PATIENCE_SECONDS) -> Message | None:
        """The daemon's next message, or None if none comes for so long.

        Raises:
            OSError: if the connection ended.
        """
        deadline = time.perf_counter() + seconds
        while not self._arrived:
            left = deadline - time.perf_counter()
            if left <= 0:
                return None
            self._stream.settimeout(left)
            try:
                data = self._stream.recv(READ_LENGTH)
            except TimeoutError:
                return None
            finally:
                self._stream.settimeout(PATIENCE_SECONDS)
            if not data:
                raise ConnectionResetError("the daemon hung up")
            self._arrived.extend(self._frames.feed(data))
        return self._arrived.popleft()

    def round_trip(self) -> float:
        """Seconds that a small request takes.

        Raises:
            OSError: if it is not answered.
        """
        begin = time.perf_counter()
        self.ask("get_pki_document", epoch=FORGOTTEN_EPOCH)
        return time.perf_counter() - begin

    def ask(self, verb: str, **fields: Any) -> Message:
        """The answer to a request.

        Raises:
            OSError: if it is not answered.
        """
        query = os.urandom(ID_LENGTH)
        self.send({verb: {"query_id": query} | fields})
        while (answer := self._await(f"{verb}_reply"))["query_id"] != query:
            pass
        return answer

    def _await(self, name: str) -> Message:
        """The body of the next message of that name; those before it are kept for `receive`."""
        passed_over: list[Message] = []
        while (message := self.receive()) is not None:
            if message.get(name) is not None:
                self._arrived.extendleft(reversed(passed_over))
                body: Message = message[name]
                return body
            passed_over.append(message)
        raise TimeoutError(f"no {name}")


def first_app(address: str, process: DaemonProcess, token: bytes | None = None) -> App:
    """Connect to a daemon that was just started: it greets nobody before it has a document.

    Raises:
        RuntimeError: if it ends, or does not come up.
    """
    begin = time.perf_counter()
    while time.perf_counter() - begin < START_SECONDS and not process.ended:
        try:
            return App(address, token)
        except (ConnectionRefusedError, FileNotFoundError):
            time.sleep(0.05)
    raise RuntimeError(f"the daemon did not come up; its log:\n{process.log}")
