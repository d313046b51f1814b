"""Fuzzes a target under coverage guidance: `python -m tests.fuzz TARGET [libFuzzer's options]`; `all` is each in turn.

Needs atheris (`make fuzz` installs it). Findings and new inputs go to build/fuzz/TARGET; what is worth keeping is
copied from there into tests/fuzz/corpus/TARGET.
"""

import importlib
import subprocess
import sys
from pathlib import Path

FOUND = Path("build") / "fuzz"
LONGEST_INPUT = 40_000


def fuzz(name: str, options: list[str]) -> None:
    try:
        atheris = importlib.import_module("atheris")
    except ImportError as error:
        sys.exit(f"{error}: `make fuzz` installs it")
    with atheris.instrument_imports(include=["sphinx", "pki", "kpclientd", "aioquic"]):
        from tests.fuzz.targets import CORPUS, TARGETS
    if name not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz TARGET [OPTION...]\ntargets: all, {', '.join(TARGETS)}")
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    limits = [f"-max_len={LONGEST_INPUT}", f"-artifact_prefix={found}/crash-"]
    atheris.Setup([sys.argv[0], *limits, *options, str(found), str(CORPUS / name)], TARGETS[name])
    atheris.Fuzz()


def fuzz_all(options: list[str]) -> int:
    """Each target in a process of its own; returns how many found something."""
    from tests.fuzz.targets import TARGETS

    failed = 0
    for name in TARGETS:
        print(f"== {name}", flush=True)
        result = subprocess.run([sys.executable, "-m", "tests.fuzz", name, *options], capture_output=True, text=True)
        print((result.stderr if result.returncode else result.stderr.splitlines()[-1]), flush=True)
        failed += result.returncode != 0
    return failed


if __name__ == "__main__":
    wanted, *arguments = sys.argv[1:] or [""]
    if wanted == "all":
        sys.exit(fuzz_all(arguments))
    fuzz(wanted, arguments)
