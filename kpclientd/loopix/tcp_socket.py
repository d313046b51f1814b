"""The local TCP socket: frames of protobuf, answered in order.

Source: the Nym 2019 Loopix client, "socket mode, TCP". The reference holds answers back until a `flush`; they are sent
at once here, which a peer that follows the protocol cannot notice.
"""

import logging
from typing import Final

import trio

from kpclientd.loopix.errors import FrameError, RequestError
from kpclientd.loopix.framing import FrameReader, encode_frame
from kpclientd.loopix.logs import TCP_SOCKET
from kpclientd.loopix.profile import Profile
from kpclientd.loopix.request_handler import RequestHandler
from kpclientd.loopix.requests import decode_request, encode_response
from kpclientd.streams import READ_SIZE

log = logging.getLogger(TCP_SOCKET)

WRITE_SECONDS: Final = 60.0


class TcpServer:
    """Serves applications over framed byte streams.

    Args:
        handler: answers their requests.
        profile: how lengths are written.
    """

    def __init__(self, handler: RequestHandler, profile: Profile) -> None:
        self._handler = handler
        self._profile = profile

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection until it ends; nothing that happens there concerns anybody else."""
        try:
            await self._serve(stream)
        except (FrameError, RequestError) as error:
            log.warning("a connection is closed: %s", error)
        except trio.TooSlowError:
            log.info("a connection is closed: it read nothing for %.0f s", WRITE_SECONDS)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            log.debug("a connection broke")
        except Exception:
            log.exception("a connection ended by a fault of the client")
        finally:
            await trio.aclose_forcefully(stream)

    async def _serve(self, stream: trio.abc.Stream) -> None:
        reader = FrameReader(self._profile)
        while data := await stream.receive_some(READ_SIZE):
            try:
                for body in reader.feed(bytes(data)):
                    await self._answer(stream, body)
            except FrameError as error:
                for body in error.bodies:
                    await self._answer(stream, body)
                raise
        if reader.midway:
            log.info("a connection ended in the middle of a frame")

    async def _answer(self, stream: trio.abc.Stream, body: bytes) -> None:
        response = await self._handler.answer(decode_request(body))
        frame = encode_frame(self._profile, encode_response(response))
        with trio.fail_after(WRITE_SECONDS):
            await stream.send_all(frame)
