"""The commands: their names, what each does, and the module that does it, which is imported once it is asked for."""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import argparse


@dataclass(frozen=True, slots=True)
class Command:
    """One command.

    Attributes:
        name: the word after the program's name.
        summary: what it does, in the words of a list.
        module: has `main(arguments)`, and `build_parser()` where its line is read by argparse.
    """

    name: str
    summary: str
    module: str

    def run(self, arguments: Sequence[str]) -> int:
        """Run it with the rest of the line; returns the exit status."""
        status: int = import_module(self.module).main(arguments)
        return status

    def build_parser(self) -> "argparse.ArgumentParser | None":
        """What reads its line; None for the client of 2019, which keeps its reference's grammar."""
        module = import_module(self.module)
        return module.build_parser() if hasattr(module, "build_parser") else None


COMMANDS: Final = (
    Command("config", "check, show or begin a configuration file", "kpclientd.config.commands"),
    Command("status", "show what the running daemon does, on one screen", "kpclientd.commands.status"),
    Command("doctor", "look for what keeps a daemon from working, and say what to do", "kpclientd.commands.doctor"),
    Command("ping", "send echo messages through a running daemon and time the answers", "kpclientd.commands.ping"),
    Command("box", "write, read, copy and delete boxes of Pigeonhole storage", "kpclientd.commands.box"),
    Command("pipe", "send a stream of bytes through boxes, and receive it", "kpclientd.commands.pipe"),
    Command(
        "localnet",
        "run a whole mixnet on this machine (--family loopix: one of 2019)",
        "kpclientd.commands.local_network",
    ),
    Command("demo", "run a local mixnet with a daemon on it, and ping through both", "kpclientd.commands.demo"),
    Command("loopix", "the client of the Loopix family of 2019, as loopix-client", "kpclientd.loopix.commands"),
    Command("completion", "print what completes this line in bash, zsh or fish", "kpclientd.completion"),
)
