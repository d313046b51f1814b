"""`kpclientd localnet`: a whole mixnet on this machine, until it is told to stop."""

import argparse
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import trio

from kpclientd.command_parser import CommandParser
from kpclientd.localnet.control import command_table, serve_control
from kpclientd.localnet.faults import DocumentFault
from kpclientd.localnet.files import CLIENT_FILE
from kpclientd.localnet.network import (
    HOPS,
    LAMBDA_L,
    LAMBDA_P,
    MU,
    NIKE,
    SIGNATURES,
    USER_PAYLOAD_LENGTH,
    WIRE_KEM,
    LocalNetwork,
)
from kpclientd.localnet.options import (
    FAMILIES,
    KATZENPOST,
    add_control_option,
    count_up_to,
    execute_or_run,
    port,
    probability,
    rate,
    run_until_stopped,
)
from kpclientd.localnet.storage.boxes import STORAGE_FILE
from kpclientd.localnet.storage.build import MOST_REPLICAS
from kpclientd.localnet.topology import AUTHORITIES, MOST_AUTHORITIES, MOST_GATEWAYS, MOST_NODES
from kpclientd.pigeonhole.errors import PigeonholeUnavailable
from kpclientd.pigeonhole.libraries import check_available
from pki.epoch import PERIOD_VARIABLE, EpochClock, parse_duration
from pki.errors import EpochError
from pki.signatures import signature_scheme
from sphinx.crypto.kem import kem_scheme
from sphinx.errors import MixnetError
from sphinx.geometry import Geometry

THIN_PORT: Final = 64331
"""Where the reference's daemon listens for thin clients."""

EPOCH: Final = "30s"
REPLICAS: Final = 3
"""Of storage, where the packages that it needs are there."""

LEAST_PAYLOAD: Final = 600
MOST_PAYLOAD: Final = 60_000
"""Bytes that a message carries: a box of storage, at least; and what gateways read in one command, at most."""

TRANSPORTS: Final[Mapping[str, tuple[str, ...]]] = {"tcp": ("tcp",), "quic": ("quic",), "both": ("tcp", "quic")}
"""The choices of `--transport`, and the schemes of the gateways' addresses."""

_HELP_WIDTH: Final = 80
_USAGE_WIDTH: Final = 29
_INDENT: Final = " " * 4


def main(argv: Sequence[str]) -> int:
    """Run `kpclientd localnet` with the arguments after that word; returns the exit status."""
    options = build_parser().parse_args(argv)
    return execute_or_run(options, _run)


async def _run(options: argparse.Namespace) -> None:
    network = LocalNetwork(
        epoch_period=parse_duration(options.epoch),
        seed=None if options.seed is None else str(options.seed).encode(),
        mu=options.mu,
        lambda_p=options.lambda_p,
        lambda_l=options.lambda_l,
        rate_limit=options.rate_limit,
        gateways=options.gateways,
        pinned=options.pinned,
        nodes=options.nodes,
        authorities=options.authorities,
        signers=options.signers,
        geometry=Geometry.nike(NIKE, HOPS, options.payload),
        wire_kem=options.wire_kem,
        signatures=options.signatures,
        transports=TRANSPORTS[options.transport],
        replicas=default_replicas() if options.replicas is None else options.replicas,
        storage_file=options.directory / STORAGE_FILE,
    )
    network.faults.loss = options.loss

    async def start(nursery: trio.Nursery) -> str:
        await nursery.start(network.run)
        thin = network.write_files(options.directory, options.thin_port, options.epoch)
        await nursery.start(serve_control, network, options.directory)
        return (
            f"ready: {_places(network)}, epochs of {options.epoch}; start the daemon (it will listen at "
            f"{thin.address}) with {PERIOD_VARIABLE}={options.epoch} kpclientd --config "
            f"{options.directory / CLIENT_FILE}"
        )

    await run_until_stopped(start)


def default_replicas() -> int:
    """How many storage replicas there are if nobody says it; on standard error, why there are none."""
    try:
        check_available()
    except PigeonholeUnavailable as error:
        print(f"kpclientd localnet: no storage is offered: {error}", file=sys.stderr)
        return 0
    return REPLICAS


def _places(network: LocalNetwork) -> str:
    host, gateway_port = network.gateway_address
    further = len(network.gateways) - 1
    return f"gateway {host}:{gateway_port}" + (f" and {further} more" if further else "")


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd localnet",
        usage="kpclientd localnet [OPTION ...] DIR",
        description="Run a whole mixnet in one process: gateways, mixes, services echo and testdest, and directory "
        "authorities. It writes the configuration files for a daemon and its clients, prints a line that begins "
        "with 'ready', and runs until SIGTERM, SIGINT or SIGHUP.",
        epilog=_commands(),
    )
    parser.add_argument(
        "--family",
        choices=FAMILIES,
        default=KATZENPOST,
        help="of mix networks (default %(default)s); `--family loopix --help` tells what the other takes",
    )
    parser.add_argument("directory", metavar="DIR", type=Path, help="where the configuration files go")
    parser.add_argument(
        "--epoch", type=_duration, default=EPOCH, help="epoch period, such as 30s (default %(default)s)"
    )
    parser.add_argument("--seed", type=int, help="the same number gives the same keys again")
    parser.add_argument("--loss", type=probability, default=0.0, help="probability that a packet or a reply is lost")
    parser.add_argument(
        "--thin-port", type=port, default=THIN_PORT, help="the daemon's port, 0 for a free one (default %(default)s)"
    )
    _add_members(parser)
    _add_rates(parser)
    add_control_option(parser)
    return parser


def _add_members(parser: argparse.ArgumentParser) -> None:
    count = parser.add_argument_group("members")
    count.add_argument("--gateways", type=count_up_to(MOST_GATEWAYS), default=1, help="(default %(default)s)")
    count.add_argument(
        "--pinned",
        type=count_up_to(MOST_GATEWAYS),
        help="how many of the gateways the configuration pins (default all)",
    )
    count.add_argument(
        "--nodes",
        type=count_up_to(MOST_NODES),
        help="gateways, mixes and one service node together (default: one mix in each layer)",
    )
    count.add_argument(
        "--authorities", type=count_up_to(MOST_AUTHORITIES), default=AUTHORITIES, help="(default %(default)s)"
    )
    count.add_argument(
        "--signers",
        type=count_up_to(MOST_AUTHORITIES),
        help="how many authorities sign each document, more than half of them (default all)",
    )
    count.add_argument(
        "--replicas",
        type=count_up_to(MOST_REPLICAS, least=0),
        help=f"storage replicas, none or at least two (default {REPLICAS}, or none where its packages are missing)",
    )
    count.add_argument(
        "--wire-kem", type=_name_of(kem_scheme), default=WIRE_KEM, metavar="NAME", help="(default %(default)s)"
    )
    count.add_argument(
        "--signatures",
        type=_name_of(signature_scheme),
        default=SIGNATURES,
        metavar="NAME",
        help="signature scheme of authorities and nodes (default %(default)s)",
    )
    count.add_argument(
        "--payload",
        type=count_up_to(MOST_PAYLOAD, least=LEAST_PAYLOAD),
        default=USER_PAYLOAD_LENGTH,
        metavar="BYTES",
        help="that a message carries, and with some 450 fewer a box of storage (default %(default)s)",
    )
    count.add_argument(
        "--transport",
        choices=tuple(TRANSPORTS),
        default="tcp",
        help="what the gateways are reached by (default %(default)s)",
    )


def _add_rates(parser: argparse.ArgumentParser) -> None:
    rates = parser.add_argument_group("rates, events per ms")
    rates.add_argument("--mu", type=rate, default=MU, help="rate of the hops' delays (default %(default)s)")
    rates.add_argument("--lambda-p", type=rate, default=LAMBDA_P, help="clients' messages (default %(default)s)")
    rates.add_argument("--lambda-l", type=rate, default=LAMBDA_L, help="clients' loop decoys (default %(default)s)")
    rates.add_argument(
        "--no-rate-limit",
        action="store_false",
        dest="rate_limit",
        help="let the gateways take whatever comes; with their limiter, the reference's, clients that do not count "
        "its tokens lose some packets",
    )


def _commands() -> str:
    """The table of commands, as the help text has it."""
    lines = ["commands to a running network, given with --do; see docs/localnet.md:"]
    for heading, rows in command_table():
        lines += ["", f"  {heading}:"]
        lines += [_wrapped(f"{usage:<{_USAGE_WIDTH}} {text}") for usage, text in rows]
    lines += ["", "  FAULT, that of an answer to a request for a document:"]
    lines += [_wrapped(f"{fault:<{_USAGE_WIDTH}} {fault.meaning}") for fault in DocumentFault]
    return "\n".join(lines)


def _wrapped(row: str) -> str:
    further = " " * (len(_INDENT) + _USAGE_WIDTH + 1)
    return textwrap.fill(row, _HELP_WIDTH, initial_indent=_INDENT, subsequent_indent=further)


def _name_of(find: Callable[[str], object]) -> Callable[[str], str]:
    """Return a reader of names that `find` knows."""

    def read(text: str) -> str:
        try:
            find(text)
        except MixnetError as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return text

    return read


def _duration(text: str) -> str:
    try:
        EpochClock(parse_duration(text))
    except EpochError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
