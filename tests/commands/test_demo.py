"""`kpclientd demo` as people see it: in a narrow terminal, until Ctrl-C or until the window is closed."""

import contextlib
import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

PATIENCE_SECONDS = 60.0
COLUMNS = 50
INTERRUPT = b"\x03"


class Terminal:
    """A program in a terminal of its own."""

    def __init__(self, *arguments: str, folder: Path) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES")}
        self.process = subprocess.Popen(
            ["setsid", "--ctty", sys.executable, "-m", "kpclientd.cli", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment | {"TMPDIR": str(folder)},
        )
        os.close(slave)
        self.shown = b""

    def wait_for(self, pattern: bytes) -> None:
        """Until that is shown, or, for nothing, until the program has ended."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not (pattern and re.search(pattern, self.shown)):
            assert time.monotonic() < deadline, self.shown
            if select.select([self._master], [], [], 0.1)[0]:
                try:
                    self.shown += os.read(self._master, 4096)
                except OSError:  # as Linux says that nobody is at the other end
                    assert not pattern, self.shown
                    return

    def press(self, keys: bytes) -> None:
        os.write(self._master, keys)

    def close(self) -> None:
        """The window is closed: its programs get SIGHUP."""
        with contextlib.suppress(OSError):
            os.close(self._master)


@pytest.fixture
def _with_a_window() -> Iterator[None]:
    """Children get SIGHUP though these tests were started to outlive their terminal."""
    former = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, former)


def test_the_status_keeps_to_its_row_and_ctrl_c_gives_the_prompt_a_line_of_its_own(tmp_path: Path) -> None:
    terminal = Terminal("demo", "-n", "1", folder=tmp_path)
    try:
        terminal.wait_for(rb"\x1b\[K[^\r]+\r\x1b\[K[^\r]+")
        terminal.press(INTERRUPT)
        terminal.wait_for(b"")
        assert terminal.process.wait(PATIENCE_SECONDS) == 0
    finally:
        terminal.process.kill()
        terminal.close()
    *rows, last = re.split(rb"\r\x1b\[K", terminal.shown)
    assert len(rows) > 1
    assert all(len(row) < COLUMNS for row in rows[1:])
    assert last.endswith(b"\r\n") and b"Traceback" not in last
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("_with_a_window")
def test_a_closed_window_leaves_nothing_behind(tmp_path: Path) -> None:
    terminal = Terminal("demo", "-n", "1", folder=tmp_path)
    try:
        terminal.wait_for(rb"\x1b\[K")
        assert len(list(tmp_path.iterdir())) == 1
        terminal.close()
        assert terminal.process.wait(PATIENCE_SECONDS) >= 0, "it ended by itself"
    finally:
        terminal.process.kill()
        terminal.close()
    assert list(tmp_path.iterdir()) == []
