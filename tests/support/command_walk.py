"""What the parsers of the commands say, as a page tells it: for manual pages and docs/commands.md."""

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from kpclientd.command_parser import commands_of

OPTIONS: Final = "options"

_HEADING: Final = re.compile(r"^( {0,2})(\S.*):$")
_TWO_COLUMNS: Final = re.compile(r"^ +(\S+(?: \S+)*?)  +(\S.*)$")


@dataclass(frozen=True, slots=True)
class Entry:
    """A word, or several, and what is said of it."""

    word: str
    text: str


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page.

    Attributes:
        title: as a heading.
        entries: each with its text.
        lines: what is no table, as it stands.
        is_inner: whether it belongs to the section before.
    """

    title: str
    entries: tuple[Entry, ...] = ()
    lines: tuple[str, ...] = ()
    is_inner: bool = False


@dataclass(frozen=True, slots=True)
class Described:
    """One command.

    Attributes:
        name: the words that call it.
        summary: what it does, in the words of a list.
        usage: lines of it.
        description: one paragraph.
        sections: its options and whatever else there is to say.
        commands: those that it has.
    """

    name: str
    summary: str
    usage: tuple[str, ...]
    description: str
    sections: tuple[Section, ...]
    commands: "tuple[Described, ...]"


def described(parser: argparse.ArgumentParser, summary: str) -> Described:
    """Describe a command and those that it has."""
    return Described(
        name=parser.prog,
        summary=summary.rstrip("."),
        usage=tuple(_usage(parser)),
        description=" ".join((parser.description or "").split()),
        sections=(*_options(parser), *_told_below(parser)),
        commands=tuple(described(command, summary) for _, summary, command in commands_of(parser)),
    )


def _usage(parser: argparse.ArgumentParser) -> Iterator[str]:
    if parser.usage is not None:
        yield from (line.strip() for line in parser.usage.splitlines())
        return
    words = [parser.prog]
    for action in parser._actions:
        if isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS:
            continue
        if isinstance(action, argparse._SubParsersAction):
            words.append("COMMAND [...]")
        elif action.option_strings:
            shown = _option(action, action.option_strings[0])
            words.append(shown if action.required else f"[{shown}]")
        else:
            words.append(_value(action) if action.nargs is None else f"[{_value(action)}]")
    yield " ".join(words)


def _option(action: argparse.Action, flag: str) -> str:
    return flag if action.nargs == 0 else f"{flag} {_value(action)}"


def _value(action: argparse.Action) -> str:
    if action.metavar is not None:
        return str(action.metavar)
    if action.choices is not None:
        return f"{{{','.join(map(str, action.choices))}}}"
    return action.dest.upper().replace("-", "_")


def _options(parser: argparse.ArgumentParser) -> Iterator[Section]:
    for group in parser._action_groups:
        entries = tuple(
            _entry(parser, action)
            for action in group._group_actions
            if action.help != argparse.SUPPRESS
            and not isinstance(action, (argparse._HelpAction, argparse._SubParsersAction))
        )
        if entries:
            yield Section("arguments" if group.title == "positional arguments" else group.title or OPTIONS, entries)


def _entry(parser: argparse.ArgumentParser, action: argparse.Action) -> Entry:
    if action.option_strings:
        *others, last = action.option_strings
        word = ", ".join((*others, _option(action, last)))
    else:
        word = _value(action)
    text = parser._get_formatter()._expand_help(action) if action.help else ""
    choices = [str(choice) for choice in action.choices or () if str(choice) not in text]
    if choices and action.metavar is not None:
        text = f"{text}: {', '.join(choices)}".removeprefix(": ")
    return Entry(word, text)


def _told_below(parser: argparse.ArgumentParser) -> Iterator[Section]:
    """What stands below the options: headings that end with a colon, and under them tables of two columns or text."""
    parts: list[tuple[str, bool, list[str]]] = [("", False, [])]
    for line in (parser.epilog or "").splitlines():
        heading = _HEADING.match(line)
        if heading is None:
            parts[-1][2].append(line)
        else:
            parts.append((heading[2], bool(heading[1]), []))
    for title, is_inner, lines in parts:
        if title or any(lines):
            yield _told(title, lines, is_inner=is_inner)


def _told(title: str, lines: list[str], *, is_inner: bool) -> Section:
    present = [line for line in lines if line.strip()]
    is_table = bool(present) and all(line.startswith("  ") for line in present)
    if not is_table:
        return Section(title, lines=tuple(present), is_inner=is_inner)
    # Where the second column begins: where most lines have it, those among them that only go on with a text.
    deepest = max(len(line) - len(line.lstrip()) for line in present)
    least = min(len(line) - len(line.lstrip()) for line in present)
    entries: list[Entry] = []
    for line in present:
        two = _TWO_COLUMNS.match(line)
        if deepest > least and line.startswith(" " * deepest):
            entries[-1] = Entry(entries[-1].word, f"{entries[-1].text} {line.strip()}")
        elif two is not None:
            entries.append(Entry(two[1], two[2]))
        elif deepest > least and len(line) > deepest:
            entries.append(Entry(line[:deepest].strip(), line[deepest:].strip()))
        else:
            return Section(title, lines=tuple(present), is_inner=is_inner)
    return Section(title, tuple(entries), is_inner=is_inner)
