"""One parser for a program's whole command line, with all commands: for what completes or describes it.

Programs themselves read their line by the parser of one command, which is imported alone.
"""

import argparse
from collections.abc import Iterator
from typing import Final

from kpclientd.cli import HELP, VERSION, build_parser
from kpclientd.command_parser import CommandParser, HelpFormatter
from kpclientd.commands.table import COMMANDS
from kpclientd.loopix.arguments import PROGRAM as LOOPIX_PROGRAM
from kpclientd.loopix.commands import COMMANDS as LOOPIX_COMMANDS
from kpclientd.loopix.profile import PROFILES
from kpclientd.loopix.service import SocketType

PROGRAM: Final = "kpclientd"

_LOOPIX_CHOICES: Final = {"P": tuple(PROFILES), "SOCKETTYPE": tuple(map(str, SocketType))}
"""What an option may have, by what its value is called; the table of options does not tell."""


def whole_parser(program: str) -> argparse.ArgumentParser:
    """Return the parser of `kpclientd` or of `loopix-client`, all commands in it."""
    if program == LOOPIX_PROGRAM:
        return loopix_parser(LOOPIX_PROGRAM)
    parser: argparse.ArgumentParser = build_parser()
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for name, summary, command in command_parsers():
        commands.add_parser(
            name, parents=[command], add_help=False, help=summary, description=command.description, usage=command.usage
        )
    of_help = commands.add_parser(HELP, help="tell more of a command")
    of_help.add_argument("command", nargs="?", metavar="COMMAND", choices=[command.name for command in COMMANDS])
    commands.add_parser(VERSION, help="print version and packet engine")
    return parser


def command_parsers() -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """The commands of `kpclientd`: name, summary and parser of each."""
    for command in COMMANDS:
        yield command.name, command.summary, command.build_parser() or loopix_parser(f"{PROGRAM} {command.name}")


def loopix_parser(program: str) -> argparse.ArgumentParser:
    """Return what describes the client of 2019, which reads its line by itself.

    Args:
        program: what it is called by.
    """
    parser = CommandParser(
        prog=program,
        description="A client of the Loopix family of mix networks of 2019, and of its directories and providers.",
    )
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")
    for command in LOOPIX_COMMANDS:
        inner = commands.add_parser(
            command.name, help=command.summary, description=f"{command.summary}.", formatter_class=HelpFormatter
        )
        for option in command.options:
            if option.value:
                inner.add_argument(
                    option.flag, metavar=option.value, help=option.text, choices=_LOOPIX_CHOICES.get(option.value)
                )
            else:
                inner.add_argument(option.flag, action="store_true", help=option.text)
    return parser
