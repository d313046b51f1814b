"""The units as systemd takes them: checked by its own tools, and run by it, with the whole sandbox, on a network."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.service.machine import ENVIRONMENT, PYTHON, ROOT, booted
from tests.support.processes import local_network

SYSTEM = ROOT / "configs" / "systemd" / "system"
USER = ROOT / "configs" / "systemd" / "user"
MOST_EXPOSED = 1.5
SOCKET = "/run/kpclientd/kpclientd.sock"

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


def service_toml(network: Path, unix: str = SOCKET) -> str:
    """The configuration of a local network, with the places of the system unit."""
    text = (network / "client.toml").read_text()
    listen = re.compile(r"^\[Listen\].*?(?=^\[(?!Listen))", re.M | re.S)
    own = f'[Listen.Unix]\nAddress = "{unix}"\nMode = "0660"\n\n[ARQ]\nStateFile = "/var/lib/kpclientd/state"\n\n'
    changed, count = listen.subn(own, text)
    assert count == 1
    return f'DataDir = "/var/lib/kpclientd"\n{changed}'


def test_the_daemon_serves_under_the_whole_sandbox(tmp_path: Path) -> None:
    unit = (SYSTEM / "kpclientd.service").read_text()
    with local_network(tmp_path / "net", "--epoch", "1h", "--thin-port", "0") as (_, ready):
        assert ready.startswith("ready")
        units = {
            "kpclientd.service": started_by(PYTHON, unit),
            "kpclientd.service.d/test.conf": f"[Service]\nEnvironment=KATZENPOST_EPOCH_DURATION=1h {ENVIRONMENT}\n",
        }
        with booted(tmp_path, units, {"client.toml": service_toml(tmp_path / "net")}) as machine:
            machine.run("systemctl", "start", "kpclientd.service")
            machine.until("kpclientd.service", "StatusText", "Connected to gateway 'gateway1', document of epoch")
            thin = tmp_path / "thin.toml"
            thin.write_text(f'[Dial.Unix]\nAddress = "{SOCKET}"\n')
            ping = (PYTHON, "-m", "kpclientd.cli", "ping", "--config", str(thin), "echo")
            assert "0% loss" in machine.run("env", ENVIRONMENT, *ping)
            machine.run("systemctl", "reload", "kpclientd.service")
            machine.run("systemctl", "stop", "kpclientd.service")
            assert machine.shows("kpclientd.service", "Result") == "success"
            assert machine.shows("kpclientd.service", "ExecMainStatus") == "0"
            print(machine.log())
            assert 0
