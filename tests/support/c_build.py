"""Compiles the engine in a copy of the tree, one source at a time, as `mutation` changes them."""

import hashlib
import re
import subprocess
import sysconfig
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import Any, Final

from cffi import FFI

from sphinx.native import build as build_of_the_package
from sphinx.native.base_table import header

NATIVE: Final = "sphinx/native"
STACK_TEST: Final = "tests/sphinx/stack_left.c"
OBJECTS: Final = "objects"
FLAGS: Final = ("-O1", "-fPIC", "-w", "-DKP_MUTANT")
SECONDS: Final = 60

_INCLUDED: Final = re.compile(r'^#include "([^"]+)"', re.MULTILINE)


def build(tree: Path) -> bool:
    """Compile what has changed in `tree` and link it; whether that could be done."""
    objects = _objects(tree)
    return objects is not None and _run("cc", "-shared", "-o", tree / NATIVE / "_engine.abi3.so", *objects)


def is_stack_clean(tree: Path) -> bool:
    """Whether calls leave nothing on the stack, see stack_left.c."""
    objects = _objects(tree)
    test = _compiled(tree, tree / STACK_TEST)
    program = tree / OBJECTS / "stack_left"
    if objects is None or test is None or not _run("cc", "-o", program, test, *objects[1:]):
        return False
    return all(_run(program, engine) for engine in ("portable", "aes-ni"))


def _objects(tree: Path) -> list[Path] | None:
    """The object files, cffi's first; None where one could not be compiled."""
    folder = tree / OBJECTS
    folder.mkdir(exist_ok=True)
    glue = folder / "glue.c"
    if not glue.exists():
        (folder / "base_table.h").write_text(header())
        ffi = FFI()
        ffi.cdef(build_of_the_package._DECLARATIONS)
        ffi.set_source("sphinx.native._engine", '#include "sphinx.h"\n#include "sphincs.h"', py_limited_api=True)
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):  # it tells what it does
            ffi.emit_c_code(str(glue))
    objects = [_compiled(tree, source) for source in [glue, *sorted((tree / NATIVE).glob("*.c"))]]
    return None if None in objects else [one for one in objects if one is not None]


def _compiled(tree: Path, source: Path) -> Path | None:
    """The object file of a source, compiled anew where it, or what it includes, has other text."""
    digest = hashlib.sha256(_text(tree, source).encode()).hexdigest()[:32]
    made = tree / OBJECTS / f"{source.stem}-{digest}.o"
    includes = (f"-I{tree / NATIVE}", f"-I{tree / OBJECTS}", f"-I{sysconfig.get_path('include')}")
    if not made.exists() and not _run("cc", *FLAGS, "-DPy_LIMITED_API", *includes, "-c", "-o", made, source):
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
