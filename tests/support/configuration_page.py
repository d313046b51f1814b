"""Writes what is generated from the declaration of the configuration: docs/configuration.md and configs/*.toml."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kpclientd.config.client_file import ClientFile
from kpclientd.config.declared import Declared, Table, declared_keys
from kpclientd.config.dial import DialFile
from kpclientd.config.examples import NAMES, example
from kpclientd.config.toml import toml_value
from pki.epoch import PERIOD_KEY, PERIOD_VARIABLE
from sphinx.native.engines import ENGINE_VARIABLE

ROOT: Final = Path(__file__).resolve().parents[2]
COMMAND: Final = "make docs"

_INTRODUCTION: Final = f"""# Configuration

`{COMMAND}` writes this file from `kpclientd/config/client_file.py`, and the examples in `configs` as well:
{", ".join(f"[{name}](../configs/{name}.toml)" for name in NAMES)}.

The daemon reads the reference's `client.toml` unchanged. Keys are matched in any case of letters, values have exactly
the type given. At start a key that nobody knows is only warned of, unless it may have been meant for a proxy;
`kpclientd config check` and `--validate-only` refuse it, and name the nearest key.

    kpclientd config init --network {"|".join(NAMES)} client.toml    # an example with every key explained
    kpclientd config init --from THEIRS.toml client.toml             # with schemes, keys and addresses from THEIRS.toml
    kpclientd config check client.toml                               # all that is wrong with it
    kpclientd config show client.toml                                # the values in effect; secrets are hidden; --json

| exit status | `kpclientd config` | `kpclientd --config`, `--validate-only` |
| --- | --- | --- |
| 0 | the file is good, or is written | the file is valid; the daemon was stopped by SIGTERM or SIGINT |
| 1 | something is wrong with the file, or it cannot be written | any error, wrong usage included |
| 2 | wrong usage | |
| 78 | | the daemon does not start, as something is wrong with the file ([service.md](service.md)) |

On SIGHUP the daemon opens its log anew, as after a rotation, and reads its file again. Keys marked *SIGHUP* take effect
at once; of all others it says that they wait for a restart. A file with a fault changes nothing, and the fault is
logged. Limits that become lower hold from the next message, frame or connection on, a new grace period for sessions
that are left from then on.

*Ours* are keys that the reference does not have; its daemon ignores them.

| environment variable | meaning |
| --- | --- |
| `{PERIOD_VARIABLE}` | the epoch period, a duration such as `20m`, where the file has no `{PERIOD_KEY}`; deprecated |
| `{ENGINE_VARIABLE}` | which engine makes packets; `kpclientd --version` tells which one does |

## client.toml
"""

_THIN: Final = """## thinclient.toml

What applications read, and `kpclientd ping`. Any other key is refused.
"""

_ALL_TYPES: Final = {str: "string", bool: "boolean", int: "integer", tuple: "array", dict: "table", object: "anything"}


def page() -> str:
    """Return docs/configuration.md."""
    return "\n".join([_INTRODUCTION, *_tables(ClientFile, ""), _THIN, *_tables(DialFile, "")])


def files() -> dict[Path, str]:
    """All generated files and what is to be in them."""
    examples = {ROOT / "configs" / f"{name}.toml": example(name) for name in NAMES}
    return {ROOT / "docs" / "configuration.md": page(), **examples}


def _tables(table: type[Table], name: str) -> Iterator[str]:
    keys = declared_keys(table)
    plain = [declared for declared in keys if declared.table is None]
    if plain:
        yield "| key | type | default | meaning | example |"
        yield "| --- | --- | --- | --- | --- |"
        yield from (_row(declared) for declared in plain)
        yield ""
    for declared in keys:
        if declared.table is None:
            continue
        dotted = f"{name}.{declared.key}" if name else declared.key
        header = f"[[{dotted}]]" if declared.is_array else f"[{dotted}]"
        yield f"### `{header}`\n"
        yield f"{capitalised(sentence(declared))}.\n".replace("*.\n", "*\n")
        yield from _tables(declared.table, dotted)


def capitalised(text: str) -> str:
    """A text with a capital letter at its begin."""
    return text[:1].upper() + text[1:]


def _row(declared: Declared) -> str:
    about = declared.about
    if about.refusal is not None:
        return f"| `{declared.key}` | | | refused: {about.refusal[0].removeprefix('config: ')} | |"
    kinds = type_names(declared)
    default = about.default or ("" if about.required else f"`{toml_value(declared.default)}`")
    example = _example(about.example)
    cells = (f"`{declared.key}`", kinds, default or "required", sentence(declared), example)
    return f"| {' | '.join(cells)} |"


def type_names(declared: Declared) -> str:
    """What a value may be, by TOML's names."""
    return " or ".join(_ALL_TYPES[kind] for kind in declared.kinds if kind is not dict)


def sentence(declared: Declared) -> str:
    """Its meaning, unit and bounds; and in italics whose it is and when it takes effect."""
    about = declared.about
    unit = f" ({about.unit}{f', at least {declared.least}' if declared.least else ''})" if about.unit else ""
    marks = [
        name for name, holds in (("Ours", about.ours), ("SIGHUP", about.reloadable), ("Secret", about.secret)) if holds
    ]
    return about.meaning + unit + (f". *{', '.join(marks)}*" if marks else "")


def _example(value: object) -> str:
    if value is None:
        return ""
    text = toml_value(value)
    return f"`{text}`" if "\n" not in text else f"`{text.splitlines()[0]} ...`"


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content, encoding="utf-8")
        sys.stdout.write(f"{path.relative_to(ROOT)}\n")
