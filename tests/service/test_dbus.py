"""The name on the session bus, on a bus of the test's own; and what katzenqt's launcher does with a daemon."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from subprocess import Popen

import pytest

from kpclientd.config.bus_name import fault_of_bus_name
from tests.service.manager import PATIENCE, Manager, configured, daemon, ended

NAME = "network.katzenpost.kpclientd"
BUS = "DBUS_SESSION_BUS_ADDRESS"
PROBE_SECONDS = 0.05
"""Between two looks of the launcher."""

SERVICE = f"""\
[D-BUS Service]
Name={NAME}
Exec={{program}}
"""

CONFIGURATION = """\
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path={folder}/bus</listen>
  <servicedir>{folder}/services</servicedir>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>
"""

PING = """
from jeepney import DBusAddress, new_method_call
from jeepney.io.blocking import open_dbus_connection
import sys
with open_dbus_connection("SESSION") as connection:
    for path, interface, method in (("/", PEER, "Ping"), ("/any", PEER, "GetMachineId"), ("/", PEER, "Nothing"),
                                    ("/", "a.b", "Ping")):
        address = DBusAddress(path, sys.argv[1], interface)
        reply = connection.send_and_get_reply(new_method_call(address, method), timeout=20)
        print(reply.header.message_type.name, *reply.body)
""".replace("PEER", repr("org.freedesktop.DBus.Peer"))


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[str]:
    """The address of a bus that starts services out of `services`."""
    if shutil.which("dbus-daemon") is None:
        pytest.skip("there is no dbus-daemon")
    pytest.importorskip("jeepney", reason="the extra dbus is not installed")
    (tmp_path / "services").mkdir()
    (tmp_path / "bus.conf").write_text(CONFIGURATION.format(folder=tmp_path))
    command = ("dbus-daemon", "--nofork", f"--config-file={tmp_path}/bus.conf", "--print-address")
    with Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
        process.terminate()


@pytest.fixture
def configuration(tmp_path: Path, path: Path) -> Path:
    return configured(tmp_path, path, top=f'DBusName = "{NAME}"')


def asked(bus: str, *command: str) -> str:
    """What a client of the bus prints."""
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=PATIENCE, env={BUS: bus, "PATH": "/usr/bin:/bin"}, check=False
    )
    return done.stdout + done.stderr


def owned(bus: str, name: str = NAME) -> bool:
    script = (
        "from jeepney import message_bus\nfrom jeepney.io.blocking import open_dbus_connection\nimport sys\n"
        "with open_dbus_connection('SESSION') as one:\n"
        "    print(one.send_and_get_reply(message_bus.NameHasOwner(sys.argv[1])).body[0])\n"
    )
    return asked(bus, sys.executable, "-c", script, name) == "True\n"


@pytest.mark.parametrize("name", ["", "kpclientd", ".a.b", "a..b", "a.1b", ":1.5", "a b.c", "a." + "b" * 254])
def test_what_is_no_well_known_name_is_refused(name: str) -> None:
    assert "is no well-known bus name" in fault_of_bus_name(name)


@pytest.mark.parametrize("name", [NAME, "a.b", "_a.-b", "A-1.b_2.c", "a." + "b" * 253])
def test_well_known_names_are_good(name: str) -> None:
    assert fault_of_bus_name(name) == ""


def test_the_name_is_owned_while_the_daemon_runs_and_pings_are_answered(
    bus: str, configuration: Path, manager: Manager
) -> None:
    with daemon(configuration, manager=manager, environment={BUS: bus}) as process:
        manager.until("READY")
        told = asked(bus, sys.executable, "-c", PING, NAME).splitlines()
        assert told[0] == "method_return" and told[1].startswith("method_return ")
        assert told[2:] == ["error there is no method Nothing", "error there is no method Ping"]
        if shutil.which("dbus-send") is not None:
            ping = ("dbus-send", "--session", "--print-reply", f"--dest={NAME}", "/", "org.freedesktop.DBus.Peer.Ping")
            assert asked(bus, *ping).startswith("method return")
        if shutil.which("gdbus") is not None:
            call = ("gdbus", "call", "--session", "--dest", NAME, "--object-path", "/", "--method")
            assert asked(bus, *call, "org.freedesktop.DBus.Peer.Ping") == "()\n"
        process.send_signal(signal.SIGTERM)
        assert ended(process)[0] == 0
    assert not owned(bus)


def test_a_name_that_another_daemon_owns_is_an_error(
    bus: str, configuration: Path, manager: Manager, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.mkdir()
    other = configured(second, second / "kpclientd.sock", top=f'DBusName = "{NAME}"')
    with daemon(configuration, manager=manager, environment={BUS: bus}):
        manager.until("READY")
        with daemon(other, environment={BUS: bus}) as process:
            status, said = ended(process)
        assert (status, "Listening" in said) == (1, False)
        assert f'failed to start daemon: failed to own dbus name "{NAME}": another process owns it' in said
        assert owned(bus), "the first one keeps it"


@pytest.mark.parametrize(("option", "name"), [("x.y", "x.y"), ("", None)])
def test_the_option_goes_before_the_file(
    option: str, name: str | None, bus: str, configuration: Path, manager: Manager
) -> None:
    with daemon(configuration, manager=manager, options=("--dbus-name", option), environment={BUS: bus}):
        manager.until("READY")
        assert not owned(bus)
        assert name is None or owned(bus, name)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        (None, "there is no session bus, DBUS_SESSION_BUS_ADDRESS is not set"),
        ("unix:path=/nowhere/bus", "no session bus can be reached at unix:path=/nowhere/bus: "),
        ("autolaunch:", "no session bus can be reached at autolaunch:: "),
        ("nonsense", "no session bus can be reached at nonsense: "),
        ("", "no session bus can be reached at : "),
    ],
)
def test_without_a_bus_the_daemon_goes_on_and_says_so(
    address: str | None, reason: str, configuration: Path, manager: Manager
) -> None:
    environment = {} if address is None else {BUS: address}
    with daemon(configuration, manager=manager, environment=environment) as process:
        manager.until("READY")
        process.send_signal(signal.SIGTERM)
        status, said = ended(process)
    assert status == 0 and f'WARN kpclientd/dbus: not owning dbus name "{NAME}": {reason}' in said, said


def test_without_the_package_it_says_what_to_install(configuration: Path, manager: Manager, bus: str) -> None:
    program = "import sys\nsys.modules['jeepney'] = None\n"
    with daemon(configuration, manager=manager, program=program, environment={BUS: bus}) as process:
        manager.until("READY")
        process.send_signal(signal.SIGTERM)
        status, said = ended(process)
    assert status == 0 and "the package jeepney is missing; pip install 'kpclientd[dbus]'" in said


def test_a_bus_that_does_not_answer_is_waited_for_and_a_signal_ends_the_wait(
    tmp_path: Path, configuration: Path, manager: Manager, path: Path
) -> None:
    with socket.socket(socket.AF_UNIX) as mute:
        mute.bind(str(tmp_path / "mute"))
        mute.listen(1)
        mute.settimeout(PATIENCE)
        environment = {BUS: f"unix:path={tmp_path}/mute"}
        impatient = "from kpclientd import dbus\ndbus.OWN_SECONDS = 0.2\n"
        with daemon(configuration, manager=manager, program=impatient, environment=environment) as process:
            manager.until("READY")
            process.send_signal(signal.SIGTERM)
            assert "the bus did not answer within" in ended(process)[1]
            mute.accept()[0].close()
        with daemon(configuration, manager=manager, environment=environment) as process:
            connection, _ = mute.accept()
            assert connection.recv(1) == b"\0"
            process.send_signal(signal.SIGTERM)
            assert ended(process)[0] == 0
            connection.close()
    assert not path.exists()


def test_a_bus_that_ends_leaves_the_daemon_running(
    bus: str, configuration: Path, manager: Manager, tmp_path: Path
) -> None:
    with daemon(configuration, manager=manager, environment={BUS: bus}) as process:
        manager.until("READY")
        script = "import os, signal, socket, struct, sys\n"
        script += "s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        script += "pid = struct.unpack('3i', s.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0]\n"
        script += "os.kill(pid, signal.SIGTERM)\n"
        subprocess.run((sys.executable, "-c", script, str(tmp_path / "bus")), check=True, timeout=PATIENCE)
        time.sleep(0.5)
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        status, said = ended(process)
    assert status == 0 and "The session bus has ended" in said


# -- what katzenqt's launcher does


def is_alive(path: Path) -> bool:
    """Whether somebody listens: connected to, and closed at once."""
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(0.2)
        return probe.connect_ex(str(path)) == 0


def test_a_launcher_finds_the_daemon_that_a_ping_starts_and_probes_cost_nothing(
    bus: str, configuration: Path, path: Path, tmp_path: Path, manager: Manager
) -> None:
    program = tmp_path / "start"
    start = f"{sys.executable} -m kpclientd.cli --config {configuration}"
    code = Path(__file__).parents[2]
    program.write_text(f"#!/bin/sh\ncd {code}\nNOTIFY_SOCKET={manager.address} exec {start} > {tmp_path}/log 2>&1\n")
    program.chmod(0o755)
    (tmp_path / "services" / f"{NAME}.service").write_text(SERVICE.format(program=program))
    # The call is the first that is heard of the name: the bus starts the service and keeps the call for it.
    assert asked(bus, sys.executable, "-c", PING, NAME).startswith("method_return\n"), (tmp_path / "log").read_text()
    deadline = time.monotonic() + PATIENCE
    while not (path.exists() and is_alive(path)):
        assert time.monotonic() < deadline
        time.sleep(PROBE_SECONDS)
    manager.until("READY")
    for _ in range(600):  # as many as it makes, and no slot may be left taken
        assert is_alive(path)
    process = int(asked(bus, sys.executable, "-c", PROCESS_OF, NAME))
    descriptors = len(list(Path(f"/proc/{process}/fd").iterdir()))
    with pytest.raises(ProcessLookupError):
        signal_until_gone(process)
    assert descriptors < 40
    assert not path.exists()
    assert "Stopping: SIGTERM" in (log := (tmp_path / "log").read_text()) and "turned away" not in log


PROCESS_OF = """
from jeepney import message_bus
from jeepney.io.blocking import open_dbus_connection
import sys
with open_dbus_connection("SESSION") as one:
    print(one.send_and_get_reply(message_bus.GetConnectionUnixProcessID(sys.argv[1])).body[0])
"""


def signal_until_gone(process: int) -> None:
    import os

    os.kill(process, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        os.kill(process, 0)
        time.sleep(0.05)


def test_a_supervised_daemon_ends_with_0_so_that_it_is_not_started_again(
    configuration: Path, path: Path, manager: Manager
) -> None:
    with daemon(configuration, manager=manager) as process:
        manager.until("READY")
        assert is_alive(path)
        process.terminate()
        assert ended(process)[0] == 0
