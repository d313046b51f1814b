"""Opens what the configuration says, and serves it."""

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Final

import trio

from kpclientd.config.model import ClientConfig, WebAddress
from kpclientd.log_levels import NOTICE
from kpclientd.status import DaemonStatus
from kpclientd.status_page.formats import CONTENT_TYPE, metrics_text, status_json
from kpclientd.status_page.server import WebServer
from kpclientd.status_page.site import Resource, Site, page_resources
from kpclientd.status_page.snapshots import Snapshots
from kpclientd.thin.errors import ListenError
from kpclientd.thin.listener import listen_tcp
from kpclientd.thin.listener_token import read_token
from kpclientd.transports import TCP_NETWORKS

_FOR_SOME: Final = ", for those who show the token"
_FOR_ALL: Final = ", for every user of this machine"

log = logging.getLogger("katzenpost/client")


@dataclass(frozen=True, slots=True)
class StatusServers:
    """What serves page and metrics, at addresses that are bound.

    Attributes:
        urls: where; the page's, if there is one, is the last.
    """

    urls: tuple[str, ...]
    _servers: tuple[WebServer, ...]

    async def run(self) -> None:
        """Serve, for ever."""
        async with trio.open_nursery() as nursery:
            for server in self._servers:
                nursery.start_soon(server.run)


@asynccontextmanager
async def opened_servers(config: ClientConfig, status: Callable[[], DaemonStatus]) -> AsyncIterator[StatusServers]:
    """Bind the addresses of page and metrics, for as long as the block runs.

    Args:
        config: says where.
        status: tells the daemon's present state.

    Raises:
        ListenError: an address cannot be bound.
        TokenError: there is no token where one should be.
    """
    snapshots = Snapshots(status)
    metrics = {"/metrics": Resource(CONTENT_TYPE, partial(snapshots.as_bytes, metrics_text))}
    page = {"/status.json": Resource("application/json", partial(snapshots.as_bytes, status_json))}
    servers: list[WebServer] = []
    urls: list[str] = []
    with ExitStack() as undo:
        if (where := config.metrics) is not None:
            listeners = await _listen(where, "MetricsAddress", undo)
            urls += _say("Metrics", listeners, "/metrics", "")
            servers.append(WebServer(Site(metrics, host=where.host), listeners))
        if (where := config.status_page) is not None:
            token = read_token(where.token_file) if where.token_file is not None else None
            listeners = await _listen(where, "[Status] Address", undo)
            urls += _say("The status page", listeners, "/", _FOR_SOME if token is not None else _FOR_ALL)
            servers.append(WebServer(Site(page_resources() | page | metrics, token=token), listeners))
        yield StatusServers(tuple(urls), tuple(servers))


async def _listen(where: WebAddress, key: str, undo: ExitStack) -> list[trio.SocketListener]:
    try:
        return await listen_tcp(where.host, where.port, TCP_NETWORKS[0], undo)
    except ListenError as error:
        raise ListenError(f"{key}: {error}") from None


def _say(what: str, listeners: list[trio.SocketListener], path: str, whom: str) -> list[str]:
    urls = []
    for listener in listeners:
        host, port = listener.socket.getsockname()[:2]
        urls.append(f"http://{f'[{host}]' if ':' in host else host}:{port}{path}")
        log.log(NOTICE, "%s: %s%s.", what, urls[-1], whom)
    return urls
