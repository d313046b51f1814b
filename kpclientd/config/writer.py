"""Writes tables as TOML: the values that are in effect, or an example with a comment at every key."""

from collections.abc import Iterator, Mapping
from textwrap import wrap
from typing import Any, Final

from kpclientd.config.declared import Declared, Table, declared_keys
from kpclientd.config.toml import toml_value

HIDDEN: Final = "(hidden)"
"""What is shown in place of a secret."""

_WIDTH: Final = 100
_INDENT: Final = "  "


def effective_toml(table: Table) -> str:
    """Every value of a file, whether it stands there or is the default; the defaults are marked, secrets hidden."""
    return "\n".join(_effective(table, "", "")) + "\n"


def effective_values(table: Table) -> dict[str, Any]:
    """The same as values by their keys; what is not set is None."""
    values: dict[str, Any] = {}
    for declared in _usable_keys(table):
        value = getattr(table, declared.name)
        if isinstance(value, Table):
            value = effective_values(value)
        elif declared.table is not None and declared.is_array:
            value = [effective_values(entry) for entry in value]
        values[declared.key] = _shown(declared, value)
    return values


def example_toml(introduction: str, table: type[Table], values: Mapping[str, Any]) -> str:
    """A file with `values`, by their keys; all other keys stand there as comments, with an example or the default."""
    comment = "".join(f"# {line}".rstrip() + "\n" for line in introduction.splitlines())
    return comment + "\n".join(_example(table, values, "", "")) + "\n"


def notes_on(declared: Declared) -> list[str]:
    """What is to be said of a key beside its meaning: unit, default, bounds, and whose it is."""
    about = declared.about
    default = about.default or (toml_value(declared.default) if declared.default and declared.table is None else "")
    least = f"at least {declared.least}" if declared.least else ""
    return [
        note
        for note in (
            about.unit,
            "required" if about.required else "",
            least,
            f"default: {default}" if default else "",
            "SIGHUP reloads it" if about.reloadable else "",
            "not in the reference" if about.ours else "",
        )
        if note
    ]


def _usable_keys(table: Table | type[Table]) -> Iterator[Declared]:
    """The keys that may be set: values first, then tables, as TOML wants them."""
    kind = table if isinstance(table, type) else type(table)
    keys = [declared for declared in declared_keys(kind) if declared.about.refusal is None]
    return iter(sorted(keys, key=lambda declared: declared.table is not None))


def _shown(declared: Declared, value: object) -> object:
    return HIDDEN if declared.about.secret and value else value


def _effective(table: Table, name: str, indent: str) -> Iterator[str]:
    for declared in _usable_keys(table):
        value = getattr(table, declared.name)
        dotted = f"{name}.{declared.key}" if name else declared.key
        if declared.table is None:
            yield indent + _effective_line(declared, value)
        elif declared.is_array:
            for entry in value:
                yield f"{indent}[[{dotted}]]"
                yield from _effective(entry, dotted, indent + _INDENT)
        elif value is not None:
            yield f"\n{indent}[{dotted}]" if not name else f"{indent}[{dotted}]"
            yield from _effective(value, dotted, indent + _INDENT)


def _effective_line(declared: Declared, value: object) -> str:
    if value is None:
        return f"# {declared.key} is not set; {declared.about.default}"
    if declared.about.secret and value:
        return f"{declared.key} = {toml_value(HIDDEN)}  # a secret"
    comment = "  # default" if value == declared.default else ""
    return f"{declared.key} = {toml_value(value)}{comment}"


def _example(table: type[Table], values: Mapping[str, Any], name: str, comment: str) -> Iterator[str]:
    for declared in _usable_keys(table):
        key = declared.key
        dotted = f"{name}.{key}" if name else key
        is_set = key in values
        yield ""
        yield from _explained(declared)
        if declared.table is None:
            value = values[key] if is_set else _example_value(declared)
            yield f"{comment if is_set else '#'}{key} = {toml_value(value)}"
        elif declared.is_array:
            for number, entry in enumerate(values.get(key, [{}])):
                if number:
                    yield ""
                yield f"{comment if is_set else '#'}[[{dotted}]]"
                yield from _example_entry(declared.table, entry, number)
        else:
            yield f"{comment if is_set else '#'}[{dotted}]"
            yield from _example(declared.table, values.get(key, {}), dotted, comment if is_set else "#")


def _example_entry(table: type[Table], values: Mapping[str, Any], number: int) -> Iterator[str]:
    """One table of an array; its keys are explained in the first one."""
    for declared in _usable_keys(table):
        if not number:
            yield from _explained(declared)
        is_set = declared.key in values
        yield f"{'' if is_set else '#'}{declared.key} = {toml_value(values.get(declared.key, ''))}"


def _example_value(declared: Declared) -> object:
    return declared.about.example if declared.about.example is not None else declared.default


def _explained(declared: Declared) -> Iterator[str]:
    notes = notes_on(declared)
    text = declared.about.meaning + (f" ({'; '.join(notes)})" if notes else "")
    yield from (f"# {line}" for line in wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False))
