"""`kpclientd status`: what the running daemon does, on one screen."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Final

import trio

from kpclientd.client.daemon_status import StatusConnection, ToldStatus
from kpclientd.command_parser import CommandParser
from kpclientd.commands.running import DONE, add_config, daemon_of, run
from kpclientd.commands.status_screen import draw
from kpclientd.commands.terminal import print_plainly

OFFLINE: Final = 3
UPDATE_SECONDS: Final = 2.0
SHORTEST_UPDATE: Final = 0.2
LONGEST_UPDATE: Final = 3600.0

_STATUSES: Final = """\
exit status:
  0  the daemon is online: it has a gateway and a document
  1  there is no daemon, or it does not answer
  2  wrong usage or configuration
  3  the daemon runs, and is offline
"""


def main(arguments: Sequence[str]) -> int:
    """Show it, once or until a signal ends it; returns the exit status."""
    options = build_parser().parse_args(arguments)
    is_online = False

    async def work() -> None:
        nonlocal is_online
        async with StatusConnection(daemon_of(options)) as daemon:
            if options.watch is None:
                told = await daemon.ask()
                _show(told, as_json=options.json)
            else:
                told = await _watch(daemon, options.watch, as_json=options.json)
            is_online = _is_online(told)

    status = run("status", work)
    return status if status != DONE or is_online else OFFLINE


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd status",
        description="Show what the running daemon does: its gateway, the network's document, clocks, queues, "
        "operations and drops. What applications do is shown to the user who runs the daemon, and to root.",
        epilog=_STATUSES,
    )
    add_config(parser)
    parser.add_argument("--json", action="store_true", help="as JSON, one object; with --watch one a line")
    parser.add_argument(
        "-w",
        "--watch",
        nargs="?",
        type=_seconds,
        const=UPDATE_SECONDS,
        metavar="S",
        help=f"show it anew every S seconds, default: {UPDATE_SECONDS:g}; Ctrl-C ends it",
    )
    return parser


async def _watch(daemon: StatusConnection, seconds: float, *, as_json: bool) -> ToldStatus:
    from rich.console import Console
    from rich.live import Live

    if as_json or not sys.stdout.isatty():
        while True:
            _show(await daemon.ask(), as_json=as_json)
            await trio.sleep(seconds)
    told = await daemon.ask()
    console = Console(highlight=False)
    with Live(draw(told), console=console, screen=True, auto_refresh=False) as live:
        before, at = told, trio.current_time()
        while True:
            await trio.sleep(seconds)
            told, now = await daemon.ask(), trio.current_time()
            live.update(draw(told, before, now - at), refresh=True)
            before, at = told, now


def _show(told: ToldStatus, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({**told.fields, "is_whole": told.is_whole}, ensure_ascii=False), flush=True)
        return
    from rich.console import Console

    print_plainly(Console(highlight=False), draw(told))


def _is_online(told: ToldStatus) -> bool:
    return told.fields["link"]["gateway"] is not None and any(
        document["is_current"] for document in told.fields["documents"]
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not SHORTEST_UPDATE <= value <= LONGEST_UPDATE:
        raise argparse.ArgumentTypeError(
            f"'{text}' is not a number of seconds from {SHORTEST_UPDATE:g} to {LONGEST_UPDATE:g}"
        )
    return value
