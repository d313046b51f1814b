"""Follows the epochs: fetches each consensus document in time, has it verified, announces it.

What may be believed, and when to ask, is decided by `pki.trust`; here are only the waits and the fetches, and the
verification is done off the event loop. A gateway that serves a document which does not verify is dropped: another
one, or another try, may do better, and what was verified before stays.

Source: the Katzenpost client's PKI worker.
"""

import logging
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from kpclientd.gateway.errors import DocumentGone, FetchFailed, NotConnected
from kpclientd.gateway.link import GatewayLink
from kpclientd.logs import NOTICE
from pki import DocumentRejected, TrustedDocuments, VerifiedDocument

log = logging.getLogger("client/pki")

LONGEST_SLEEP_SECONDS: Final = 10.0
"""The wall clock may jump, or the machine sleep: after this long it is looked at again."""


Result = TypeVar("Result")


class Offload(Protocol):
    """Runs work that would hold up the event loop somewhere else."""

    async def __call__(self, work: Callable[[], Result], /) -> Result:
        """Run `work` and return its result, or raise its error."""


class DocumentFetcher:
    """The document worker.

    Args:
        trusted: decides, and keeps the documents.
        link: gives the present link, or None.
        network_time: the present, in Unix seconds.
        offload: runs the verification of a document.
        announce: called once an epoch, with the document that has become current.
    """

    def __init__(
        self,
        trusted: TrustedDocuments,
        *,
        link: Callable[[], GatewayLink | None],
        network_time: Callable[[], float],
        offload: Offload,
        announce: Callable[[VerifiedDocument], Awaitable[None]],
    ) -> None:
        self._trusted = trusted
        self._link = link
        self._network_time = network_time
        self._offload = offload
        self._announce = announce
        self._woken = trio.Event()
        self._any_announced = False

    def on_link(self) -> None:
        """A link has come up: ask again, also for what the one before did not have."""
        self._trusted.mark_connected()
        self._woken.set()

    async def run(self) -> None:
        """Follow the epochs, for ever."""
        while True:
            self._woken = trio.Event()
            await self._fetch_wanted()
            now = self._network_time()
            document = self._trusted.announce(now)
            if document is None and not self._any_announced:
                # At a cold start the previous epoch's document is better than none.
                document = self._trusted.current(now)
            if document is not None:
                log.info("The document of epoch %d is current.", document.document.epoch)
                self._any_announced = True
                await self._announce(document)
            with trio.move_on_after(min(LONGEST_SLEEP_SECONDS, max(0.0, self._trusted.next_wakeup(now) - now))):
                await self._woken.wait()

    async def _fetch_wanted(self) -> None:
        for epoch in self._trusted.wanted(self._network_time()):
            link = self._link()
            if link is None:
                return
            if self._is_needless(epoch):
                continue
            try:
                blob = await link.fetch(epoch)
                document = await self._verified(blob, epoch)
            except DocumentGone as error:
                log.log(NOTICE, "%s", error)
                self._trusted.mark_gone(epoch, self._network_time())
            except (FetchFailed, NotConnected) as error:
                log.debug("%s", error)
            except DocumentRejected as error:
                log.error("Refused the document of epoch %d: %s", epoch, error)
                link.close(f"it served a document that is refused: {error}")
                return
            else:
                log.debug("verified the document of epoch %d (%d bytes)", epoch, len(document.certificate))

    async def _verified(self, blob: bytes, epoch: int) -> VerifiedDocument:
        now = self._network_time()
        try:
            verified = await self._offload(partial(self._trusted.verify, blob, epoch, now))
        except DocumentRejected:
            self._trusted.mark_rejected(epoch, self._network_time())
            raise
        return self._trusted.keep(verified, self._network_time())

    def _is_needless(self, epoch: int) -> bool:
        """Whether `epoch` is past, and was wanted only in case the present one's document would not come."""
        current = self._trusted.current(self._network_time())
        return current is not None and epoch < current.document.epoch
