"""Which documents are believed, and which is current: the rules, without any I/O.

Theory of operation. A gateway hands out documents and is not trusted; the authorities are. So:

* A document comes in by `verify` and `keep` alone: it is verified against the authorities, the epoch that was asked
  for, our geometry and the rules of well-formedness. One that fails any of these changes nothing that is held.
* Three epochs are held: the previous one, so that there is a document while the new one is late; the present one; the
  next one, fetched early, so that nothing needs to be fetched at the boundary.
* Packets are composed by the present epoch's document, else by the previous one's, else not at all.
"""

import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pki.certificate import Certificate, Verifier, threshold
from pki.document import Document
from pki.epoch import EpochClock
from pki.errors import (
    EpochMismatch,
    GeometryMismatch,
    UnusableDocumentError,
)
from pki.path import delay_cap_ms
from pki.wellformed import check_well_formed
from sphinx.commands import MAX_DELAY_MS
from sphinx.geometry import Geometry

__all__ = ["TrustedDocuments", "VerifiedDocument", "Verifier", "check_usable"]

_ENDS_OF_A_PATH: Final = 2  # gateway and service node


@dataclass(frozen=True, slots=True)
class VerifiedDocument:
    """A document that enough authorities have signed, with the bytes that prove it.

    Attributes:
        document: what it says.
        certified: its bytes as they were signed.
        certificate: the certificate around them, as it was received.
        signatures: how many of the authorities that count have signed it, at least those that had to.
        verified_at: Unix seconds.
    """

    document: Document
    certified: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    signatures: int = 0
    verified_at: float = 0.0


def check_usable(document: Document, geometry: Geometry) -> None:
    """Check that a client of our geometry can compose packets for that network.

    Raises:
        GeometryMismatch: if the network has another geometry; the message names both hashes.
        UnusableDocumentError: if delays cannot be drawn or packets have fewer hops than the network has layers.
    """
    ours, theirs = geometry.digest(), document.sphinx_geometry_hash
    if not hmac.compare_digest(ours, theirs):
        raise GeometryMismatch(
            f"the network's Sphinx geometry has the hash {theirs.hex()}, the configured one {ours.hex()}: "
            "take the [SphinxGeometry] table from the network's operators"
        )
    if not 0 < delay_cap_ms(document.mu) <= MAX_DELAY_MS:
        raise UnusableDocumentError(f"Mu is {document.mu} per ms; expected a rate to draw delays from")
    hops = len(document.topology) + _ENDS_OF_A_PATH
    if hops > geometry.nr_hops:
        raise UnusableDocumentError(f"a path has {hops} hops; our packets have room for {geometry.nr_hops}")


class TrustedDocuments:
    """The documents that we believe.

    Every `now` is unix seconds, and may jump in either direction.

    Args:
        clock: the network's epochs.
        authorities: whose signatures count; more than half of them must have signed.
        geometry: our packets' geometry, which the network must share.
    """

    def __init__(self, clock: EpochClock, authorities: Sequence[Verifier], geometry: Geometry) -> None:
        self._clock = clock
        self._authorities = tuple(authorities)
        self._geometry = geometry
        self._held: dict[int, VerifiedDocument] = {}

    def verify(self, blob: bytes, requested_epoch: int, now: float) -> VerifiedDocument:
        """Verify a document without keeping it.

        Nothing of this object changes, so a caller may run it in a thread: some schemes take their time.

        Args:
            blob: the certificate as the gateway sent it.
            requested_epoch: the epoch that was asked for.
            now: unix seconds.

        Raises:
            DocumentRejected: by its subclass, why the document is not believed or of no use.
        """
        present = self._clock.epoch(now)
        if not self._is_near(requested_epoch, now):
            raise EpochMismatch(f"asked for epoch {requested_epoch}; in epoch {present} only its neighbours are kept")
        certificate = Certificate.parse(blob)
        certificate.verify_threshold(self._authorities, threshold(len(self._authorities)), present)
        document = Document.parse(certificate.certified)
        if document.epoch != requested_epoch:
            raise EpochMismatch(f"asked for epoch {requested_epoch}; got the document of {document.epoch}")
        check_usable(document, self._geometry)
        check_well_formed(document, requested_epoch, self._authorities)
        signed = sum(verifier.key_hash in certificate.signatures for verifier in self._authorities)
        return VerifiedDocument(document, certificate.certified, blob, signed, now)

    def accept(self, blob: bytes, requested_epoch: int, now: float) -> VerifiedDocument:
        """Verify a document and keep it; the oldest ones are forgotten.

        Args:
            blob: the certificate as the gateway sent it.
            requested_epoch: the epoch that was asked for.
            now: unix seconds.

        Raises:
            DocumentRejected: by its subclass, why the document is not believed or of no use. Nothing held has changed
                then.
        """
        return self.keep(self.verify(blob, requested_epoch, now), now)

    def keep(self, verified: VerifiedDocument, now: float) -> VerifiedDocument:
        """Keep what `verify` returned; the oldest documents are forgotten.

        Should the authorities have signed two documents for one epoch, the later one counts: that is so where a
        network was set up anew, and whoever can have two signed could have had either.

        Returns:
            The document held for that epoch: what was held stays, if it says the same.
        """
        epoch = verified.document.epoch
        held = self._held.get(epoch)
        if held is None or held.certified != verified.certified:
            held = self._held[epoch] = verified
        self._held = {e: document for e, document in self._held.items() if self._is_near(e, now)}
        return held

    def held(self) -> tuple[VerifiedDocument, ...]:
        """All documents that are held, oldest epoch first."""
        return tuple(self._held[epoch] for epoch in sorted(self._held))

    def current(self, now: float) -> VerifiedDocument | None:
        """What packets are composed by: this epoch's document, else the previous one's, else None."""
        present = self._clock.epoch(now)
        return self._held.get(present) or self._held.get(present - 1)

    def exact(self, epoch: int) -> VerifiedDocument | None:
        """That epoch's document, if it is held."""
        return self._held.get(epoch)

    def _is_near(self, epoch: int, now: float) -> bool:
        return abs(epoch - self._clock.epoch(now)) <= 1
