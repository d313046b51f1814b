"""Local networks as processes of their own, and the command lines that both families refuse alike."""

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

PATIENCE = 30.0
"""Seconds that a process may take to end."""


@contextmanager
def local_network(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`kpclientd localnet` with its files in `directory`: the process, and the first line that it prints.

    A Katzenpost network has no storage, whose keys take seconds to make, unless the options say so.
    """
    quick = () if "--family" in options else ("--replicas", "0")
    command = (sys.executable, "-m", "kpclientd.cli", "localnet", str(directory), *quick, *options)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process, process.stdout.readline()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def refuses_a_command_without_a_network(
    main: Callable[[Sequence[str]], int], directory: Path, capsys: pytest.CaptureFixture[str]
) -> bool:
    """Whether a command fails with a reason where no network runs."""
    status = main([str(directory), "--do", "status"])
    return status == 1 and "no local network answers" in capsys.readouterr().err


def refuses_as_usage(
    main: Callable[[Sequence[str]], int], directory: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> bool:
    """Whether options end the command with status 2 and the first of them is named."""
    with pytest.raises(SystemExit) as stopped:
        main([str(directory), *options])
    return stopped.value.code == 2 and options[0] in capsys.readouterr().err
