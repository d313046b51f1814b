"""Processes of the benchmarks about applications: none outlives the block that started it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final, NoReturn

from pki.epoch import PERIOD_VARIABLE

STOP_SECONDS: Final = 10.0
PAGE_BYTES: Final = os.sysconf("SC_PAGE_SIZE")
MEGABYTE: Final = 1e6


@contextmanager
def running(command: Sequence[str], **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A child process, ended with the block: at first politely."""
    child = subprocess.Popen(command, **options)
    try:
        yield child
    finally:
        if child.stdin is not None:
            with suppress(BrokenPipeError):
                child.stdin.close()
        child.terminate()
        try:
            child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        if child.stdout is not None:
            child.stdout.close()


def end_on_sigterm() -> None:
    """Let SIGTERM unwind the program, so that its blocks end their processes."""

    def end(number: int, frame: object) -> NoReturn:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, end)


@dataclass(frozen=True, slots=True)
class DaemonProcess:
    """A daemon that runs."""

    child: subprocess.Popen[bytes]
    log_file: Path

    @property
    def ended(self) -> bool:
        """Whether it is no longer there."""
        return self.child.poll() is not None

    @property
    def log(self) -> str:
        """What it has said."""
        return self.log_file.read_text(errors="replace")

    def resident_megabytes(self) -> float:
        """The resident set of the daemon and of all processes that descend from it."""
        parents = _parents()
        family = {self.child.pid}
        while grown := {pid for pid, parent in parents.items() if parent in family} - family:
            family |= grown
        return sum(map(_resident_bytes, family)) / MEGABYTE


@contextmanager
def daemon(
    config: Path, epoch: str, python: Path | None = None, descriptors: int | None = None
) -> Iterator[DaemonProcess]:
    """A daemon on `config`, in epochs of `epoch`.

    Args:
        config: its client.toml.
        epoch: the network's epoch period.
        python: the interpreter of another environment, whose installed daemon is to run, or the root of another
            source tree; None for the daemon of this tree.
        descriptors: how many files and sockets it may have open, None for no limit of ours.
    """
    limit = [] if descriptors is None else ["sh", "-c", f'ulimit -n {descriptors} && exec "$@"', "sh"]
    with TemporaryDirectory(prefix="kpclientd-bench-") as name:
        where = python if python is not None and python.is_dir() else Path(name) if python is not None else Path.cwd()
        interpreter = sys.executable if python is None or python.is_dir() else str(python)
        command = [*limit, interpreter, "-m", "kpclientd.cli", "--config", str(config)]
        log_file = Path(name) / "log"
        environment: Mapping[str, str] = os.environ | {PERIOD_VARIABLE: epoch}
        with (
            log_file.open("wb") as log,
            running(command, cwd=where, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log) as child,
        ):
            yield DaemonProcess(child, log_file)


def wait_until(what: str, seconds: float, condition: Callable[[], bool], step: float = 0.05) -> float:
    """Wait until `condition()` holds and return for how long.

    Raises:
        TimeoutError: if it does not within `seconds`; the text is about `what`.
    """
    begin = time.perf_counter()
    while not condition():
        if time.perf_counter() - begin > seconds:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(step)
    return time.perf_counter() - begin


def _parents() -> dict[int, int]:
    """The parent of each process of this machine."""
    found = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue  # it has just ended
        found[int(path.parent.name)] = int(fields[1])
    return found


def _resident_bytes(pid: int) -> int:
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
    except OSError:
        return 0
