"""Whether the top-level packages that would be imported are ours: other projects have some of the same names.

`pip install sphinx` beside this one writes over our files, or hides them, and what breaks then breaks far from its
cause. Nothing is imported here, and nothing executed: three files are looked at.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

PACKAGES: Final = ("sphinx", "pki", "arq")
"""Our layers below `kpclientd`, which stand beside it."""

MARK: Final = b"# Part of kpclientd.\n"
"""The first line of each one's `__init__.py`."""

_HOME: Final = Path(__file__).parent.parent


def foreign_package() -> str | None:
    """What is wrong, and what to do, if one of the packages is another project's; None if all are ours."""
    for name in PACKAGES:
        spec = find_spec(name)
        if spec is None:
            found = "is missing"
        elif not _is_ours(name, spec.origin):
            at = spec.origin or ", ".join(spec.submodule_search_locations or ())
            found = f"is another project's ({at})"
        else:
            continue
        return (
            f"the Python package '{name}' {found}: install kpclientd again, in an environment of its own "
            "(python3 -m venv, or pipx install)"
        )
    return None


def _is_ours(name: str, origin: str | None) -> bool:
    if origin is None or Path(origin).parent != _HOME / name:
        return False
    try:
        with Path(origin).open("rb") as file:
            return file.read(len(MARK)) == MARK
    except OSError:
        return False
