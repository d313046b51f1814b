"""The daemon as a process, as a service manager sees it: readiness, sockets, signals, statuses, and its end."""

import os
import resource
import signal
import socket
import struct
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import TimeoutExpired

import pytest

from kpclientd.addresses import unix_socket_address
from tests.config.samples import literal_toml, written
from tests.service.manager import PATIENCE, Manager, configured, daemon, ended

MISCONFIGURED = 78

HANGING = """
import os, time, trio
from kpclientd.timers import Timekeeper
look = Timekeeper._look
def hang(self, now):
    while os.path.exists({file!r}):
        time.sleep(0.05)
    look(self, now)
Timekeeper._look = hang
"""
"""A daemon whose event loop hangs as long as there is a file."""

WAITING = """
import trio
from kpclientd import daemon
from kpclientd.timers import Timekeeper
daemon.OVERDUE_SECONDS = 0.5
async def wait(self):
    self._sleep.deadline = trio.current_time()
    await trio.sleep_forever()
Timekeeper.run = wait
"""
"""A daemon whose event loop turns, and whose timekeeper does not."""

FAILING = """
import importlib, trio
from kpclientd.service_manager import ServiceManager
module, kind, name = {where!r}
owner = importlib.import_module(module)
owner = getattr(owner, kind) if kind else owner
async def fail(*given, **named):
    await trio.sleep(0.2)
    raise MemoryError
setattr(owner, name, fail)
"""
"""A daemon of which a part ends by a lack of memory."""


@pytest.fixture
def configuration(tmp_path: Path, path: Path) -> Path:
    return configured(tmp_path, path)


@contextmanager
def connected(path: Path | str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as application:
        application.settimeout(PATIENCE)
        application.connect(unix_socket_address(str(path)))
        yield application


@contextmanager
def listener(address: Path | str) -> Iterator[socket.socket]:
    """What a service manager binds."""
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(unix_socket_address(str(address)))
        bound.listen(8)
        yield bound


def hand_over(count: object, process: str = "str(os.getpid())") -> str:
    """A program that puts descriptors where a service manager does, and says so."""
    return (
        "import os\n"
        "given = [int(number) for number in os.environ.pop('GIVEN').split()]\n"
        "given = [os.dup2(os.dup(number), 200 + place) for place, number in enumerate(given)]\n"
        "for place, number in enumerate(given): os.dup2(number, 3 + place, True); os.close(number)\n"
        f"os.environ.update(LISTEN_PID={process}, LISTEN_FDS={str(count)!r}, LISTEN_FDNAMES='a')\n"
    )


# -- readiness, reloading, stopping


def test_it_is_ready_once_applications_can_connect_and_says_what_becomes_of_it(
    configuration: Path, path: Path, manager: Manager
) -> None:
    with daemon(configuration, manager=manager) as process:
        assert manager.next() == {"READY": "1"}
        with connected(path):
            assert "gateway" in manager.until("STATUS", "Offline: gateway 'gateway1': ")
            process.send_signal(signal.SIGHUP)
            assert manager.until("RELOADING") == "1"
            assert int(manager.received[-1]["MONOTONIC_USEC"]) <= time.monotonic() * 1_000_000
            assert manager.until("READY") == "1"
            process.send_signal(signal.SIGTERM)
            assert manager.until("STOPPING") == "1"
            assert ended(process)[0] == 0
    assert not path.exists()


def test_what_cannot_listen_is_never_ready(tmp_path: Path, manager: Manager) -> None:
    with daemon(configured(tmp_path, tmp_path / "nowhere" / "x.sock"), manager=manager) as process:
        status, said = ended(process)
    assert status == 1 and "cannot listen on unix" in said
    assert manager.all_that_came() == []


def test_an_event_loop_that_hangs_starves_the_watchdog(configuration: Path, manager: Manager, tmp_path: Path) -> None:
    file = tmp_path / "hang"
    with daemon(
        configuration,
        manager=manager,
        program=HANGING.format(file=str(file)),
        environment={"WATCHDOG_USEC": "200000"},
    ):
        manager.until("READY")
        for _ in range(5):
            manager.until("WATCHDOG")
        file.touch()
        time.sleep(1.5)  # a second until it hangs, and whatever was on its way
        manager.all_that_came()
        with pytest.raises(TimeoutError):
            manager.next(1.5)
        file.unlink()
        manager.until("WATCHDOG")


def test_a_part_that_has_stopped_starves_the_watchdog_though_the_loop_turns(
    configuration: Path, manager: Manager, path: Path
) -> None:
    with daemon(configuration, manager=manager, program=WAITING, environment={"WATCHDOG_USEC": "200000"}) as process:
        manager.until("READY")
        time.sleep(1.5)
        manager.all_that_came()
        with pytest.raises(TimeoutError):
            while "WATCHDOG" not in manager.next(1.5):
                pass
        with connected(path):
            process.send_signal(signal.SIGTERM)
            status, said = ended(process)
    assert status == 0 and "what keeps the time has stopped" in said


# -- sockets that are handed over


@pytest.mark.parametrize("abstract", [False, True])
def test_a_socket_that_is_handed_over_is_served_and_stays(
    tmp_path: Path, path: Path, manager: Manager, abstract: bool
) -> None:
    address = f"@{path}" if abstract else path
    with listener(address) as bound, connected(address) as early:
        mode = None if abstract else path.lstat().st_mode
        with daemon(
            configured(tmp_path, address), manager=manager, program=hand_over(1), handed_over=[bound]
        ) as process:
            manager.until("READY")
            process.send_signal(signal.SIGTERM)
            status, said = ended(process)
        assert status == 0
        assert f"Listening on unix {address}, which was handed over." in said
        assert early.recv(1) == b"", "it waited in the queue, was accepted, and its connection has ended"
        if not abstract:
            assert path.lstat().st_mode == mode
        with connected(address):
            pass  # the service manager listens on


def test_others_that_the_configuration_names_are_bound_beside_it(tmp_path: Path, path: Path, manager: Manager) -> None:
    second = tmp_path / "second.sock"
    listen = f'[Listen.Unix]\nAddress = "{second}"\nAddresses = ["{path}"]\n[Listen.Tcp]\nAddress = "127.0.0.1:0"'
    with (
        listener(path) as bound,
        daemon(
            written(tmp_path, literal_toml(Listen=listen)), manager=manager, program=hand_over(1), handed_over=[bound]
        ) as process,
    ):
        manager.until("READY")
        with connected(second), connected(path):
            process.send_signal(signal.SIGTERM)
            _, said = ended(process)
    assert said.count("Listening on") == 3
    assert path.exists() and not second.exists()


def test_an_inherited_socket_that_nobody_names_is_refused_before_anything_is_bound(tmp_path: Path, path: Path) -> None:
    second = tmp_path / "second.sock"
    with (
        listener(path) as bound,
        daemon(configured(tmp_path, second), program=hand_over(1), handed_over=[bound]) as process,
    ):
        status, said = ended(process)
    assert status == 1
    assert f"transport: inherited socket {path} matches no configured [Listen.Unix] address" in said
    assert "Listening on" not in said and not second.exists()


def test_with_another_transport_any_inherited_socket_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as bound:
        address = f"127.0.0.1:{bound.getsockname()[1]}"
        config = written(tmp_path, literal_toml(Listen=f'[Listen.Tcp]\nAddress = "{address}"'))
        with daemon(config, program=hand_over(1), handed_over=[bound]) as process:
            status, said = ended(process)
    assert status == 1 and f"inherited socket {address} matches no configured" in said


@pytest.mark.parametrize("count", ["", "-1", "two", "1e3"])
def test_a_number_of_sockets_that_is_none_is_refused(configuration: Path, path: Path, count: str) -> None:
    with listener(path) as bound, daemon(configuration, program=hand_over(count), handed_over=[bound]) as process:
        status, said = ended(process)
    assert status == 1 and f'transport: invalid LISTEN_FDS "{count}"' in said


def test_a_descriptor_that_is_no_listening_socket_is_refused(configuration: Path, path: Path) -> None:
    with (
        listener(path),
        connected(path) as wrong,
        daemon(configuration, program=hand_over(1), handed_over=[wrong]) as process,
    ):
        status, said = ended(process)
    assert status == 1 and "transport: inherited fd 3: it is no listening socket" in said
    with daemon(configuration, program="import os\nos.closerange(3, 9)\n" + hand_over(2)) as process:
        status, said = ended(process)
    assert status == 1 and "transport: inherited fd 3: Bad file descriptor" in said


def test_what_is_meant_for_another_process_is_left_alone(configuration: Path, path: Path, manager: Manager) -> None:
    with daemon(configuration, manager=manager, program=hand_over(3, "'1'")) as process:
        manager.until("READY")
        environment = Path(f"/proc/{process.pid}/environ").read_text()
        assert "LISTEN" not in environment
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0


# -- signals


def test_signals_that_mean_nothing_here_do_not_end_it(configuration: Path, manager: Manager, path: Path) -> None:
    with daemon(configuration, manager=manager) as process:
        manager.until("READY")
        for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
            process.send_signal(number)
        process.send_signal(signal.SIGHUP)
        manager.until("RELOADING")
        with connected(path):
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0


def test_a_second_signal_ends_it_at_once(configuration: Path, manager: Manager, path: Path) -> None:
    with daemon(configuration, manager=manager, program=UNHURRIED) as process:
        manager.until("READY")
        process.send_signal(signal.SIGTERM)
        manager.until("STOPPING")
        process.send_signal(signal.SIGTERM)
        status, said = ended(process)
    assert status == 0 and "Stopping at once: SIGTERM." in said
    assert not path.exists()


UNHURRIED = """
from kpclientd.thin import announcements
announcements.SHUTDOWN_SECONDS = 3600.0
"""
"""A daemon that takes an hour to end."""


# -- statuses


@pytest.mark.parametrize(
    ("sections", "options", "environment", "status", "text"),
    [
        ({"Listen": ""}, (), {}, MISCONFIGURED, "failed to load config file: "),
        ({"top": "nonsense"}, (), {}, MISCONFIGURED, "failed to load config file: "),
        (
            {"top": 'EpochDuration = "3m"'},
            (),
            {"KATZENPOST_EPOCH_DURATION": "4m"},
            MISCONFIGURED,
            "contradicts KATZENPOST_EPOCH_DURATION",
        ),
        ({"top": 'DBusName = "kpclientd"'}, (), {}, MISCONFIGURED, "is no well-known bus name"),
        ({}, ("--dbus-name", ".a.b"), {}, 1, "is no well-known bus name"),
        ({"Logging": '[Logging]\nFile = "/nowhere/x.log"'}, (), {}, 1, "failed to create daemon: "),
        ({}, ("--colour",), {}, 1, "there is no option '--colour'"),
    ],
)
def test_the_status_says_whether_a_restart_may_help(
    sections: dict[str, str],
    options: tuple[str, ...],
    environment: dict[str, str],
    status: int,
    text: str,
    tmp_path: Path,
    path: Path,
) -> None:
    replaced = {"Listen": f'[Listen.Unix]\nAddress = "{path}"', **sections}
    with daemon(written(tmp_path, literal_toml(**replaced)), options=options, environment=environment) as process:
        found, said = ended(process)
    assert (found, text in said) == (status, True), said


def test_a_file_that_is_not_there_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with daemon(tmp_path / "absent.toml") as process:
        assert ended(process)[0] == MISCONFIGURED


PARTS = {
    "the time": ("kpclientd.timers", "Timekeeper", "run"),
    "the link": ("kpclientd.gateway.connector", "Connector", "run"),
    "resending": ("kpclientd.storage.resender", "Resender", "run"),
    "turns": ("kpclientd.thin.turns", "AppTurns", "run"),
    "accepting": ("kpclientd.thin.admission", "Admission", "_accept"),
    "the network": ("kpclientd.daemon", "", "watch_network"),
    "the documents": ("kpclientd.gateway.connector", "Connector", "_tell_documents"),
    "the state": ("kpclientd.state.keeper", "StateKeeper", "run"),
    "the watchdog": ("kpclientd.service_manager", "ServiceManager", "run_watchdog"),
    "a try for a link": ("kpclientd.gateway.connector", "Connector", "_try"),
}


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_ends_ends_the_daemon(part: str, tmp_path: Path, path: Path, manager: Manager) -> None:
    config = configured(tmp_path, path, top=f'[ARQ]\nStateFile = "{tmp_path}/state"\n')
    with daemon(config, manager=manager, program=FAILING.format(where=PARTS[part])) as process:
        manager.until("READY")
        status, said = ended(process)
    assert status == 1
    assert "ERRO katzenpost/client: The daemon ends by a fault of its own." in said
    assert all("ERRO katzenpost/client: " in line for line in said.splitlines() if "Error" in line)
    assert not path.exists()


def test_an_application_that_takes_all_memory_loses_its_connection_or_ends_the_process(
    configuration: Path, path: Path, manager: Manager
) -> None:
    at_once = "from kpclientd.thin import announcements\nannouncements.DOCUMENT_WAIT_SECONDS = 0.0\n"
    with daemon(configuration, manager=manager, program=at_once) as process, ExitStack() as hostile:
        manager.until("READY")
        pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + (16 << 20)
        resource.prlimit(process.pid, resource.RLIMIT_AS, (most, most))
        for _ in range(3):
            one = hostile.enter_context(connected(path))
            with suppress(OSError):  # it was ended
                one.sendall(struct.pack(">I", 39 << 20) + bytes(36 << 20))
        with suppress(TimeoutExpired):
            process.wait(1)
        if process.poll() is None:
            with connected(path):
                process.send_signal(signal.SIGTERM)
        status, said = ended(process)
    assert "MemoryError" in said, "the test takes too little"
    # Some C libraries abort where they find no memory.
    assert status in ((0,) if "Stopping" in said else (1, -signal.SIGABRT))


def test_a_key_that_the_manager_hands_over_is_the_states(tmp_path: Path, path: Path, manager: Manager) -> None:
    config = configured(tmp_path, path, top=f'[ARQ]\nStateFile = "{tmp_path}/state"\n')
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "kpclientd.state-key").write_bytes(os.urandom(32))
    for _ in range(2):
        with daemon(config, manager=manager, environment={"CREDENTIALS_DIRECTORY": str(credentials)}) as process:
            manager.until("READY")
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0
    assert not (tmp_path / "state.key").exists()


def test_a_token_that_the_manager_hands_over_goes_before_the_file(tmp_path: Path, manager: Manager) -> None:
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    token = credentials / "kpclientd.token"
    token.write_text("from-the-manager-0\n")
    token.chmod(0o400)
    listen = f'[Listen.Tcp]\nAddress = "127.0.0.1:{free_port()}"\nTokenFile = "{tmp_path}/absent"'
    port = int(listen.split('"')[1].rpartition(":")[2])
    config = written(tmp_path, literal_toml(Listen=listen))
    with daemon(config, manager=manager, environment={"CREDENTIALS_DIRECTORY": str(credentials)}) as process:
        manager.until("READY")
        with socket.create_connection(("127.0.0.1", port)) as refused:
            refused.settimeout(PATIENCE)
            refused.sendall(b"from-somewhere-els\n")
            assert refused.recv(1) == b""
        with socket.create_connection(("127.0.0.1", port)) as application:
            application.settimeout(PATIENCE)
            application.sendall(b"from-the-manager-0\n")
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])
