"""The command line. Whatever a command does not need is not imported, so that it starts fast."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    import argparse

OK: Final = 0
FAILED: Final = 1

_EPILOG: Final = """\
commands:
  config      check, show or begin a configuration file
  ping        send echo messages through a running daemon and time the answers
  box         write, read, copy and delete boxes of Pigeonhole storage
  pipe        send a stream of bytes through boxes, and receive it
  localnet    run a whole mixnet on this machine (--family loopix: one of 2019)
  demo        run a local mixnet with a daemon on it, and ping through both
  loopix      the client of the Loopix family of 2019, as loopix-client

`kpclientd COMMAND --help` tells more.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the program and return its exit status: 0 after a clean end, 1 after any error of the daemon's.

    Args:
        arguments: the command line without the program's name; the process's own by default.
    """
    given = sys.argv[1:] if arguments is None else list(arguments)
    command = _COMMANDS.get(given[0]) if given else None
    return command(given[1:]) if command is not None else _daemon(given)


def _ping(arguments: Sequence[str]) -> int:
    from kpclientd.commands.ping import main

    return main(arguments)


def _box(arguments: Sequence[str]) -> int:
    from kpclientd.commands.box import main

    return main(arguments)


def _pipe(arguments: Sequence[str]) -> int:
    from kpclientd.commands.pipe import main

    return main(arguments)


def _localnet(arguments: Sequence[str]) -> int:
    import argparse

    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--family", choices=("katzenpost", "loopix"), default="katzenpost")
    options, rest = parser.parse_known_args(arguments)
    if options.family == "loopix":
        from kpclientd.loopix.simulator.cli import main as loopix_main

        return loopix_main(rest)
    from kpclientd.localnet.cli import main

    return main(rest)


def _loopix(arguments: Sequence[str]) -> int:
    from kpclientd.loopix.commands import main

    return main(arguments)


def _demo(arguments: Sequence[str]) -> int:
    from kpclientd.commands.demo import main

    return main(arguments)


def _config(arguments: Sequence[str]) -> int:
    from kpclientd.config.commands import main

    return main(arguments)


_COMMANDS: Final[Mapping[str, Callable[[Sequence[str]], int]]] = {
    "config": _config,
    "ping": _ping,
    "box": _box,
    "pipe": _pipe,
    "localnet": _localnet,
    "demo": _demo,
    "loopix": _loopix,
}


def _parser() -> "argparse.ArgumentParser":
    import argparse

    class Parser(argparse.ArgumentParser):
        """Ends with the reference's exit status for a bad command line."""

        def error(self, message: str) -> NoReturn:
            self.exit(FAILED, _complaint(message))

    parser = Parser(
        prog="kpclientd",
        description="The client daemon of the Katzenpost mix network.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("-c", "--config", metavar="FILE", type=Path, help="the daemon's client.toml (required)")
    parser.add_argument(
        "--validate-only",
        action="store_true",
        help="check the configuration, unknown keys included, and end without opening or writing anything",
    )
    parser.add_argument("-v", "--version", action="store_true", help="print version and packet engine, and end")
    return parser


def _daemon(arguments: Sequence[str]) -> int:
    match arguments:
        case ("-c" | "--config", path) if not path.startswith("-"):
            return _run(Path(path))  # as services start it, and keep half a megabyte that a parser takes
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.version:
        return _print_version()
    if options.config is None:
        parser.error('required flag(s) "config" not set')
    if options.validate_only:
        return _validate(options.config)
    return _run(options.config)


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


def _run(path: Path) -> int:
    from kpclientd.unused_libraries import leave_out_unused

    leave_out_unused()
    import logging

    from kpclientd.config.load import load_config
    from kpclientd.errors import ConfigError, KpclientdError, LogFileError
    from kpclientd.logs import logging_to
    from pki.errors import EpochError

    try:
        config = load_config(path)
    except ConfigError as error:
        return _fail(f"failed to load config file: {error}")
    try:
        with logging_to(config.logging) as output:
            for warning in config.warnings():
                logging.getLogger("katzenpost/client").warning("%s", warning)
            from kpclientd.service import run

            return run(config, output.reopen)
    except LogFileError as error:
        return _fail(f"failed to create daemon: {error}")
    except (KpclientdError, EpochError) as error:
        return _fail(f"failed to start daemon: {error}")


def _fail(message: str) -> int:
    sys.stderr.write(_complaint(message))
    return FAILED


def _complaint(message: str) -> str:
    return f"kpclientd: {message}\nTry --help for usage.\n"


if __name__ == "__main__":
    sys.exit(main())
