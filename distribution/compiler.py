"""Whether this machine can compile the packet engine, and what is missing: `python distribution/compiler.py`.

Prints nothing and ends with status 0 where it can; else prints in one line what to install. It runs before anything is
installed, by the interpreter for which the engine would be compiled, and so needs the standard library only.
"""

import os
import shlex
import subprocess
import sys
import sysconfig
from typing import Final

_HEADERS: Final = ("limits.h", "Python.h")
"""Of the C library, and of Python: compilers come without either."""

_PACKAGES: Final = "gcc libc6-dev python3-dev"


def missing() -> str | None:
    """What is missing, or None."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")
    for header in ("", *_HEADERS):
        source = f"#include <{header}>\n" if header else ""
        check = [*compiler, f"-I{sysconfig.get_path('include')}", "-fsyntax-only", "-x", "c", "-"]
        try:
            ended = subprocess.run(check, input=source, capture_output=True, text=True, check=False)
        except OSError:
            return f"there is no C compiler ({compiler[0]})"
        if ended.returncode:
            return f"{compiler[0]} does not find {header}" if header else f"{compiler[0]} does not work"
    return None


def main() -> int:
    """Say what is missing; returns the exit status."""
    fault = missing()
    if fault is None:
        return 0
    print(f"{fault}; on Debian: apt-get install {_PACKAGES}")
    return 1


if __name__ == "__main__":
    sys.exit(main())
