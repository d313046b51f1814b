"""What an application has to show before anything is done for it.

    accepted --> not authorized yet --> in: it has a place, a session and its turns
                     | nothing, or something else, in bounded time and bytes
                     v
                  closed, without a word

A listener may want a token: one line in a file, which whoever may use the daemon can read. By TCP the token and a
newline are the first bytes of a connection, and the protocol follows; by WebSocket it comes with the request.
"""

import abc
import hmac
import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

import trio

from kpclientd.thin.errors import ThinError

TOKEN_SECONDS: Final = 5.0
"""From the connect to the token's last byte."""

SHORTEST_TOKEN: Final = 16
LONGEST_TOKEN: Final = 256

SAID_NOTHING: Final = "it said nothing"
"""Of who merely looked whether somebody listens, as launchers do."""

_TOKEN_LINE: Final = re.compile(rb"[!-~]{%d,%d}" % (SHORTEST_TOKEN, LONGEST_TOKEN))
_NOT_FOR_ALL: Final = stat.S_IRWXO | stat.S_IWGRP


class TokenError(ThinError):
    """A file that should hold a token does not, or not for its owner alone."""


class GuardedListener(trio.abc.Listener[trio.abc.Stream]):
    """A listener whose connections have to show something first."""

    @abc.abstractmethod
    async def refusal(self, stream: trio.abc.Stream) -> str | None:
        """Why a connection that it has accepted may not come in, or None; takes bounded time and memory."""


class TokenListener(GuardedListener):
    """Accepts TCP connections that begin with a token.

    Args:
        listener: accepts them.
        token: what they have to begin with, see `read_token`.
    """

    def __init__(self, listener: trio.SocketListener, token: bytes) -> None:
        self.socket = listener.socket
        self._listener = listener
        self._line = token_line(token)

    async def accept(self) -> trio.SocketStream:
        """Wait for the next connection; it has shown nothing yet."""
        return await self._listener.accept()

    async def aclose(self) -> None:
        """Accept no more."""
        await self._listener.aclose()

    async def refusal(self, stream: trio.abc.Stream) -> str | None:
        """Read as many bytes as the token has, and no byte more: what follows belongs to the protocol."""
        shown = bytearray()
        try:
            with trio.move_on_after(TOKEN_SECONDS):
                while len(shown) < len(self._line):
                    data = await stream.receive_some(len(self._line) - len(shown))
                    if not data:
                        break
                    shown += data
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass
        if hmac.compare_digest(shown, self._line):
            return None
        return "it did not begin with the token" if shown else SAID_NOTHING


def token_line(token: bytes) -> bytes:
    """What a TCP connection begins with."""
    return token + b"\n"


def shown_token(headers: Iterable[tuple[bytes, bytes]], target: str) -> bytes:
    """The token that a request of HTTP shows, whatever it is worth; empty where there is none.

    Args:
        headers: of the request; a token is in `Authorization: Bearer TOKEN`.
        target: what it asks for; a token may be in its query as `token=TOKEN`.
    """
    for name, value in headers:
        scheme, _, token = value.partition(b" ")
        if name.lower() == b"authorization" and scheme.lower() == b"bearer":
            return token.strip()
    try:
        query = parse_qs(urlsplit(target).query)
    except ValueError:
        return b""
    return query.get("token", [""])[0].encode("utf-8", "replace")


def read_token(path: Path) -> bytes:
    """The token in a file: 16 to 256 printable characters, in one line.

    Raises:
        TokenError: if there is none, or anybody can read it.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            line = file.read(LONGEST_TOKEN + 2)
    except OSError as error:
        raise TokenError(f"the token in {path} cannot be read: {error.strerror or error}") from None
    if stat.S_IMODE(mode) & _NOT_FOR_ALL:
        raise TokenError(f"others may read the token in {path}, or its group may change it: chmod 600 {path}, or 640")
    token = line.removesuffix(b"\n")
    if not _TOKEN_LINE.fullmatch(token):
        raise TokenError(
            f"{path} does not hold a token: write one line of {SHORTEST_TOKEN} to {LONGEST_TOKEN} printable characters"
            f" without spaces, as `head -c 32 /dev/urandom | base64 > {path}` does"
        )
    return token
