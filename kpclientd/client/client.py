"""The client: services, and storage, by way of one daemon."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Final

from kpclientd.client.boxes import Boxes
from kpclientd.client.connection import TOKEN_LENGTH, open_connection
from kpclientd.client.errors import NoAnswerError, UnknownServiceError
from kpclientd.client.session import PATIENCE_SECONDS, Dial, Session, open_session
from kpclientd.config.dial import find_daemon
from kpclientd.config.model import ListenTcp, ListenUnix
from pki.document import Document, ServiceEndpoint
from sphinx.randomness import Randomness

ECHO: Final = "echo"
ATTEMPTS: Final = 3


class Client:
    """An application's side of a daemon; made by `connect`.

    Attributes:
        boxes: storage.
    """

    def __init__(self, session: Session, randomness: Randomness) -> None:
        self.boxes = Boxes(session, randomness)
        self._session = session
        self._randomness = randomness

    @property
    def is_online(self) -> bool:
        """Whether the daemon is there, and has a link to its gateway."""
        return self._session.is_online

    @property
    def document(self) -> Document | None:
        """The network's newest document, as soon as the daemon has one."""
        return self._session.document

    @property
    def longest_message(self) -> int:
        """Bytes that a message to a service may have."""
        length = self._session.geometry.get("UserForwardPayloadLength")
        return length if isinstance(length, int) else 0

    async def until_online(self) -> None:
        """Wait until the daemon has a link to its gateway, and a document.

        Raises:
            DaemonLostError: the daemon has been away for too long.
        """
        await self._session.until(lambda: self.is_online and self.document is not None)

    async def echo(self, message: bytes) -> bytes:
        """Send `message` to a service that answers with the same bytes; raises what `ask` does."""
        return (await self.ask(ECHO, message))[: len(message)]

    async def ask(self, service: str, message: bytes, *, attempts: int = ATTEMPTS) -> bytes:
        """Ask a service, and return its answer, padded with zeros to the length that all answers have.

        A message or its answer can be lost, and then it is asked again, perhaps another node: a service must not mind
        being asked twice. While the daemon is offline this waits.

        Args:
            service: its name in the document.
            message: `longest_message` bytes at most.
            attempts: how often to ask.

        Raises:
            UnknownServiceError: the network has no such service.
            RefusedError: the daemon does not send the message, as it is too long.
            NoAnswerError: nobody answered.
            DaemonLostError: the daemon has been away for too long.
        """
        for _ in range(attempts):
            endpoint = await self._service(service)
            answer = await self._session.exchange(endpoint.node_id, endpoint.endpoint, message)
            if answer is not None:
                return answer
        raise NoAnswerError(f'the service "{service}" did not answer, asked {attempts} times')

    async def send(self, service: str, message: bytes) -> None:
        """Send a message that is not answered; it may be lost, and nobody tells. Raises as `ask` does."""
        endpoint = await self._service(service)
        await self._session.send(endpoint.node_id, endpoint.endpoint, message)

    async def _service(self, name: str) -> ServiceEndpoint:
        await self._session.until(lambda: self.document is not None)
        assert self.document is not None
        return find_service(self.document, name, self._randomness)


def find_service(document: Document, name: str, randomness: Randomness) -> ServiceEndpoint:
    """One of the places where a service is, each equally likely.

    Raises:
        UnknownServiceError: there is none.
    """
    endpoints = document.services(name)
    if not endpoints:
        known = sorted({name for node in document.service_nodes for name in node.kaetzchen or ()})
        raise UnknownServiceError(f'no service is called "{name}"; the network has {", ".join(known) or "none"}')
    return randomness.choice(endpoints)


@asynccontextmanager
async def connect(
    daemon: str | os.PathLike[str] | ListenTcp | ListenUnix, *, patience: float = PATIENCE_SECONDS
) -> AsyncIterator[Client]:
    """A client of a daemon, until the block ends; over restarts of the daemon, too.

    Args:
        daemon: an application's configuration file, the daemon's own, or where it listens.
        patience: seconds for which it may be away, before whoever waits for it is told.

    Raises:
        ConfigError: the file does not say where the daemon is.
        DaemonUnreachableError: nobody listens there.
        ThinError: who listens there does not speak the protocol.
    """
    address = daemon if isinstance(daemon, ListenTcp | ListenUnix) else find_daemon(Path(daemon))
    randomness = Randomness(os.urandom)
    dial = partial(open_connection, address, randomness.bytes(TOKEN_LENGTH))
    async with client_by(dial, randomness, patience=patience) as client:
        yield client


@asynccontextmanager
async def client_by(dial: Dial, randomness: Randomness, *, patience: float = PATIENCE_SECONDS) -> AsyncIterator[Client]:
    """A client whose connections `dial` makes; for those who reach a daemon by other ways."""
    async with open_session(dial, randomness, patience=patience) as session:
        yield Client(session, randomness)
