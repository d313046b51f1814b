"""Every small change of a module's code: one operator, comparison, condition, constant or statement at a time.

Left alone is what says nothing about behaviour: docstrings, annotations, the texts of errors, decorators, and what runs
only as a script.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

OPERATORS: Final[dict[type[ast.operator], type[ast.operator]]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.Pow: ast.Mult,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
}
COMPARISONS: Final[dict[type[ast.cmpop], type[ast.cmpop]]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
UNTOUCHED_CALLS: Final = {"TypeVar", "NewType", "field", "getLogger", "warning"}
UNTOUCHED_NAMES: Final = {"__all__", "__slots__", "_USAGE"}
SCRIPT_FUNCTIONS: Final = {"main"}

Edit = Callable[[ast.AST], ast.AST]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One changed module.

    Attributes:
        path: of the module, from the repository's top.
        line: where the change is.
        what: the code before and after.
        source: the whole module with the change.
    """

    path: str
    line: int
    what: str
    source: str


Site = tuple[int, int]
"""Where a module can change: the number of a place, and which of its edits."""


def sites(source: str) -> list[Site]:
    """All sites of a module, in the order of its code."""
    places = _places(ast.parse(source))
    return [(number, edit) for number, node in enumerate(places) for edit, _ in enumerate(_edits(node))]


def mutant(path: str, source: str, site: Site) -> Mutant:
    """The module with the change at one site."""
    tree: ast.AST = ast.parse(source)
    number, edit_number = site
    node = list(_places(tree))[number]
    edit = list(_edits(node))[edit_number]
    line, before = getattr(node, "lineno", 0), ast.unparse(node)
    replacement = edit(node)
    what = f"{_short(before)}  ->  {_short(ast.unparse(replacement))}"
    if replacement is not node:
        tree = _Replacing(node, replacement).visit(tree)
    return Mutant(path, line, what, ast.unparse(ast.fix_missing_locations(tree)))


def _short(code: str) -> str:
    return " ".join(code.split())[:60]


def _places(node: ast.AST) -> Iterator[ast.AST]:
    """The nodes that may change, in a fixed order."""
    for child in _children(node):
        yield child
        yield from _places(child)


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_comment", "bases"):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not _is_untouched(child):
                yield child


def _is_untouched(node: ast.AST) -> bool:
    match node:
        case ast.Raise() | ast.JoinedStr() | ast.Import() | ast.ImportFrom() | ast.arg():
            return True
        case ast.Expr(value=ast.Constant()):
            return True
        case ast.Call(func=ast.Name(id=name) | ast.Attribute(attr=name)) if name in UNTOUCHED_CALLS:
            return True
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name)) if (
            name in UNTOUCHED_NAMES
        ):
            return True
        case ast.keyword(arg="strict"):  # a promise about lengths, which holds
            return True
        case ast.AnnAssign(annotation=ast.Name(id="TypeAlias")):
            return True
        case ast.FunctionDef(name=name) if name in SCRIPT_FUNCTIONS:
            return True
        case ast.If(test=ast.Compare(left=ast.Name(id="__name__"))):
            return True
    return False


def _edits(node: ast.AST) -> Iterator[Edit]:
    match node:
        case ast.BinOp(op=operator) if type(operator) in OPERATORS:
            yield lambda found: _with(found, op=OPERATORS[type(operator)]())
        case ast.AugAssign(op=operator):
            yield lambda found: _with(found, op=OPERATORS[type(operator)]())
            yield lambda found: ast.Pass()
        case ast.Compare(ops=operators):
            for place in range(len(operators)):
                yield _other_comparison(place)
        case ast.BoolOp(op=junction):
            yield lambda found: _with(found, op=ast.Or() if isinstance(junction, ast.And) else ast.And())
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield lambda found: operand
        case ast.If() | ast.While() | ast.IfExp():
            yield _negated
        case ast.Expr(value=ast.Call() | ast.Yield() | ast.YieldFrom()):
            yield lambda found: ast.Pass()
        case ast.Constant(value=bool() as value):
            yield lambda found: ast.Constant(value=not value)
        case ast.Constant(value=int() as number):
            yield lambda found: ast.Constant(value=number + 1)
        case ast.Constant(value=bytes() as octets) if octets:
            yield lambda found: ast.Constant(value=bytes([octets[0] ^ 1]) + octets[1:])
        case ast.Return(value=ast.AST()):
            yield lambda found: ast.Return(value=ast.Constant(value=None))


def _with(node: ast.AST, **fields: ast.AST) -> ast.AST:
    for name, value in fields.items():
        setattr(node, name, value)
    return node


def _other_comparison(place: int) -> Edit:
    def edit(found: ast.AST) -> ast.AST:
        assert isinstance(found, ast.Compare)
        found.ops[place] = COMPARISONS[type(found.ops[place])]()
        return found

    return edit


def _negated(found: ast.AST) -> ast.AST:
    assert isinstance(found, ast.If | ast.While | ast.IfExp)
    found.test = ast.UnaryOp(op=ast.Not(), operand=found.test)
    return found


class _Replacing(ast.NodeTransformer):
    def __init__(self, old: ast.AST, new: ast.AST) -> None:
        self._old = old
        self._new = new

    def visit(self, node: ast.AST) -> ast.AST:
        return self._new if node is self._old else self.generic_visit(node)
