"""Which documents are believed, which is current, and when to ask for which: the rules, without any I/O.

Theory of operation. A gateway hands out documents and is not trusted; the authorities are. So:

* A document comes in by `accept` alone, which verifies it against the authorities, the epoch that was asked for, our
  geometry and the rules of well-formedness. One that fails any of these changes nothing that is cached.
* Three epochs are kept: the previous one, so that there is a document while the new one is late; the present one;
  the next one, fetched early, so that nothing needs to be fetched at the boundary.
* Each epoch is in one of four states: held; wanted; resting (its last answer was rejected: asked again after a
  sixteenth of the period, since another gateway may serve a good one); gone (its gateway says that there will never
  be one: not asked again of that gateway).
* Whoever drives this asks `wanted` what to fetch and `next_wakeup` when to ask again, each time anything happened.

The schedule is the reference client's (Katzenpost PKI, 'the client's PKI worker') with two changes: it wakes at every
boundary rather than up to eleven sixteenths later, and it asks each second while the present document is missing.
"""

import hmac
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pki.certificate import Certificate, Verifier, threshold
from pki.document import Document
from pki.epoch import RESOLUTION, EpochClock
from pki.errors import (
    ConflictingDocument,
    DocumentRejected,
    EpochMismatch,
    GeometryMismatch,
    UnusableDocumentError,
)
from pki.path import delay_cap_ms
from pki.wellformed import check_well_formed
from sphinx.commands import MAX_DELAY_MS
from sphinx.geometry import Geometry

__all__ = ["TrustedDocuments", "VerifiedDocument", "Verifier", "check_usable"]

NEXT_FROM: Final = 11 / 16
"""Of a period: from then on the next document is asked for. Authorities publish it at 5/8; gateways cache it by 1/16
later (the reference client's `nextFetchTill`)."""

RECHECK: Final = 1 / 16
"""Of a period: between two requests for what was not there or was rejected (the reference's `recheckInterval`)."""

MISSING_RECHECK: Final = 1.0
"""Seconds between two requests while the present document is missing, if that is less than `RECHECK`."""

SHORTEST_SLEEP: Final = 0.25
"""Seconds: no answer is asked for again sooner than that, however short the epochs are."""

_ENDS_OF_A_PATH: Final = 2  # gateway and service node


@dataclass(frozen=True, slots=True)
class VerifiedDocument:
    """A document that enough authorities have signed, with the bytes that prove it.

    Attributes:
        document: what it says.
        certified: its bytes as they were signed.
        certificate: the certificate around them, as it was received.
        signatures: how many of the authorities that count have signed it, at least those that had to.
    """

    document: Document
    certified: bytes = field(repr=False)
    certificate: bytes = field(repr=False)
    signatures: int = 0


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
    """The documents that we believe, and the state of each epoch near the present one.

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
        self._gone: set[int] = set()
        self._rejected: dict[int, float] = {}  # epoch -> unix seconds from which on it is asked for again
        self._announced = -1

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
        return VerifiedDocument(document, certificate.certified, blob, signed)

    def accept(self, blob: bytes, requested_epoch: int, now: float) -> VerifiedDocument:
        """Verify a document and keep it; the oldest ones are forgotten.

        Args:
            blob: the certificate as the gateway sent it.
            requested_epoch: the epoch that was asked for.
            now: unix seconds.

        Raises:
            DocumentRejected: by its subclass, why the document is not believed or of no use. Nothing cached has
                changed then, and that epoch is not wanted for a while.
        """
        try:
            return self.keep(self.verify(blob, requested_epoch, now), now)
        except DocumentRejected:
            self.mark_rejected(requested_epoch, now)
            raise

    def keep(self, verified: VerifiedDocument, now: float) -> VerifiedDocument:
        """Keep what `verify` returned; the oldest documents are forgotten.

        Returns:
            The document held for that epoch: the first one stays, a later one only adds signatures.

        Raises:
            ConflictingDocument: if another document is held for that epoch.
        """
        epoch = verified.document.epoch
        held = self._held.setdefault(epoch, verified)
        if held.certified != verified.certified:
            raise ConflictingDocument(f"the authorities signed two different documents for epoch {epoch}")
        self._held = {e: document for e, document in self._held.items() if self._is_near(e, now)}
        self._forget_far_epochs(now)
        return held

    def mark_gone(self, epoch: int, now: float) -> None:
        """Remember that the gateway will never have that epoch's document; it is not wanted any more."""
        self._gone.add(epoch)
        self._forget_far_epochs(now)

    def mark_rejected(self, epoch: int, now: float) -> None:
        """Remember that what was served for that epoch is not believed; it is not wanted for a while."""
        self._rejected[epoch] = now + self._recheck
        self._forget_far_epochs(now)

    def held(self) -> tuple[VerifiedDocument, ...]:
        """All documents that are held, oldest epoch first."""
        return tuple(self._held[epoch] for epoch in sorted(self._held))

    def mark_connected(self) -> None:
        """Forget what was gone or rejected: a new connection may lead to another gateway, which may know better."""
        self._gone.clear()
        self._rejected.clear()

    def wanted(self, now: float) -> tuple[int, ...]:
        """The epochs to ask for now, in this order.

        The previous epoch comes last and only as a stopgap: skip it if the present one has arrived meanwhile.
        """
        present = self._clock.epoch(now)
        candidates = [present]
        if self._is_time_for_next(now):
            candidates.append(present + 1)
        if present > 0 and present not in self._held:
            candidates.append(present - 1)
        return tuple(e for e in candidates if e not in self._held and self._may_ask(e, now))

    def next_wakeup(self, now: float) -> float:
        """When to look at `wanted` and `announce` again, if nothing happens before: unix seconds, after `now`.

        That is the next boundary at the latest, also when nothing is wanted.
        """
        present = self._clock.epoch(now)
        boundary = self._clock.start(present + 1)
        times = [boundary]
        missing = min(MISSING_RECHECK, self._recheck)
        if present not in self._held:
            times.append(self._time_to_ask(present, now, now + missing))
            if present - 1 not in self._held:
                times.append(self._time_to_ask(present - 1, now, now + missing))
        if present + 1 not in self._held:
            if self._is_time_for_next(now):
                times.append(self._time_to_ask(present + 1, now, now + self._recheck))
            else:
                next_from = self._clock.start(present) + NEXT_FROM * self._clock.period
                times.append(self._time_to_ask(present + 1, now, next_from))
        return min(boundary, max(min(times), now + SHORTEST_SLEEP))

    def current(self, now: float) -> VerifiedDocument | None:
        """What packets are composed by: this epoch's document, else the previous one's, else None."""
        present = self._clock.epoch(now)
        return self._held.get(present) or self._held.get(present - 1)

    def exact(self, epoch: int) -> VerifiedDocument | None:
        """That epoch's document, if it is held."""
        return self._held.get(epoch)

    def announce(self, now: float) -> VerifiedDocument | None:
        """The document that has just become current, once per epoch; None at all other times.

        Epochs are announced in ascending order: a clock that was put back announces nothing anew.
        """
        present = self._clock.epoch(now)
        document = self._held.get(present)
        if document is None or present <= self._announced:
            return None
        self._announced = present
        return document

    @property
    def _recheck(self) -> float:
        return max(self._clock.period * RECHECK, SHORTEST_SLEEP)

    def _is_time_for_next(self, now: float) -> bool:
        return self._clock.elapsed(now) >= self._clock.period * NEXT_FROM - RESOLUTION

    def _is_near(self, epoch: int, now: float) -> bool:
        return abs(epoch - self._clock.epoch(now)) <= 1

    def _forget_far_epochs(self, now: float) -> None:
        self._gone = {epoch for epoch in self._gone if self._is_near(epoch, now)}
        self._rejected = {epoch: until for epoch, until in self._rejected.items() if self._is_near(epoch, now)}

    def _rests_until(self, epoch: int, now: float) -> float:
        """Until when `epoch` is not asked for: `now` or earlier if it may be."""
        if epoch in self._gone:
            return math.inf
        # A rest that seems longer than any rest is: the clock was put back meanwhile.
        return min(self._rejected.get(epoch, now), now + self._recheck)

    def _may_ask(self, epoch: int, now: float) -> bool:
        return self._rests_until(epoch, now) <= now

    def _time_to_ask(self, epoch: int, now: float, otherwise: float) -> float:
        """When `epoch` is next asked for: `otherwise`, unless it is resting longer than that."""
        return max(self._rests_until(epoch, now), otherwise)
