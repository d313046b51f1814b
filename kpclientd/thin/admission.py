"""Lets applications in: accepts their connections, as many as there is room for.

    accepted --> not authorized yet, where the listener wants a token --> present --> gone

Theory of operation. Descriptors are the one thing that an application can take from everybody: each connection has one,
and the gateway link needs one, too. So the daemon raises its limit as far as it may, keeps `RESERVED_DESCRIPTORS` for
itself, and admits as many connections as are left, or as the configuration says. When all places are taken, the
connection goes that has been silent from its beginning for longest, if it had time to speak; where all have spoken, the
newcomer is turned away, by closing. A failing accept is tried again a little later, and said once in a while.

Who has to show a token first (see `listener_token`) has no place until then. At most `MOST_UNAUTHORIZED` do so at a
time; one more takes the place of the first, who has had most time.
"""

import logging
import math
import resource
from collections.abc import Callable, Sequence
from typing import Final, Protocol

import trio

from kpclientd.streams import accept_next
from kpclientd.thin.listener_token import SAID_NOTHING, GuardedListener

log = logging.getLogger("client/listener")

MOST_UNAUTHORIZED: Final = 32

RESERVED_DESCRIPTORS: Final = 32 + MOST_UNAUTHORIZED
"""For the link and its dialling, log, listeners, the event loop's own, and those not authorized yet."""

MOST_DESCRIPTORS: Final = 65_536
SILENT_SECONDS: Final = 10.0
SAY_AGAIN_SECONDS: Final = 60.0


class Admitted(Protocol):
    """One connection that was let in."""

    @property
    def opened(self) -> float:
        """Since when (monotonic seconds)."""

    @property
    def requests(self) -> int:
        """How many requests came."""

    def close(self, reason: str) -> None:
        """End the connection soon."""

    async def serve(self) -> None:
        """Serve it until it ends."""


def raise_descriptor_limit() -> int:
    """Let this process have as many descriptors as it may, and return how many that is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft


class Admission:
    """Admits connections.

    Args:
        most: at once.
        connection: makes the daemon's end of a stream.
    """

    def __init__(self, most: int, connection: Callable[[trio.abc.Stream], Admitted]) -> None:
        self.most = max(1, most)
        self.admitted = 0
        self.turned_away = 0
        self.ended_silent = 0
        self.refused = 0
        self.accept_failures = 0
        self._connection = connection
        self._present: dict[Admitted, None] = {}
        self._unauthorized: dict[trio.CancelScope, None] = {}
        self._said: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self._present)

    async def run(self, listeners: Sequence[trio.abc.Listener[trio.abc.Stream]], nursery: trio.Nursery) -> None:
        """Accept from all `listeners`, for ever; connections are served in `nursery`."""
        async with trio.open_nursery() as accepting:
            for listener in listeners:
                accepting.start_soon(self._accept, listener, nursery)

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one stream until it ends, if there is room; nothing that happens there concerns anybody else."""
        if not self._make_room():
            self.turned_away += 1
            self._say("All %d places for applications are taken: a newcomer is turned away.", self.most)
            await trio.aclose_forcefully(stream)
            return
        self.admitted += 1
        connection = self._connection(stream)
        self._present[connection] = None
        try:
            await connection.serve()
        except Exception:
            log.exception("An application's connection ended by a fault of the daemon.")
        finally:
            self._present.pop(connection, None)

    async def _accept(self, listener: trio.abc.Listener[trio.abc.Stream], nursery: trio.Nursery) -> None:
        while True:
            stream = await accept_next(listener, self._not_accepted)
            nursery.start_soon(self._let_in, stream, listener)

    def _not_accepted(self, error: OSError) -> None:
        self.accept_failures += 1
        self._say("An application cannot be accepted: %s.", error.strerror)

    async def _let_in(self, stream: trio.abc.Stream, listener: trio.abc.Listener[trio.abc.Stream]) -> None:
        if not isinstance(listener, GuardedListener) or await self._may_come_in(stream, listener):
            await self.serve(stream)

    async def _may_come_in(self, stream: trio.abc.Stream, listener: GuardedListener) -> bool:
        """Wait until it has shown its token; a connection that may not come in is closed."""
        if len(self._unauthorized) >= MOST_UNAUTHORIZED:
            first = next(iter(self._unauthorized))
            del self._unauthorized[first]
            first.cancel()
        scope = trio.CancelScope()
        self._unauthorized[scope] = None
        reason: str | None = "others came behind it"
        try:
            with scope:
                reason = await listener.refusal(stream)
        except Exception:
            log.exception("A connection was refused by a fault of the daemon.")
        finally:
            self._unauthorized.pop(scope, None)
            if reason is not None:
                self.refused += 1
                with trio.CancelScope(shield=True):
                    await trio.aclose_forcefully(stream)
        if reason is None:
            return True
        if reason == SAID_NOTHING:
            log.debug("a connection was closed: %s", reason)
        else:
            self._say("A connection was refused: %s.", reason, level=logging.INFO)
        return False

    def _make_room(self) -> bool:
        if len(self._present) < self.most:
            return True
        now = trio.current_time()
        silent = [one for one in self._present if not one.requests and now - one.opened >= SILENT_SECONDS]
        if not silent:
            return False
        oldest = min(silent, key=lambda one: one.opened)
        self.ended_silent += 1
        del self._present[oldest]
        oldest.close("it has asked nothing, and its place was needed")
        return True

    def _say(self, message: str, *arguments: object, level: int = logging.WARNING) -> None:
        """Say it, unless it was said not long ago."""
        now = trio.current_time()
        if now >= self._said.get(message, -math.inf) + SAY_AGAIN_SECONDS:
            self._said[message] = now
            log.log(level, message, *arguments)
