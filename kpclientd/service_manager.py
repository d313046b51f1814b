"""What is told to the service manager: that the daemon is ready, reloads, stops, what it does, and that it lives.

The protocol is systemd's: a datagram of `KEY=VALUE` lines to the socket that `NOTIFY_SOCKET` names, a path or an
abstract name. Without that variable nothing is told, and nothing costs anything.

Theory of operation of the watchdog. Where the manager wants a sign of life (`WATCHDOG_USEC`), it gets one at half that
interval, from a task of the event loop: a loop that hangs sends none. But a loop may turn while a part that matters has
stopped. So each time the daemon is asked which of its parts is overdue, that is, has not done what it should have long
ago; as long as one is, no sign is given, and the manager restarts the daemon. After a stop of the whole process every
part is late for a moment, so a part that is overdue is looked at again soon.

Source: sd_notify(3), sd_watchdog_enabled(3).
"""

import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from typing import Final

import trio

from kpclientd.addresses import unix_socket_address

log = logging.getLogger("kpclientd/service")

LOOK_AGAIN_SECONDS: Final = 1.0
"""After which a part that was overdue is asked again."""

PATIENCE_SECONDS: Final = 1.0
"""For which a manager may keep the daemon waiting whose queue is full; a line of status does not wait."""

_MICROSECONDS: Final = 1_000_000
_NANOSECONDS_PER_MICROSECOND: Final = 1000
_LONGEST_STATUS: Final = 400


class ServiceManager:
    """The manager, or nobody.

    Args:
        address: of its socket, as `NOTIFY_SOCKET` has it; empty where nobody wants to know.
        watchdog_seconds: within which it wants a sign of life, again and again; None where it wants none.
    """

    def __init__(self, address: str = "", watchdog_seconds: float | None = None) -> None:
        self._watchdog_seconds = watchdog_seconds if address else None
        self._socket: socket.socket | None = None
        self._status = ""
        self._is_failing = False
        if not address:
            return
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        try:
            self._socket.connect(unix_socket_address(address))
        except OSError as error:
            self._note_failure(error)

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> "ServiceManager":
        """The one that started this process, if it wants to be told."""
        return cls(environ.get("NOTIFY_SOCKET", ""), _watchdog_seconds(environ))

    @property
    def is_there(self) -> bool:
        """Whether anybody is told anything."""
        return self._socket is not None

    def close(self) -> None:
        """Tell nothing any more."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def ready(self) -> None:
        """Applications can connect; or what was reloaded is in effect."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """The configuration is being read again; `ready` ends that."""
        moment = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // _NANOSECONDS_PER_MICROSECOND
        self._tell("RELOADING=1", f"MONOTONIC_USEC={moment}")

    def stopping(self) -> None:
        """The daemon was told to stop."""
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        """Show a line to people; the same one is told once."""
        line = " ".join(text.split())[:_LONGEST_STATUS]
        if line != self._status:
            self._status = line
            self._tell(f"STATUS={line}", patience=0.0)

    async def run_watchdog(self, overdue: Callable[[], str]) -> None:
        """Give signs of life for ever, if any are wanted, while nothing is overdue.

        Args:
            overdue: names the part of the daemon that has stopped, or returns nothing.
        """
        if self._watchdog_seconds is None:
            return
        interval = self._watchdog_seconds / 2
        told = ""
        while True:
            part = overdue()
            if not part:
                self._tell("WATCHDOG=1")
            elif part != told:
                log.error("There is no sign of life for the service manager: %s has stopped.", part)
            told = part
            await trio.sleep(min(interval, LOOK_AGAIN_SECONDS) if part else interval)

    def _tell(self, *lines: str, patience: float = PATIENCE_SECONDS) -> None:
        if self._socket is None:
            return
        try:
            self._socket.settimeout(patience)
            self._socket.send("\n".join(lines).encode())
            self._is_failing = False
        except OSError as error:
            self._note_failure(error)

    def _note_failure(self, error: OSError) -> None:
        if not self._is_failing:
            log.warning("The service manager cannot be told anything: %s.", error.strerror or error)
            self._is_failing = True


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """The watchdog's interval, if it is meant for this process."""
    interval, process = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not interval.isdecimal() or not int(interval) or process not in ("", str(os.getpid())):
        return None
    return int(interval) / _MICROSECONDS
