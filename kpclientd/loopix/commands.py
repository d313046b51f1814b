"""`loopix-client` and `kpclientd loopix`: the reference's commands, words and exit statuses.

Source: the Nym 2019 Loopix client, "command line". What is ours: `--profile`, `--directory`, `--force`, clean ends on
signals, and status 0 for help that was asked for.
"""

import os
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from kpclientd.errors import KpclientdError, LogFileError
from kpclientd.loopix.arguments import (
    HELP_FLAGS,
    PROGRAM,
    Command,
    HelpWanted,
    Option,
    ParsedOptions,
    UsageError,
    overview,
)
from kpclientd.loopix.config import LOCAL_TOPOLOGY, REMOTE_TOPOLOGY, LoopixConfig, config_path, load_config, user_home
from kpclientd.loopix.errors import DirectoryError, KeyFileError, LocalSocketError, LoopixConfigError, LoopixError
from kpclientd.loopix.profile import DEFAULT, PROFILES, Profile
from kpclientd.program import program

if TYPE_CHECKING:
    from kpclientd.loopix.service import SocketType

OK: Final = 0
FAILED: Final = 1
PANICKED: Final = 2
NOT_STARTED: Final = 255

DEFAULT_ID: Final = "Client"
PROFILE_VARIABLE: Final = "LOOPIX_PROFILE"
DIRECTORY_VARIABLE: Final = "LOOPIX_DIRECTORY"

_GENERATIONS: Final = ", ".join(PROFILES)
_GONE: Final = (
    "the public network of 2019 is gone: --local uses one of this machine (kpclientd localnet --family loopix DIR runs "
    "it), --directory URL any other"
)
_PROFILE: Final = Option(
    "--profile", f"Generation of the network: {_GENERATIONS} (default ${PROFILE_VARIABLE} or {DEFAULT.name})", "P"
)
_ID: Final = Option("--id", f"Id of the client to run (default {DEFAULT_ID})", "ID")
_CUSTOM_CONFIG: Final = Option("--customCfg", "Path to the client's configuration file, wherever it is", "CUSTOMCFG")

INIT: Final = Command(
    "init",
    "Initialise a Loopix client",
    (
        Option("--id", "Id of the client to make (default: a random one)", "ID"),
        Option("--provider", "Key (base64url) of the provider to use (default: a random one)", "PROVIDER"),
        Option("--local", "Use the directory server of this machine"),
        Option("--directory", f"URL of the topology (default ${DIRECTORY_VARIABLE})", "URL"),
        Option("--force", "Overwrite a client of this id, its keys included"),
        _PROFILE,
    ),
)
RUN: Final = Command("run", "Run a persistent Loopix client process", (_ID, _CUSTOM_CONFIG, _PROFILE))
SOCKET: Final = Command(
    "socket",
    "Run a background Loopix client listening on a specified socket",
    (
        _ID,
        _CUSTOM_CONFIG,
        Option("--socket", "Type of the socket: tcp or websocket", "SOCKETTYPE"),
        Option("--port", "Port of 127.0.0.1 to listen on", "PORT"),
        _PROFILE,
    ),
)
COMMANDS: Final = (INIT, RUN, SOCKET)


@program(PROGRAM)
def console() -> int:
    """The program `loopix-client`."""
    return main(sys.argv[1:])


def main(argv: Sequence[str]) -> int:
    """Run the command line `argv`, without the program's name, and return the exit status."""
    try:
        return _dispatch(argv)
    except UsageError as error:
        # The reference's own form of errors in the command line
        _print_error(f"[{time.strftime('%Y-%m-%d %H:%M:%S')}] ERROR: {error}")
        return FAILED


def _dispatch(argv: Sequence[str]) -> int:
    name, words = (argv[0], argv[1:]) if argv else ("", ())
    if not name or name in ("help", *HELP_FLAGS):
        return _help(words, asked=bool(name))
    if name in ("version", "-v", "--version"):
        print(_profile("").version)
        return OK
    if name not in _COMMANDS:
        return _foreign(name, words)
    command, run = _COMMANDS[name]
    try:
        return run(command.parse(words))
    except HelpWanted as wanted:
        print(command.help(), end="")
        return OK if wanted.asked else FAILED


def _help(words: Sequence[str], *, asked: bool) -> int:
    if len(words) > 1:
        raise UsageError(f"{PROGRAM}: invalid help option: '{' '.join(words)}'")
    if words and words[0] not in _COMMANDS:
        raise _unknown(words[0])
    commands = [command for command, _ in _COMMANDS.values()]
    print(_COMMANDS[words[0]][0].help() if words else overview(commands), end="")
    return OK if asked else FAILED


def _foreign(name: str, words: Sequence[str]) -> int:
    """Like git, the reference runs programs of the path that are named after it."""
    program = None if "/" in name else shutil.which(f"{PROGRAM}-{name}")
    if program is None:
        raise _unknown(name)
    sys.stdout.flush()
    os.execv(program, [program, *words])


def _unknown(name: str) -> UsageError:
    return UsageError(f"{PROGRAM}: '{name}' is not a valid command: see '{PROGRAM} help'")


def _profile(name: str) -> Profile:
    chosen = name or os.environ.get(PROFILE_VARIABLE, "") or DEFAULT.name
    try:
        return PROFILES[chosen]
    except KeyError:
        raise UsageError(f"{PROGRAM}: unknown profile {chosen!r}: expected one of {_GENERATIONS}") from None


def _init(given: ParsedOptions) -> int:
    import trio

    from kpclientd.loopix.directory_client import DirectoryClient
    from kpclientd.loopix.setup import choose_provider, planned_config, random_id, refuse_existing, write_client
    from kpclientd.loopix.view import NetworkView
    from sphinx.randomness import Randomness

    randomness = Randomness(os.urandom)
    client_id = given.last("--id")
    if not client_id:
        client_id = random_id(randomness)
        print(f"No clientID provided. Random string will be used instead: {client_id}.")
    url = given.last("--directory") or os.environ.get(DIRECTORY_VARIABLE, "") or REMOTE_TOPOLOGY
    if given.has("--local"):
        print("Using the local directory server")
        url = given.last("--directory") or LOCAL_TOPOLOGY
    try:
        config = planned_config(client_id, user_home(), _profile(given.last("--profile")), url)
        if not given.has("--force"):
            refuse_existing(config)
        try:
            topology = trio.run(NetworkView(DirectoryClient(url).fetch).refresh)
            provider, is_listed = choose_provider(topology, given.last("--provider"), randomness)
        except DirectoryError as error:
            _print_error(f"failed to obtain network topology: {error}")
            if url == REMOTE_TOPOLOGY:
                _print_error(_GONE)
            return FAILED
        if not is_listed:
            _print_error(f"provider {provider} is not in the topology: the client cannot start before it is")
        write_client(replace(config, provider_id=provider), print, randomness, overwrite=given.has("--force"))
    except LoopixError as error:
        _print_error(str(error))
        return FAILED
    return OK


def _run(given: ParsedOptions) -> int:
    config = _load(given)
    if config is None:
        return FAILED
    return _serve(config, None, 0, of_run=True)


def _socket(given: ParsedOptions) -> int:
    from kpclientd.loopix.service import parse_port, parse_socket_type

    config = _load(given)
    if config is None:
        return FAILED
    try:
        kind, port = parse_socket_type(given.last("--socket")), parse_port(given.last("--port"))
    except LocalSocketError as error:
        return _not_spawned(error, of_run=False)
    return _serve(config, kind, port, of_run=False)


def _load(given: ParsedOptions) -> LoopixConfig | None:
    profile = _profile(given.last("--profile"))
    try:
        custom = given.last("--customCfg")
        path = Path(custom) if custom else config_path(user_home(), given.last("--id", DEFAULT_ID), profile)
        if not _may_exist(path):
            _print_error(f"The configuration file at {path} does not seem to exist")
            return None
        return load_config(path, profile)
    except LoopixConfigError as error:
        _print_error(f"Could not load the config file: {error}")
        return None


def _may_exist(path: Path) -> bool:
    """Whether there is something, or one cannot say; reading it tells what is wrong then."""
    try:
        return path.exists()
    except OSError:
        return True


def _serve(config: LoopixConfig, kind: "SocketType | None", port: int, *, of_run: bool) -> int:
    import trio

    from kpclientd.loopix.client import WARNING, LoopixClient
    from kpclientd.loopix.logs import logging_to
    from kpclientd.loopix.service import run_until_signal

    logging = config.logging
    try:
        with logging_to(config.id, disable=logging.disable, file=logging.file, level=logging.level):
            client = LoopixClient(config)
            print(f"\x1b[33mOur Public Key is: {client.client_id}\x1b[0m\n", flush=True)
            _print_error(f"Warning: {WARNING}.")
            trio.run(run_until_signal, client, kind, port)
    except* (KeyFileError, LogFileError) as group:
        return_code = _not_spawned(_first(group), of_run=of_run, status=PANICKED if of_run else NOT_STARTED)
    except* LoopixError as group:
        return_code = _not_spawned(_first(group), of_run=of_run, started=True)
    else:
        return_code = OK
    return return_code


def _not_spawned(error: Exception, *, of_run: bool, status: int = NOT_STARTED, started: bool = False) -> int:
    if of_run:
        _print_error(f"Failed to spawn client instance: {error}")
    else:
        _print_error(f"Failed to {'start' if started else 'spawn'} socket listener instance: {error}")
    return status


def _first(group: BaseExceptionGroup[KpclientdError]) -> KpclientdError:
    first = group.exceptions[0]
    return _first(first) if isinstance(first, BaseExceptionGroup) else first


def _print_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


_COMMANDS: Final[Mapping[str, tuple[Command, Callable[[ParsedOptions], int]]]] = MappingProxyType(
    {command.name: (command, run) for command, run in ((INIT, _init), (RUN, _run), (SOCKET, _socket))}
)


if __name__ == "__main__":
    sys.exit(console())
