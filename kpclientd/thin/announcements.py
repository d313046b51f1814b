"""What every application is told: whether the link is up, and the network's current document.

Each is encoded once, however many applications there are. A document is pushed as it was certified, without its
signatures; clients of 2025 look a service up under a map key that is literally called `omitempty` (a slip in their
struct tags), so each service node carries its services under that key too. Clients of today ignore it, and the signed
document stays as it was signed.

Source: the Katzenpost thin-client protocol, "first messages after accept" and "older generations".
"""

from collections.abc import Mapping
from typing import Final

import cbor2
import trio

from kpclientd.thin import events
from kpclientd.thin.connection import AppConnection, News
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.outbox import Frame
from kpclientd.thin.sessions import Sessions

DOCUMENT_WAIT_SECONDS: Final = 30.0
"""From the daemon's start, for which new applications are kept waiting for a first document."""

DRAIN_SECONDS: Final = 3.0
"""For which a daemon that stops writes what applications have not been given yet."""

DRAIN_LOOK_SECONDS: Final = 0.02

SHUTDOWN_SECONDS: Final = 0.1
"""Between the shutdown event and the end of a connection."""

SERVICE_NODES: Final = "ServiceNodes"
SERVICES: Final = "Kaetzchen"
SERVICES_OLD: Final = "omitempty"


def document_frame(certified: bytes) -> bytes:
    """Return the event that pushes a verified document, as a frame, given the document's certified bytes."""
    return encode_frame(events.new_pki_document(pushed_document(certified)))


def pushed_document(certified: bytes) -> bytes:
    """Return the CBOR to push for a verified document."""
    document = cbor2.loads(certified)
    document[SERVICE_NODES] = [_with_old_key(node) for node in document.get(SERVICE_NODES) or ()]
    return cbor2.dumps(document, canonical=True)


def _with_old_key(encoded: bytes) -> bytes:
    node = cbor2.loads(encoded)
    node[SERVICES_OLD] = node.get(SERVICES)
    return cbor2.dumps(node, canonical=True)


class Announcements:
    """Keeps the two, greets new connections with them, and tells everybody when one changes.

    Args:
        sessions: who is there.
        instance_token: names this run of the daemon (16 bytes).
        sphinx_geometry, pigeonhole_geometry: as the status tells them.
    """

    def __init__(
        self,
        sessions: Sessions,
        *,
        instance_token: bytes,
        sphinx_geometry: Mapping[str, int | str],
        pigeonhole_geometry: Mapping[str, int | str],
    ) -> None:
        self._sessions = sessions
        self._instance_token = instance_token
        self._sphinx_geometry = sphinx_geometry
        self._pigeonhole_geometry = pigeonhole_geometry
        self._status = self._encode_status(connected=False)
        self._document = self._no_document = Frame(encode_frame(events.new_pki_document(None)))
        self._have_document = trio.Event()
        self._wait_until: float | None = None

    def begin(self) -> None:
        """The daemon starts to serve: the wait for a first document begins."""
        self._wait_until = trio.current_time() + DOCUMENT_WAIT_SECONDS

    @property
    def is_ready(self) -> bool:
        """Whether there is a document, or it has been waited for long enough."""
        waited = self._wait_until is not None and trio.current_time() >= self._wait_until
        return waited or self._have_document.is_set()

    async def ready(self) -> None:
        """Wait until there is a document, or it has been waited for long enough."""
        if self._wait_until is None:
            self.begin()
        with trio.move_on_at(self._wait_until or 0.0):
            await self._have_document.wait()

    def greeting(self) -> tuple[Frame, Frame]:
        """The two events that open a connection: status and document."""
        return self._status, self._document

    def set_connected(self, connected: bool) -> None:
        """The link came up, or was lost, or a try for it failed."""
        self._status = self._encode_status(connected=connected)
        self._tell_all(News.STATUS, self._status)

    def set_document(self, frame: bytes | None) -> None:
        """A document has become current; `frame` is what `document_frame` made of it. None: there is none any more.

        Those who are here keep what they have; who comes next is not given an old document for a current one.
        """
        if frame is None:
            self._document = self._no_document
            return
        self._document = Frame(frame)
        self._have_document.set()
        self._tell_all(News.DOCUMENT, self._document)

    async def shut_down(self) -> None:
        """The daemon stops: say so, behind all that was said before, and wait until it is written, but not for long.

        Clients take the end of a connection that comes at once for a crash, so each has a moment in any case.
        """
        frame = Frame(encode_frame(events.shutdown()))
        connections = [one.connection for one in self._sessions if isinstance(one.connection, AppConnection)]
        for connection in connections:
            connection.send_shutdown(frame)
        with trio.move_on_after(DRAIN_SECONDS):
            while not all(connection.is_written for connection in connections):
                await trio.sleep(DRAIN_LOOK_SECONDS)
        await trio.sleep(SHUTDOWN_SECONDS)

    def _tell_all(self, news: News, frame: Frame) -> None:
        for session in self._sessions:
            if isinstance(session.connection, AppConnection):
                session.connection.broadcast(news, frame)

    def _encode_status(self, *, connected: bool) -> Frame:
        return Frame(
            encode_frame(
                events.connection_status(
                    connected=connected,
                    instance_token=self._instance_token,
                    sphinx_geometry=self._sphinx_geometry,
                    pigeonhole_geometry=self._pigeonhole_geometry,
                )
            )
        )
