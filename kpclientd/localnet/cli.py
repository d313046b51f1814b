"""`kpclientd localnet`: a whole mixnet on this machine, until it is told to stop."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import trio

from kpclientd.localnet.control import serve_control
from kpclientd.localnet.files import CLIENT_FILE
from kpclientd.localnet.network import LAMBDA_L, LAMBDA_P, MU, LocalNetwork
from kpclientd.localnet.options import add_control_option, execute_or_run, port, probability, rate, run_until_stopped
from pki.epoch import PERIOD_VARIABLE, EpochClock, parse_duration
from pki.errors import EpochError

THIN_PORT: Final = 64331
"""Where the reference's daemon listens for thin clients."""

EPOCH: Final = "30s"


def main(argv: Sequence[str]) -> int:
    """Run `kpclientd localnet` with the arguments after that word; returns the exit status."""
    options = _parser().parse_args(argv)
    return execute_or_run(options, _run)


async def _run(options: argparse.Namespace) -> None:
    network = LocalNetwork(
        epoch_period=parse_duration(options.epoch),
        seed=None if options.seed is None else str(options.seed).encode(),
        mu=options.mu,
        lambda_p=options.lambda_p,
        lambda_l=options.lambda_l,
        rate_limit=options.rate_limit,
    )
    network.faults.loss = options.loss

    async def start(nursery: trio.Nursery) -> str:
        await nursery.start(network.run)
        thin = network.write_files(options.directory, options.thin_port, options.epoch)
        await nursery.start(serve_control, network, options.directory)
        host, gateway_port = network.gateway_address
        return (
            f"ready: gateway {host}:{gateway_port}, epochs of {options.epoch}; start the daemon (it will listen at "
            f"{thin.address}) with {PERIOD_VARIABLE}={options.epoch} kpclientd --config "
            f"{options.directory / CLIENT_FILE}"
        )

    await run_until_stopped(start)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="kpclientd localnet",
        description="Run a whole mixnet in one process: gateway, mixes, services echo and testdest, and directory "
        "authorities. It writes the configuration files for a daemon and its clients, prints a line that begins "
        "with 'ready', and runs until SIGTERM.",
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
    parser.add_argument("--mu", type=rate, default=MU, help="rate of the hops' delays per ms (default %(default)s)")
    parser.add_argument(
        "--lambda-p", type=rate, default=LAMBDA_P, help="clients' messages per ms (default %(default)s)"
    )
    parser.add_argument(
        "--lambda-l", type=rate, default=LAMBDA_L, help="clients' loop decoys per ms (default %(default)s)"
    )
    parser.add_argument(
        "--no-rate-limit",
        action="store_false",
        dest="rate_limit",
        help="let the gateway take whatever comes; with its limiter, the reference's, clients that do not count "
        "its tokens lose some packets",
    )
    add_control_option(parser)
    return parser


def _duration(text: str) -> str:
    try:
        EpochClock(parse_duration(text))
    except EpochError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return text
