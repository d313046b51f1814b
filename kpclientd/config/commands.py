"""`kpclientd config`: checks, shows and writes configuration files."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from kpclientd.command_parser import CommandParser
from kpclientd.config.examples import NAMES, example
from kpclientd.config.load import Examined, examine
from kpclientd.config.model import ClientConfig
from kpclientd.config.reader import PLACEHOLDER
from kpclientd.config.writer import effective_toml, effective_values
from kpclientd.errors import ConfigError, KpclientdError
from pki.epoch import PERIOD_KEY, EpochPeriod, epoch_period, format_duration
from pki.errors import EpochError

GOOD: Final = 0
BAD: Final = 1
MISUSED: Final = 2

DEFAULT_FILE: Final = Path("client.toml")
DEFAULT_EXAMPLE: Final = "namenlos"
STANDARD_OUTPUT: Final = "-"

_FILE_MODE: Final = 0o600

_STATUSES: Final = f"""
exit status:
  {GOOD}  the file is good, or is written
  {BAD}  something is wrong with the file; standard error says what and where
  {MISUSED}  wrong usage
"""


_FILE_HELP: Final = "default: %(default)s; - is standard output"
_SOURCE_HELP: Final = "take schemes, keys and addresses from the network's own client.toml"


class FileError(KpclientdError):
    """A file cannot be written."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status: 0 if all is well, 1 if a file is not, 2 if it was misused."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return MISUSED
    run: Callable[[argparse.Namespace], int] = options.run
    try:
        return run(options)
    except KpclientdError as error:
        return _report_fault(str(error))


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd config", description="Check, show and write the daemon's configuration file.", epilog=_STATUSES
    )
    parser.set_defaults(run=None)
    verbs = parser.add_subparsers(title="commands", metavar="COMMAND")

    description = (
        "Check a file as `kpclientd --validate-only` does, keys that mean nothing included, and tell all that is\n"
        "wrong with it, a line each. Nothing is opened or written."
    )
    check = verbs.add_parser(
        "check", help="tell all that is wrong with a file", description=description, epilog=_STATUSES
    )
    check.set_defaults(run=_check)
    check.add_argument("file", metavar="FILE", type=Path)

    description = "Show every key of a file with the value that is in effect, defaults marked, secrets hidden."
    show = verbs.add_parser(
        "show", help="show the values that are in effect", description=description, epilog=_STATUSES
    )
    show.set_defaults(run=_show)
    show.add_argument("file", metavar="FILE", type=Path)
    show.add_argument("--json", action="store_true", help="as JSON")

    description = "Write an example with every key explained. A file that is there is never overwritten."
    init = verbs.add_parser("init", help="write an example to begin with", description=description, epilog=_STATUSES)
    init.set_defaults(run=_init)
    init.add_argument("file", metavar="FILE", nargs="?", type=Path, default=DEFAULT_FILE, help=_FILE_HELP)
    init.add_argument("--network", choices=NAMES, default=DEFAULT_EXAMPLE, help="for what, default: %(default)s")
    init.add_argument("--from", dest="source", metavar="FILE", type=Path, help=_SOURCE_HELP)
    return parser


def _check(options: argparse.Namespace) -> int:
    examined = examine(options.file)
    faults = _told(examined)
    warnings = examined.config.warnings() if examined.config is not None and not faults else ()
    lines = [line for told in (*faults, *warnings) for line in told.splitlines()]
    for line in dict.fromkeys(lines):  # what explains one fault may explain another
        sys.stderr.write(f"{line}\n")
    if faults:
        return BAD
    print(f"configuration file '{options.file}' is valid")
    return GOOD


def _told(examined: Examined) -> list[str]:
    """All that is wrong, the environment's part in it included."""
    told = [str(fault) for fault in examined.faults]
    if examined.config is not None:
        try:
            _period(examined.config)
        except EpochError as error:
            told.append(str(error))
    if examined.unknown is not None:
        told.append(str(examined.unknown))
    return told


def _show(options: argparse.Namespace) -> int:
    examined = examine(options.file)
    if examined.config is None:
        raise examined.faults[0]
    config = examined.config
    if options.json:
        print(msgspec.json.format(msgspec.json.encode(effective_values(config.file))).decode())
        return GOOD
    try:
        period = _period(config)
    except EpochError as error:
        raise ConfigError(options.file, str(error)) from error
    print(f"# {options.file}: the values that are in effect")
    print(f"# {PERIOD_KEY}: {format_duration(period.seconds)}, {period.source}")
    print(effective_toml(config.file), end="")
    return GOOD


def _period(config: ClientConfig) -> EpochPeriod:
    return epoch_period(os.environ, config.epoch_duration)


def _init(options: argparse.Namespace) -> int:
    network = None
    if options.source is not None:
        examined = examine(options.source)
        if examined.config is None:
            raise examined.faults[0]
        network = examined.config.file
    text = example(options.network, network)
    if str(options.file) == STANDARD_OUTPUT:
        print(text, end="")
        return GOOD
    _write_new(options.file, text)
    left = len(PLACEHOLDER.findall(text))
    todo = f"replace its {left} placeholders, and then run" if left else "run"
    print(f"{options.file} is written; {todo}: kpclientd config check {options.file}")
    return GOOD


def _write_new(path: Path, text: str) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _FILE_MODE)
    except FileExistsError:
        raise FileError(f"{path} is there already, and is not overwritten; name another file") from None
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from error
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise FileError(f"{path} cannot be written: {error.strerror}") from error


def _report_fault(message: str) -> int:
    sys.stderr.write(f"kpclientd config: {message}\n")
    return BAD
