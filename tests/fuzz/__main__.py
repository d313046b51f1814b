"""Fuzzes one target under coverage guidance: `python -m tests.fuzz TARGET [libFuzzer's options]`.

Needs atheris (`make fuzz` installs it). Findings and new inputs go to build/fuzz/TARGET; what is worth keeping is
copied from there into tests/fuzz/corpus/TARGET.
"""

import importlib
import sys
from pathlib import Path

FOUND = Path("build") / "fuzz"


def main() -> None:
    try:
        atheris = importlib.import_module("atheris")
    except ImportError as error:
        sys.exit(f"{error}: `make fuzz` installs it")
    with atheris.instrument_imports(include=["sphinx", "pki", "kpclientd"]):
        from tests.fuzz.targets import CORPUS, TARGETS
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz TARGET [OPTION...]\ntargets: {', '.join(TARGETS)}")
    name = sys.argv.pop(1)
    found = FOUND / name
    found.mkdir(parents=True, exist_ok=True)
    arguments = [sys.argv[0], *sys.argv[1:], f"-artifact_prefix={found}/crash-", str(found), str(CORPUS / name)]
    atheris.Setup(arguments, TARGETS[name])
    atheris.Fuzz()


if __name__ == "__main__":
    main()
