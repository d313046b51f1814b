"""Logs that something fails, and later that it works again; not every time it is tried."""

import logging
from typing import Final

REMINDER_FACTOR: Final = 10
"""After the first failure the tenth is logged as a warning, then the hundredth, and so on."""


class FailureLog:
    """Counts and logs the failures in a row of one thing.

    Args:
        log: where to log them.
        what: what fails, as the beginning of a sentence.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self.failures = 0
        self._reminder = 1
        self._log = log
        self._what = what

    def failed(self, fault: Exception) -> None:
        """Count a failure; few of many are logged as warnings, the others for debugging."""
        self.failures += 1
        level = logging.DEBUG
        if self.failures == self._reminder:
            level = logging.WARNING
            self._reminder *= REMINDER_FACTOR
        again = f" ({self.failures} times in a row)" if self.failures > 1 else ""
        self._log.log(level, "%s failed%s: %s", self._what, again, fault)

    def worked(self) -> bool:
        """Note a success; return whether failures came before it."""
        if not self.failures:
            return False
        self._log.info("%s works again after %d failures", self._what, self.failures)
        self.failures, self._reminder = 0, 1
        return True
