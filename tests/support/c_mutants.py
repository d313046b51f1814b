"""Every small change of a module in C: one operator, number, call or instruction at a time; for Python see `mutants`.

Left alone are comments, declarations of the preprocessor, and the texts of diagnostics. Instructions of inline assembly
are left out one by one.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from tests.support.mutants import Mutant

OPERATORS: Final = {
    "+": "-",
    "-": "+",
    "*": "+",
    "/": "*",
    "%": "/",
    "&": "|",
    "|": "&",
    "^": "|",
    "<<": ">>",
    ">>": "<<",
    "<": "<=",
    "<=": "<",
    ">": ">=",
    ">=": ">",
    "==": "!=",
    "!=": "==",
    "&&": "||",
    "||": "&&",
    "+=": "-=",
    "-=": "+=",
    "^=": "|=",
    "|=": "&=",
    "&=": "|=",
    "<<=": ">>=",
    ">>=": "<<=",
}

_COMMENTS: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_TOKENS: Final = re.compile(
    r'(?P<text>"(?:\\.|[^"\\])*")|(?P<number>\b(?:0x[0-9a-fA-F]+|\d+)[uUlL]*\b)|(?P<word>\b[A-Za-z_]\w*\b)'
    r"|(?P<operator><<=|>>=|<<|>>|<=|>=|==|!=|&&|\|\||\+\+|--|->|[-+*/%&|^]=|[-+*/%&|^<>])|(?P<other>\S)"
)
_CALL: Final = re.compile(r"^ +(?!return|for|if|while|switch|sizeof)[\w>.-]+\([^;{}]*\);$", re.MULTILINE)
_PREPROCESSOR: Final = re.compile(r"^#.*?(?<!\\)$", re.MULTILINE | re.DOTALL)
_ASSEMBLY: Final = re.compile(r'"\w+ [^"\n]*\\n\\t"')
_DECLARATION: Final = re.compile(
    r"^(?:typedef|extern|_Static_assert)\b.*?;$|^kp_\w+ [^={}]*;$", re.MULTILINE | re.DOTALL
)
_OPERANDS: Final = ("number", "word")


class Site(NamedTuple):
    """Where a module can change: from where to where, and into what."""

    start: int
    end: int
    into: str


def sites(source: str) -> list[Site]:
    """All sites of a module, in the order of its code."""
    code = _blanked(source)
    found = [Site(match.start(), match.end(), '""') for match in _ASSEMBLY.finditer(_uncommented(source))]
    found += [Site(match.start(), match.end(), ";") for match in _CALL.finditer(code)]
    found += _tokens(code)
    return sorted(found)


def mutant(path: str, source: str, site: Site) -> Mutant:
    """The module with the change at one site."""
    line = source.count("\n", 0, site.start) + 1
    begin, end = source.rfind("\n", 0, site.start) + 1, source.find("\n", site.end)
    before = source[begin:end]
    after = source[begin : site.start] + site.into + source[site.end : end]
    what = f"{_short(before)}  ->  {_short(after)}"
    return Mutant(path, line, what, source[: site.start] + site.into + source[site.end :])


def _tokens(code: str) -> Iterator[Site]:
    """Operators between two operands, and numbers."""
    before = ""
    for match in _TOKENS.finditer(code):
        kind, text = match.lastgroup, match.group()
        is_binary = before and code[match.start() - 1 : match.end() + 1] == f" {text} "  # as it is written here
        if kind == "operator" and is_binary and text in OPERATORS:
            yield Site(match.start(), match.end(), OPERATORS[text])
        if kind == "number":
            digits = text.rstrip("uUlL")
            yield Site(match.start(), match.start() + len(digits), hex(int(digits, 0) + 1))
        is_operand = kind in _OPERANDS or text in (")", "]")
        before = text if is_operand and text not in ("return", "case", "sizeof") else ""


def _uncommented(source: str) -> str:
    return _COMMENTS.sub(_spaces, source)


def _blanked(source: str) -> str:
    """The code with blanks where nothing is changed, of the same length."""
    code = _uncommented(source)
    for left_alone in (_PREPROCESSOR, _DECLARATION):
        code = left_alone.sub(_spaces, code)
    return re.sub(r'"(?:\\.|[^"\\])*"', lambda match: '"' + " " * (len(match.group()) - 2) + '"', code)


def _spaces(match: re.Match[str]) -> str:
    return re.sub(r"[^\n]", " ", match.group())


def _short(code: str) -> str:
    return " ".join(code.split())[:90]
