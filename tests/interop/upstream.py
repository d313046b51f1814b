"""The Python client's own test suite, as upstream wrote it, against a daemon on a local network: `make interop`.

The suite comes with the source archive of 0.0.23 and is run with each version of the client. The archive of 0.0.25 has
no tests; a checkout of katzenpost/thin_client has, and its suite takes the other's place for the version that it is.
"""

import argparse
import shutil
import socket
import subprocess
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final
from xml.etree import ElementTree

from tests.interop.network import running_network
from tests.pigeonhole.installed import MISSING

DAEMON_PORT: Final = 64331
"""Where the suite looks for a daemon; without one it skips its tests."""

PARTS: Final = ("tests", "testdata", "pytest.ini")
"""What of a suite is run. The library beside it stays behind, or else it would be the one that is tested."""

PIGEONHOLE: Final = "tests/test_new_pigeonhole_api.py"
"""Needs storage, which local networks and daemons have where its packages are installed."""

TIMEOUT_SECONDS: Final = 600


def main(arguments: Sequence[str]) -> int:
    """Run the suite with every client; 0 if all tests of all runs passed, and none was skipped."""
    parser = argparse.ArgumentParser(prog="make interop", description=__doc__)
    parser.add_argument("--suite", type=Path, required=True, help="the unpacked source archive")
    parser.add_argument("--checkout", type=Path, help="a checkout of katzenpost/thin_client")
    parser.add_argument(
        "clients", type=Path, nargs="+", help="virtual environments, each named by its client's version"
    )
    options = parser.parse_args(arguments)
    suites: dict[Path, Path] = dict.fromkeys(options.clients, options.suite)
    if options.checkout:
        version = version_of(options.checkout)
        client = next((client for client in suites if client.name == version), None)
        if client is None:
            known = " or ".join(client.name for client in suites)
            return refuse(f"{options.checkout} holds version {version} of a package, not thin_client {known}")
        suites[client] = options.checkout
    if is_taken(DAEMON_PORT):
        return refuse(f"something listens at port {DAEMON_PORT}, where the suite looks for its daemon: stop it first")
    with TemporaryDirectory() as name, running_network(Path(name), DAEMON_PORT):
        results = [has_passed(suite, client) for client, suite in suites.items()]
    return 0 if all(results) else 1


def version_of(checkout: Path) -> str:
    """The version of the client that a folder holds, as its pyproject.toml has it; `unknown` if it has none."""
    try:
        return str(tomllib.loads((checkout / "pyproject.toml").read_text())["project"]["version"])
    except (OSError, tomllib.TOMLDecodeError, KeyError):
        return "unknown"


def has_passed(suite: Path, client: Path) -> bool:
    """Run one suite with one client."""
    with TemporaryDirectory() as name:
        folder, report = Path(name, "suite"), Path(name, "report.xml")
        folder.mkdir()
        for part in PARTS:
            copy = shutil.copytree if (suite / part).is_dir() else shutil.copy
            copy(suite / part, folder / part)
        command = [str((client / "bin" / "python").absolute()), "-m", "pytest", "tests", "-v", "--tb=short"]
        options = [f"--timeout={TIMEOUT_SECONDS}", f"--junitxml={report}"]
        left_out = f", without {PIGEONHOLE}: {MISSING}" if MISSING else ""
        if MISSING:
            options.append(f"--deselect={PIGEONHOLE}")
        print(f"\nThe suite in {suite} with katzenpost-thinclient {client.name}{left_out}", flush=True)
        status = subprocess.run([*command, *options], cwd=folder).returncode
        skipped = ElementTree.parse(report).findall(".//skipped") if report.exists() else []
    if skipped:
        print(f"{len(skipped)} tests were skipped, which is no pass", file=sys.stderr)
    return status == 0 and not skipped


def is_taken(port: int) -> bool:
    """Whether something listens at that port of this machine."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def refuse(reason: str) -> int:
    """Say why nothing is run."""
    print(reason, file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
