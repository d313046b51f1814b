"""What is answered to which request; it knows nothing of sockets."""

import hmac
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from kpclientd.addresses import ip_literal, is_loopback
from kpclientd.thin.listener_token import shown_token

Headers = Collection[tuple[bytes, bytes]]

_POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
    )
)

ALWAYS: Final = (
    ("Content-Security-Policy", _POLICY),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
    ("Cache-Control", "no-store"),
    ("Connection", "close"),
)
"""Headers of every answer."""

PLAIN: Final = "text/plain; charset=utf-8"
_METHODS: Final = ("GET", "HEAD")


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: `headers` beside those of every answer, and `body`, left out where only HEAD was asked."""

    status: HTTPStatus
    content_type: str
    body: bytes = field(repr=False)
    headers: tuple[tuple[str, str], ...] = ()

    @classmethod
    def refusal(cls, status: HTTPStatus, why: str, *headers: tuple[str, str]) -> "Answer":
        """An answer that says why there is no other."""
        return cls(status, PLAIN, f"{why}\n".encode(), headers)


@dataclass(frozen=True, slots=True)
class Resource:
    """What is at a path.

    Attributes:
        content_type: of its bytes.
        read: gives them.
        tells_state: whether a token must be shown, where there is one.
    """

    content_type: str
    read: Callable[[], Awaitable[bytes]]
    tells_state: bool = True


def page_resources() -> dict[str, Resource]:
    """The page itself, which holds no figures."""
    return {
        path: Resource(content_type, _reader(Path(__file__).with_name(name).read_bytes()), tells_state=False)
        for path, name, content_type in (
            ("/", "page.html", "text/html; charset=utf-8"),
            ("/page.js", "page.js", "text/javascript; charset=utf-8"),
            ("/page.css", "page.css", "text/css; charset=utf-8"),
            ("/page.svg", "page.svg", "image/svg+xml"),
        )
    }


def _reader(content: bytes) -> Callable[[], Awaitable[bytes]]:
    async def read() -> bytes:
        return content

    return read


class Site:
    """Answers requests.

    Args:
        resources: by their paths.
        token: what must be shown for those that tell the daemon's state, or None.
        host: a name of this machine, as configured, by which it may be asked; None if that must be a loopback address.
    """

    def __init__(
        self, resources: Mapping[str, Resource], *, token: bytes | None = None, host: str | None = None
    ) -> None:
        self._resources = resources
        self._token = token
        self._host = host

    async def answer(self, method: str, target: str, headers: Headers) -> Answer:
        """What to send back to one request; `headers` have names in lower case."""
        found = dict(headers)
        if not self._is_own_name(found.get(b"host", b"").decode("latin-1")):
            return Answer.refusal(
                HTTPStatus.MISDIRECTED_REQUEST,
                "ask by an address of this machine: http://127.0.0.1 or http://localhost",
            )
        # Browsers say so where a page of another origin asks; following a link is a visit and tells that page nothing.
        if found.get(b"sec-fetch-site") == b"cross-site" and found.get(b"sec-fetch-mode") != b"navigate":
            return Answer.refusal(HTTPStatus.FORBIDDEN, "another web page's request is not answered")
        if method not in _METHODS:
            return Answer.refusal(
                HTTPStatus.METHOD_NOT_ALLOWED, "there is only something to read here", ("Allow", ", ".join(_METHODS))
            )
        resource = self._resources.get(target.partition("?")[0])
        if resource is None:
            return Answer.refusal(HTTPStatus.NOT_FOUND, f"there is only: {' '.join(self._resources)}")
        if resource.tells_state and not self._is_authorized(headers, target):
            return Answer.refusal(
                HTTPStatus.UNAUTHORIZED, "show the token of [Status] TokenFile", ("WWW-Authenticate", "Bearer")
            )
        return Answer(HTTPStatus.OK, resource.content_type, await resource.read())

    def _is_own_name(self, host: str) -> bool:
        """Whether a page of somebody else's could not have this name."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if self._host is None:
            return is_loopback(name)
        return name in ("localhost", self._host.lower()) or ip_literal(name) is not None

    def _is_authorized(self, headers: Headers, target: str) -> bool:
        return self._token is None or hmac.compare_digest(shown_token(headers, target), self._token)
