"""`kpclientd localnet --family loopix`: a whole Loopix network on this machine, until it is told to stop."""

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kpclientd.command_parser import CommandParser
from kpclientd.localnet.commands import serve_commands
from kpclientd.localnet.options import add_control_option, execute_or_run, port, probability, run_until_stopped
from kpclientd.loopix.profile import DEFAULT, PROFILES
from kpclientd.loopix.simulator.control import execute
from kpclientd.loopix.simulator.files import ENVIRONMENT_FILE, kept_secret, write_files
from kpclientd.loopix.simulator.network import DIRECTORY_PORT, LoopixNetwork
from kpclientd.loopix.simulator.presence import DirectoryVersion

MOST_NODES: Final = 100
"""Of one layer; more than any test has wanted."""


def main(argv: Sequence[str]) -> int:
    """Run `kpclientd localnet --family loopix` with the other arguments; returns the exit status."""
    return execute_or_run(build_parser().parse_args(argv), _run)


async def _run(options: argparse.Namespace) -> None:
    network = LoopixNetwork(
        mixes_per_layer=options.mixes_per_layer,
        providers=options.providers,
        profile=PROFILES[options.profile],
        seed=kept_secret(options.directory) if options.seed is None else str(options.seed).encode(),
        honour_delays=options.honour_delays,
        version=DirectoryVersion(options.directory_version),
        directory_port=options.port,
    )
    network.faults.loss = options.loss

    async def start(nursery: trio.Nursery) -> str:
        await nursery.start(network.run)
        write_files(options.directory, network.topology_url)
        await nursery.start(serve_commands, partial(execute, network), options.directory)
        providers = ", ".join(member.host for member in network.providers)
        return f"ready: topology {network.topology_url}, providers {providers}; {_next_step(options, network)}"

    await run_until_stopped(start)


def _next_step(options: argparse.Namespace, network: LoopixNetwork) -> str:
    if options.port == DIRECTORY_PORT:
        return f"make a client with {network.profile.program} init --local"
    return f"make a client and give it the directory of {options.directory / ENVIRONMENT_FILE}"


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd localnet --family loopix",
        description="Run a Loopix network of 2019 in one process: directory, three layers of mixes, and providers. It "
        "writes where its directory is, prints a line that begins with 'ready', and runs until SIGTERM. Genuine nodes "
        "and clients of that time may join. For history, teaching and tests: it keeps no secret.",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="where the files go")
    parser.add_argument(
        "--port",
        type=port,
        default=DIRECTORY_PORT,
        help="the directory's port, 0 for a free one (default %(default)s, where init --local looks)",
    )
    parser.add_argument("--mixes-per-layer", type=_nodes, default=1, help="mixes in each layer (default %(default)s)")
    parser.add_argument("--providers", type=_nodes, default=1, help="providers (default %(default)s)")
    parser.add_argument(
        "--profile",
        choices=tuple(PROFILES),
        default=DEFAULT.name,
        help="generation of nodes: how long packets may be (default %(default)s)",
    )
    parser.add_argument(
        "--seed", type=int, help="the same number gives the same keys (default: those of the last run in DIR)"
    )
    parser.add_argument("--loss", type=probability, default=0.0, help="probability that a packet is lost")
    parser.add_argument(
        "--honour-delays",
        action="store_true",
        help="wait as long as packets say; genuine nodes wait whole seconds only",
    )
    parser.add_argument(
        "--directory-version",
        choices=tuple(DirectoryVersion),
        default=DirectoryVersion.V003,
        help="generation of the directory (default %(default)s)",
    )
    add_control_option(parser)
    return parser


def _nodes(text: str) -> int:
    try:
        value = int(text)
    except ValueError:
        value = 0
    if not 1 <= value <= MOST_NODES:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of nodes from 1 to {MOST_NODES}")
    return value
