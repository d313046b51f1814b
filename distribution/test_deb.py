"""The Debian package that `make deb` built: installed, run, upgraded, removed and purged in a bare system.

The system is this machine's release as debootstrap makes it, from the mirror that this machine has; root is needed.
"""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kpclientd.version import release
from tests.service import machine as services
from tests.service.test_sandbox import LIVELY, SERVICE, SOCKET, service_toml
from tests.support.processes import local_network

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
BASE = ROOT / "build" / "debian"
PACKAGE_THERE = "srv/first.deb"
NEWER_THERE = "srv/newer.deb"
"""Where the packages are in the system into which they are installed."""

CONFIGURATION = "etc/kpclientd/client.toml"
MOUNTED = 'mount -t proc proc "$0/proc" && mount --bind /dev "$0/dev" && exec chroot "$0" "$@"'
ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LC_ALL": "C.UTF-8"}


def release_and_mirror() -> tuple[str, str] | None:
    """Debian's name for the release of this machine, and where its packages come from."""
    sources = [Path("/etc/apt/sources.list"), *Path("/etc/apt/sources.list.d").glob("*")]
    text = "\n".join(path.read_text(encoding="utf-8") for path in sources if path.is_file())
    mirror = re.search(r"https?://[^\s]+/debian/?(?=\s)", text)
    codename = platform.freedesktop_os_release().get("VERSION_CODENAME")
    return (codename, mirror[0]) if mirror is not None and codename is not None else None


BOOT = """
set -e
mount --make-rprivate /
mount --bind "$1" "$1" && cd "$1"
mount -t proc proc proc
mount -t sysfs sys sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
mount -t tmpfs tmpfs run
mount --rbind /dev dev
pivot_root . mnt && umount -l /mnt
mount --make-rshared /
export container=test
exec /lib/systemd/systemd --system --log-target=null --show-status=no
"""


class Machine:
    """A bare system in a folder, without a service manager."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def run(self, *command: str, status: int = 0) -> str:
        """Run something in it; returns what it printed."""
        ended = subprocess.run(
            ["unshare", "--mount", "--pid", "--fork", "sh", "-c", MOUNTED, self.root, *command],
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == status, f"{command}: {ended.stdout}"
        return ended.stdout

    def left(self) -> list[str]:
        """What there is of the package outside of dpkg's own files."""
        found = self.run(
            "find", "/", "-xdev", "(", "-path", "/proc", "-o", "-path", "/dev", "-o", "-path", "/var/lib/dpkg", "-o",
            "-path", "/var/log", "-o", "-path", "/root", ")", "-prune", "-o", "-name", "*kpclientd*", "-print",
        )  # fmt: skip
        return found.splitlines()


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    if os.getuid() != 0 or shutil.which("debootstrap") is None or shutil.which("unshare") is None:
        pytest.skip("needs root, debootstrap and unshare")
    found = release_and_mirror()
    if found is None:
        pytest.skip("no mirror of Debian is known here")
    base = BASE / found[0]
    if not (base / "ready").exists() or not (base / "root/lib/systemd/systemd").exists():
        shutil.rmtree(base, ignore_errors=True)
        base.mkdir(parents=True)
        command = [
            "debootstrap",
            "--variant=minbase",
            "--include=python3,adduser,systemd,systemd-sysv",
            found[0],
            str(base / "root"),
            found[1],
        ]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            pytest.skip(f"debootstrap: {made.stdout[-500:]}")
        (base / "ready").touch()
    root = tmp_path_factory.mktemp("machine") / "root"
    subprocess.run(["cp", "--archive", "--reflink=auto", base / "root", root], check=True)
    shutil.copy(package(), root / PACKAGE_THERE)
    return Machine(root)


def package() -> Path:
    (path,) = DIST.glob(f"kpclientd_{release()}_*.deb")
    return path


def test_it_is_installed_without_a_network_and_begins_a_configuration(machine: Machine) -> None:
    told = machine.run("unshare", "--net", "dpkg", "--install", f"/{PACKAGE_THERE}")
    assert "placeholders" in told and "warning" not in told.lower()
    configuration = machine.root / CONFIGURATION
    assert configuration.stat().st_mode & 0o777 == 0o640
    assert machine.run("stat", "-c", "%U %G", f"/{CONFIGURATION}").strip() == "root kpclientd"
    assert "placeholder" in machine.run("kpclientd", "config", "check", f"/{CONFIGURATION}", status=1)


def test_the_programs_run_with_the_compiled_engine_and_storage(machine: Machine) -> None:
    told = machine.run("kpclientd", "--version")
    assert release() in told and "python" not in told.partition("packet engine")[2]
    assert machine.run("loopix-client", "version").strip()
    code = "import highctidh, hpqc, jeepney; highctidh.ctidh(1024)"
    machine.run("/usr/lib/kpclientd/bin/python3", "-I", "-c", code)


def test_the_services_user_gets_an_answer_through_a_local_network(machine: Machine) -> None:
    told = machine.run(
        "setpriv", "--reuid", "kpclientd", "--regid", "kpclientd", "--clear-groups",
        "kpclientd", "demo", "--once", "-n", "1",
    )  # fmt: skip
    assert "1 sent, 1 received" in told


def test_units_pages_and_completions_are_where_debian_looks_for_them(machine: Machine) -> None:
    for name in (
        "usr/lib/systemd/system/kpclientd.service",
        "usr/lib/systemd/user/kpclientd.service",
        "usr/share/man/man1/kpclientd.1.gz",
        "usr/share/man/man5/client.toml.5.gz",
        "usr/share/bash-completion/completions/kpclientd",
        "usr/share/zsh/vendor-completions/_kpclientd",
        "usr/share/fish/vendor_completions.d/kpclientd.fish",
        "usr/share/doc/kpclientd/copyright",
        "usr/share/doc/kpclientd/CHANGELOG.md",
    ):
        assert (machine.root / name).is_file(), name
    for kind in ("system", "user"):
        unit = (machine.root / f"usr/lib/systemd/{kind}/kpclientd.service").read_text(encoding="utf-8")
        assert re.search(r"^ExecStart=/usr/bin/kpclientd ", unit, re.MULTILINE)


def test_no_byte_code_is_written_where_it_is_installed(machine: Machine) -> None:
    assert machine.run("dpkg", "--verify", "kpclientd") == ""
    known = set(machine.run("dpkg", "--listfiles", "kpclientd").splitlines())
    assert set(machine.run("find", "/usr/lib/kpclientd").splitlines()) <= known


@pytest.fixture(scope="module")
def newer(machine: Machine, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Where, in the system, the same package is with a later version."""
    tree = tmp_path_factory.mktemp("newer") / "tree"
    subprocess.run(["dpkg-deb", "--raw-extract", package(), tree], check=True)
    control = tree / "DEBIAN/control"
    control.write_text(control.read_text(encoding="utf-8").replace(f"Version: {release()}", f"Version: {release()}+1"))
    newer = ["dpkg-deb", "--root-owner-group", "-z1", "--build", str(tree), str(machine.root / NEWER_THERE)]
    subprocess.run(newer, check=True, stdout=subprocess.DEVNULL)
    return f"/{NEWER_THERE}"


def test_systemd_runs_the_service_and_an_upgrade_starts_the_new_one(
    machine: Machine, newer: str, tmp_path: Path
) -> None:
    thin = f'[Dial.Unix]\nAddress = "{SOCKET}"\n'
    (machine.root / "etc/thinclient.toml").write_text(thin, encoding="utf-8")
    ping = ("kpclientd", "ping", "--config", "/etc/thinclient.toml", "-c", "1", "echo")
    with local_network(tmp_path / "net", *LIVELY) as (_, ready):
        assert ready.startswith("ready")
        text = f'EpochDuration = "1h"\n{service_toml(tmp_path / "net")}'
        (machine.root / CONFIGURATION).write_text(text, encoding="utf-8")
        with services.running(BOOT, str(machine.root)) as booted:
            booted.run("systemctl", "enable", "--now", SERVICE)
            assert "1 received" in booted.run(*ping)
            process = booted.shows(SERVICE, "MainPID")
            booted.run("dpkg", "--install", newer)
            assert booted.shows(SERVICE, "ActiveState") == "active"
            assert booted.shows(SERVICE, "MainPID") not in (process, "0")
            assert "1 received" in booted.run(*ping)
            booted.run("dpkg", "--install", f"/{PACKAGE_THERE}")
            assert "1 received" in booted.run(*ping)
            booted.run("systemctl", "stop", SERVICE)
            assert booted.shows(SERVICE, "Result") == "success"


def test_an_upgrade_keeps_the_configuration(machine: Machine, newer: str) -> None:
    (machine.root / CONFIGURATION).write_text("# mine\n", encoding="utf-8")
    told = machine.run("dpkg", "--install", newer)
    assert "placeholders" not in told
    assert (machine.root / CONFIGURATION).read_text(encoding="utf-8") == "# mine\n"
    assert machine.run("dpkg-query", "-W", "-f", "${Version}", "kpclientd") == f"{release()}+1"
    (machine.root / CONFIGURATION).unlink()
    machine.run("dpkg", "--install", newer)
    assert not (machine.root / CONFIGURATION).exists(), "what was taken away comes back"


def test_removing_keeps_the_configuration_and_purging_takes_it(machine: Machine) -> None:
    (machine.root / CONFIGURATION).write_text("# mine\n", encoding="utf-8")
    (machine.root / "var/lib/kpclientd").mkdir(exist_ok=True)
    machine.run("dpkg", "--remove", "kpclientd")
    of_systemd = ("/etc/systemd/system/", "/var/lib/systemd/deb-systemd-helper-enabled/")
    left = {path for path in machine.left() if not path.startswith(of_systemd)}
    assert left == {"/var/lib/kpclientd", "/etc/kpclientd"}
    assert (machine.root / CONFIGURATION).read_text(encoding="utf-8") == "# mine\n"
    machine.run("dpkg", "--purge", "kpclientd")
    assert machine.left() == []
