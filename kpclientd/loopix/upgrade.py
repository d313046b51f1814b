"""What the WebSocket's listener answers to the head of an HTTP request, before any WebSocket is spoken.

The reference checks no origin, so that any web page may use it; here, pages of this machine alone may.
Source: the Nym 2019 Loopix client, "websocket", "HTTP".
"""

import http
from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

import h11

from kpclientd.addresses import is_loopback

PATH: Final = "/mix"
MAX_HEAD: Final = 8192
"""Bytes of a request's head."""

_VERSION: Final = b"13"
_LOCAL_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_MAX_CHARACTERS: Final = 128


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that ends the connection.

    Attributes:
        status: of HTTP.
        body: plain text, empty for none.
        reason: for the log.
    """

    status: http.HTTPStatus
    body: str = ""
    reason: str = ""

    def encode(self) -> bytes:
        """The whole reply."""
        body = self.body.encode()
        headers = [("Content-Length", str(len(body))), ("Connection", "close")]
        if body:
            headers += [("Content-Type", "text/plain; charset=utf-8"), ("X-Content-Type-Options", "nosniff")]
        if self.reason:
            headers.append(("Sec-Websocket-Version", _VERSION.decode()))
        lines = [f"HTTP/1.1 {self.status.value} {self.status.phrase}", *(f"{name}: {value}" for name, value in headers)]
        return "\r\n".join((*lines, "", "")).encode() + body


def check_upgrade(request: h11.Request, remote_host: str, allowed_origins: Collection[str] = ()) -> Answer | None:
    """Return the answer to a request, or None if it may become a WebSocket.

    Args:
        request: its head.
        remote_host: the address it came from.
        allowed_origins: origins to accept beside those of this machine, such as `https://chat.example`.
    """
    path = request.target.decode("ascii", "replace").partition("?")[0]
    if path == PATH:
        return _check_websocket(request, remote_host, allowed_origins)
    if path != "/":
        return Answer(http.HTTPStatus.NOT_FOUND, "Not found\n")
    if request.method != b"GET":
        return Answer(http.HTTPStatus.METHOD_NOT_ALLOWED, "Method not allowed\n")
    return Answer(http.HTTPStatus.OK)


def _check_websocket(request: h11.Request, remote_host: str, allowed_origins: Collection[str]) -> Answer | None:
    origins = [value.decode("latin-1") for name, value in request.headers if name == b"origin"]
    checks = (
        (b"upgrade" in _tokens(request, b"connection"), http.HTTPStatus.BAD_REQUEST, "Connection is not Upgrade"),
        (b"websocket" in _tokens(request, b"upgrade"), http.HTTPStatus.BAD_REQUEST, "Upgrade is not websocket"),
        (request.method == b"GET", http.HTTPStatus.METHOD_NOT_ALLOWED, "the method is not GET"),
        (_VERSION in _tokens(request, b"sec-websocket-version"), http.HTTPStatus.BAD_REQUEST, "its version is not 13"),
        (is_loopback(remote_host), http.HTTPStatus.FORBIDDEN, "it comes from another machine"),
        (
            all(is_allowed_origin(origin, allowed_origins) for origin in origins),
            http.HTTPStatus.FORBIDDEN,
            f"its origin is {', '.join(origins)[:_MAX_CHARACTERS]!r}",
        ),
        (any(_tokens(request, b"sec-websocket-key")), http.HTTPStatus.BAD_REQUEST, "it has no key"),
        (request.http_version == b"1.1", http.HTTPStatus.BAD_REQUEST, "it is not of HTTP/1.1"),
    )
    for passed, status, reason in checks:
        if not passed:
            return Answer(status, f"{status.phrase}\n", reason)
    return None


def is_allowed_origin(origin: str, allowed_origins: Collection[str] = ()) -> bool:
    """Whether pages of `origin` may connect: files, servers on this machine, and `allowed_origins`; `null` may not."""
    if origin in allowed_origins:
        return True
    try:
        parts = urlsplit(origin)
        host = parts.hostname
    except ValueError:
        return False
    return parts.scheme == "file" or (parts.scheme in ("http", "https") and host in _LOCAL_NAMES)


def _tokens(request: h11.Request, name: bytes) -> set[bytes]:
    """A header's values, split at commas, in lower case."""
    values = b",".join(value for key, value in request.headers if key == name)
    return {token.strip().lower() for token in values.split(b",")}
