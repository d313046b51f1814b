"""How every command reads its line: argparse, with one way of saying what is wrong and what was perhaps meant.

A command is a module with `build_parser()`, from which its help, its manual page and the completion of shells are made,
and `main(arguments)`, which returns the exit status.
"""

import argparse
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Any, Final, NoReturn

MISUSED: Final = 2

_UNRECOGNIZED: Final = "unrecognized arguments: "


class HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Wraps a text that is one line, and leaves one of several lines, such as a table, as it is."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        kind = argparse.RawDescriptionHelpFormatter if "\n" in text else argparse.HelpFormatter
        return kind._fill_text(self, text, width, indent)


class CommandParser(argparse.ArgumentParser):
    """A parser that names the nearest word for one that it does not know, and shows how the command is used.

    Args:
        misused: the exit status for a line that cannot be understood.
        arguments: those of `argparse.ArgumentParser`. Options are never abbreviated: a script that relied on it would
            break with the next option that begins alike.
    """

    def __init__(self, *, misused: int = MISUSED, **arguments: Any) -> None:
        self._misused = misused
        super().__init__(**{"allow_abbrev": False, "formatter_class": HelpFormatter, **arguments})

    def error(self, message: str) -> NoReturn:
        """End with the status for misuse."""
        if message.startswith(_UNRECOGNIZED):
            message = self._unknown(message.removeprefix(_UNRECOGNIZED).split(" ")[0])
        self.exit(self._misused, f"{self.format_usage()}{self.prog}: {message}\nTry '{self.prog} --help'.\n")

    def _unknown(self, word: str) -> str:
        if not word.startswith("-"):
            return f"one word too many: '{word}'"
        return f"there is no option '{word}'{perhaps(word.partition('=')[0], flags_of(self))}"

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is None or value in action.choices:
            return
        known = [str(choice) for choice in action.choices]
        kind = "command" if isinstance(action, argparse._SubParsersAction) else "choice"
        among = "" if (hint := perhaps(str(value), known)) else f"; there is {_listed(known)}"
        raise argparse.ArgumentError(
            None if kind == "command" else action, f"there is no {kind} '{value}'{hint or among}"
        )


def perhaps(word: str, known: Iterable[str]) -> str:
    """`; did you mean 'this'?` where one of the known words is near, or nothing."""
    near = get_close_matches(word, list(known), n=1)
    return f"; did you mean '{near[0]}'?" if near else ""


def flags_of(parser: argparse.ArgumentParser) -> Iterator[str]:
    """All options of a parser, and of its commands, as they are written."""
    for action in parser._actions:
        yield from action.option_strings
    for _, _, command in commands_of(parser):
        yield from flags_of(command)


def commands_of(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str, argparse.ArgumentParser]]:
    """The commands that a parser has: name, summary and parser of each."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for listed in action._choices_actions:
                yield listed.dest, listed.help or "", action.choices[listed.dest]


def _listed(words: list[str]) -> str:
    *most, last = words
    return f"{', '.join(most)} and {last}" if most else last
