"""What people are told of the link and of the documents, in the log: each thing once, and again when it is news again.

What goes wrong with the link is said once: what, with which gateway, why, and when it is tried again; and again after a
link has proved good in between. A link that is lost before, for a reason that was said already, is not worth a line
each time, nor is its successor until it has proved good. What is passed over here is still there at DEBUG.

What is wrong with documents is said once an epoch.
"""

import logging
from typing import Final

from kpclientd.gateway.choice import GatewayChoice
from kpclientd.log_levels import NOTICE
from pki import Document

MOST_SAID: Final = 64
"""Faults of the link that are remembered as said."""


class LinkNotices:
    """About the link."""

    def __init__(self) -> None:
        self._log = logging.getLogger("client/conn")
        self._said: set[tuple[str, str]] = set()
        self._is_settled = self._was_good = True  # the present link, or the last one

    def connected(self, choice: GatewayChoice) -> None:
        """A link is up."""
        self._was_good, self._is_settled = self._is_settled, False
        self._connected(choice, is_news=self._was_good)

    def settled(self, choice: GatewayChoice) -> None:
        """It has proved good."""
        if not self._was_good:
            self._connected(choice, is_news=True)
        self._is_settled = True
        self._said.clear()

    def ended(self, what: str, reason: str, next_try: float) -> None:
        """A link was lost, or a try for one failed; the next is in `next_try` seconds."""
        level = logging.DEBUG if (what, reason) in self._said else NOTICE
        if len(self._said) >= MOST_SAID:
            self._said.clear()
        self._said.add((what, reason))
        self._log.log(level, "%s: %s; next try in %.1f s, and so on.", what, reason, max(0.0, next_try))

    def _connected(self, choice: GatewayChoice, *, is_news: bool) -> None:
        self._log.log(NOTICE if is_news else logging.DEBUG, 'Connected to gateway "%s".', choice.name)


class DocumentNotices:
    """About documents.

    Args:
        period: of an epoch (seconds).
        period_source: where it comes from.
    """

    def __init__(self, period: float, period_source: str) -> None:
        self._log = logging.getLogger("client/pki")
        self._period = period
        self._period_source = period_source
        self._newest = -1
        self._from_authorities = ("", "")
        self._said: set[str] = set()
        self._lacking = (-1, False)

    def current(self, document: Document) -> None:
        """Another document is current; what the authorities want people to know is told once for each change."""
        self._newest = document.epoch
        self._said.clear()
        self._log.info("The document of epoch %d is current.", document.epoch)
        from_authorities = document.client_notice, document.min_client_version
        if from_authorities == self._from_authorities:
            return
        self._from_authorities = from_authorities
        if document.client_notice:
            self._say(f"The network's authorities say: {document.client_notice}")
        if document.min_client_version:
            self._say(f"The network's authorities ask for clients of version {document.min_client_version} or newer.")

    def none_any_more(self) -> None:
        """The last document has ended."""
        self._say(f"There is no consensus document any more; the last one was of epoch {self._newest}.")

    def signed_anew(self, epoch: int) -> None:
        """The authorities have signed a second document for one epoch."""
        self._say(f"The authorities have signed another document for epoch {epoch}: it is followed.")

    def refused(self, epoch: int, error: Exception) -> None:
        """A document is not believed."""
        self._say_once(f"Refused the document of epoch {epoch}: {error}")

    def unlisted(self, choice: GatewayChoice) -> None:
        """The gateway that is connected has left the consensus, and there is no other."""
        self._say_once(
            f'The consensus document does not list gateway "{choice.name}", or not with this key, and there is no other'
            " to go to: nothing can be sent."
        )

    def nobody_has(self, epoch: int, *, is_gone: bool) -> None:
        """No gateway has a document of the present epoch; `is_gone`: they say that there never will be one."""
        told_of, was_gone = self._lacking
        if epoch == told_of and is_gone <= was_gone:
            return
        self._lacking = (epoch, is_gone)
        text = f"No gateway has a document of the present epoch ({epoch})"
        text += ", and they say that there will be none." if is_gone else " yet."
        if self._newest < 0:
            text += (
                f" Epochs are taken to last {self._period:g} s ({self._period_source}); if the network has others"
                " (EpochDuration in the configuration, or KATZENPOST_EPOCH_DURATION), or this machine's clock is"
                " wrong, there is none."
            )
        self._say(text)

    def _say_once(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            self._say(text)

    def _say(self, text: str) -> None:
        self._log.log(NOTICE, "%s", text)
