"""Says aloud, in the log, that the daemon is offline: what it waits for, and from whom.

    online --a link or a document is lacking--> offline --for a second--> told --something else is lacking--> told again
      ^                                            |                       |
      +--------------------------------------------+------ "Online" -------+

Each kind of thing is told once in an outage, however many gateways are tried for it. Why a try failed is told by
`notices`, at once; here is told what has not failed yet, so that nobody looks at a log that says nothing.
"""

import logging
import math
from typing import Final

from kpclientd.gateway.connection import Connection, ConnectionState
from kpclientd.gateway.document_worker import DocumentWorker
from kpclientd.log_levels import NOTICE
from pki import TrustedDocuments

OFFLINE_SECONDS: Final = 1.0
"""An outage is not worth a word before it has lasted this long, nor is the next thing that is lacking in it."""

MOMENT_SECONDS: Final = 0.3
"""What is lacking when an outage is told has been so for at least so long: it may come any moment."""

MOST_ADDRESSES_TOLD: Final = 2

log = logging.getLogger("client/conn")


class OfflineNotice:
    """Looks at the machines. Every `now` is in monotonic seconds, every `unix` the network's time in Unix seconds.

    Args:
        connection, worker, trusted: what may be lacking something.
        way: what every connection goes through, for people: " through ...", or empty.
    """

    def __init__(
        self, connection: Connection, worker: DocumentWorker, trusted: TrustedDocuments, way: str = ""
    ) -> None:
        self._connection = connection
        self._worker = worker
        self._trusted = trusted
        self._way = way
        self._offline_since = self._lacking_since = math.inf
        self._lacking = ConnectionState.WAITING
        self._told: set[ConnectionState] = set()

    def look(self, now: float, unix: float) -> None:
        """Tell what is to be told; to be called whenever something may have changed."""
        state, current = self._connection.state, self._trusted.current(unix)
        if state is ConnectionState.UP and current is not None:
            self._online(current.document.epoch)
            return
        self._offline_since = min(self._offline_since, now)
        if state is not self._lacking:
            self._lacking, self._lacking_since = state, now
        if now >= self.next_timer():
            self._told.add(state)
            log.log(NOTICE, "Offline: waiting for %s.", self._what(unix))

    def next_timer(self) -> float:
        """When there may be something to tell: monotonic seconds, or never."""
        if self._offline_since == math.inf or self._lacking is ConnectionState.WAITING or self._lacking in self._told:
            return math.inf
        if self._told:
            return self._lacking_since + OFFLINE_SECONDS
        return max(self._offline_since + OFFLINE_SECONDS, self._lacking_since + MOMENT_SECONDS)

    def _online(self, epoch: int) -> None:
        if self._told:
            log.log(NOTICE, "Online: %s is connected, and the document of epoch %d is at hand.", self._who(), epoch)
        self._told.clear()
        self._offline_since = math.inf
        self._lacking = ConnectionState.WAITING

    def _what(self, unix: float) -> str:
        match self._lacking:
            case ConnectionState.DIALLING:
                return f"a connection to {self._who()}{self._way}"
            case ConnectionState.HANDSHAKE:
                return f"{self._who()} to answer the handshake"
        return f"the document of epoch {self._worker.present_epoch(unix)} from {self._who()}"

    def _who(self) -> str:
        protocol = self._connection.protocol
        assert protocol is not None, "somebody is dialled, or connected"
        choice = protocol.choice
        return f'gateway "{choice.name}" at {", ".join(choice.addresses[:MOST_ADDRESSES_TOLD])}'
