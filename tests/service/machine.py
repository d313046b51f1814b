"""A machine of its own as far as services can tell: systemd as the first process of new namespaces.

Mounts, processes and control groups are its own, the network is the test's. It knows only the units that it is given
and those that they need.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest

SYSTEMD: Final = Path("/lib/systemd/systemd")
SYSTEM_UNITS: Final = Path("/lib/systemd/system")
PATIENCE: Final = 60.0
ROOT: Final = Path(__file__).parents[2]
USER: Final = ROOT / "configs" / "systemd" / "kpclientd.sysusers"

PYTHON: Final = f"/run/python/bin/python{sys.version_info.major}.{sys.version_info.minor}"
"""The interpreter in there: units hide homes, where the test's own may be."""

ENVIRONMENT: Final = ("PYTHONPATH=/run/code:/run/packages", "LD_LIBRARY_PATH=/run/python/lib")
"""What it needs to find this code."""

_JOURNAL_UNITS: Final = ("systemd-journald.service", "systemd-journald.socket")
_EMPTY_UNITS: Final = (
    "basic.target",
    "multi-user.target",
    "network.target",
    "shutdown.target",
    "sockets.target",
    "sysinit.target",
)

_BOOT: Final = """
set -e
folder=$1
mount --make-rprivate /
if mountpoint -q /sys/fs/cgroup; then umount -R /sys/fs/cgroup; fi
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/lock
cp -a /etc /run/etc && mount --bind /run/etc /etc
mkdir /run/var && mount --bind /run/var /var/lib
echo 0123456789abcdef0123456789abcdef > /etc/machine-id
mkdir /run/python /run/packages /run/code
mount --bind "$3" /run/python
mount --bind "$4" /run/packages
mount --bind "$5" /run/code
mkdir -p /etc/kpclientd && cp "$folder"/etc/* /etc/kpclientd/
systemd-sysusers "$2" 2>/dev/null
chgrp -R kpclientd /etc/kpclientd && chmod 640 /etc/kpclientd/*
mount --make-rshared /
export container=test SYSTEMD_UNIT_PATH="$folder/units"
exec /lib/systemd/systemd --system --unit=multi-user.target --log-target=null --show-status=no
"""


class Machine:
    """One that runs.

    Args:
        process: its first one, as the test's process sees it.
    """

    def __init__(self, process: int) -> None:
        self._process = process

    def run(self, *command: str, check: bool = True) -> str:
        """What a command prints that is run in it."""
        entered = ("nsenter", "--target", str(self._process), "--all", *command)
        done = subprocess.run(entered, capture_output=True, text=True, timeout=PATIENCE, check=False)
        assert not check or done.returncode == 0, done.stdout + done.stderr + self.log()
        return done.stdout

    def log(self) -> str:
        """All that its services have said."""
        return self.run("journalctl", "--no-pager", "--quiet", "_TRANSPORT=stdout", check=False)

    def shows(self, unit: str, name: str) -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "--value", "--property", name, unit).strip()

    def until(self, unit: str, name: str, value: str) -> None:
        """Wait until a property of a unit begins with a value."""
        deadline = time.monotonic() + PATIENCE
        while not self.shows(unit, name).startswith(value):
            assert time.monotonic() < deadline, self.shows(unit, name) + self.log()
            time.sleep(0.1)


def reason_against() -> str:
    """Why there can be no such machine here, or nothing."""
    if os.geteuid():
        return "only root can make a machine of its own"
    missing = [name for name in ("unshare", "nsenter", "systemctl", "systemd-sysusers") if shutil.which(name) is None]
    if missing or not SYSTEMD.exists():
        return "there is no systemd"
    if _cgroup_mount() is None:
        return "control groups of version 2 are not mounted"
    return ""


def skip_where_there_can_be_none() -> None:
    """Skip the test where there can be no such machine."""
    if reason := reason_against():
        pytest.skip(reason)


@contextmanager
def booted(folder: Path, units: Mapping[str, str], etc: Mapping[str, str]) -> Iterator[Machine]:
    """A machine with these units, and these files in /etc/kpclientd."""
    skip_where_there_can_be_none()
    for name, text in etc.items():
        (folder / "etc").mkdir(exist_ok=True)
        (folder / "etc" / name).write_text(text)
    (folder / "units").mkdir()
    for name in _EMPTY_UNITS:
        (folder / "units" / name).write_text("[Unit]\nDefaultDependencies=no\n")
    (folder / "units" / "multi-user.target").write_text(f"[Unit]\nDefaultDependencies=no\nWants={_JOURNAL_UNITS[0]}\n")
    for name in _JOURNAL_UNITS:
        shutil.copy(SYSTEM_UNITS / name, folder / "units")
    for name, text in units.items():
        path = folder / "units" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    given = (folder, USER, sys.base_prefix, sysconfig.get_path("purelib"), ROOT)
    with running(_BOOT, *map(str, given)) as machine:
        yield machine


@contextmanager
def running(boot: str, *arguments: str) -> Iterator[Machine]:
    """A machine, where there can be one.

    Args:
        boot: for a shell that is the first process of the new namespaces, and becomes systemd.
        arguments: of that.
    """
    skip_where_there_can_be_none()
    with _control_group() as group:
        enter = f'echo $$ > "{group}/cgroup.procs" && exec "$@"'
        namespaces = ("unshare", "--pid", "--mount", "--cgroup", "--ipc", "--uts", "--fork", "--mount-proc")
        command = ("sh", "-c", enter, "sh", *namespaces, "sh", "-c", boot, "sh", *arguments)
        outer = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
        first = None
        try:
            first = _first_process(outer)
            yield Machine(first)
        finally:
            if first is not None:
                os.kill(first, 9)
            outer.kill()
            outer.wait()


def _first_process(outer: subprocess.Popen[bytes]) -> int:
    children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children")
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline and outer.poll() is None:
        for child in children.read_text().split():
            done = subprocess.run(
                ("nsenter", "--target", child, "--all", "systemctl", "is-system-running"),
                capture_output=True,
                text=True,
            )
            if done.stdout.strip() in ("running", "degraded"):
                return int(child)
        time.sleep(0.1)
    pytest.skip("systemd does not come up in namespaces here")


@contextmanager
def _control_group() -> Iterator[Path]:
    mount = _cgroup_mount()
    assert mount is not None
    group = mount / f"kpclientd-test-{os.getpid()}"
    try:
        group.mkdir()
    except OSError as error:
        pytest.skip(f"no control group can be made: {error.strerror}")
    try:
        yield group
    finally:
        deadline = time.monotonic() + PATIENCE
        while group.exists() and time.monotonic() < deadline:
            for path, _, _ in os.walk(group, topdown=False):
                try:
                    Path(path).rmdir()
                except OSError:
                    time.sleep(0.05)  # its last processes are still ending


def _cgroup_mount() -> Path | None:
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    return None
