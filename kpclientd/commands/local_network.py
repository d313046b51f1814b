"""`kpclientd localnet`: a whole mixnet on this machine, of one family or the other."""

import argparse
from collections.abc import Sequence

from kpclientd.command_parser import CommandParser
from kpclientd.localnet.options import FAMILIES, KATZENPOST, LOOPIX


def main(arguments: Sequence[str]) -> int:
    """Run the network until it is told to end; returns the exit status."""
    parser = CommandParser(prog="kpclientd localnet", add_help=False)
    parser.add_argument("--family", choices=FAMILIES, default=KATZENPOST)
    options, rest = parser.parse_known_args(arguments)
    if options.family == LOOPIX:
        from kpclientd.loopix.simulator.cli import main as run_loopix

        return run_loopix(rest)
    from kpclientd.localnet.cli import main as run

    return run(rest)


def build_parser() -> argparse.ArgumentParser:
    """What reads the line of the first family, which names the other one."""
    from kpclientd.localnet.cli import build_parser

    return build_parser()
