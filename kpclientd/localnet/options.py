"""What the commands that run local networks have in common: options, and how they end."""

import argparse
import signal
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import trio

from kpclientd.addresses import MAX_PORT
from kpclientd.errors import KpclientdError
from kpclientd.localnet.commands import CONTROL_SOCKET, send
from kpclientd.localnet.errors import DirectoryInUseError
from kpclientd.lock_file import LockHeldError, hold_lock
from kpclientd.program import in_words

SUCCESS: Final = 0
FAILURE: Final = 1
LOCK_FILE: Final = "localnet.lock"

KATZENPOST: Final = "katzenpost"
LOOPIX: Final = "loopix"
FAMILIES: Final = (KATZENPOST, LOOPIX)
"""Of mix networks that can be run."""


async def run_until_stopped(start: Callable[[trio.Nursery], Awaitable[str]]) -> None:
    """Run a network until one of the `stop_signals`.

    Args:
        start: starts everything in the nursery, and returns the line that says so.
    """
    with trio.open_signal_receiver(*stop_signals()) as signals:
        async with trio.open_nursery() as nursery:
            print(await start(nursery), flush=True)
            async for _ in signals:
                break
            nursery.cancel_scope.cancel()


def stop_signals() -> tuple[signal.Signals, ...]:
    """Return the signals that end a network: SIGHUP too, unless whoever started us (nohup) wants it ignored."""
    is_ignored = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return (signal.SIGTERM, signal.SIGINT, *(() if is_ignored else (signal.SIGHUP,)))


def add_control_option(parser: argparse.ArgumentParser) -> None:
    """Add the option that `execute_or_run` looks at."""
    parser.add_argument(
        "--do",
        metavar="COMMAND",
        help=f"give a command to the network that runs in DIR (by {CONTROL_SOCKET}); try help",
    )


def execute_or_run(options: argparse.Namespace, run: Callable[[argparse.Namespace], Awaitable[None]]) -> int:
    """Give the command `options.do` to the network in `options.directory`, or else `run` one, alone there.

    Returns:
        The exit status; what went wrong is on standard error.
    """
    faults: list[str] = []
    try:
        if options.do is not None:
            print(send(options.directory, options.do))
        else:
            with _hold_directory(options.directory):
                trio.run(run, options)
    except* BrokenPipeError:
        raise  # nobody reads standard output any more
    except* (KpclientdError, OSError) as group:  # groups, as they come out of a nursery
        faults = [in_words(error) for error in _leaves(group)]
    for fault in faults:
        print(f"kpclientd localnet: {fault}", file=sys.stderr)
    return FAILURE if faults else SUCCESS


@contextmanager
def _hold_directory(directory: Path) -> Iterator[None]:
    """One network for each directory, which is made if it is missing."""
    directory.mkdir(parents=True, exist_ok=True)
    try:
        with hold_lock(directory / LOCK_FILE):
            yield
    except LockHeldError as error:
        raise DirectoryInUseError(
            f"a local network runs in {directory} already (process {error.holder}): stop it,"
            " or choose another directory"
        ) from None


def _leaves(group: BaseExceptionGroup[BaseException]) -> Iterator[BaseException]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def probability(text: str) -> float:
    """Read a probability."""
    return _between(text, 0.0, 1.0, "a probability from 0 to 1")


def rate(text: str) -> float:
    """Read a rate above zero."""
    return _between(text, sys.float_info.min, sys.float_info.max, "a positive rate")


def count_up_to(most: int, least: int = 1) -> Callable[[str], int]:
    """Return a reader of whole numbers from `least` to `most`."""

    def read(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least} to {most}")
        return value

    return read


port: Final = count_up_to(MAX_PORT, least=0)
"""Reads a TCP port, 0 for any."""


def _between(text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value
