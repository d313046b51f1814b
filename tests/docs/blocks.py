"""Fenced blocks of the documentation's pages."""

import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^\1```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True)
class Block:
    """A block: its language, and what stands in it, without the page's indentation."""

    language: str
    text: str


def blocks(page: str, *languages: str) -> list[Block]:
    """The blocks of a page in those languages, or all of them."""
    found = _FENCED.findall((DOCS / page).read_text(encoding="utf-8"))
    all_blocks = [Block(language, textwrap.dedent(text)) for _, language, text in found]
    return [block for block in all_blocks if not languages or block.language in languages]


@dataclass(frozen=True)
class Typed:
    """A command that a reader types, and the lines that it prints."""

    command: str
    printed: str


def typed(text: str) -> Iterator[Typed]:
    """What is typed in a console's block."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, printed = part.partition("\n")
        yield Typed(command, printed)


_LEFT_OUT = re.compile(r"\.\.\.")
_VARYING = (
    (r"(?:\d+ (?:d|h|min|s)\b ?)+", r"(?:\\d+ (?:d|h|min|s)\\b ?)+"),  # a time span
    (r"\d+(?:\.\d+)? (?:B|KiB|MiB)\b", r"\\d+(?:\\.\\d+)? (?:B|KiB|MiB)\\b(?:; the next one is here)?"),
    (r"\b[0-9a-f]{8}\b", r"[0-9a-f]{8}"),
    (r"\d+(?:\.\d+)?", r"\\d+(?:\\.\\d+)?"),
    (r"packets by \S+", r"packets by \\S+"),
)
_ANY_LINES = "(?s:.*?)"
_BETWEEN = r"\s*\n\s*"
_REST_OF_A_LINE = r"[^\n]*"


def pattern(printed: str) -> re.Pattern[str]:
    """What is printed, where `...` stands for anything, and any number for any other."""
    varying = re.compile("|".join(f"({expression})" for expression, _ in _VARYING))
    replacements = [replacement.replace("\\\\", "\\") for _, replacement in _VARYING]

    def line_pattern(line: str) -> str:
        parts, at = [], 0
        for found in varying.finditer(line):
            parts += [re.escape(line[at : found.start()]), replacements[(found.lastindex or 1) - 1]]
            at = found.end()
        return re.sub(r"(?:\\ )+", r"\\s+", "".join([*parts, re.escape(line[at:])]))

    lines = [
        _ANY_LINES if line == "..." else _REST_OF_A_LINE.join(map(line_pattern, _LEFT_OUT.split(line)))
        for line in printed.splitlines()
    ]
    joined = _BETWEEN.join(lines).replace(_BETWEEN + _ANY_LINES, _ANY_LINES).replace(_ANY_LINES + _BETWEEN, _ANY_LINES)
    return re.compile(joined + r"\s*")
