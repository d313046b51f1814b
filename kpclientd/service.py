"""The daemon as a process: from its configuration to its end, by the signals that it is sent.

SIGTERM and SIGINT end it in good order; SIGHUP makes it read its configuration again, see `reload`. Signals that come
while it starts are obeyed once it has.
"""

import gc
import logging
import os
import signal
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from kpclientd.config.model import ClientConfig, Logging
from kpclientd.daemon import Daemon
from kpclientd.log_levels import NOTICE
from kpclientd.reload import Reloader
from kpclientd.thin.admission import raise_descriptor_limit
from kpclientd.thin.listener import open_listeners
from pki import EpochClock, EpochPeriod, epoch_period
from sphinx.randomness import Randomness

if TYPE_CHECKING:
    from kpclientd.state.keeper import StateKeeper

log = logging.getLogger("katzenpost/client")

SWITCH_SECONDS: Final = 0.0005
"""For how long a worker's thread may keep the interpreter from the event loop, where it runs Python."""


def run(config: ClientConfig, reopen_log: Callable[[Logging], None]) -> int:
    """Run the daemon that `config` describes until it is told to stop; return its exit status.

    Args:
        config: what its file says.
        reopen_log: sends the log where it says, on SIGHUP; raises LogFileError.

    Raises:
        KpclientdError: if it cannot start.
    """
    period = epoch_period(os.environ, config.epoch_duration)
    if period.advice:
        log.warning("%s", period.advice)
    sys.setswitchinterval(SWITCH_SECONDS)
    gc.freeze()  # what was imported stays; looking through it again and again takes milliseconds
    with _opened_state(config.arq.state_file) as keeper:
        trio.run(_run_until_signal, config, reopen_log, period, raise_descriptor_limit(), keeper)
    return 0


@contextmanager
def _opened_state(path: Path | None) -> "Iterator[StateKeeper | None]":
    """What keeps the state in the file at `path`, or None where there is none."""
    if path is None:
        yield None
        return
    from kpclientd.state.keeper import opened_keeper  # not needed to start without

    with opened_keeper(path, os.environ, Randomness(os.urandom)) as keeper:
        yield keeper


async def _run_until_signal(
    config: ClientConfig,
    reopen_log: Callable[[Logging], None],
    period: EpochPeriod,
    descriptors: int,
    keeper: "StateKeeper | None",
) -> None:
    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
        daemon = Daemon(
            config,
            EpochClock(period.seconds),
            descriptors=descriptors,
            keeper=keeper,
            source_of_period=period.source,
        )
        daemon.restore()
        async with (
            open_listeners(config.listen) as listeners,
            _opened_status(config, daemon) as serve_status,
            trio.open_nursery() as nursery,
        ):
            if serve_status is not None:
                nursery.start_soon(serve_status)
            nursery.start_soon(_obey, signals, daemon, Reloader(config, reopen_log, daemon.reconfigure))
            await daemon.run(listeners)
            nursery.cancel_scope.cancel()


@asynccontextmanager
async def _opened_status(config: ClientConfig, daemon: Daemon) -> AsyncIterator[Callable[[], Awaitable[None]] | None]:
    """What serves the status page and metrics, or None where neither is wanted."""
    if config.status_page is None and config.metrics is None:
        yield None
        return
    from kpclientd.status_page.serving import opened_servers  # its libraries are for those who need them

    async with opened_servers(config, daemon.status) as serve:
        yield serve


async def _obey(signals: AsyncIterator[int], daemon: Daemon, reloader: Reloader) -> None:
    async for number in signals:
        if number == signal.SIGHUP:
            await reloader.reload()
        else:
            log.log(NOTICE, "Stopping: %s.", signal.Signals(number).name)
            daemon.stop()
