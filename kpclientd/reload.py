"""What SIGHUP does: the log is opened anew, the file read again, and what can change in a running daemon is changed.

A file that is no good changes nothing, but for the log, which is opened anew in any case, as after a rotation. What is
taken over at once is what nobody outside can see: the log, the limits, the grace period. What the link, the listeners
and the traffic are made of stays until a restart, and is named: gateways and keys are what a link was trusted by, and
cover traffic that ends while a link is up would tell an observer when.
"""

import logging
import os
from collections.abc import Callable
from typing import Final

import trio

from kpclientd.config.changes import Changes, changes_between
from kpclientd.config.load import load_config
from kpclientd.config.model import ClientConfig, Logging
from kpclientd.errors import ConfigError, LogFileError
from kpclientd.log_levels import NOTICE
from pki.epoch import epoch_period
from pki.errors import EpochError

log = logging.getLogger("katzenpost/client")

_AFTER_RESTART: Final = "changed; takes effect after a restart"


class Reloader:
    """Reads a daemon's file again when it is told to.

    Args:
        config: what the daemon was started with.
        reopen_log: sends the log where it says; raises LogFileError.
        apply: takes over what can change.
    """

    def __init__(
        self, config: ClientConfig, reopen_log: Callable[[Logging], None], apply: Callable[[ClientConfig], None]
    ) -> None:
        self._started_with = config
        self._present = config
        self._reopen_log = reopen_log
        self._apply = apply

    async def reload(self) -> None:
        """Read the file and take over what can be; whatever goes wrong is logged."""
        try:
            config = await trio.to_thread.run_sync(load_config, self._present.path)
            epoch_period(os.environ, config.epoch_duration)  # what the next start would refuse is refused now
        except (ConfigError, EpochError) as error:
            self._reopen(self._present.logging)
            log.error("SIGHUP: the configuration stays as it was: %s", error)
            return
        opened = self._reopen(config.logging)
        self._apply(config)
        for warning in config.warnings():
            log.warning("%s", warning)
        taken_over = changes_between(self._present.file, config.file).reloadable
        waiting = changes_between(self._started_with.file, config.file).after_restart
        self._present = config
        log.log(NOTICE, "SIGHUP: %s.", _told(Changes(taken_over, waiting), log_opened=opened))

    def _reopen(self, settings: Logging) -> bool:
        try:
            self._reopen_log(settings)
        except LogFileError as error:
            log.error("SIGHUP: the log stays where it was: %s", error)
            return False
        return True


def _told(changes: Changes, *, log_opened: bool) -> str:
    told = ["the log is opened anew"] if log_opened else []
    if changes.reloadable:
        told.append(f"{', '.join(changes.reloadable)} changed")
    if changes.after_restart:
        told.append(f"{', '.join(changes.after_restart)} {_AFTER_RESTART}")
    if not changes.reloadable and not changes.after_restart:
        told.append("nothing has changed in the configuration")
    return "; ".join(told)
