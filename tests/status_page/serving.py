"""A daemon's status page and metrics as a person finds them: by what the log says, over real sockets."""

import logging
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest
import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.config.model import WebAddress
from kpclientd.status_page.serving import opened_servers
from tests.support.world import World


@asynccontextmanager
async def served_status(
    here: World,
    caplog: pytest.LogCaptureFixture,
    *,
    host: str = LOOPBACK,
    port: int = 0,
    token_file: Path | None = None,
    metrics: WebAddress | None = None,
) -> AsyncIterator[list[str]]:
    """Serve the status of the world's daemon, whichever it is; gives the URLs that the log names."""
    caplog.set_level(logging.WARNING, "httpx")  # the client's, who names its URLs
    caplog.set_level(logging.INFO)
    caplog.clear()
    config = replace(here.daemon.config, status_page=WebAddress(host, port, token_file), metrics=metrics)
    async with opened_servers(config, lambda: here.daemon.status()) as servers, trio.open_nursery() as nursery:
        nursery.start_soon(servers.run)
        said = "\n".join(record.getMessage() for record in caplog.records)
        yield [url.removesuffix("/") for url in re.findall(r"http://[^\s,]*[^\s,.]", said)]
        nursery.cancel_scope.cancel()


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=30) as client:
        return await client.get(url, headers=headers)


async def raw(url: str) -> trio.SocketStream:
    """A connection to who serves `url`."""
    parts = httpx.URL(url)
    assert parts.port is not None
    return await trio.open_tcp_stream(parts.host, parts.port)


def has_ipv6() -> bool:
    """Whether this machine has the loopback address ::1."""
    try:
        with socket.create_server(("::1", 0), family=socket.AF_INET6):
            return True
    except OSError:
        return False
