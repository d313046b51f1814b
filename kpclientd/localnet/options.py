"""What the commands that run local networks have in common: options, and how they end."""

import argparse
import sys
from collections.abc import Awaitable, Callable, Iterator
from typing import Final

import trio

from kpclientd.config.addresses import MAX_PORT
from kpclientd.errors import KpclientdError
from kpclientd.localnet.commands import send

SUCCESS: Final = 0
FAILURE: Final = 1


def execute_or_run(options: argparse.Namespace, run: Callable[[argparse.Namespace], Awaitable[None]]) -> int:
    """Give the command `options.do` to the network in `options.directory`, or else `run` one.

    Returns:
        The exit status; what went wrong is on standard error.
    """
    faults: list[str] = []
    try:
        if options.do is not None:
            print(send(options.directory, options.do))
        else:
            trio.run(run, options)
    except* (KpclientdError, OSError) as group:  # groups, as they come out of a nursery
        faults = [str(error) for error in _leaves(group)]
    for fault in faults:
        print(f"kpclientd localnet: {fault}", file=sys.stderr)
    return FAILURE if faults else SUCCESS


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


def port(text: str) -> int:
    """Read a TCP port, 0 for any."""
    return int(_between(text, 0, MAX_PORT, f"a port from 0 to {MAX_PORT}"))


def _between(text: str, least: float, most: float, what: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text!r} is not {what}")
    return value
