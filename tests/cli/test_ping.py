"""`kpclientd ping` counts what comes back, says what does not and why, and ends with the status that scripts expect."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from arq import RouteNames
from kpclientd.client.connection import DaemonUnreachableError
from kpclientd.client.errors import UnknownServiceError
from kpclientd.commands.ping import SEND_SECONDS, OfflineError, Options, main, ping
from kpclientd.commands.ping_statistics import PingStatistics
from kpclientd.config.model import ListenUnix
from kpclientd.thin import events
from sphinx.randomness import seeded
from tests.cli.scripted_daemon import DOCUMENT, Script, ScriptedDaemon, echoed, status, without_services
from tests.config.samples import gateway, literal_toml, written
from tests.support.processes import PATIENCE


def echo_after(seconds: float) -> Any:
    return lambda request: [(0, sent(request)), (seconds, echoed(request))]


def sent(request: dict[str, Any]) -> dict[str, Any]:
    return events.message_sent(None, request["surbid"], sent_at=0, reply_eta=1)


def silence(request: dict[str, Any]) -> Script:
    return [(0, sent(request))]


async def run(daemon: ScriptedDaemon, folder: Path, options: Options) -> tuple[PingStatistics, list[str]]:
    lines: list[str] = []
    statistics = PingStatistics()
    async with daemon.listening(folder) as address:
        await ping(address, options, seeded(b"ping"), statistics, lines.append)
    return statistics, lines


async def test_every_answer_has_its_line(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    daemon = ScriptedDaemon(scripts=[echo_after(0.25), echo_after(0.5)])
    statistics, lines = await run(daemon, tmp_path, Options(count=3))
    assert lines[0].startswith("PING echo at service1 (")
    assert lines[0].endswith(f"through {tmp_path / 'daemon'}")
    assert lines[1:] == [
        "32 bytes from service1: seq=1 time=250.0 ms",
        "32 bytes from service1: seq=2 time=500.0 ms",
        "32 bytes from service1: seq=3 time=500.0 ms",
        "--- echo ping statistics ---",
        "3 sent, 3 received, 0% lost",
        "round trip min/avg/median/max/stddev 250.0/416.7/500.0/500.0/117.9 ms",
    ]
    assert statistics.round_trips == pytest.approx([0.25, 0.5, 0.5])


async def test_requests_are_distinct_and_an_interval_apart(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    times: list[float] = []

    def noted(request: dict[str, Any]) -> Script:
        times.append(trio.current_time())
        return [(0, echoed(request))]

    daemon = ScriptedDaemon(scripts=[noted])
    await run(daemon, tmp_path, Options(count=4, interval=2.5))
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([2.5] * 3)
    messages = [request["send_message"] for request in daemon.requests if "send_message" in request]
    assert len({message["surbid"] for message in messages}) == 4
    assert len({message["payload"] for message in messages}) == 4
    assert {message["recipient_queue_id"] for message in messages} == {b"+echo"}


async def test_several_may_be_on_their_way_and_come_back_in_any_order(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    daemon = ScriptedDaemon(scripts=[echo_after(10), echo_after(5), echo_after(1)])
    _, lines = await run(daemon, tmp_path, Options(count=3))
    assert [line.partition("seq=")[2].split()[0] for line in lines if "seq=" in line] == ["3", "2", "1"]
    assert lines[-1].startswith("round trip min/avg/median/max/stddev 1000.0/5333.3/5000.0/10000.0/")


async def test_what_is_not_answered_in_time_is_lost(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    statistics, lines = await run(
        ScriptedDaemon(scripts=[silence, echo_after(4.5), echo_after(4)]), tmp_path, Options(count=3, timeout=4.25)
    )
    assert "seq=1 lost: no answer within 4.25 s" in lines
    assert "seq=2 lost: no answer within 4.25 s" in lines
    assert lines[-2:] == [
        "3 sent, 1 received, 66.7% lost",
        "round trip min/avg/median/max/stddev 4000.0/4000.0/4000.0/4000.0/0.0 ms",
    ]
    assert statistics.sent == 3


def by_way_of(mix: str, seconds: float | None) -> Any:
    """An answer after so many seconds, or none, to a message that went through a mix and came back by another."""
    route = RouteNames(("gateway1", mix, "service1"), ("mix9", "gateway1"))

    def script(request: dict[str, Any]) -> Script:
        sent = events.message_sent(None, request["surbid"], sent_at=0, reply_eta=1, route=route)
        return [(0, sent)] if seconds is None else [(0, sent), (seconds, echoed(request))]

    return script


async def test_the_nodes_on_the_way_are_shown_to_who_asks(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    daemon = ScriptedDaemon(scripts=[by_way_of("mix1", 0.25), by_way_of("mix2", None)])
    _, lines = await run(daemon, tmp_path, Options(count=2, is_verbose=True))
    assert lines[1:5] == [
        "32 bytes from service1: seq=1 time=250.0 ms",
        "    by gateway1 mix1 service1; back by mix9 gateway1",
        "seq=2 lost: no answer within 30 s",
        "    by gateway1 mix2 service1; back by mix9 gateway1",
    ]


async def test_the_summary_names_the_nodes_that_lost_more_than_the_others(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    good, bad = by_way_of("mix1", 0.25), by_way_of("mix2", None)
    _, lines = await run(ScriptedDaemon(scripts=[good, bad, bad, good]), tmp_path, Options(count=6))
    assert lines[-1] == "lost by way of: mix2 2 of 2"
    assert not any("gateway1" in line for line in lines), "all passed it; and nobody asked for the ways"


def wrong(request: dict[str, Any]) -> Script:
    return [(0, events.message_reply(None, request["surbid"], bytes(2574)))]


def refused(request: dict[str, Any]) -> Script:
    return [(0, events.message_not_sent(None, request["surbid"], "client/conn: not connected", now=0))]


def gave_up(request: dict[str, Any]) -> Script:
    return [(0, events.message_reply(None, request["surbid"], b"", error_code=5))]


@pytest.mark.parametrize(
    ("script", "line"),
    [
        (wrong, "seq=1 lost: the answer is not what was sent"),
        (refused, "seq=1 lost: not sent: client/conn: not connected"),
        (gave_up, "seq=1 lost: the daemon gave up with code 5"),
    ],
)
async def test_a_bad_end_is_told_at_once(
    tmp_path: Path, autojump_clock: trio.testing.MockClock, script: Any, line: str
) -> None:
    statistics, lines = await run(ScriptedDaemon(scripts=[script]), tmp_path, Options(count=1))
    assert line in lines
    assert lines[-1] == "1 sent, 0 received, 100% lost"
    assert statistics.round_trips == []
    assert trio.current_time() < 1


async def test_answers_to_nobody_and_second_answers_change_nothing(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    def noisy(request: dict[str, Any]) -> Script:
        strange = [{"message_reply_event": value} for value in (3, {}, {"surbid": 7}, {"surbid": b"?" * 16})]
        return [(0, message) for message in strange] + [(0.5, echoed(request)), (0.5, echoed(request))]

    statistics, _ = await run(ScriptedDaemon(scripts=[noisy]), tmp_path, Options(count=2))
    assert statistics.round_trips == pytest.approx([0.5, 0.5])


async def test_a_daemon_that_goes_ends_it_with_the_statistics(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    daemon = ScriptedDaemon(scripts=[echo_after(0.5), lambda _: [(0, events.shutdown()), (0.25, None)]])
    statistics, lines = await run(daemon, tmp_path, Options(count=5))
    assert lines[-5:] == [
        "the daemon is shutting down",
        "no more answers can come: the daemon closed the connection",
        "--- echo ping statistics ---",
        "2 sent, 1 received, 50% lost",
        "round trip min/avg/median/max/stddev 500.0/500.0/500.0/500.0/0.0 ms",
    ]
    assert len(statistics.round_trips) == 1


async def test_a_daemon_that_reads_no_more_is_given_up(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    many = 20_000  # more than a socket buffers
    statistics, lines = await run(ScriptedDaemon(deaf=True), tmp_path, Options(count=many, interval=0, timeout=100))
    assert lines[1] == "no more answers can come: the daemon takes no more requests"
    assert statistics.sent < many
    assert trio.current_time() == pytest.approx(SEND_SECONDS, abs=5)


async def test_the_payload_fits_a_small_packet(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    small = status(True)
    small["connection_status_event"]["sphinx_geometry"]["UserForwardPayloadLength"] = 8
    daemon = ScriptedDaemon(greeting=[small, events.new_pki_document(DOCUMENT)])
    _, lines = await run(daemon, tmp_path, Options(count=1))
    assert "8 bytes from service1: seq=1 time=500.0 ms" in lines


async def test_an_offline_daemon_is_said_to_be_offline(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    daemon = ScriptedDaemon(greeting=[status(False), events.new_pki_document(DOCUMENT)])
    with pytest.RaisesGroup(
        pytest.RaisesExc(OfflineError, match="no connection to its gateway"), flatten_subgroups=True
    ):
        await run(daemon, tmp_path, Options())


async def test_a_daemon_without_a_document_is_offline_too(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    daemon = ScriptedDaemon(greeting=[status(True), events.new_pki_document(None)])
    with pytest.RaisesGroup(pytest.RaisesExc(OfflineError, match="no document"), flatten_subgroups=True):
        await run(daemon, tmp_path, Options())


async def test_a_daemon_that_comes_online_meanwhile_will_do(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    daemon = ScriptedDaemon(
        greeting=[status(False), events.new_pki_document(None)],
        after_token_reply=[(2, status(True)), (3, events.new_pki_document(DOCUMENT))],
    )
    statistics, _ = await run(daemon, tmp_path, Options(count=1))
    assert len(statistics.round_trips) == 1


async def test_what_the_daemon_lacks_is_shown_within_two_seconds_and_again_when_it_is_something_else(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    lines: list[tuple[float, str]] = []
    daemon = ScriptedDaemon(
        greeting=[status(False), events.new_pki_document(None)],
        silent_seconds=30.0,
        after_token_reply=[(2, status(True)), (4, events.new_pki_document(DOCUMENT))],
    )
    async with daemon.listening(tmp_path) as address:

        def show(line: str) -> None:
            lines.append((trio.current_time(), line))

        await ping(address, Options(count=1), seeded(b"ping"), PingStatistics(), show)
    assert [(round(at, 1), line) for at, line in lines[:3]] == [
        (
            1.0,
            f"waiting: the daemon at {address.address} has no document of the network yet; its log says what it awaits",
        ),
        (31.0, "waiting: the daemon is offline: it has no connection to its gateway"),
        (33.0, "waiting: the daemon is offline: it has no document of the network"),
    ]
    assert lines[3][1].startswith("PING echo")


async def test_a_moment_is_not_worth_a_word(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    daemon = ScriptedDaemon(
        greeting=[status(False), events.new_pki_document(DOCUMENT)], after_token_reply=[(0.5, status(True))]
    )
    _, lines = await run(daemon, tmp_path, Options(count=1))
    assert not [line for line in lines if line.startswith("waiting")]


def test_with_a_real_daemon_that_is_offline_it_says_so_before_it_is_greeted(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    config = written(
        tmp_path,
        literal_toml(
            Listen=f'[Listen.Unix]\nAddress = "{tmp_path}/socket"',
            PinnedGateways="[PinnedGateways]\n" + gateway(Addresses=f'["tcp://127.0.0.1:{port}"]'),
            Logging=f'[Logging]\nFile = "{tmp_path}/log"',
        ),
    )
    with running(sys.executable, "-m", "kpclientd.cli", "--config", str(config)) as daemon:
        assert says(tmp_path / "log", "No connection to gateway"), daemon
        with running(sys.executable, "-m", "kpclientd.cli", "ping", "--config", str(config)) as pinging:
            assert pinging.stdout is not None
            line = pinging.stdout.readline()
    assert line.startswith(f"waiting: the daemon at {tmp_path}/socket has no document of the network yet")


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def says(path: Path, text: str) -> bool:
    """Whether a log says it, at the latest when a machine that does other things too must have come so far."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if path.exists() and text in path.read_text():
            return True
        time.sleep(0.05)
    return False


async def test_an_unknown_service_is_answered_with_the_known_ones(tmp_path: Path) -> None:
    daemon = ScriptedDaemon(greeting=[status(True), events.new_pki_document(without_services())])
    with pytest.RaisesGroup(
        pytest.RaisesExc(UnknownServiceError, match='no service is called "echo"; the network has courier'),
        flatten_subgroups=True,
    ):
        await run(daemon, tmp_path, Options())


async def test_no_daemon_at_all(tmp_path: Path) -> None:
    with pytest.raises(DaemonUnreachableError):
        await ping(ListenUnix(str(tmp_path / "absent")), Options(), seeded(b""), PingStatistics(), print)


@pytest.mark.parametrize(
    ("round_trips", "times"),
    [
        ([0.002], "2.0/2.0/2.0/2.0/0.0"),
        ([0.003, 0.001], "1.0/2.0/2.0/3.0/1.0"),
        ([0.001, 0.001, 0.007], "1.0/3.0/1.0/7.0/2.8"),
    ],
)
def test_least_mean_median_most_and_deviation(round_trips: list[float], times: str) -> None:
    statistics = PingStatistics(len(round_trips), round_trips)
    assert statistics.summary()[1:] == [f"round trip min/avg/median/max/stddev {times} ms"]


def test_nothing_sent_is_nothing_lost() -> None:
    assert PingStatistics().summary() == ["0 sent, 0 received, 0% lost"]


def command(folder: Path, address: ListenUnix, *arguments: str) -> list[str]:
    config = written(folder, f'[Dial.Unix]\nAddress = "{address.address}"', "thinclient.toml")
    return [sys.executable, "-m", "kpclientd.cli", "ping", "--config", str(config), *arguments]


@pytest.mark.parametrize(("script", "status_code"), [(echo_after(0), 0), (wrong, 1)])
async def test_the_exit_status_tells_whether_anything_answered(tmp_path: Path, script: Any, status_code: int) -> None:
    async with ScriptedDaemon(scripts=[script]).listening(tmp_path) as address:
        done = await trio.run_process(
            command(tmp_path, address, "-n", "2", "--interval", "0"), capture_stdout=True, check=False
        )
    assert done.returncode == status_code
    assert any(line.startswith("2 sent, ") for line in done.stdout.decode().splitlines()[-2:])


async def test_an_interrupt_ends_it_with_the_statistics(tmp_path: Path) -> None:
    daemon = ScriptedDaemon(scripts=[echo_after(0), silence])
    async with daemon.listening(tmp_path) as address, trio.open_nursery() as nursery:
        arguments = command(tmp_path, address, "-n", "9", "--interval", "0")
        process = await nursery.start(partial(trio.run_process, arguments, stdout=subprocess.PIPE))
        output = b""
        while b"seq=1" not in output:
            output += await process.stdout.receive_some()
        os.kill(process.pid, signal.SIGINT)
        async for chunk in process.stdout:
            output += chunk
    assert output.decode().splitlines()[-3] == "--- echo ping statistics ---"
    assert " 1 received" in output.decode().splitlines()[-2]


def test_a_bad_file_is_misuse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--config", str(written(tmp_path, "Dial = 3", "thinclient.toml"))]) == 2
    assert "Dial: is an integer; expected a table" in capsys.readouterr().err


def test_an_unreachable_daemon_gave_no_answer(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = written(tmp_path, f'[Dial.Unix]\nAddress = "{tmp_path}/absent"', "thinclient.toml")
    assert main(["--config", str(path)]) == 1
    assert capsys.readouterr().err.startswith(f"kpclientd ping: no daemon listens at {tmp_path}/absent: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["-c", "-1"],
        ["-c", "x"],
        ["-s", "7"],
        ["-s", "60001"],
        ["-s", "1e3"],
        ["-i", ""],
        ["--interval", "-1"],
        ["--timeout", "nan"],
        ["--timeout", "inf"],
        ["-x"],
    ],
)
def test_a_bad_command_line_is_misuse(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: kpclientd ping" in capsys.readouterr().err
