"""HTTP/1.1 for the directory: h11 between a stream and whoever answers."""

from collections.abc import Callable
from http import HTTPStatus
from typing import Final

import h11
import trio

from kpclientd.loopix.simulator.actions import Ending
from kpclientd.loopix.simulator.directory_server import MAX_BODY, HttpReply, HttpRequest
from kpclientd.loopix.simulator.streams import end, source_of
from kpclientd.streams import READ_SIZE

REQUEST_SECONDS: Final = 30.0
"""From the end of one request on a connection to the end of the next."""

WRITE_SECONDS: Final = 30.0

_TEXT: Final = "text/plain"

Answer = Callable[[HttpRequest], HttpReply | Ending]


async def serve_http(stream: trio.abc.Stream, answer: Answer) -> None:
    """Answer the requests on one connection until it ends, and close it.

    Args:
        stream: the connection.
        answer: what to answer, or how to end the connection instead.
    """
    ending = Ending.CLOSE
    try:
        ending = await _Exchange(stream, answer).run()
    except (trio.BrokenResourceError, trio.TooSlowError, OSError):
        pass  # the one who asked has gone
    finally:
        await end(stream, ending)


class _Exchange:
    def __init__(self, stream: trio.abc.Stream, answer: Answer) -> None:
        self._stream = stream
        self._answer = answer
        self._http = h11.Connection(h11.SERVER)
        self._method = ""

    async def run(self) -> Ending:
        source = source_of(self._stream)
        while True:
            try:
                with trio.fail_after(REQUEST_SECONDS):
                    request = await self._request(source)
            except h11.RemoteProtocolError as error:
                if self._http.our_state in (h11.IDLE, h11.SEND_RESPONSE):
                    await self._reply(HttpReply(error.error_status_hint, content_type=_TEXT))
                return Ending.CLOSE
            if request is None:
                return Ending.CLOSE
            reply = self._answer(request)
            if isinstance(reply, Ending):
                return reply
            await self._reply(reply)
            if self._http.our_state is not h11.DONE:
                return Ending.CLOSE
            self._http.start_next_cycle()

    async def _request(self, source: str) -> HttpRequest | None:
        """Read one whole request; None at the end of the connection."""
        target = ""
        body = bytearray()
        while True:
            event = self._http.next_event()
            if event is h11.NEED_DATA:
                self._http.receive_data(bytes(await self._stream.receive_some(READ_SIZE)))
            elif isinstance(event, h11.Request):
                self._method, target = event.method.decode("ascii"), event.target.decode("latin-1")
            elif isinstance(event, h11.Data):
                body += event.data
                if len(body) > MAX_BODY:
                    raise h11.RemoteProtocolError(
                        f"a body has more than {MAX_BODY} bytes", HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                    )
            elif isinstance(event, h11.EndOfMessage):
                return HttpRequest(self._method, target, bytes(body), source)
            else:
                return None

    async def _reply(self, reply: HttpReply) -> None:
        headers = [("Content-Type", reply.content_type), ("Content-Length", str(len(reply.body)))]
        data = self._http.send(h11.Response(status_code=reply.status, headers=headers)) or b""
        if self._method != "HEAD":
            data += self._http.send(h11.Data(data=reply.body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        with trio.fail_after(WRITE_SECONDS):
            await self._stream.send_all(data)
