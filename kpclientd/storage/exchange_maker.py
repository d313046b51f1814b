"""Makes what queries are sealed with, in worker threads: a few exchanges ahead, and what these lack when it is needed.

An operation takes half a second. A query that finds a finished exchange waits for none; one that finds only a key waits
for what that agrees on with two replicas, made side by side. Ahead of the queries one operation is made at a time, in
turns with what applications wait for.
"""

from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from kpclientd.pigeonhole import libraries
from kpclientd.pigeonhole.errors import PigeonholeError, UnusableKey
from kpclientd.pigeonhole.mkem import Mkem, ReadyExchange
from kpclientd.pigeonhole.ready_exchanges import Preparation, Stock
from pki import Document, EpochClock
from sphinx.randomness import Randomness

AHEAD: Final = "ahead"
"""For whom exchanges are made that no application waits for."""

Result = TypeVar("Result")


class Offload(Protocol):
    """Runs what would hold up the event loop elsewhere, fairly between owners, and cancelled with its caller."""

    async def __call__(self, owner: Hashable, work: Callable[[], Result], /) -> Result:
        """Run `work` for `owner` and return its result, or raise its error."""


class ExchangeMaker:
    """All that is made ready, and what makes it.

    Args:
        clock: the network's epochs.
        randomness: for keys and orders; asked from worker threads.
        offload: runs what is slow.
        current: the current document, or None.
    """

    def __init__(
        self, clock: EpochClock, randomness: Randomness, offload: Offload, current: Callable[[], Document | None]
    ) -> None:
        self.stock = Stock(clock, randomness)
        self._randomness = randomness
        self._offload = offload
        self._current = current
        self._mkem: Mkem | None = None
        self._news = trio.Event()

    async def mkem(self, owner: Hashable) -> Mkem:
        """The key exchange.

        Raises:
            PigeonholeUnavailable: if a package is missing.
        """
        if self._mkem is None:
            await self._offload(owner, libraries.check_available)
            self._mkem = Mkem(libraries.nike())
            self._news.set()
        return self._mkem

    async def run(self) -> None:
        """Make exchanges ahead, while queries are made at all; for ever."""
        while True:
            step = None
            if self._mkem is not None:
                self.stock.turn_to(self._current())
                step = self.stock.begin_step()
            if step is None:
                self._news = trio.Event()
                await self._news.wait()
                continue
            try:
                if step.public is None:
                    await self._make_key(AHEAD, step.preparation)
                else:
                    await self._agree(AHEAD, step.preparation, step.public)
            except UnusableKey:
                pass  # noted; a query that needs this replica says so
            finally:
                self.stock.end_step()

    def document_changed(self) -> None:
        """There is another document, or none: what was made for the last one is forgotten."""
        self.stock.turn_to(self._current())
        self._news.set()

    def begin(self, document: Document) -> Preparation:
        """An exchange for one query, as far as it is made."""
        preparation = self.stock.take(document)
        self._news.set()
        return preparation

    async def finish(self, owner: Hashable, preparation: Preparation, publics: tuple[bytes, ...]) -> ReadyExchange:
        """The same, ready for the replicas with these public keys; made for `owner` where something lacks.

        Raises:
            UnusableKey: if one of the keys is none.
            PigeonholeUnavailable: if a package is missing.
        """
        await self.mkem(owner)
        if preparation.pair is None:
            await self._make_key(owner, preparation)
        errors: list[PigeonholeError] = []

        async def attempt(work: Callable[[], Awaitable[None]]) -> None:
            try:
                await work()
            except PigeonholeError as error:
                errors.append(error)

        lacking = preparation.lacking(publics)
        if lacking:
            async with trio.open_nursery() as nursery:
                for public in lacking:
                    nursery.start_soon(attempt, partial(self._agree, owner, preparation, public))
        if errors:
            raise errors[0]
        return preparation.exchange(publics)

    async def _make_key(self, owner: Hashable, preparation: Preparation) -> None:
        mkem = await self.mkem(owner)
        preparation.pair = await self._offload(owner, partial(mkem.new_key_pair, self._randomness))

    async def _agree(self, owner: Hashable, preparation: Preparation, public: bytes) -> None:
        mkem, pair = await self.mkem(owner), preparation.pair
        assert pair is not None
        try:
            preparation.agreed[public] = await self._offload(owner, partial(mkem.agree, pair.private, public))
        except UnusableKey:
            preparation.unusable.add(public)
            raise
