"""`kpclientd doctor`: looks for what keeps a daemon from working, and says what to do."""

import argparse
import json
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Final

from kpclientd.command_parser import CommandParser
from kpclientd.commands.checks import Finding, Level, examine_all
from kpclientd.commands.running import DAEMON_FILE, DONE, FAILED, found_file, run
from kpclientd.commands.terminal import print_plainly
from sphinx.randomness import Randomness

_STATUSES: Final = """\
exit status:
  0  nothing is wrong
  1  something is wrong
  2  wrong usage
"""

_LOOKS: Final = {Level.GOOD: ("ok", "green"), Level.DOUBTFUL: ("look", "yellow"), Level.WRONG: ("WRONG", "bold red")}
_LEVEL_WIDTH: Final = 5
_ABOUT_WIDTH: Final = 13
_WIDTH: Final = 79


def main(arguments: Sequence[str]) -> int:
    """Look at everything and show it as it is found; returns the exit status."""
    options = build_parser().parse_args(arguments)
    worst = Level.GOOD

    async def work() -> None:
        nonlocal worst
        path = options.config if options.config is not None else found_file(DAEMON_FILE)
        show = _show_json if options.json else _screen()
        async for finding in examine_all(path, Randomness(os.urandom)):
            show(finding)
            worst = finding.level if finding.level is Level.WRONG else worst

    status = run("doctor", work)
    return FAILED if status == DONE and worst is Level.WRONG else status


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd doctor",
        description="Look at the configuration, the clock, the sockets, the packet engine and the gateways, and say "
        "what to do about what is wrong. It writes nothing. Where no daemon is online it dials the gateways of the "
        "configuration, which they and the network between can see.",
        epilog=_STATUSES,
    )
    parser.add_argument("-c", "--config", type=Path, metavar="FILE", help="the daemon's client.toml")
    parser.add_argument("--json", action="store_true", help="as JSON, one object a line")
    return parser


def _show_json(finding: Finding) -> None:
    print(json.dumps({**asdict(finding), "level": finding.level.value}, ensure_ascii=False), flush=True)


def _screen() -> Callable[[Finding], None]:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)

    def show(finding: Finding) -> None:
        word, style = _LOOKS[finding.level]
        table = Table.grid(padding=(0, 1))
        table.add_column(width=_LEVEL_WIDTH, style=style)
        table.add_column(width=_ABOUT_WIDTH, style="bold")
        table.add_column(width=_WIDTH - _LEVEL_WIDTH - _ABOUT_WIDTH - 2, overflow="fold")
        table.add_row(word, finding.about, Text(finding.text))
        if finding.remedy:
            table.add_row("", "", Text(f"-> {finding.remedy}", style="cyan"))
        print_plainly(console, table)

    return show
