"""The daemon as a process: from its configuration to its end, by the signals that it is sent.

SIGTERM and SIGINT end it in good order, see `Daemon.stop`; a second one ends it at once. SIGHUP makes it read its
configuration again, see `reload`. Signals that come while it starts are obeyed once it has.

A service manager is told what happens (`service_manager`), and may have bound the sockets (`thin.activation`). A part
of the daemon that fails ends the whole, so that the manager starts it again.
"""

import gc
import logging
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import trio

from kpclientd.config.model import ClientConfig, Logging
from kpclientd.daemon import Daemon
from kpclientd.log_levels import NOTICE
from kpclientd.reload import Reloader
from kpclientd.service_credentials import TOKEN, credential
from kpclientd.service_manager import ServiceManager
from kpclientd.thin.activation import close_all, inherited_sockets
from kpclientd.thin.admission import raise_descriptor_limit
from kpclientd.thin.listener import open_listeners
from pki import EpochClock, EpochPeriod, epoch_period
from sphinx.errors import MixnetError
from sphinx.randomness import Randomness

if TYPE_CHECKING:
    from kpclientd.state.keeper import StateKeeper

log = logging.getLogger("katzenpost/client")

FAULT: Final = 1
"""The exit status of a daemon that a fault of its own has ended."""

SWITCH_SECONDS: Final = 0.0005
"""For how long a worker's thread may keep the interpreter from the event loop, where it runs Python."""


def run(config: ClientConfig, reopen_log: Callable[[Logging], None], dbus_name: str = "") -> int:
    """Run the daemon that `config` describes until it is told to stop; return its exit status.

    Args:
        config: what its file says.
        reopen_log: sends the log where it says, on SIGHUP; raises LogFileError.
        dbus_name: owned on the session bus while the daemon runs; empty for none.

    Raises:
        KpclientdError: if it cannot start.
        EpochError: if the configuration and the environment contradict each other.
    """
    with ExitStack() as undo:
        manager = ServiceManager.from_environment(os.environ)
        undo.callback(manager.close)
        inherited = inherited_sockets(os.environ)
        undo.callback(close_all, inherited)
        period = epoch_period(os.environ, config.epoch_duration)
        if period.advice:
            log.warning("%s", period.advice)
        sys.setswitchinterval(SWITCH_SECONDS)
        gc.freeze()  # what was imported stays; looking through it again and again takes milliseconds
        keeper = undo.enter_context(_opened_state(config.arq.state_file))
        process = _Process(config, reopen_log, period, manager, inherited, keeper, dbus_name)
        try:
            trio.run(process.run)
        except MixnetError:
            raise
        except Exception:
            log.exception("The daemon ends by a fault of its own.")
            return FAULT
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


@asynccontextmanager
async def _opened_status(config: ClientConfig, daemon: Daemon) -> AsyncIterator[Callable[[], Awaitable[None]] | None]:
    """What serves the status page and metrics, or None where neither is wanted."""
    if config.status_page is None and config.metrics is None:
        yield None
        return
    from kpclientd.status_page.serving import opened_servers  # its libraries are for those who need them

    async with opened_servers(config, daemon.status) as servers:
        yield servers.run


class _Process:
    """What surrounds the daemon in a process.

    Args:
        config, reopen_log, dbus_name: see `run`.
        period: of the epochs.
        manager: is told what happens.
        inherited: sockets that it handed over.
        keeper: keeps the state, or None.
    """

    def __init__(
        self,
        config: ClientConfig,
        reopen_log: Callable[[Logging], None],
        period: EpochPeriod,
        manager: ServiceManager,
        inherited: Sequence[socket.socket],
        keeper: "StateKeeper | None",
        dbus_name: str,
    ) -> None:
        self._config = config
        self._reopen_log = reopen_log
        self._period = period
        self._manager = manager
        self._inherited = inherited
        self._keeper = keeper
        self._dbus_name = dbus_name

    async def run(self) -> None:
        """Run the daemon until a signal ends it."""
        with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM, signal.SIGHUP) as signals:
            daemon = Daemon(
                self._config,
                EpochClock(self._period.seconds),
                descriptors=raise_descriptor_limit(),
                keeper=self._keeper,
                source_of_period=self._period.source,
                on_link_change=lambda: self._tell_status(daemon),
            )
            daemon.restore()
            token = credential(TOKEN, os.environ)
            async with (
                self._owned_name(signals, daemon) as bus_tasks,
                open_listeners(self._config.listen, self._inherited, token) as listeners,
                _opened_status(self._config, daemon) as serve_status,
                trio.open_nursery() as nursery,
            ):
                nursery.start_soon(self._obey, signals, daemon, nursery.cancel_scope)
                nursery.start_soon(self._manager.run_watchdog, daemon.overdue)
                for task in (*bus_tasks, *filter(None, (serve_status,))):
                    nursery.start_soon(task)
                self._manager.ready()
                self._tell_status(daemon)
                await daemon.run(listeners)
                nursery.cancel_scope.cancel()

    @asynccontextmanager
    async def _owned_name(
        self, signals: AsyncIterator[int], daemon: Daemon
    ) -> AsyncIterator[Sequence[Callable[[], Awaitable[None]]]]:
        """Own the name on the session bus, if one is wanted; gives the tasks that this takes.

        Raises:
            NameTakenError: another process owns it.
        """
        if not self._dbus_name:
            yield ()
            return
        from kpclientd.dbus import NameTakenError, answer_calls, own_name  # for those who need it

        connection, taken = None, None
        async with trio.open_nursery() as asking:

            async def give_up_when_told() -> None:
                async for number in signals:
                    if number != signal.SIGHUP:
                        daemon.stop()
                        asking.cancel_scope.cancel()

            asking.start_soon(give_up_when_told)
            try:
                connection = await own_name(self._dbus_name)
            except NameTakenError as error:  # raised behind the nursery, which would make a group of it
                taken = error
            asking.cancel_scope.cancel()
        if taken is not None:
            raise taken
        try:
            yield () if connection is None else (partial(answer_calls, connection),)
        finally:
            if connection is not None:
                await trio.aclose_forcefully(connection)

    async def _obey(self, signals: AsyncIterator[int], daemon: Daemon, everything: trio.CancelScope) -> None:
        reloader = Reloader(self._config, self._reopen_log, daemon.reconfigure)
        is_stopping = False
        async for number in signals:
            name = signal.Signals(number).name
            if number == signal.SIGHUP:
                self._manager.reloading()
                await reloader.reload()
                self._manager.ready()
            elif not is_stopping:
                log.log(NOTICE, "Stopping: %s.", name)
                self._manager.stopping()
                daemon.stop()
                is_stopping = True
            else:
                log.log(NOTICE, "Stopping at once: %s.", name)
                everything.cancel()

    def _tell_status(self, daemon: Daemon) -> None:
        if self._manager.is_there:
            from kpclientd.status import in_a_line  # not needed to start

            self._manager.status(in_a_line(daemon))
