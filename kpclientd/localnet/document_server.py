"""What the gateway answers when a client asks for a document, rightly or, on command, wrongly.

A document of the next epoch is there from five eighths of the present one on; the last three epochs' are kept;
older ones are gone for good. (Katzenpost PKI, 'getting a document'.)
"""

from collections.abc import Sequence
from typing import Final

from kpclientd.localnet.authority import Authorities
from kpclientd.localnet.counters import Counted, Counters
from kpclientd.localnet.faults import Faults
from kpclientd.localnet.faulty_documents import FaultyDocuments
from kpclientd.wire.commands import Consensus2
from kpclientd.wire.consensus import consensus_commands, gone, not_found
from pki.epoch import EpochClock
from sphinx.geometry import Geometry

PUBLISHED_AT: Final = 5 / 8
"""Fraction of an epoch after which the next one's document exists."""

OLDEST_SERVED: Final = 2
"""A document is served until it is older than this many epochs."""


class DocumentServer:
    """Answers requests for documents.

    Args:
        authorities: make the documents.
        clock: the network's epochs.
        geometry: sets the size of the chunks.
        faults: the switches.
        counters: where to count.
    """

    def __init__(
        self,
        authorities: Authorities,
        clock: EpochClock,
        geometry: Geometry,
        faults: Faults,
        counters: Counters,
    ) -> None:
        self._authorities = authorities
        self._clock = clock
        self._geometry = geometry
        self._faults = faults
        self._counters = counters
        self._faulty_documents = FaultyDocuments(authorities, geometry)

    def answer(self, epoch: int, now: float) -> Sequence[Consensus2]:
        """Return the commands that answer a request for the document of `epoch` at `now` (unix seconds)."""
        refusal = self._refusal(epoch, now)
        if refusal is not None:
            self._counters.add(Counted.DOCUMENTS_REFUSED)
            return (refusal,)
        self._counters.add(Counted.DOCUMENTS_SERVED)
        fault = self._faults.document
        if fault is None:
            return consensus_commands(self._authorities.certificate(epoch).encode(), self._geometry)
        return self._faulty_documents.answer(fault, epoch, self._clock.epoch(now))

    def _refusal(self, epoch: int, now: float) -> Consensus2 | None:
        present = self._clock.epoch(now)
        if epoch < present - OLDEST_SERVED:
            return gone()
        if epoch in self._faults.skipped_epochs:
            return gone() if epoch <= present else not_found()
        is_published = self._clock.elapsed(now) >= PUBLISHED_AT * self._clock.period
        if epoch > present + (1 if is_published else 0):
            return not_found()
        return None
