"""Compiles the engine in a copy of the tree, one source at a time, as `mutation` changes them."""

import hashlib
import re
import subprocess
import sysconfig
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

from sphinx.native.build import write_generated

MODULE: Final = "sphinx.native._engine"
NATIVE: Final = "sphinx/native"
STACK_TEST: Final = "tests/sphinx/stack_left.c"
OBJECTS: Final = "objects"
FLAGS: Final = ("-O1", "-fPIC", "-w", "-DPy_LIMITED_API")
SECONDS: Final = 60

_INCLUDED: Final = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def build(tree: Path) -> list[Path] | None:
    """Compile what has changed in `tree` and link it: its object files, cffi's first; None if that is impossible."""
    folder = tree / OBJECTS
    glue = folder / f"{MODULE}.c"
    if not glue.exists():
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # cffi tells what it does
            write_generated(folder, MODULE)
    objects: list[Path] = []
    for source in [glue, *sorted((tree / NATIVE).glob("*.c"))]:
        made = _compiled(tree, source)
        if made is None:
            return None
        objects.append(made)
    return objects if _run("cc", "-shared", "-o", tree / NATIVE / "_engine.abi3.so", *objects) else None


def is_stack_clean(tree: Path, objects: Sequence[Path]) -> bool:
    """Whether calls leave nothing on the stack, see stack_left.c; of object files as `build` returns them."""
    test = _compiled(tree, tree / STACK_TEST)
    program = tree / OBJECTS / "stack_left"
    if test is None or not _run("cc", "-o", program, test, *objects[1:]):
        return False
    return all(_run(program, engine) for engine in ("portable", "aes-ni"))


def _compiled(tree: Path, source: Path) -> Path | None:
    """The object file of a source, compiled anew where it, or what it includes, has other text."""
    digest = hashlib.sha256(_text(tree, source).encode()).hexdigest()[:32]
    made = tree / OBJECTS / f"{source.stem}-{digest}.o"
    includes = (f"-I{tree / NATIVE}", f"-I{tree / OBJECTS}", f"-I{sysconfig.get_path('include')}")
    if not made.exists() and not _run("cc", *FLAGS, *includes, "-c", "-o", made, source):
        return None
    return made


def _text(tree: Path, source: Path, seen: frozenset[str] = frozenset()) -> str:
    """A source with all that it includes of its own folder."""
    text = source.read_text()
    for name in _INCLUDED.findall(text):
        if name not in seen and (tree / NATIVE / name).exists():
            seen |= {name}
            text += _text(tree, tree / NATIVE / name, seen)
    return text


def _run(*command: Any) -> bool:
    try:
        done = subprocess.run([*map(str, command)], capture_output=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return False
    return done.returncode == 0
