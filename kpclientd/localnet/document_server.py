"""What a gateway answers when a client asks for a document, rightly or, on command, wrongly.

A document of the next epoch is there from five eighths of the present one on; the last three epochs' are kept;
older ones are gone for good. Where the authorities did not agree there was never one: gateways say "not found" while
the epoch is to come and "gone" once it has begun. (Katzenpost PKI, 'getting a document'.)
"""

from collections.abc import Callable, Sequence, Set
from typing import Final

from kpclientd.localnet.authority import KEPT_CERTIFICATES, Authorities
from kpclientd.localnet.counters import Counted, Counters
from kpclientd.localnet.faults import DocumentFault, GatewayFaults
from kpclientd.localnet.faulty_documents import FaultyDocuments
from kpclientd.wire.commands import Consensus2
from kpclientd.wire.consensus import consensus_commands, gone, not_found
from pki.certificate import Certificate
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
        skipped_epochs: returns those for which there is no consensus.
    """

    def __init__(
        self,
        authorities: Authorities,
        clock: EpochClock,
        geometry: Geometry,
        skipped_epochs: Callable[[], Set[int]],
    ) -> None:
        self._authorities = authorities
        self._clock = clock
        self._geometry = geometry
        self._skipped_epochs = skipped_epochs
        self._faulty_documents = FaultyDocuments(authorities, geometry)
        self._answers: dict[int, tuple[Certificate, Sequence[Consensus2]]] = {}

    def newest_published(self, now: float) -> int:
        """Return the newest epoch whose document can exist at `now` (unix seconds)."""
        is_published = self._clock.elapsed(now) >= PUBLISHED_AT * self._clock.period
        return self._clock.epoch(now) + (1 if is_published else 0)

    def holds_any(self, now: float) -> bool:
        """Whether gateways have any document at `now`; those that have none let nobody in."""
        kept = range(self._clock.epoch(now) - OLDEST_SERVED, self.newest_published(now) + 1)
        return not self._skipped_epochs() >= set(kept)

    def answer(self, epoch: int, now: float, faults: GatewayFaults, counters: Counters) -> Sequence[Consensus2]:
        """Return the commands that answer a request for the document of `epoch`.

        Args:
            epoch: what was asked for.
            now: unix seconds.
            faults: what is in force at the gateway.
            counters: the gateway's.
        """
        present = self._clock.epoch(now)
        refusal = self._refusal(epoch, now)
        if refusal is not None:
            counters.add(Counted.DOCUMENTS_REFUSED)
            return (refusal,)
        counters.add(Counted.DOCUMENTS_SERVED)
        fault = _fault(faults, is_next=epoch > present)
        return self._genuine(epoch) if fault is None else self._faulty_documents.answer(fault, epoch, present)

    def _refusal(self, epoch: int, now: float) -> Consensus2 | None:
        present = self._clock.epoch(now)
        if epoch < present - OLDEST_SERVED:
            return gone()
        if epoch in self._skipped_epochs():
            return gone() if epoch <= present else not_found()
        return not_found() if epoch > self.newest_published(now) else None

    def _genuine(self, epoch: int) -> Sequence[Consensus2]:
        """The answer, compressed once for all who ask."""
        certificate = self._authorities.certificate(epoch)
        known = self._answers.get(epoch)
        if known is None or known[0] is not certificate:
            while len(self._answers) >= KEPT_CERTIFICATES:
                del self._answers[min(self._answers)]
            known = self._answers[epoch] = (certificate, consensus_commands(certificate.encode(), self._geometry))
        return known[1]


def _fault(faults: GatewayFaults, *, is_next: bool) -> DocumentFault | None:
    return faults.document or (faults.next_document if is_next else faults.present_document)
