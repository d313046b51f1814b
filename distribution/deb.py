"""Builds a Debian package: an environment of its own under /usr/lib/kpclientd, with everything in it.

`python -m distribution.deb dist`: to be run on the release that it is for, whose own Python the package uses. No
debhelper, which would want a source package of each dependency; nothing is fetched when the package is installed.

The environment holds modules compiled for one minor version of Python, hence `python3 (>= 3.x~), python3 (<< 3.x+1)`:
a newer release of Debian asks for a package that was built there, instead of breaking this one.
"""

import argparse
import gzip
import os
import re
import shutil
import subprocess
import sys
from email.utils import formatdate
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parents[1]
SCRIPTS: Final = ROOT / "distribution" / "debian"
LOCKS: Final = ROOT / "configs" / "locks"
SYSTEMD: Final = ROOT / "configs" / "systemd"
DBUS: Final = ROOT / "configs" / "dbus"

PYTHON: Final = "/usr/bin/python3"
HOME: Final = Path("usr/lib/kpclientd")
PROGRAMS: Final = {"kpclientd": "main", "loopix-client": "loopix_client"}

_LAUNCHER: Final = """#!/{home}/bin/python3 -I
import sys
from kpclientd.cli import {function}
sys.exit({function}())
"""
_USER_PROGRAM: Final = "%h/.local/bin/kpclientd"
_DATA: Final = {
    "share/man": "usr/share/man",
    "share/bash-completion": "usr/share/bash-completion",
    "share/zsh/site-functions": "usr/share/zsh/vendor-completions",
    "share/fish": "usr/share/fish",
}
"""Where a wheel's data go on Debian."""

_DOCUMENTS: Final = ("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "docs", "configs/service.toml")
_MAINTAINER: Final = "The kpclientd developers <kpclientd@localhost>"
_BUILT_ONLY: Final = ("setuptools",)


class DebError(Exception):
    """The package cannot be built; the text says why, and what to do."""


def main() -> int:
    """Build the package; returns the exit status."""
    parser = argparse.ArgumentParser(description="Build a Debian package from the wheels.")
    parser.add_argument("directory", type=Path, metavar="DIR", help="has the wheels, and gets the package")
    directory: Path = parser.parse_args().directory.resolve()
    try:
        print(build(directory, ROOT / "build" / "deb"))
    except DebError as error:
        print(f"no Debian package: {error}", file=sys.stderr)
        return 1
    return 0


def build(wheels: Path, scratch: Path) -> Path:
    """Build the package and return where it is.

    Args:
        wheels: folder with the wheels, this one's, highctidh's and hpqc's; gets the package.
        scratch: folder for what is unpacked; what it held before is lost.

    Raises:
        DebError: something that is needed is missing.
    """
    shutil.rmtree(scratch, ignore_errors=True)
    stage = scratch / "root"
    stage.mkdir(parents=True)
    minor = int(_run(PYTHON, "-I", "-c", "import sys; print(sys.version_info.minor)"))
    _install(stage, wheels, minor)
    _place_data(stage)
    _place_units(stage)
    version = _run(
        stage / HOME / "bin" / "python3", "-I", "-c", "from kpclientd.version import release; print(release())"
    )
    _place_documents(stage, version.strip())
    _compile(stage)
    return _pack(stage, wheels, version.strip(), minor)


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    try:
        ended = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise DebError(f"there is no {command[0]} here; on Debian: apt-get install dpkg-dev python3-venv") from None
    if ended.returncode:
        raise DebError(f"{' '.join(map(str, command))}:\n{ended.stdout[-2000:]}{ended.stderr[-4000:]}")
    return ended.stdout


def _install(stage: Path, wheels: Path, minor: int) -> None:
    """Make the environment, with Debian's interpreter and this environment's pip."""
    home = stage / HOME
    _run(PYTHON, "-m", "venv", "--without-pip", home)
    pip = (sys.executable, "-m", "pip", "--quiet", "--python", home / "bin" / "python3")
    install = (*pip, "install", "--no-compile", "--no-warn-script-location")
    _run(*install, "--require-hashes", "--only-binary", ":all:", "--requirement", LOCKS / "run.txt")
    jeepney = stage.parent / "jeepney.txt"
    jeepney.write_text(_locked("jeepney"), encoding="utf-8")
    _run(*install, "--require-hashes", "--only-binary", ":all:", "--requirement", jeepney)
    own = list(wheels.glob(f"kpclientd-*_{os.uname().machine}.whl"))
    if len(own) != 1:
        raise DebError(f"{wheels} must have one wheel of kpclientd for {os.uname().machine}; run: make dist")
    offline = (*install, "--no-index", "--no-deps", "--find-links", wheels)
    _run(*offline, own[0])
    try:
        _run(*offline, "hpqc", "highctidh")
    except DebError as error:
        raise DebError(
            f"{wheels} has no wheels of hpqc and highctidh for Python 3.{minor}, {PYTHON}; run: "
            f"make clean dist PYTHON={PYTHON} ({error})"
        ) from error
    _run(*pip, "uninstall", "--yes", *_BUILT_ONLY)
    _run(*pip, "check")
    configuration = home / "pyvenv.cfg"
    lines = configuration.read_text(encoding="utf-8").splitlines(keepends=True)
    configuration.write_text("".join(line for line in lines if not line.startswith("command")), encoding="utf-8")
    for program in (home / "bin").iterdir():
        if not program.name.startswith("python"):
            program.unlink()
    shutil.rmtree(home / "include", ignore_errors=True)
    (stage / "usr/bin").mkdir()
    for name, function in PROGRAMS.items():
        launcher = home / "bin" / name
        launcher.write_text(_LAUNCHER.format(home=HOME, function=function), encoding="utf-8")
        launcher.chmod(0o755)
        (stage / "usr/bin" / name).symlink_to(f"../lib/kpclientd/bin/{name}")


def _locked(name: str) -> str:
    """A requirement with its hashes, of those that tests need."""
    found = re.search(rf"^{name}==(?:.*\\\n)*.*\n", (LOCKS / "test.txt").read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise DebError(f"{LOCKS / 'test.txt'} has no {name}")
    return found[0]


def _place_data(stage: Path) -> None:
    for source, target in _DATA.items():
        (stage / target).parent.mkdir(parents=True, exist_ok=True)
        shutil.move(stage / HOME / source, stage / target)
    shutil.rmtree(stage / HOME / "share")
    for page in (stage / "usr/share/man").rglob("*.[15]"):
        _compress(page)


def _place_units(stage: Path) -> None:
    places = {
        SYSTEMD / "system": "usr/lib/systemd/system",
        SYSTEMD / "user": "usr/lib/systemd/user",
        DBUS: "usr/share/dbus-1/services",
    }
    for source, target in places.items():
        if not source.is_dir():
            raise DebError(f"{source} is missing, which has the units")
        for unit in source.iterdir():
            _write(
                stage / target / unit.name,
                unit.read_text(encoding="utf-8").replace(_USER_PROGRAM, "/usr/bin/kpclientd"),
            )
    _write(stage / "usr/lib/sysusers.d/kpclientd.conf", (SYSTEMD / "kpclientd.sysusers").read_text(encoding="utf-8"))
    (stage / "etc/kpclientd").mkdir(parents=True)


def _place_documents(stage: Path, version: str) -> None:
    place = stage / "usr/share/doc/kpclientd"
    for name in _DOCUMENTS:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, place / source.name, ignore=shutil.ignore_patterns("man"))
        else:
            _write(place / source.name, source.read_text(encoding="utf-8"))
    _compress(place / "LICENSE")
    _write(place / "copyright", (SCRIPTS / "copyright").read_text(encoding="utf-8"))
    changes = (
        f"kpclientd ({version}) unstable; urgency=medium\n\n  * See CHANGELOG.md.\n\n -- {_maintainer()}  {_date()}\n"
    )
    _write(place / "changelog", changes)
    _write(stage / "usr/share/lintian/overrides/kpclientd", (SCRIPTS / "overrides").read_text(encoding="utf-8"))
    _compress(place / "changelog")


def _compile(stage: Path) -> None:
    """Make the files of byte code here: nobody can write them where the package is installed."""
    script = (
        "import compileall, py_compile, sys; sys.exit(not compileall.compile_dir(sys.argv[1], quiet=2, force=True, "
        "stripdir=sys.argv[2], prependdir='/', invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH))"
    )
    _run(PYTHON, "-I", "-c", script, stage / HOME / "lib", stage)


def _pack(stage: Path, output: Path, version: str, minor: int) -> Path:
    architecture = _run("dpkg", "--print-architecture").strip()
    depends = [f"python3 (>= 3.{minor}~)", f"python3 (<< 3.{minor + 1})", *_libraries(stage), "adduser"]
    size = sum(path.lstat().st_size for path in stage.rglob("*") if not path.is_dir()) // 1024
    fields = {
        "version": version,
        "architecture": architecture,
        "maintainer": _maintainer(),
        "size": str(size),
        "depends": ", ".join(depends),
    }
    control = (SCRIPTS / "control").read_text(encoding="utf-8")
    for name, value in fields.items():
        control = control.replace(f"@{name}@", value)
    _write(stage / "DEBIAN/control", control)
    for script in ("postinst", "prerm", "postrm"):
        _write(stage / "DEBIAN" / script, (SCRIPTS / script).read_text(encoding="utf-8"), 0o755)
    for path in stage.rglob("*"):
        if not path.is_symlink():
            is_module = stage / HOME / "lib" in path.parents  # wheels mark some as programs that are none
            path.chmod(0o755 if path.is_dir() or (path.stat().st_mode & 0o100 and not is_module) else 0o644)
    package = output / f"kpclientd_{version}_{architecture}.deb"
    _run("dpkg-deb", "--root-owner-group", "--build", stage, package)
    return package


def _libraries(stage: Path) -> list[str]:
    """What the compiled modules need of the system, with versions, as Debian's own tool tells it."""
    (stage.parent / "debian").mkdir()
    (stage.parent / "debian/control").write_text(
        "Source: kpclientd\n\nPackage: kpclientd\nArchitecture: any\n", encoding="utf-8"
    )
    modules = [path for path in stage.rglob("*.so*") if path.is_file()]
    inner = sorted({f"-l{path.parent}" for path in modules if path.parent.name.endswith(".libs")})
    told = _run(
        "dpkg-shlibdeps", "-O", "--ignore-missing-info", *inner, *(f"-e{path}" for path in modules), cwd=stage.parent
    )
    return told.strip().removeprefix("shlibs:Depends=").split(", ")


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _compress(path: Path) -> None:
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))
    path.unlink()


def _maintainer() -> str:
    name, address = os.environ.get("DEBFULLNAME"), os.environ.get("DEBEMAIL")
    return f"{name} <{address}>" if name and address else _MAINTAINER


def _date() -> str:
    return formatdate(int(os.environ.get("SOURCE_DATE_EPOCH", "0")))


if __name__ == "__main__":
    sys.exit(main())
