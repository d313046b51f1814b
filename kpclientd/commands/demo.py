"""`kpclientd demo`: a local network, a daemon on it, and pings through both, in one process.

What runs is what runs elsewhere: the gateway is dialled over TCP, the ping is a thin client on the daemon's socket.
"""

import argparse
import shlex
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from shutil import get_terminal_size
from tempfile import TemporaryDirectory
from typing import Final

import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.command_parser import CommandParser
from kpclientd.commands.ping import Options, ping
from kpclientd.commands.ping_statistics import PingStatistics
from kpclientd.config.dial import load_dial
from kpclientd.config.load import load_config
from kpclientd.config.model import WebAddress
from kpclientd.daemon import Daemon
from kpclientd.errors import KpclientdError
from kpclientd.localnet.files import CLIENT_FILE, THIN_FILE
from kpclientd.localnet.network import LocalNetwork
from kpclientd.localnet.options import stop_signals
from kpclientd.status import DaemonStatus
from kpclientd.status_page.serving import opened_servers
from kpclientd.thin.listener import open_listeners

SUCCESS: Final = 0
FAILURE: Final = 1

EPOCH_SECONDS: Final = 30.0
MU: Final = 0.02
LAMBDA_P: Final = 0.004
LAMBDA_L: Final = 0.002
"""Livelier than a real network's, so that a first look takes seconds: 50 ms a hop, six packets a second."""

PINGS: Final = 5
MOST_PINGS: Final = 100_000
PING_INTERVAL_SECONDS: Final = 0.2
STATUS_SECONDS: Final = 1.0
PLAIN_STATUS_SECONDS: Final = 10.0
"""Between two status lines where they cannot overwrite each other."""


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status: 0 if every ping was answered."""
    options = build_parser().parse_args(arguments)
    try:
        return trio.run(_run, options.n, options.once, options.page and not options.once)
    except KpclientdError as error:
        print(f"kpclientd demo: {error}", file=sys.stderr)
        return FAILURE


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd demo",
        description="Start a mix network and a daemon on this machine, ping a service through them, and stay up "
        "with a line of status until Ctrl-C. Nothing is left behind.",
    )
    parser.add_argument("-n", type=_count, default=PINGS, metavar="N", help="pings to send (default %(default)s)")
    parser.add_argument("--once", action="store_true", help="end after the pings")
    parser.add_argument("--no-page", dest="page", action="store_false", help="serve no status page")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not 0 < int(text[:7]) <= MOST_PINGS:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number from 1 to {MOST_PINGS}")
    return int(text)


async def _run(count: int, once: bool, has_page: bool) -> int:
    statistics = PingStatistics()
    with (
        TemporaryDirectory(prefix="kpclientd-") as directory,
        trio.open_signal_receiver(*stop_signals()) as signals,
    ):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_on, signals, nursery.cancel_scope)
            pings = Options(count=count, interval=PING_INTERVAL_SECONDS)
            await _demonstrate(Path(directory), pings, statistics, once=once, has_page=has_page)
            nursery.cancel_scope.cancel()
    return SUCCESS if statistics.sent and len(statistics.round_trips) == statistics.sent else FAILURE


async def _cancel_on(signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in signals:
        scope.cancel()


async def _demonstrate(
    directory: Path, options: Options, statistics: PingStatistics, *, once: bool, has_page: bool
) -> None:
    network = LocalNetwork(epoch_period=EPOCH_SECONDS, mu=MU, lambda_p=LAMBDA_P, lambda_l=LAMBDA_L)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        network.write_files(directory, 0)
        config = load_config(directory / CLIENT_FILE)
        daemon = Daemon(config, network.clock)
        async with open_listeners(config.listen) as listeners:
            nursery.start_soon(daemon.run, listeners)
            print(
                f"A mixnet runs in this process: a gateway, three layers of mixes, a service node;\n"
                f"epochs of {EPOCH_SECONDS:.0f} s.",
                flush=True,
            )
            await ping(load_dial(directory / THIN_FILE), options, daemon.randomness, statistics, _show)
            if not once:
                await _stay_up(daemon, directory / THIN_FILE, nursery, has_page=has_page)
            daemon.stop()
            nursery.cancel_scope.cancel()


async def _stay_up(daemon: Daemon, thin_file: Path, nursery: trio.Nursery, *, has_page: bool) -> None:
    """Tell what can be tried now, and show the status until Ctrl-C."""
    program = shlex.quote(sys.argv[0])
    async with AsyncExitStack() as undo:
        print(f"\nAll of it runs until Ctrl-C. In another terminal:\n  {program} status -w -c {thin_file}")
        print(f"  {program} ping --config {thin_file}")
        if has_page:
            servers = await undo.enter_async_context(
                opened_servers(replace(daemon.config, status_page=WebAddress(LOOPBACK, 0), metrics=None), daemon.status)
            )
            nursery.start_soon(servers.run)
            print(f"  xdg-open {servers.urls[-1]}")
        print(flush=True)
        await _show_status(daemon)


async def _show_status(daemon: Daemon) -> None:
    if not sys.stdout.isatty():
        while True:
            print(_status_line(daemon.status()), flush=True)
            await trio.sleep(PLAIN_STATUS_SECONDS)
    try:
        while True:
            # A line that wraps would be left behind by the next one, which clears only the row that it stands in.
            line = _status_line(daemon.status())[: get_terminal_size().columns - 1]
            print(f"\r\x1b[K{line}", end="", flush=True)
            await trio.sleep(STATUS_SECONDS)
    finally:
        print()


def _status_line(status: DaemonStatus) -> str:
    document = "none" if status.document_epoch is None else str(status.document_epoch)
    return (
        f"{status.link.gateway or 'offline'} | epoch {status.epoch} | document {document} | "
        f"in flight {status.in_flight} | waiting {status.waiting} | apps {len(status.applications)}"
    )


def _show(line: str) -> None:
    print(line, flush=True)
