"""`kpclientd completion`: prints what completes this program's line in a shell."""

import argparse
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from kpclientd.command_parser import CommandParser, commands_of

if TYPE_CHECKING:
    from shtab import CompleteType

SHELLS: Final = ("bash", "zsh", "fish")
PROGRAMS: Final = ("kpclientd", "loopix-client")

_DIRECTORY: Final = "DIR"
_PATHS: Final = ("FILE", "INPUT", "CUSTOMCFG")
"""What values are called that are paths of files."""

_INSTALL: Final = """
where its output goes, so that new shells find it:
  bash  ~/.local/share/bash-completion/completions/kpclientd
  zsh   _kpclientd in a folder of $fpath
  fish  ~/.config/fish/completions/kpclientd.fish

for a bash that runs already, or has no bash-completion:
  source <(kpclientd completion bash)
"""


def main(arguments: Sequence[str]) -> int:
    """Print the completion; returns the exit status."""
    options = build_parser().parse_args(arguments)
    sys.stdout.write(completion(options.program, options.shell))
    sys.stdout.flush()
    return 0


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd completion",
        description="Print what completes commands, options, choices and files in a shell.",
        epilog=_INSTALL,
    )
    parser.add_argument("shell", choices=SHELLS, help="which shell")
    parser.add_argument("--program", choices=PROGRAMS, default=PROGRAMS[0], help="default: %(default)s")
    return parser


def completion(program: str, shell: str) -> str:
    """Return a script.

    Args:
        program: one of `PROGRAMS`.
        shell: one of `SHELLS`.
    """
    import shtab

    from kpclientd.whole_parser import whole_parser

    parser = whole_parser(program)
    _prepare(parser, shtab.FILE, shtab.DIRECTORY)
    return shtab.complete(parser, shell).rstrip("\n") + "\n"


def _prepare(parser: argparse.ArgumentParser, file: "CompleteType", directory: "CompleteType") -> None:
    """Say which values are paths, and tell commands by the words of a list, as shells show them in one."""
    for action in parser._actions:
        if action.metavar == _DIRECTORY:
            action.complete = directory  # type: ignore[attr-defined]  # as shtab documents it
        elif action.metavar in _PATHS:
            action.complete = file  # type: ignore[attr-defined]
    for _, summary, command in commands_of(parser):
        command.description = summary
        _prepare(command, file, directory)
