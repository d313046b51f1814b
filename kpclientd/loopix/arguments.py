"""The reference's command line: its grammar, its help, its errors. It reads `--name value`, never `--name=value`.

Source: the Nym 2019 Loopix client, "command line". Differences: help that was asked for ends with status 0, and each
command's help names the command.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from kpclientd.errors import KpclientdError

PROGRAM: Final = "loopix-client"

LOGO: Final = r"""
  _                      _
 | |    ___   ___  _ __ (_)_  __
 | |   / _ \ / _ \| '_ \| \ \/ /
 | |___ (_) | (_) | |_) | |>  <
 |_____\___/ \___/| .__/|_/_/\_\
                  |_|            (client)
"""

HELP_FLAGS: Final = ("-h", "--help")


class UsageError(KpclientdError):
    """The command line cannot be understood; the text says why, as the reference says it."""


class HelpWanted(Exception):
    """The command's help is to be shown.

    Args:
        asked: whether the user asked for it; otherwise the command line was of no use.
    """

    def __init__(self, *, asked: bool) -> None:
        self.asked = asked
        super().__init__("help is to be shown")


@dataclass(frozen=True, slots=True)
class Option:
    """An option of a command.

    Attributes:
        flag: with its dashes.
        text: for the help.
        value: what its value is called there; empty for an option without one.
        repeats: whether it may be given several times.
    """

    flag: str
    text: str
    value: str = ""
    repeats: bool = False

    @property
    def synopsis(self) -> str:
        """How the help shows it."""
        return f"{self.flag} {self.value}" if self.value else self.flag


@dataclass(frozen=True, slots=True)
class ParsedOptions:
    """What options a command line has, by their flags.

    Attributes:
        values: the values of each option that was given, in order; of one without a value, an empty text.
    """

    values: Mapping[str, Sequence[str]]

    def has(self, flag: str) -> bool:
        """Whether the option was given."""
        return flag in self.values

    def last(self, flag: str, default: str = "") -> str:
        """The option's value; of several the last."""
        return self.values[flag][-1] if flag in self.values else default

    def all(self, flag: str) -> Sequence[str]:
        """All values of an option that repeats."""
        return self.values.get(flag, ())


@dataclass(frozen=True, slots=True)
class Command:
    """A command and its options."""

    name: str
    summary: str
    options: tuple[Option, ...]

    def parse(self, words: Sequence[str]) -> ParsedOptions:
        """Read the words after the command's name.

        Raises:
            UsageError: for an option that does not exist or lacks its value.
            HelpWanted: if help was asked for, or there is a word that belongs to no option.
        """
        values: dict[str, list[str]] = {}
        flags = {option.flag: option for option in self.options}
        remaining = iter(words)
        for word in remaining:
            if word in HELP_FLAGS:
                raise HelpWanted(asked=True)
            if not word.startswith("-"):
                raise HelpWanted(asked=False)
            if word not in flags:
                raise UsageError(f"{PROGRAM} {self.name}: no such option: {word}")
            value = ""
            if flags[word].value:
                following = next(remaining, None)
                if following is None:
                    raise UsageError(f"{PROGRAM} {self.name}: {word} option requires an argument")
                value = following
            earlier = values.setdefault(word, [])
            if not flags[word].repeats:
                earlier.clear()
            earlier.append(value)
        return ParsedOptions(values)

    def help(self) -> str:
        """The command's help."""
        shown = [(option.synopsis, option.text) for option in self.options]
        shown.append((", ".join(HELP_FLAGS), "Show this help and exit"))
        width = max(len(synopsis) for synopsis, _ in shown)
        options = "\n".join(f"  {synopsis:<{width}}    {text}" for synopsis, text in shown)
        return f"Usage: {PROGRAM} {self.name} [OPTIONS]\n\n  {self.summary}\n\nOptions:\n{options}\n"


def overview(commands: Sequence[Command]) -> str:
    """The program's help."""
    listed = "\n".join(f"    {command.name:<12}{command.summary}" for command in commands)
    return (
        f"Usage: {PROGRAM} COMMAND [OPTIONS]\n\n{LOGO}\n\nCommands:\n\n{listed}\n\n"
        f'Run "{PROGRAM} help <command>" for more info on a specific command.\n'
    )
