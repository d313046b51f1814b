"""Writes the language of manual pages (groff_man(7)); the text of others is taken literally."""

from collections.abc import Iterable, Iterator
from typing import Final

_ESCAPES: Final = str.maketrans({"\\": "\\e", "-": "\\-", "'": "\\(aq", "`": "\\(ga", "^": "\\(ha", "~": "\\(ti"})


def literal(text: str) -> str:
    """A text as roff shows it, wherever in a line it stands."""
    escaped = text.translate(_ESCAPES)
    return f"\\&{escaped}" if escaped.startswith((".", "\\(aq")) else escaped


def quoted(text: str) -> str:
    """A text as one argument of a macro."""
    return '"' + literal(text).replace('"', "\\(dq") + '"'


def bold(text: str) -> str:
    """A line in bold."""
    return f".B {quoted(text)}"


def header(name: str, section: int, source: str, manual: str) -> str:
    """The first line of a page."""
    return f'.TH {quoted(name.upper())} {section} "" {quoted(source)} {quoted(manual)}'


def heading(title: str, *, is_inner: bool = False) -> str:
    """A heading of a section, or of one in it."""
    return f".SS {quoted(title)}" if is_inner else f".SH {quoted(title.upper())}"


def paragraph(text: str) -> Iterator[str]:
    """A paragraph, if there is a text."""
    if text:
        yield ".PP"
        yield literal(text)


def entry(word: str, text: str) -> Iterator[str]:
    """A word, and what is said of it below."""
    yield ".TP"
    yield bold(word)
    yield literal(text) if text else "\\&"


def unfilled(lines: Iterable[str]) -> Iterator[str]:
    """Lines that stay lines."""
    yield ".nf"
    yield from (literal(line) for line in lines)
    yield ".fi"
