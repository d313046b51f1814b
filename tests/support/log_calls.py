"""Finds what the program may say in its log, by reading its sources.

A call of a logger's method counts, and so does one of a function that only passes a text on to a logger.
"""

import ast
import importlib
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpclientd.log_levels import NOTICE

ROOT: Final = Path(__file__).resolve().parents[2]

_METHODS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "exception": logging.ERROR,
    "critical": logging.CRITICAL,
}
_LEVELS: Final = {"NOTICE": NOTICE, **{logging.getLevelName(level): level for level in _METHODS.values()}}
_PLACEHOLDER: Final = re.compile(r"%[-+#0 ]*\d*(?:\.\d+)?[a-zA-Z]")
_FORMATTED: Final = re.compile(r"%(%)|" + _PLACEHOLDER.pattern)

GIVEN: Final = ("log", "self._log")
"""Loggers that a function or an object was given by another module."""

VARIABLE: Final = "…"
"""Stands for what differs from one time to the next."""

_SEVERAL: Final = re.compile(f"{VARIABLE}{{2,}}")


@dataclass(frozen=True, slots=True, order=True)
class Said:
    """One message.

    Attributes:
        logger: the logger's name.
        level: its highest level, where that differs.
        text: the message, with `…` for what differs.
        module: the file, from the root of the tree.
    """

    logger: str
    level: int
    text: str
    module: str


@dataclass(slots=True)
class _Passed:
    """A function that says what it is given: which parameter is the text, and at which levels."""

    position: int
    logger: str
    levels: frozenset[int] = field(default_factory=frozenset)


def messages(packages: tuple[str, ...], least: int = NOTICE, without: tuple[str, ...] = ()) -> list[Said]:
    """All messages of the packages at `least` and above, sorted.

    Args:
        packages: folders at the root of the tree.
        least: a level's number.
        without: modules, by their file or folder, that are left out.
    """
    found: set[Said] = set()
    for package in packages:
        for path in sorted((ROOT / package).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if "log" in (source := path.read_text(encoding="utf-8")) and not name.startswith(without):
                found.update(said for said in _Module(name, ast.parse(source)).messages() if said.level >= least)
    return sorted(found, key=lambda said: (said.logger, -said.level, said.module, said.text))


class _Module:
    def __init__(self, name: str, tree: ast.Module) -> None:
        self._name = name
        self._functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        self._inside = {id(node): function for function in self._functions for node in ast.walk(function)}
        classes = [node for node in ast.walk(tree) if isinstance(node, ast.ClassDef)]
        self._class_of = {id(node): one.name for one in classes for node in ast.walk(one)}
        self._calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
        self._loggers = dict(self._named_loggers(tree))
        self._passed = self._passing_functions()

    def messages(self) -> Iterator[Said]:
        for call in self._calls:
            if (direct := self._direct(call)) is not None:
                logger, levels, text = direct
            elif (passed := self._passing(call)) is not None:
                function, text = passed
                given = [keyword.value for keyword in call.keywords if keyword.arg == "level"]
                logger, levels = function.logger, (self._levels(given[0], call) if given else function.levels)
            else:
                continue
            if self._parameter(text, call) is None:
                for told in self._texts(text, call):
                    shown = _SEVERAL.sub(VARIABLE, told)
                    yield Said(logger, max(levels, default=logging.NOTSET), shown, self._name)

    def _named_loggers(self, tree: ast.Module) -> Iterator[tuple[tuple[str, str], str]]:
        """The loggers that have a name, a class's own by that class."""
        for node in ast.walk(tree):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and _is_get_logger(node.value):
                for target in node.targets:
                    name = ast.unparse(target)
                    yield (self._class_of.get(id(node), "") if "." in name else "", name), self._logger_name(node.value)

    def _logger_name(self, call: ast.Call) -> str:
        if not call.args:
            return "root"
        if isinstance(call.args[0], ast.Constant):
            return str(call.args[0].value)
        module = importlib.import_module(self._name.removesuffix(".py").replace("/", "."))
        return str(eval(ast.unparse(call.args[0]), vars(module)))

    def _direct(self, call: ast.Call) -> tuple[str, frozenset[int], ast.expr] | None:
        """The logger, the levels and the text of a call of a logger's method."""
        function = call.func
        if not isinstance(function, ast.Attribute) or not call.args:
            return None
        if isinstance(function.value, ast.Call) and _is_get_logger(function.value):
            logger = self._logger_name(function.value)
        else:
            name = ast.unparse(function.value)
            owner = self._class_of.get(id(call), "") if "." in name else ""
            if (owner, name) not in self._loggers and name not in GIVEN:
                return None
            logger = self._loggers.get((owner, name), "loopix" if "loopix" in self._name else "root")
        if function.attr == "log" and len(call.args) > 1:
            return logger, self._levels(call.args[0], call), self._text(call.args[1:])
        if function.attr in _METHODS:
            return logger, frozenset((_METHODS[function.attr],)), self._text(call.args)
        return None

    @staticmethod
    def _text(arguments: list[ast.expr]) -> ast.expr:
        """The format, or what is put in where the format is nothing but a place for it."""
        first, *others = arguments
        return others[0] if isinstance(first, ast.Constant) and first.value == "%s" and others else first

    def _levels(self, expression: ast.expr, call: ast.Call) -> frozenset[int]:
        names = {node.id for node in ast.walk(expression) if isinstance(node, ast.Name)}
        names |= {node.attr for node in ast.walk(expression) if isinstance(node, ast.Attribute)}
        if levels := {_LEVELS[name] for name in names if name in _LEVELS}:
            return frozenset(levels)
        function = self._inside.get(id(call))
        if function is None or not isinstance(expression, ast.Name):
            return frozenset()
        values = [value for target, value in _assignments(function) if target == expression.id]
        arguments = function.args
        for argument, default in [
            *zip(reversed(arguments.args), reversed(arguments.defaults), strict=False),
            *zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True),
        ]:
            if argument.arg == expression.id and default is not None:
                values.append(default)
        return frozenset(level for value in values for level in self._levels(value, call))

    def _passing_functions(self) -> Mapping[str, _Passed]:
        """Functions that say what they are given, directly or by another of them."""
        passing: dict[str, _Passed] = {}
        self._passed = passing
        while True:
            before = len(passing)
            for call in self._calls:
                function = self._inside.get(id(call))
                if function is None or function.name in passing:
                    continue
                direct, by_another = self._direct(call), self._passing(call)
                if direct is not None:
                    logger, levels, text = direct
                elif by_another is not None:
                    logger, levels, text = by_another[0].logger, by_another[0].levels, by_another[1]
                else:
                    continue
                if (position := self._parameter(text, call)) is not None:
                    passing[function.name] = _Passed(position, logger, levels)
            if len(passing) == before:
                return passing

    def _passing(self, call: ast.Call) -> tuple[_Passed, ast.expr] | None:
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        passed = self._passed.get(name)
        return (passed, call.args[passed.position]) if passed and len(call.args) > passed.position else None

    def _parameter(self, text: ast.expr, call: ast.Call) -> int | None:
        """Which parameter of the function around a text is, if it is one; `self` is not counted."""
        function = self._inside.get(id(call))
        if function is None or not isinstance(text, ast.Name):
            return None
        names = [argument.arg for argument in function.args.args if argument.arg not in ("self", "cls")]
        return names.index(text.id) if text.id in names else None

    def _texts(self, text: ast.expr, call: ast.Call) -> Iterator[str]:
        function = self._inside.get(id(call))
        if isinstance(text, ast.Name) and function is not None:
            values = [value for target, value in _assignments(function) if target == text.id]
            grows = any(isinstance(node, ast.AugAssign) for node in ast.walk(function))
            for value in values[:1] if grows else values:
                yield from (f"{told} {VARIABLE}" if grows else told for told in self._texts(value, call))
            if values:
                return
        if isinstance(text, ast.IfExp):
            yield from self._texts(text.body, call)
            yield from self._texts(text.orelse, call)
        else:
            known = dict(_assignments(function)) if function is not None else {}
            yield _rendered(text, known)


def _is_get_logger(call: ast.Call) -> bool:
    return ast.unparse(call.func) == "logging.getLogger"


def _assignments(function: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    for node in ast.walk(function):
        if isinstance(node, ast.Assign):
            yield from ((ast.unparse(target), node.value) for target in node.targets)


def _rendered(text: ast.expr, known: Mapping[str, ast.expr]) -> str:
    """A text as it will look; `known` are variables whose values are texts, as far as they are."""
    match text:
        case ast.Constant(value=str(value)):
            return _FORMATTED.sub(lambda found: found[1] or VARIABLE, value)
        case ast.JoinedStr(values=parts):
            return "".join(_rendered(part, known) for part in parts)
        case ast.FormattedValue(value=ast.Name(id=name)) if isinstance(known.get(name), ast.JoinedStr):
            return _rendered(known[name], {})
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _rendered(left, known) + _rendered(right, known)
    return VARIABLE
