"""Asks a daemon of this project what it does; no application is registered for that, and it need not be online."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import trio

from kpclientd.client.connection import DaemonGoneError, UnexpectedMessageError, dial, display
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.streams import READ_SIZE
from kpclientd.thin.framing import FrameReader, encode_frame

ANSWER_SECONDS: Final = 5.0

REQUEST: Final = "daemon_status"
REPLY: Final = "daemon_status_reply"


@dataclass(frozen=True, slots=True)
class ToldStatus:
    """What a daemon tells of itself.

    Attributes:
        fields: its `DaemonStatus`, as maps, lists, texts and numbers.
        is_whole: whether it told all, as it does to who runs it and to root; others are told nothing of applications.
    """

    fields: Mapping[str, Any]
    is_whole: bool


class StatusConnection:
    """A connection on which a daemon can be asked again and again; to be used in an `async with` block.

    Args:
        address: where it listens.
    """

    def __init__(self, address: ListenTcp | ListenUnix) -> None:
        self._address = address
        self._frames = FrameReader()
        self._stream: trio.abc.Stream | None = None

    async def __aenter__(self) -> Self:
        """Connect.

        Raises:
            DaemonUnreachableError: nobody listens there, or this user may not connect.
            DaemonGoneError: it closed the connection.
            TokenError: the daemon wants a token, and the file that should hold it does not.
        """
        self._stream = await dial(self._address)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close, without leaving a session behind."""
        assert self._stream is not None
        with trio.CancelScope(shield=True), trio.move_on_after(1):
            try:
                await self._stream.send_all(encode_frame({"thin_close": {}}))
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass
        await trio.aclose_forcefully(self._stream)

    async def ask(self) -> ToldStatus:
        """Ask once.

        Raises:
            UnexpectedMessageError: no answer came: another program's daemon does not know the question.
            DaemonGoneError: the connection is down.
            ThinError: what came is no frame.
        """
        assert self._stream is not None
        try:
            with trio.fail_after(ANSWER_SECONDS):
                await self._stream.send_all(encode_frame({REQUEST: {}}))
                while data := await self._stream.receive_some(READ_SIZE):
                    for message in self._frames.feed(bytes(data)):
                        if isinstance(reply := message.get(REPLY), dict):
                            return _told(reply)
        except trio.TooSlowError:
            raise UnexpectedMessageError(
                f"the daemon at {display(self._address)} does not tell what it does: it is no kpclientd of this"
                " project, or an older one"
            ) from None
        except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
            raise DaemonGoneError("the connection to the daemon broke") from error
        raise DaemonGoneError("the daemon closed the connection")


def _told(reply: Mapping[str, Any]) -> ToldStatus:
    fields = reply.get("status")
    if not isinstance(fields, dict) or reply.get("error_code"):
        raise UnexpectedMessageError("the daemon refused to tell what it does")
    return ToldStatus(fields, bool(reply.get("is_whole")))
