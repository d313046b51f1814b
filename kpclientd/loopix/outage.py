"""Says in the log that something fails, and later that it works again; not every time it is tried."""

import logging
from typing import Final

REMINDER_FAILURES: Final = 100


class Outage:
    """Failures in a row of one thing.

    Args:
        log: where to say it.
        what: what fails, as the beginning of a sentence.
    """

    def __init__(self, log: logging.Logger, what: str) -> None:
        self.failures = 0
        self._log = log
        self._what = what

    def failed(self, fault: Exception) -> None:
        """Count a failure; the first, and then every hundredth, is said aloud."""
        level = logging.DEBUG if self.failures % REMINDER_FAILURES else logging.WARNING
        self.failures += 1
        again = f" ({self.failures} times in a row)" if self.failures > 1 else ""
        self._log.log(level, "%s failed%s: %s", self._what, again, fault)

    def worked(self) -> bool:
        """Note a success; return whether failures came before it."""
        if not self.failures:
            return False
        self._log.info("%s works again after %d failures", self._what, self.failures)
        self.failures = 0
        return True
