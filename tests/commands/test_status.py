"""`kpclientd status`: true, short, without a secret, and with the status that scripts look at."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import trio
from rich.console import Console

from kpclientd.client.connection import DaemonUnreachableError, UnexpectedMessageError
from kpclientd.client.daemon_status import StatusConnection, ToldStatus
from kpclientd.commands.status import OFFLINE
from kpclientd.commands.status_screen import draw
from kpclientd.commands.terminal import duration
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.status import NETWORK_FIELDS, as_map, gather
from kpclientd.thin.listener import open_listeners
from tests.cli.scripted_daemon import ScriptedDaemon
from tests.config.samples import written
from tests.support.world import World, world

CANARY = b"canary-payload-3141592653"


@asynccontextmanager
async def listening(here: World, folder: Path) -> AsyncIterator[ListenUnix]:
    """The world's daemon on a real socket."""
    address = ListenUnix(str(folder / "daemon.sock"))
    async with open_listeners([address]) as listeners, trio.open_nursery() as nursery:

        async def accept() -> None:
            while True:
                here.serve(await listeners[0].accept())

        nursery.start_soon(accept)
        yield address
        nursery.cancel_scope.cancel()


def drawn(told: ToldStatus, *, width: int = 80, before: ToldStatus | None = None) -> list[str]:
    console = Console(width=width, no_color=True, highlight=False)
    with console.capture() as capture:
        console.print(draw(told, before, 2.0))
    return capture.get().splitlines()


async def test_it_tells_what_is(tmp_path: Path) -> None:
    async with world(is_watched=False) as here, listening(here, tmp_path) as address:
        app = await here.app()
        for number in range(3):
            await app.send(here.service(), CANARY, bytes([number]) * 16)
        await here.until(lambda: here.daemon.status().waiting + here.daemon.status().in_flight == 3, 10)
        async with StatusConnection(address) as connection:
            told = await connection.ask()
            again = await connection.ask()
        await here.until(lambda: len(here.daemon.sessions) == 1, 5)
        assert told.is_whole
        assert told.fields["link"]["gateway"] == "gateway1"
        assert told.fields["epoch"] == here.network.epoch
        (listed,) = told.fields["applications"]
        assert listed["messages"] == 3, "and who asks is not told of itself"
        lines = drawn(again, before=told)
        assert any(line.startswith("gateway") and "gateway1 for" in line for line in lines)
        assert any(line.startswith("document") and "of this epoch, 3 of 3 signatures" in line for line in lines)
        assert any("packets a second now" in line for line in lines)
        assert all(len(line) <= 80 for line in lines)
        shown = json.dumps(told.fields) + "".join(lines)
        for secret in (CANARY.decode(), CANARY.hex(), app.client.app_id.hex(), here.service().node_id.hex()):
            assert secret not in shown


async def test_others_are_told_of_the_network_alone(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        await here.app()
        fields = as_map(gather(here.daemon), NETWORK_FIELDS)
        assert fields.keys() == NETWORK_FIELDS
        lines = drawn(ToldStatus(fields, is_whole=False))
        assert "What applications do is shown to who runs the daemon, and to root." in lines
        assert not any(line.startswith(("sent", "messages")) for line in lines)


async def test_offline_is_told_at_once(tmp_path: Path) -> None:
    async with world(connected=False, is_watched=False) as here, listening(here, tmp_path) as address:
        here.network.faults.refuse_connections = True
        await here.until(lambda: here.daemon.status().link.failures, 10)
        with trio.fail_after(3):
            async with StatusConnection(address) as connection:
                lines = drawn(await connection.ask())
        (gateway,) = [line for line in lines if line.startswith("gateway")]
        assert "offline: waiting, next try in" in gateway
        assert any("last end" in line and "gateway1" in line for line in lines)
        assert any(line.startswith("document") and "none" in line for line in lines)


async def test_hundreds_of_applications_are_cut_to_a_screen(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        for _ in range(70):
            await here.raw()
        await trio.sleep(0.1)
        status = here.daemon.status()
        assert (len(status.applications), status.further_applications) == (50, 20)
        lines = drawn(ToldStatus(as_map(status), is_whole=True))
        assert lines[-1] == "and 62 more"
        many = replace(status, drops={f"reason {number}": number for number in range(20)})
        assert len(drawn(ToldStatus(as_map(many), is_whole=True))) <= 40


async def test_a_daemon_that_knows_no_such_question_is_told_apart(
    tmp_path: Path, autojump_clock: trio.abc.Clock
) -> None:
    async with ScriptedDaemon().listening(tmp_path) as address, StatusConnection(address) as connection:
        with pytest.raises(UnexpectedMessageError, match="does not tell what it does"):
            await connection.ask()


async def test_where_nobody_listens_that_is_said(tmp_path: Path) -> None:
    for address in (ListenUnix(str(tmp_path / "absent")), ListenTcp("127.0.0.1", 1, "tcp")):
        with pytest.raises(DaemonUnreachableError, match="no daemon listens"):
            async with StatusConnection(address):
                pass


async def test_the_command_and_its_exit_statuses(tmp_path: Path) -> None:
    command = (sys.executable, "-m", "kpclientd.cli", "status")
    run = partial(trio.run_process, capture_stdout=True, capture_stderr=True, check=False)
    assert (await run([*command, "--config", str(tmp_path / "no.toml")])).returncode == 2
    assert (await run([*command, "--watch", "0"])).returncode == 2
    file = written(tmp_path, f'[Dial.Unix]\nAddress = "{tmp_path}/daemon.sock"', "thinclient.toml")
    ask = [*command, "--config", str(file)]
    gone = await run(ask)
    assert gone.returncode == 1
    assert gone.stderr.decode().startswith("kpclientd status: no daemon listens at ")
    async with world(is_watched=False) as here, listening(here, tmp_path):
        shown = await run(ask)
        assert (shown.returncode, shown.stderr) == (0, b"")
        assert b"\x1b" not in shown.stdout, "no colours where there is no terminal"
        as_json = await run([*ask, "--json"])
        assert json.loads(as_json.stdout)["link"]["gateway"] == "gateway1"
        here.network.faults.refuse_connections = True
        here.network.gateways[0].end_connections()
        await here.until(lambda: here.daemon.status().link.gateway is None, 30)
        assert (await run(ask)).returncode == OFFLINE


async def test_watching_goes_on_until_it_is_interrupted(tmp_path: Path) -> None:
    file = written(tmp_path, f'[Dial.Unix]\nAddress = "{tmp_path}/daemon.sock"', "thinclient.toml")
    command = (sys.executable, "-m", "kpclientd.cli", "status", "--config", str(file), "--watch", "0.2", "--json")
    async with world(is_watched=False) as here, listening(here, tmp_path):
        async with trio.open_nursery() as nursery:
            start = partial(trio.run_process, command, stdout=subprocess.PIPE, check=False)
            process: trio.Process = await nursery.start(start)
            output = b""
            assert process.stdout is not None
            while output.count(b"\n") < 3:
                output += await process.stdout.receive_some()
            process.terminate()
        assert all(json.loads(line)["process"] for line in output.splitlines()[:3])


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0 s"), (59.6, "1 min 0 s"), (61, "1 min 1 s"), (3_600, "1 h 0 min"), (90_061, "1 d 1 h"), (-3, "0 s")],
)
def test_durations_are_told_in_two_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text
