"""Answers HTTP requests on sockets, so that nobody who connects takes more than a little of the event loop's time.

accepted --> head of a request --> answer --> end of what was sent is awaited --> closed
   50 a second   8 KiB                             1 s, 64 KiB
|---------------------- 10 s, or until a newcomer needs the place ------------------|
"""

import logging
import math
from collections.abc import Sequence
from http import HTTPStatus
from typing import Final

import h11
import trio

from kpclientd.status_page.site import ALWAYS, Answer, Site
from kpclientd.streams import accept_next

log = logging.getLogger("katzenpost/client")

MOST_CONNECTIONS: Final = 8
"""At once and for each server; a browser opens six."""

ACCEPTS_A_SECOND: Final = 50
BURST_SECONDS: Final = 1.0
"""After a second without connections so many more are accepted at once; the others wait in the system's queue."""

CONNECTION_SECONDS: Final = 10.0
MOST_HEAD_BYTES: Final = 8192
LINGER_SECONDS: Final = 1.0
MOST_LINGER_BYTES: Final = 65_536
"""A connection that is closed before all that came was read is reset, and the answer may be lost with it."""

PIECE: Final = 4096


class WebServer:
    """Serves one site.

    Args:
        site: makes the answers.
        listeners: where clients connect.
    """

    def __init__(self, site: Site, listeners: Sequence[trio.abc.Listener[trio.abc.HalfCloseableStream]]) -> None:
        self._site = site
        self._listeners = listeners
        self._present: dict[trio.CancelScope, None] = {}
        self._next_accept = -math.inf

    async def run(self) -> None:
        """Serve until cancelled."""
        async with trio.open_nursery() as nursery:
            for listener in self._listeners:
                nursery.start_soon(self._accept, listener, nursery)

    async def _accept(self, listener: trio.abc.Listener[trio.abc.HalfCloseableStream], nursery: trio.Nursery) -> None:
        while True:
            stream = await accept_next(listener)
            if len(self._present) >= MOST_CONNECTIONS:
                oldest = next(iter(self._present))
                del self._present[oldest]
                oldest.cancel()
            scope = trio.CancelScope(deadline=trio.current_time() + CONNECTION_SECONDS)
            self._present[scope] = None
            nursery.start_soon(self._serve, stream, scope)
            await self._pace()

    async def _pace(self) -> None:
        now = trio.current_time()
        self._next_accept = max(self._next_accept, now - BURST_SECONDS) + 1 / ACCEPTS_A_SECOND
        if self._next_accept > now:
            await trio.sleep_until(self._next_accept)

    async def _serve(self, stream: trio.abc.HalfCloseableStream, scope: trio.CancelScope) -> None:
        try:
            with scope:
                await self._exchange(stream)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # it went away
        except Exception:
            log.exception("A request for the daemon's state failed by a fault of the daemon.")
        finally:
            self._present.pop(scope, None)
            with trio.CancelScope(shield=True):
                await trio.aclose_forcefully(stream)

    async def _exchange(self, stream: trio.abc.HalfCloseableStream) -> None:
        """Read one request, answer it, and let the client close."""
        http = h11.Connection(h11.SERVER, max_incomplete_event_size=MOST_HEAD_BYTES)
        request: h11.Request | None = None
        try:
            request = await self._read_request(stream, http)
        except h11.RemoteProtocolError as error:
            status = HTTPStatus(error.error_status_hint)
            answer: Answer | None = Answer.refusal(status, "that is no request of HTTP/1.1")
        else:
            answer = await self._answer(request) if request is not None else None
        if answer is None:
            return
        is_head = request is not None and request.method == b"HEAD"
        await stream.send_all(_encoded(http, answer, with_body=not is_head))
        await stream.send_eof()
        received = 0
        with trio.move_on_after(LINGER_SECONDS):
            while received < MOST_LINGER_BYTES and (data := await stream.receive_some(PIECE)):
                received += len(data)

    async def _read_request(self, stream: trio.abc.HalfCloseableStream, http: h11.Connection) -> h11.Request | None:
        while True:
            event = http.next_event()
            if isinstance(event, h11.Request):
                return event
            if event is not h11.NEED_DATA:
                return None  # it closed without having asked
            http.receive_data(bytes(await stream.receive_some(PIECE)))

    async def _answer(self, request: h11.Request) -> Answer:
        return await self._site.answer(request.method.decode("ascii"), request.target.decode("ascii"), request.headers)


def _encoded(http: h11.Connection, answer: Answer, *, with_body: bool) -> bytes:
    """The answer's bytes; where HEAD was asked it has no body, and the headers that it would have."""
    headers = [
        *ALWAYS,
        ("Content-Type", answer.content_type),
        ("Content-Length", str(len(answer.body))),
        *answer.headers,
    ]
    reason = answer.status.phrase.encode("ascii")
    data = http.send(h11.Response(status_code=answer.status, headers=headers, reason=reason)) or b""
    if with_body:
        data += http.send(h11.Data(data=answer.body)) or b""
    return data + (http.send(h11.EndOfMessage()) or b"")
