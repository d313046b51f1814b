"""The command line. Whatever a command does not need is not imported, so that it starts fast."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from kpclientd.own_packages import foreign_package
from kpclientd.program import program

if TYPE_CHECKING:
    from kpclientd.command_parser import CommandParser

OK: Final = 0
FAILED: Final = 1
MISCONFIGURED: Final = os.EX_CONFIG
"""The daemon's configuration is no good: starting it again without a change is of no use."""

HELP: Final = "help"
VERSION: Final = "version"


@program("kpclientd")
def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status.

    The daemon's is 0 after a clean end, 78 where its configuration keeps it from starting, 1 after any other error.

    Args:
        arguments: the command line without the program's name; the process's own by default.
    """
    if (fault := foreign_package()) is not None:
        return _fail(fault)
    given = sys.argv[1:] if arguments is None else list(arguments)
    match given:
        case ("-c" | "--config", path) if not path.startswith("-"):
            return _run(Path(path))  # as services start it, and keep half a megabyte that a parser takes
        case (word, *rest) if not word.startswith("-"):
            return _command(word, rest)
    return _daemon(given)


def loopix_client() -> int:
    """The program `loopix-client`, which is `kpclientd loopix` by its reference's name."""
    if (fault := foreign_package()) is not None:
        return _fail(fault)
    from kpclientd.loopix.commands import console

    return console()


def _command(name: str, rest: Sequence[str]) -> int:
    from kpclientd.commands.table import COMMANDS

    command = next((command for command in COMMANDS if command.name == name), None)
    if command is not None:
        return command.run(rest)
    if name == VERSION and not rest:
        return _print_version()
    if name == HELP:
        return main([*rest[:1], "--help"])
    from kpclientd.command_parser import perhaps

    names = [HELP, VERSION, *(command.name for command in COMMANDS)]
    return build_parser().error(f"there is no command '{name}'{perhaps(name, names)}")


def build_parser() -> "CommandParser":
    """What reads the daemon's line; a bad one has the reference's exit status."""
    from kpclientd.command_parser import CommandParser
    from kpclientd.commands.table import COMMANDS

    commands = "\n".join(f"  {command.name:<10}  {command.summary}" for command in COMMANDS)
    parser = CommandParser(
        prog="kpclientd",
        misused=FAILED,
        usage="kpclientd --config FILE [--validate-only] [--dbus-name NAME]\n       kpclientd COMMAND [...]",
        description="The client daemon of the Katzenpost mix network. With --config it runs, until SIGTERM or SIGINT.",
        epilog=f"commands:\n{commands}\n\n`kpclientd help COMMAND` tells more.\n",
    )
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help="the daemon's client.toml (required)")
    parser.add_argument(
        "--validate-only",
        action="store_true",
        help="check the configuration, unknown keys included, and end without opening or writing anything",
    )
    parser.add_argument(
        "--dbus-name",
        metavar="NAME",
        help="own this name on the session bus while the daemon runs; goes before DBusName of the file, and an empty "
        "one switches that off",
    )
    parser.add_argument("-v", "--version", action="store_true", help="print version and packet engine, and end")
    return parser


def _daemon(arguments: Sequence[str]) -> int:
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.version:
        return _print_version()
    if options.config is None:
        parser.error('required flag(s) "config" not set')
    if options.dbus_name:
        from kpclientd.config.bus_name import fault_of_bus_name

        if fault := fault_of_bus_name(options.dbus_name):
            parser.error(f"--dbus-name {fault}")
    if options.validate_only:
        return _validate(options.config)
    return _run(options.config, options.dbus_name)


def _print_version() -> int:
    from kpclientd.version import release
    from sphinx.native import engine_name

    print(f"kpclientd version {release()}")
    print(f"packet engine: {engine_name()}")
    return OK


def _validate(path: Path) -> int:
    from kpclientd.config.load import load_config
    from kpclientd.errors import ConfigError, UnknownKeysError
    from pki.epoch import epoch_period
    from pki.errors import EpochError

    try:
        config = load_config(path, strict=True)
        epoch_period(os.environ, config.epoch_duration)
    except (UnknownKeysError, EpochError) as error:
        return _fail(str(error))
    except ConfigError as error:
        return _fail(f"failed to load config file: {error}")
    for warning in config.warnings():
        sys.stderr.write(f"kpclientd: {warning}\n")
    print(f"configuration file '{path}' is valid")
    return OK


def _run(path: Path, dbus_name: str | None = None) -> int:
    from kpclientd.unused_libraries import leave_out_unused

    leave_out_unused()
    import logging
    import signal

    for number in (signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)  # people send them to daemons that do something then

    from kpclientd.config.load import load_config
    from kpclientd.errors import ConfigError, KpclientdError, LogFileError
    from kpclientd.logs import logging_to
    from pki.errors import EpochError

    try:
        config = load_config(path)
    except ConfigError as error:
        return _fail(f"failed to load config file: {error}", MISCONFIGURED)
    try:
        with logging_to(config.logging) as output:
            for warning in config.warnings():
                logging.getLogger("katzenpost/client").warning("%s", warning)
            from kpclientd.service import run

            return run(config, output.reopen, config.dbus_name if dbus_name is None else dbus_name)
    except LogFileError as error:
        return _fail(f"failed to create daemon: {error}")
    except EpochError as error:
        return _fail(f"failed to start daemon: {error}", MISCONFIGURED)
    except KpclientdError as error:
        return _fail(f"failed to start daemon: {error}")


def _fail(message: str, status: int = FAILED) -> int:
    sys.stderr.write(f"kpclientd: {message}\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
