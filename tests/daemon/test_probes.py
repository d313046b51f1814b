"""Launchers look every 50 ms whether somebody listens: they connect and close, and it costs nobody anything."""

import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from kpclientd.client.connection import connected_to
from kpclientd.config.load import load_config
from kpclientd.config.model import ListenTcp, ListenUnix, ListenWebSocket
from kpclientd.daemon import Daemon
from kpclientd.thin.announcements import DOCUMENT_WAIT_SECONDS
from kpclientd.thin.listener import open_listeners
from kpclientd.transports import DialError
from pki import EpochClock
from sphinx.randomness import seeded
from tests.config.samples import literal_toml, written
from tests.support.loop_watch import InlineWorkers
from tests.thin.serving import settle

PROBES = 1000
PAUSE_SECONDS = 0.05
DESCRIPTORS = Path("/proc/self/fd")
ASK = {"get_directory_authorities": {"query_id": bytes(16)}}


class NoWay:
    """There is no way to any gateway."""

    def can_dial(self, url: str) -> bool:
        return True

    def renew(self, isolation: bytes) -> None:
        pass

    async def dial(self, addresses: Sequence[str], *, isolation: bytes, within: float) -> trio.abc.Stream:
        await trio.sleep(within)
        raise DialError("there is no way")


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[tuple[Daemon, list[tuple[str, int] | str]]]:
    """A daemon without a document, and the places where it listens: a Unix socket, TCP with a token, and WebSocket."""
    token = folder / "token"
    token.write_text("0123456789abcdef")
    token.chmod(0o600)
    daemon = Daemon(
        load_config(written(folder, literal_toml())),
        EpochClock(1200.0),
        dialler=NoWay(),
        randomness=seeded(b"probes"),
        workers=InlineWorkers(),
    )
    listens = (
        ListenUnix(str(folder / "socket")),
        ListenTcp("127.0.0.1", 0, "tcp", token),
        ListenWebSocket("127.0.0.1", 0),
    )
    async with open_listeners(listens) as listeners, trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run, listeners)
        yield daemon, [listener.socket.getsockname() for listener in listeners]
        nursery.cancel_scope.cancel()


async def probe(place: tuple[str, int] | str, number: int) -> None:
    stream = await (trio.open_unix_socket(place) if isinstance(place, str) else trio.open_tcp_stream(*place[:2]))
    if number % 3 == 0:
        await trio.sleep(PAUSE_SECONDS)  # seldom are both ends quick
    await trio.aclose_forcefully(stream)


def descriptors() -> int:
    return len(list(DESCRIPTORS.iterdir()))


@pytest.mark.skipif(not DESCRIPTORS.exists(), reason="descriptors are counted there")
@pytest.mark.parametrize("place", range(3), ids=["unix", "tcp", "websocket"])
async def test_a_thousand_probes_leave_nothing_while_another_application_is_served(
    place: int, tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    answers = 0
    async with running(tmp_path) as (daemon, places), trio.open_nursery() as nursery:
        assert isinstance(places[0], str)
        here = ListenUnix(places[0])

        async def ask_again_and_again() -> None:
            nonlocal answers
            async with connected_to(here, b"t" * 16) as client:
                while True:
                    await client.send(ASK)
                    while "get_directory_authorities_reply" not in await client.receive():
                        pass
                    answers += 1
                    await trio.sleep(1.0)

        await settle(1.0)
        nursery.start_soon(ask_again_and_again)
        await settle(1.0)
        before = descriptors()
        caplog.clear()
        for number in range(PROBES):
            await probe(places[place], number)
            await trio.sleep(PAUSE_SECONDS)
        assert trio.current_time() > DOCUMENT_WAIT_SECONDS, "half of them came while nobody was greeted yet"
        assert answers > 10
        await settle(PAUSE_SECONDS)
        assert (len(daemon.admission), len(daemon.sessions)) == (1, 1)
        assert (daemon.admission.turned_away, daemon.admission.ended_silent) == (0, 0)
        assert descriptors() == before
        told = [record for record in caplog.records if record.name.startswith(("client/listener", "client/incoming"))]
        assert [record.getMessage() for record in told if record.levelno > logging.DEBUG] == []
        nursery.cancel_scope.cancel()
