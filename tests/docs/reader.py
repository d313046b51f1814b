"""Somebody who types what a page tells them to type, in a folder of their own."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from sphinx.native import engine_names
from tests.docs.blocks import ROOT, Typed, blocks, pattern, typed

PATIENCE_SECONDS = 300.0
POLL_SECONDS = 0.05

HOME = "/home/you"
"""Where the pages have the reader."""

_LACKING = re.compile(r"^kpclientd(?: \w+)?: no (?:compiled Sphinx engine|storage is offered).*\n", re.MULTILINE)
"""What is told first where something that can be installed is not; the pages show machines that have everything."""

_ON_THE_ENGINE = re.compile(r"^\w+ +program .*\n(?: .*\n)*", re.MULTILINE)
"""What `kpclientd doctor` finds of the program: other words where there is no compiled engine."""

_RUNS_ON = re.compile(r"^(?:[A-Z_]+=\S+ )*kpclientd (?:localnet (?!.*--do)|--config (?!.*--validate-only))")
"""What stays in its terminal until Ctrl-C."""


class Reader:
    """Types commands, and compares what they print with what the page shows.

    Args:
        folder: where the reader is; a folder `bin` in it has the program.

    Attributes:
        folder: that one.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        programs = folder / "bin"
        programs.mkdir()
        program = programs / "kpclientd"
        program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m kpclientd.cli "$@"\n')
        program.chmod(0o755)
        self._environment = os.environ | {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
            "TZ": "UTC",
        }
        self._environment.pop("KATZENPOST_EPOCH_DURATION", None)
        self._running: list[subprocess.Popen[bytes]] = []

    def follow(self, page: str) -> int:
        """Type everything that the page has for a console; returns how many commands that were."""
        commands = [command for block in blocks(page, "console") for command in typed(block.text)]
        for command in commands:
            self.type(command)
        return len(commands)

    def type(self, typed: Typed) -> None:
        """Type one command."""
        shell = ["bash", "-c", typed.command]
        if not _RUNS_ON.match(typed.command):
            done = subprocess.run(
                shell, cwd=self.folder, env=self._environment, capture_output=True, text=True, timeout=PATIENCE_SECONDS
            )
            printed = _comparable(done.stdout + done.stderr).replace(str(self.folder), HOME)
            assert pattern(_comparable(typed.printed)).fullmatch(printed), f"$ {typed.command}\n{printed}"
            return
        output = self.folder / f"terminal-{len(self._running)}"
        with output.open("wb") as terminal:
            command = ["bash", "-c", f"exec env {typed.command}"]
            self._running.append(
                subprocess.Popen(
                    command, cwd=self.folder, env=self._environment, stdout=terminal, stderr=subprocess.STDOUT
                )
            )
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not pattern(typed.printed).match(_comparable(output.read_text())):
            assert self._running[-1].poll() is None, output.read_text()
            assert time.monotonic() < deadline, output.read_text()
            time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """Press Ctrl-C in all terminals, the last first."""
        for child in reversed(self._running):
            child.send_signal(signal.SIGINT)
            assert child.wait(PATIENCE_SECONDS) == 0


def _comparable(printed: str) -> str:
    """What is printed, without what depends on what is installed here."""
    printed = _LACKING.sub("", printed)
    return printed if len(engine_names()) > 1 else _ON_THE_ENGINE.sub("", printed)


@contextmanager
def a_reader() -> Iterator[Reader]:
    """A reader as long as the block lasts, in a folder with a short name, as lines are broken at 80 columns."""
    with TemporaryDirectory() as folder:
        reader = Reader(Path(folder))
        try:
            yield reader
        finally:
            reader.stop()
