"""The stream that pulls: what came for applications goes into the buffer, loops are counted.

Source: the Nym 2019 Loopix client, "traffic loops". While the provider is away pulls become rarer; the reference then
repeats them without a pause.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass

import trio

from kpclientd.loopix.account import Account
from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.failure_log import FailureLog
from kpclientd.loopix.inbox import Pulled, ReceiveBuffer
from kpclientd.loopix.logs import CLIENT
from kpclientd.loopix.schedule import pause_after_failures
from sphinx.randomness import Randomness

log = logging.getLogger(CLIENT)


@dataclass(slots=True)
class FetchStatistics:
    """Counts since the start.

    Attributes:
        pulls: that were answered.
        messages: for applications.
        covers: loops that came back.
        lost: entries of an inbox that held nothing, or nothing readable.
        dropped: messages that no application fetched before the buffer was full.
    """

    pulls: int = 0
    messages: int = 0
    covers: int = 0
    lost: int = 0
    dropped: int = 0


class Fetcher:
    """Pulls the client's mail.

    Args:
        account: with the provider.
        buffer: takes the messages.
        on_covers: told of loops that came back.
        randomness: for the pauses.
    """

    def __init__(
        self, account: Account, buffer: ReceiveBuffer, on_covers: Callable[[int], None], randomness: Randomness
    ) -> None:
        self.statistics = FetchStatistics()
        self._account = account
        self._buffer = buffer
        self._on_covers = on_covers
        self._pauses = randomness.fork()
        self._failure_log = FailureLog(log, "pulling from the provider")

    async def run(self, rate: float) -> None:
        """Pull until cancelled, `rate` times a second on average."""
        while True:
            try:
                pulled = await self._account.pull()
            except LoopixError as error:
                self._failure_log.failed(error)
            else:
                if self._failure_log.worked():
                    self._account.renew()
                self._take(pulled)
            await trio.sleep(pause_after_failures(rate, self._failure_log.failures, self._pauses))

    def _take(self, pulled: Pulled) -> None:
        statistics = self.statistics
        statistics.pulls += 1
        statistics.messages += len(pulled.messages)
        statistics.covers += pulled.covers
        statistics.lost += pulled.empty + pulled.unreadable
        if pulled.empty:
            log.info(
                "%d entries of the inbox are empty: genuine providers show messages that they just write", pulled.empty
            )
        if pulled.unreadable:
            log.warning("%d entries of the inbox are no messages", pulled.unreadable)
        dropped = sum(map(self._buffer.add, pulled.messages))
        if dropped:
            statistics.dropped += dropped
            log.warning("the oldest %d messages are dropped: no application fetches them", dropped)
        self._on_covers(pulled.covers)
