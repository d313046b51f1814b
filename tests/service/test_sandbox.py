"""The units as systemd takes them: checked by its own tools, and run by it, with the whole sandbox, on a network."""

import json
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kpclientd.cli import MISCONFIGURED
from kpclientd.config.bus_name import EXAMPLE
from kpclientd.config.examples import example
from kpclientd.service_credentials import STATE_KEY, TOKEN
from kpclientd.thin.announcements import DRAIN_SECONDS, SHUTDOWN_SECONDS
from sphinx.native import engine_name
from tests.service.machine import ENVIRONMENT, PYTHON, ROOT, Machine, booted
from tests.support.processes import local_network

SYSTEM = ROOT / "configs" / "systemd" / "system"
USER = ROOT / "configs" / "systemd" / "user"
UNIT = SYSTEM / "kpclientd.service"
SERVICE = "kpclientd.service"
MOST_EXPOSED = 1.5
SOCKET = "/run/kpclientd/kpclientd.sock"

HANGING = """
import os, sys, time
from kpclientd.cli import main
from kpclientd.timers import Timekeeper
look = Timekeeper._look
def hang(self, now):
    while os.path.exists("/run/hang"):
        time.sleep(0.1)
    look(self, now)
Timekeeper._look = hang
sys.exit(main())
"""
"""A daemon whose event loop hangs as long as there is a file."""

LIVELY = ("--epoch", "1h", "--thin-port", "0", "--mu", "0.1", "--lambda-p", "0.02", "--no-rate-limit")
"""Of a local network: answers come soon."""

NO_DEPENDENCIES = "[Unit]\nDefaultDependencies=no\n"

needs_analyze = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd-analyze")


def started_by(python: str, unit: str) -> str:
    """A unit whose program is run by an interpreter, out of the packages that it finds."""
    changed, count = re.subn(r"^ExecStart=\S*kpclientd", f"ExecStart={python} -m kpclientd.cli", unit, flags=re.M)
    assert count == 1
    return changed


@needs_analyze
@pytest.mark.parametrize(("folder", "options"), [(SYSTEM, ()), (USER, ("--user",))])
def test_systemd_has_nothing_to_say_against_the_units(
    folder: Path, options: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    for unit in folder.iterdir():
        text = unit.read_text()
        if "ExecStart=" in text:
            text = started_by(sys.executable, text)
        (tmp_path / unit.name).write_text(text)
    units = sorted(map(str, tmp_path.iterdir()))
    done = subprocess.run(
        ("systemd-analyze", "verify", "--man=no", *options, *units), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@needs_analyze
def test_the_system_unit_is_hardly_exposed() -> None:
    command = ("systemd-analyze", "security", "--offline=true", "--no-pager", str(SYSTEM / "kpclientd.service"))
    told = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = re.search(r"Overall exposure level for kpclientd\.service: ([0-9.]+)", told)
    assert found is not None and float(found[1]) <= MOST_EXPOSED, told


def service_toml(network: Path, unix: str = SOCKET, state: str = "/var/lib/kpclientd") -> str:
    """The configuration of a local network, with the places of a unit, the system's by default."""
    text = (network / "client.toml").read_text()
    listen = re.compile(r"^\[Listen\].*?(?=^\[(?!Listen))", re.M | re.S)
    own = f'[Listen.Unix]\nAddress = "{unix}"\nMode = "0660"\n\n[ARQ]\nStateFile = "{state}/state"\n\n'
    changed, count = listen.subn(own, text)
    assert count == 1
    return f'DataDir = "{state}"\n{changed}'


@contextmanager
def machine_on_a_network(folder: Path, *, more: str = "", socket: bool = False, program: str = "") -> Iterator[Machine]:
    """A machine with the units of the system, and a network that the daemon there can reach.

    Args:
        folder: for files.
        more: lines for the unit's [Service].
        socket: whether the socket unit is there, too, and started.
        program: Python to be run instead of the daemon's own.
    """
    (folder / "program.py").write_text(program or "import sys\nfrom kpclientd.cli import main\nsys.exit(main())\n")
    with local_network(folder / "net", *LIVELY) as (_, ready):
        assert ready.startswith("ready")
        unit = re.sub(r"^ExecStart=\S*", f"ExecStart={PYTHON} /etc/kpclientd/program.py", UNIT.read_text(), flags=re.M)
        own = f"[Service]\nEnvironment=KATZENPOST_EPOCH_DURATION=1h {' '.join(ENVIRONMENT)}\nRestartSec=100ms\n{more}\n"
        units = {"kpclientd.service": unit, "kpclientd.service.d/test.conf": own}
        if socket:
            units["kpclientd.socket"] = UNIT.with_suffix(".socket").read_text()
        files = {
            "client.toml": service_toml(folder / "net"),
            "thin.toml": f'[Dial.Unix]\nAddress = "{SOCKET}"\n',
            "key": "0123456789abcdef",
            "program.py": (folder / "program.py").read_text(),
        }
        with booted(folder, units, files) as machine:
            machine.run("systemctl", "start", "kpclientd.socket" if socket else "kpclientd.service")
            yield machine


USERS_PLACE = "/run/user-of-test"
USERS_SOCKET = f"{USERS_PLACE}/katzenpost/kpclientd.sock"

USERS_MANAGER = f"""
[Service]
Type=notify
User=kpclientd
Delegate=yes
RuntimeDirectory={Path(USERS_PLACE).name}
Environment=XDG_RUNTIME_DIR={USERS_PLACE} XDG_CONFIG_HOME={USERS_PLACE}/config HOME={USERS_PLACE}
Environment=SYSTEMD_UNIT_PATH=/etc/kpclientd
ExecStartPre=mkdir -p {USERS_PLACE}/config/katzenpost
ExecStartPre=cp /etc/kpclientd/client.toml {USERS_PLACE}/config/katzenpost/kpclientd.toml
ExecStart=/lib/systemd/systemd --user --unit=default.target --log-target=null
KillMode=mixed
"""
"""What starts the manager of a user, here of the service's own."""


@contextmanager
def users_machine_on_a_network(folder: Path) -> Iterator[Machine]:
    """A machine on which a user's manager runs, who knows the units for users."""
    with local_network(folder / "net", *LIVELY) as (_, ready):
        assert ready.startswith("ready")
        environment = f"Environment=KATZENPOST_EPOCH_DURATION=1h {' '.join(ENVIRONMENT)}\n"
        unit = started_by(PYTHON, (USER / "kpclientd.service").read_text())
        files = {
            "client.toml": service_toml(folder / "net", USERS_SOCKET, USERS_PLACE),
            "thin.toml": f'[Dial.Unix]\nAddress = "{USERS_SOCKET}"\n',
            "kpclientd.service": unit.replace("[Service]\n", f"[Service]\n{environment}"),
            "kpclientd.socket": (USER / "kpclientd.socket").read_text(),
            **dict.fromkeys(("default.target", "basic.target", "sockets.target", "shutdown.target"), NO_DEPENDENCIES),
        }
        with booted(folder, {"users-manager.service": USERS_MANAGER}, files) as machine:
            machine.run("systemctl", "start", "users-manager.service")
            yield machine


def ping(machine: Machine) -> str:
    """Send messages through the daemon and wait for the answers; what was printed."""
    command = (PYTHON, "-m", "kpclientd.cli", "ping", "--config", "/etc/kpclientd/thin.toml", "echo")
    return machine.run("env", *ENVIRONMENT, *command)


def test_the_daemon_serves_under_the_whole_sandbox(tmp_path: Path) -> None:
    key = "LoadCredential=kpclientd.state-key:/etc/kpclientd/key"
    with machine_on_a_network(tmp_path, more=key) as machine:
        machine.until(SERVICE, "StatusText", "Connected to gateway 'gateway1', document of epoch")
        version = machine.run("env", *ENVIRONMENT, PYTHON, "-m", "kpclientd.cli", "--version")
        assert f"packet engine: {engine_name()}\n" in version
        assert "bytes from servicenode1" in ping(machine)
        machine.run("systemctl", "reload", SERVICE)
        machine.run("systemctl", "stop", SERVICE)
        assert machine.shows(SERVICE, "Result") == "success"
        assert machine.shows(SERVICE, "ExecMainStatus") == "0"
        assert machine.run("ls", "/run/kpclientd") == ""
        kept = machine.run("ls", "/var/lib/kpclientd").split()
        assert "state" in kept and "state.key" not in kept, "the key is the service manager's"
        told = [json.loads(line) for line in machine.run("journalctl", "--quiet", "--output=json").splitlines()]
        lines = {line["MESSAGE"]: line["PRIORITY"] for line in told if line.get("_SYSTEMD_UNIT") == SERVICE}
        assert lines['client/conn: Connected to gateway "gateway1".'] == "5"
        assert "katzenpost/client: Stopping: SIGTERM." in lines
        assert "3" not in lines.values()


def test_systemd_starts_it_when_an_application_comes_and_keeps_the_socket(tmp_path: Path) -> None:
    with machine_on_a_network(tmp_path, socket=True) as machine:
        for _ in range(2):
            assert machine.shows(SERVICE, "ActiveState") == "inactive"
            assert machine.run("stat", "--format=%G %a", SOCKET) == "kpclientd 660\n"
            assert "bytes from servicenode1" in ping(machine)
            assert f"Listening on unix {SOCKET}, which was handed over." in machine.log()
            machine.run("systemctl", "stop", SERVICE)


def test_a_users_own_manager_runs_the_unit_for_users(tmp_path: Path) -> None:
    user = ("setpriv", "--reuid=kpclientd", "--regid=kpclientd", "--clear-groups")
    by_the_user = (*user, "env", f"XDG_RUNTIME_DIR={USERS_PLACE}", "systemctl", "--user")
    with users_machine_on_a_network(tmp_path) as machine:
        machine.run(*by_the_user, "start", "kpclientd.socket")
        assert machine.run("stat", "--format=%U %a", USERS_SOCKET) == "kpclientd 600\n"
        assert "bytes from servicenode1" in ping(machine)
        shown = machine.run(*by_the_user, "show", "--property=StatusText,NotifyAccess,ActiveState", SERVICE)
        assert "ActiveState=active" in shown and "StatusText=Connected to gateway 'gateway1'" in shown
        machine.run(*by_the_user, "reload", SERVICE)
        machine.run(*by_the_user, "restart", SERVICE)
        assert "bytes from servicenode1" in ping(machine)
        machine.run(*by_the_user, "stop", SERVICE)
        assert "Result=success" in machine.run(*by_the_user, "show", "--property=Result", SERVICE)
        assert machine.run("stat", "--format=%a", USERS_SOCKET) == "600\n", "the socket is the manager's"


def test_a_bad_configuration_is_not_tried_again_and_a_killed_daemon_is(tmp_path: Path) -> None:
    with machine_on_a_network(tmp_path) as machine:
        machine.run("systemctl", "kill", "--signal=KILL", SERVICE)
        machine.until(SERVICE, "NRestarts", "1")
        machine.until(SERVICE, "ActiveState", "active")
        machine.run("sh", "-c", "echo nonsense >> /etc/kpclientd/client.toml")
        machine.run("systemctl", "restart", SERVICE, check=False)
        machine.until(SERVICE, "ActiveState", "failed")
        assert machine.shows(SERVICE, "ExecMainStatus") == "78"
        assert machine.shows(SERVICE, "NRestarts") == "0"
        assert "failed to load config file: " in machine.log()


def test_a_daemon_whose_loop_hangs_is_started_again(tmp_path: Path) -> None:
    with machine_on_a_network(tmp_path, more="WatchdogSec=2s", program=HANGING) as machine:
        assert "bytes from servicenode1" in ping(machine)
        machine.run("touch", "/run/hang")
        machine.until(SERVICE, "NRestarts", "1")
        machine.run("rm", "/run/hang")
        machine.until(SERVICE, "StatusText", "Connected to gateway")


def test_the_example_for_a_service_has_the_places_of_the_unit() -> None:
    unit, socket = UNIT.read_text(), UNIT.with_suffix(".socket").read_text()
    text = re.sub(r"<replace: [^>]*>", "", example("service"))
    values = tomllib.loads(text)
    assert "StateDirectory=kpclientd\n" in unit and "RuntimeDirectory=kpclientd\n" in unit
    assert values["DataDir"] == "/var/lib/kpclientd"
    assert Path(values["ARQ"]["StateFile"]).parent == Path("/var/lib/kpclientd")
    address, mode = values["Listen"]["Unix"]["Address"], values["Listen"]["Unix"]["Mode"]
    assert address == SOCKET
    assert f"ListenStream={address}\nSocketMode={mode}\nSocketGroup=kpclientd\n" in socket


@pytest.mark.parametrize("unit", [UNIT, USER / "kpclientd.service"])
def test_units_and_page_agree_with_the_program(unit: Path) -> None:
    text, page = unit.read_text(), (ROOT / "docs" / "service.md").read_text()
    assert f"RestartPreventExitStatus={MISCONFIGURED}\n" in text
    assert f"| {MISCONFIGURED} | the configuration is no good" in page
    for name in (STATE_KEY, TOKEN):
        assert f"`{name}`" in page
    seconds = re.search(r"^WatchdogSec=(\d+)s$", text, re.M)
    assert seconds is not None and int(seconds[1]) >= 30
    stop = re.search(r"^TimeoutStopSec=(\d+)s$", text, re.M)
    assert stop is not None and int(stop[1]) > DRAIN_SECONDS + SHUTDOWN_SECONDS


def test_the_user_unit_listens_where_katzenqt_looks() -> None:
    assert "ListenStream=%t/katzenpost/kpclientd.sock\n" in (USER / "kpclientd.socket").read_text()
    activation = (ROOT / "configs" / "dbus" / f"{EXAMPLE}.service").read_text()
    assert f"Name={EXAMPLE}\n" in activation and "SystemdService=kpclientd.service\n" in activation
