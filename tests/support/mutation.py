"""Changes the code and expects the tests to notice: `python -m tests.support.mutation [--sample N] [--seed S]`.

A sample of all mutants of `sphinx` is tested, each in a process of its own in a copy of the tree, until the first test
fails. The score is the share of mutants that were noticed; the others are printed, to be judged: some change nothing.
Those of modules in C are compiled first, and those that no compiler takes do not count.
"""

import argparse
import importlib
import itertools
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from multiprocessing import get_context
from pathlib import Path

from tests.sphinx.test_differential import AT_ONCE, CASES
from tests.support import c_build, c_mutants
from tests.support.mutants import Mutant, Site, mutant, sites

AnySite = Site | c_mutants.Site

TOP = Path(__file__).parents[2]
COPIED = ("sphinx", "pki", "kpclientd", "arq", "tests", "docs", "benchmarks", "configs")
MUTATED = "sphinx"
OMITTED = ("native/build.py", "native/cpu.c", "native/fiat_curve25519_64.h", "native/fiat_curve25519_solinas.h")
"""What runs when the package is built; what finds other things on another machine; and what was proved."""

SUITE = ("tests/sphinx", "tests/wire/test_kems.py", "tests/wire/test_blake2xb.py", "tests/fuzz")
LEFT_OUT = ("tests/sphinx/test_timing_statistics.py",)
LATE = ("test_aez.py", "test_differential.py")
"""Run last, since they take long; and of the engines' many cases only the first ones are."""
BROAD = ("test_packet_vectors.py", "test_packet_rejects.py", "test_kems.py", "test_geometry.py")
"""Run early, since they notice most."""

MANY_CASES = "tests/sphinx/test_differential.py::test_all_engines_agree_on_random_packets_replies_and_corruptions"

C_SUITE = (
    "test_native_*.py",
    "test_wycheproof.py",
    "test_key_tables.py",
    "test_aez.py",
    "test_packet_*.py",
    "test_differential.py",
)
"""Of `tests/sphinx`: what runs code in C."""

SAMPLE = 200
AT_A_TIME = 20
WANTED_SCORE = 0.8
SECONDS = 150
MEMORY = 3 << 30
LOADED_ONCE = ("pytest", "hypothesis.strategies", "cryptography.hazmat.primitives.asymmetric.mlkem", "nacl.bindings")
"""By the process that forks one for each mutant."""

UNCHANGED = f"{MUTATED}/__init__.py"
PASSED, FAILED, BROKEN = 0, (1, 2, 3, 4), 70
"""What pytest ends with: tests failed, could not be imported, broke pytest itself, or could not even be set up."""

HYPOTHESIS_PLUGIN = "_hypothesis_pytestplugin"
_MOMENTS = itertools.count(1_000_000_000)

NOTICED, UNNOTICED, IMPOSSIBLE = "noticed", "not noticed", "not compiled"


def modules() -> Iterator[Path]:
    for path in sorted(found for kind in ("*.py", "*.c", "*.h") for found in (TOP / MUTATED).rglob(kind)):
        name = path.relative_to(TOP / MUTATED).as_posix()
        if name not in OMITTED:
            yield path


def every_site(only: str) -> list[tuple[str, AnySite]]:
    """Path and site of every possible change."""
    found: list[tuple[str, AnySite]] = []
    for path in modules():
        name = path.relative_to(TOP).as_posix()
        if only in name:
            source = path.read_text()
            found.extend((name, site) for site in (sites if is_python(name) else c_mutants.sites)(source))
    return found


def is_python(path: str) -> bool:
    return path.endswith(".py")


def mutant_at(path: str, site: AnySite) -> Mutant:
    source = (TOP / path).read_text()
    return c_mutants.mutant(path, source, site) if isinstance(site, c_mutants.Site) else mutant(path, source, site)


def test_files(path: str) -> tuple[list[str], list[str]]:
    """The suite's files for a module: those that notice most or are named after it, then all others."""
    if not is_python(path):
        names = sorted({file for name in C_SUITE for file in (TOP / "tests/sphinx").glob(name)})
        return [file.relative_to(TOP).as_posix() for file in names if file.name not in LATE], [
            file.relative_to(TOP).as_posix() for file in names if file.name in LATE
        ]
    words = set(Path(path).stem.split("_"))
    found = [
        file for name in SUITE for file in ([TOP / name] if name.endswith(".py") else (TOP / name).glob("test_*.py"))
    ]
    first: list[str] = []
    others: list[str] = []
    for file in sorted(found, key=lambda file: (file.name in LATE, file.name)):
        name = file.relative_to(TOP).as_posix()
        if name not in LEFT_OUT:
            named_alike = file.name not in LATE and words & set(file.stem.split("_"))
            (first if named_alike or file.name in BROAD else others).append(name)
    return first, others


def copied_tree() -> Path:
    copy = Path(tempfile.mkdtemp(prefix="kpclientd-mutation-"))
    for name in COPIED:
        shutil.copytree(TOP / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    (copy / "pytest.ini").write_text("[pytest]\npythonpath = .\nfilterwarnings = error\n")
    return copy


def verdict_on(tree: Path, changed: Mutant) -> str:
    """Whether a test fails in `tree` with the mutant in its module's place, if it can be compiled.

    Raises:
        RuntimeError: if the tests could not be run at all.
    """
    module = tree / changed.path
    original = module.read_text()
    _write(module, changed.source)
    if is_python(changed.path):
        noticed = _is_noticed(tree, changed)
        _write(module, original)
        return NOTICED if noticed else UNNOTICED
    try:
        objects = c_build.build(tree)
        if objects is None:
            return IMPOSSIBLE
        return NOTICED if not c_build.is_stack_clean(tree, objects) or _is_noticed(tree, changed) else UNNOTICED
    finally:
        _write(module, original)


def _is_noticed(tree: Path, changed: Mutant) -> bool:
    child = os.fork()
    if child == 0:
        try:
            _test(tree, changed.path)
        finally:
            os._exit(BROKEN)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):  # no end, or too much memory
        return True
    code = os.WEXITSTATUS(status)
    if code not in (PASSED, *FAILED):
        raise RuntimeError(f"pytest ended with status {code} on {changed.path}:{changed.line}: {changed.what}")
    return code != PASSED


def _write(module: Path, source: str) -> None:
    """Write a source with a time of its own, so that nobody takes the bytecode of another."""
    module.write_text(source)
    moment = next(_MOMENTS)
    os.utime(module, (moment, moment))


def _test(tree: Path, path: str) -> None:
    os.chdir(tree)
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.alarm(SECONDS)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)
    sys.path[:] = [str(tree), *(entry for entry in sys.path if entry not in ("", str(TOP)))]
    for name in [name for name in sys.modules if name.split(".")[0] in COPIED]:
        del sys.modules[name]
    os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # others take more time than many a test
    pytest = importlib.import_module("pytest")
    arguments = ["-x", "-q", "--import-mode=importlib", "-p", "no:cacheprovider"]
    arguments += ["-p", HYPOTHESIS_PLUGIN, "--hypothesis-seed=1"]
    arguments += [f"--deselect={MANY_CASES}[{start}]" for start in range(AT_ONCE, CASES, AT_ONCE)]
    for files in test_files(path):
        code = int(pytest.main([*arguments, *files]))
        if code != PASSED:
            break
    os._exit(code)


def work(batch: Sequence[Mutant]) -> list[tuple[Mutant, str, float]]:
    """Test some mutants in a tree of their own."""
    for name in LOADED_ONCE:
        importlib.import_module(name)
    tree = copied_tree()
    results = []
    try:
        for changed in batch:
            began = time.monotonic()
            results.append((changed, verdict_on(tree, changed), time.monotonic() - began))
    finally:
        shutil.rmtree(tree)
    return results


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.support.mutation", description="do the tests notice?")
    parser.add_argument("--sample", type=int, default=SAMPLE, help="how many mutants; 0 for all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a part of the paths of modules to change")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    options = parser.parse_args()
    found = every_site(options.only)
    chosen = random.Random(options.seed).sample(found, min(len(found), options.sample or len(found)))
    sample = [mutant_at(path, site) for path, site in chosen]
    print(f"{len(sample)} of {len(found)} mutants, seed {options.seed}", flush=True)
    began = time.monotonic()
    batches = [sample[at : at + AT_A_TIME] for at in range(0, len(sample), AT_A_TIME)]
    verdicts: Counter[str] = Counter()
    unchanged = Mutant(UNCHANGED, 0, "nothing", (TOP / UNCHANGED).read_text())
    with get_context("spawn").Pool(options.processes) as pool:
        if pool.apply(work, ([unchanged],))[0][1] == NOTICED:
            print("the tests fail without any change", file=sys.stderr)
            return 2
        for results in pool.imap_unordered(work, batches):
            for changed, verdict, seconds in results:
                verdicts[verdict] += 1
                if verdict == UNNOTICED:
                    print(f"{changed.path}:{changed.line}: {changed.what}  ({seconds:.0f} s)", flush=True)
    possible = len(sample) - verdicts[IMPOSSIBLE]
    score = verdicts[NOTICED] / max(1, possible)
    print(f"{verdicts[NOTICED]} of {possible} noticed: {100 * score:.1f} %, {time.monotonic() - began:.0f} s")
    return 0 if score >= WANTED_SCORE else 1


if __name__ == "__main__":
    sys.exit(main())
