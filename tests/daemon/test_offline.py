"""Offline, said aloud: within two seconds the log tells what is awaited and from whom; applications get an answer."""

import logging
import re
import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import trio

from kpclientd.config.load import load_config
from kpclientd.daemon import Daemon
from kpclientd.localnet.faults import DocumentFault, Faults
from kpclientd.log_levels import NOTICE
from pki import EpochClock
from sphinx.randomness import seeded
from tests.config.samples import gateway, literal_toml, written
from tests.pigeonhole.installed import MISSING
from tests.support.loop_watch import InlineWorkers
from tests.support.world import App, MemoryDialler, World, world

SOON = 2.0
WHO = r'gateway "gateway1" at \S+'


def told(caplog: pytest.LogCaptureFixture, since: int = 0) -> list[str]:
    """What the log says at its default level, without the greeting of the program."""
    records = caplog.records[since:]
    lines = [record.getMessage() for record in records if record.levelno >= NOTICE and record.name.startswith("client")]
    return [line for line in lines if "Listening" not in line]


def set_faults(**switches: Any) -> Callable[[Faults], None]:
    def change(faults: Faults) -> None:
        for name, value in switches.items():
            setattr(faults, name, value)

    return change


STATES = {
    "refused": (set_faults(refuse_connections=True), r'No connection to gateway "gateway1": .*refused; next try in'),
    "closed at once": (set_faults(close_at_once=True), r'No connection to gateway "gateway1": .*closed'),
    "silent": (set_faults(silent_handshake=True), rf"Offline: waiting for {WHO} to answer the handshake"),
    "an impostor": (set_faults(impostor=True), r'No connection to gateway "gateway1": .*next try in'),
    "no document yet": (
        set_faults(document=DocumentFault.NOT_FOUND),
        r"No gateway has a document of the present epoch",
    ),
    "no document, ever": (set_faults(document=DocumentFault.GONE), r"No gateway has .* there will be none"),
    "no answer": (
        set_faults(document=DocumentFault.SILENCE),
        rf"Offline: waiting for the document of epoch \d+ from {WHO}",
    ),
    "a bad document": (set_faults(document=DocumentFault.WRONG), r"Refused the document of epoch \d+: "),
    "an old document": (set_faults(document=DocumentFault.EXPIRED), r"Refused the document of epoch \d+: "),
}


@pytest.mark.parametrize("state", STATES)
async def test_from_the_start_on(state: str, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTICE)
    switch, expected = STATES[state]
    async with world(connected=False) as here:
        switch(here.network.faults)
        await trio.sleep(SOON)
        lines = told(caplog)
        assert any(re.search(expected, line) for line in lines), lines
        assert len(lines) <= 5, lines


@pytest.mark.parametrize("state", ["refused", "silent"])
async def test_when_the_link_is_lost(
    state: str, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    switch, expected = STATES[state]
    async with world() as here:
        await trio.sleep(60.0)
        before = len(caplog.records)
        switch(here.network.faults)
        here.network.faults.reset_connections()
        await trio.sleep(SOON)
        lines = told(caplog, before)
        assert lines[0].startswith('Lost the connection to gateway "gateway1": '), lines
        assert re.search(expected, lines[1]), lines
        await trio.sleep(600.0)
        assert len([line for line in told(caplog, before) if line.startswith("Offline")]) <= 1, "once"


async def test_when_nobody_answers_at_the_gateways_address(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def never(
        dialler: MemoryDialler, addresses: Sequence[str], *, isolation: bytes, within: float
    ) -> trio.abc.Stream:
        await trio.sleep_forever()
        raise AssertionError

    caplog.set_level(NOTICE)
    monkeypatch.setattr(MemoryDialler, "dial", never)
    async with world(connected=False, gateways=4):
        await trio.sleep(SOON)
        (line,) = told(caplog)
        assert re.fullmatch(r'Offline: waiting for a connection to gateway "gateway\d" at \S+\.', line), line
        await trio.sleep(300.0)
        said = told(caplog)
        assert len([line for line in said if line.startswith("Offline")]) == 1, "not for each gateway"
        assert len(said) <= 1 + 2 * 4, "and why, for each: given up early while there are others, and late"


async def test_that_it_is_over(autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTICE)
    async with world(connected=False) as here:
        here.network.faults.document = DocumentFault.SILENCE
        await trio.sleep(SOON)
        here.network.faults.clear()
        await here.until(lambda: here.daemon.status().document_epoch, 120)
        await trio.sleep(1.0)
        online = [line for line in told(caplog) if line.startswith("Online")]
        assert len(online) == 1
        assert re.fullmatch(
            rf"Online: {WHO} is connected, and the document of epoch {here.network.epoch} .*", online[0]
        )


async def test_a_short_outage_is_not_told_as_one(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    async with world() as here:
        await trio.sleep(60.0)
        here.network.faults.reset_connections()
        await trio.sleep(10.0)
        assert here.daemon.status().link.gateway
    assert not [line for line in told(caplog) if line.startswith(("Offline", "Online"))]


async def test_with_a_clock_that_is_wrong_by_epochs(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    async with world(connected=False, clock_ahead=4000.0):
        await trio.sleep(SOON)
    assert "This machine's clock is +4000 s off the gateway's" in caplog.text
    assert any("No gateway has a document of the present epoch" in line for line in told(caplog))


async def test_with_a_proxy_that_is_down(
    tmp_path: Path, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    pinned = "\n".join(gateway(f"gateway{n}", Addresses=f'["tcp://192.0.2.{n}:1"]') for n in range(1, 4))
    toml = literal_toml(
        PinnedGateways=f"[PinnedGateways]\n{pinned}",
        UpstreamProxy=f'[UpstreamProxy]\nType = "socks5"\nNetwork = "tcp"\nAddress = "127.0.0.1:{port}"',
    )
    daemon = Daemon(
        load_config(written(tmp_path, toml)), EpochClock(1200.0), randomness=seeded(b"proxy"), workers=InlineWorkers()
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(daemon.run, [])
        await trio.sleep(SOON)
        (line,) = told(caplog)
        assert line.startswith(f"No gateway can be reached: the proxy at 127.0.0.1:{port} cannot be reached: ")
        await trio.sleep(120.0)
        assert told(caplog) == [line], "once, and not for each gateway"
        assert daemon.status().link.failures > 10
        nursery.cancel_scope.cancel()


# -- what applications get


async def answer(here: World, app: App, verb: str, **fields: Any) -> dict[str, Any]:
    query_id = here.daemon.randomness.bytes(16)
    await app.client.send({verb: {"query_id": query_id, **fields}})
    name = f"{verb}_reply"

    def found() -> list[dict[str, Any]]:
        return [event[name] for event in app.events if name in event and event[name]["query_id"] == query_id]

    await here.until(found, 1.0)
    (reply,) = found()
    return reply


async def test_without_a_document_what_can_be_answered_is_and_messages_wait(autojump_clock: trio.abc.Clock) -> None:
    async with world(connected=False) as here:
        here.network.faults.refuse_connections = True
        app = await here.app()
        assert app.client.app_id and not app.client.connected
        assert (await answer(here, app, "get_pki_document", epoch=0))["error_code"] == 10
        assert len((await answer(here, app, "get_directory_authorities"))["authorities"]) == 3
        assert (await answer(here, app, "new_keypair", seed=bytes(32)))["error_code"] == (10 if MISSING else 0)
        service = here.network.authorities.document(here.network.epoch).services("echo")[0]
        await app.send(service, b"patient", b"p" * 16)
        await trio.sleep(300.0)
        assert not app.sent and not app.refused
        here.network.faults.clear()
        await here.until(lambda: not app.unanswered([b"p" * 16]), 300)


async def test_with_a_document_and_no_link_the_document_is_served_until_it_has_ended(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with world(epoch_period=60.0) as here:
        app, epoch = await here.app(), here.daemon.status().document_epoch
        here.network.faults.refuse_connections = True
        here.network.faults.reset_connections()
        await here.until(lambda: not app.client.connected, SOON)
        reply = await answer(here, app, "get_pki_document", epoch=0)
        assert (reply["error_code"], reply["epoch"]) == (0, epoch)
        newcomer = await here.app()
        assert newcomer.client.document_payload is not None and not newcomer.client.connected
        await trio.sleep(180.0)
        assert (await answer(here, app, "get_pki_document", epoch=0))["error_code"] == 10
        assert any("There is no consensus document any more" in line for line in told(caplog))
        await app.client.send({"thin_close": {}})
        await here.until(lambda: any("end" in event for event in app.events), 1.0)
