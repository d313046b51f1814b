"""Which document is asked for, when, and of whom; and what becomes of the answers: a state machine without I/O.

    state      event                          next        and
    NO_LINK    a link comes up                IDLE        what the last gateway refused is forgotten
    any        the link goes down             NO_LINK     a verification goes on, and its result is taken
    IDLE       an epoch is due                ASKING      `Ask`
    ASKING     a document that is known       IDLE
    ASKING     a document                     VERIFYING   `Verify`
    ASKING     "not found", "gone"            IDLE        that epoch rests; perhaps `Leave`
    VERIFYING  it is believed                 IDLE        `Kept`; perhaps `Current`
    VERIFYING  it is not                      IDLE        that epoch rests; perhaps `Leave`
    any        an epoch ends                  the same    `Current`, perhaps of no document; perhaps `Leave`

The states end by themselves: NO_LINK when the connection comes up, which always has a deadline; ASKING with the link,
which ends where an answer stays away for 30 s; VERIFYING with the work; IDLE at the next of its times.

Theory of operation. Gateways hand documents out and are not trusted; `pki.trust` decides what is believed. Asked for
are the present epoch; the next one from 11/16 of the period on, as authorities publish it at 5/8; and the previous one
as long as nothing newer is held. On a new link the first two are asked for once more although they are held, as the
newest reference does: it shows whether this gateway has them.

What a gateway refuses is asked for again after a rest, a long one where it says "gone", and at once when its epoch
begins. A gateway that has once left a request unanswered is not asked again for what is held. Rests are in monotonic
time, so that no step of the wall clock prolongs one. A gateway is left for another one

* when the current document does not list it: nothing could be sent through it any more;
* when it refuses the present document, or serves one that the authorities did not sign, while another gateway has not
  refused it. As long as the previous document still serves this takes a while, as a gateway may just be late. Once all
  have refused there is no such document, and nothing is gained by going round.

As long as a document serves it is not left for one that is bad by the authorities' own doing, which it would be
everywhere; nor ever for anything about the next epoch.

Source: the Katzenpost client's PKI worker.
"""

import logging
import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from blake3 import blake3

from kpclientd.gateway.choice import GatewayChoice, GatewayPool
from kpclientd.gateway.notices import DocumentNotices
from kpclientd.wire.commands import ConsensusCode
from kpclientd.wire.consensus import Fetched, FetchResult
from kpclientd.wire.errors import ConsensusError
from pki import (
    CertificateError,
    CertificateExpiredError,
    DocumentRejected,
    EncodingError,
    EpochClock,
    EpochMismatch,
    ThresholdError,
    TrustedDocuments,
    VerifiedDocument,
)
from pki.epoch import DEFAULT_PERIOD_SOURCE
from sphinx.types import NodeId

log = logging.getLogger("client/pki")

NEXT_FROM: Final = 11 / 16
"""Of a period: from then on the next document is asked for. Authorities publish it at 5/8; gateways cache it by 1/16
later (the reference client's `nextFetchTill`)."""

RECHECK: Final = 1 / 16
"""Of a period: the longest rest between two requests for what was refused (the reference's `recheckInterval`)."""

SHORTEST_REST_SECONDS: Final = 1.0
SHORTEST_RECHECK_SECONDS: Final = 0.25
"""However short the epochs are."""

JUST_AFTER_SECONDS: Final = 0.001
"""Whatever the rounding of the two clocks, a time that was waited for has come."""

PATIENCE_SECONDS: Final = 10.0
"""With a gateway that refuses the present document while the previous one still serves, if a `RECHECK` is no longer;
and with one that the document does not list, from the beginning of its link."""

IMPATIENCE_SECONDS: Final = 2.0
"""With a gateway that refuses the present document while nothing serves."""

SILENT_SECONDS: Final = 20.0
"""A link that ends so long after an unanswered request has ended by it, or might have."""

MOST_REMEMBERED: Final = 16
"""Digests of documents that were refused; the same bytes are not verified twice."""

Unbelieved = DocumentRejected | ConsensusError
"""Why a document is not believed, or cannot even be decompressed."""

_THE_GATEWAYS_FAULT: Final = (CertificateError, ConsensusError, EncodingError, EpochMismatch, ThresholdError)

_MAY_BE_RIGHT_LATER: Final = (CertificateExpiredError, EpochMismatch)
"""What depends on the clock, or on the epoch that was asked for."""


@dataclass(frozen=True, slots=True)
class Ask:
    """Ask the gateway for the document of `epoch`."""

    epoch: int


@dataclass(frozen=True, slots=True)
class Verify:
    """Decompress and verify a document off the event loop, and tell the result by `verified` or `rejected`."""

    fetched: Fetched


@dataclass(frozen=True, slots=True)
class Kept:
    """A document was verified and is held now."""

    document: VerifiedDocument


@dataclass(frozen=True, slots=True)
class Served:
    """The gateway has given a document that is believed."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The gateway has no document of the present epoch that can be believed."""


@dataclass(frozen=True, slots=True)
class Current:
    """Another document has become the current one; None: there is none any more."""

    document: VerifiedDocument | None


@dataclass(frozen=True, slots=True)
class Leave:
    """End the link, for this reason; another gateway may do better."""

    reason: str


WorkerEvent = Ask | Verify | Served | Kept | Refused | Current | Leave


@dataclass(slots=True)
class _Refusal:
    """That a gateway did not give an epoch's document.

    Attributes:
        count: how often.
        until: monotonic seconds; it is not asked for it before.
        is_gone: it says that it never will.
        at_fault_since: monotonic seconds; None if it is not to blame.
    """

    count: int = 0
    until: float = 0.0
    is_gone: bool = False
    at_fault_since: float | None = None


@dataclass(slots=True)
class _Link:
    """What is known of the gateway that is connected."""

    choice: GatewayChoice
    since: float
    answered: set[int] = field(default_factory=set)  # held documents that were asked for again
    refusals: dict[int, _Refusal] = field(default_factory=dict)
    asking: int | None = None
    asked_at: float = 0.0
    present: int = -1

    def begin_epoch(self, present: int) -> bool:
        """Ask for the present document anew: what was refused of it before its time was perhaps too early."""
        is_new = present != self.present > 0
        if is_new:
            self.refusals.pop(present, None)
        self.present = present
        return is_new

    def rests_until(self, epoch: int, now: float) -> float:
        """Until when it is not asked for that epoch's document: `now` or earlier if it may be."""
        refusal = self.refusals.get(epoch)
        return now if refusal is None else refusal.until


class DocumentWorker:
    """The worker. Every `now` is in monotonic seconds, every `unix` the network's time in Unix seconds.

    Args:
        clock: the network's epochs.
        trusted: decides, and keeps the documents.
        pool: the gateways; it is told the current document.
        period_source: where the period comes from, for people.
    """

    def __init__(
        self,
        clock: EpochClock,
        trusted: TrustedDocuments,
        pool: GatewayPool,
        *,
        period_source: str = DEFAULT_PERIOD_SOURCE,
    ) -> None:
        self._clock = clock
        self._trusted = trusted
        self._pool = pool
        self._notices = DocumentNotices(clock.period, period_source)
        self._link: _Link | None = None
        self._verifying: tuple[int, bytes, _Link | None] | None = None
        self._refused_blobs: deque[tuple[bytes, Unbelieved]] = deque(maxlen=MOST_REMEMBERED)
        self._digests: dict[int, bytes] = {}
        self._refusers: dict[int, set[NodeId]] = {}
        self._told: VerifiedDocument | None = None
        self._newest_told = -1
        self._unanswered: dict[int, set[NodeId]] = {}
        self._events: deque[WorkerEvent] = deque()

    # -- what happens

    def link_up(self, choice: GatewayChoice, now: float, unix: float) -> None:
        """A link has come up."""
        answered = {epoch for epoch, silent in self._unanswered.items() if choice.node_id in silent}
        self._link = _Link(choice, now, answered)
        self.handle_timers(now, unix)

    def link_down(self, now: float) -> None:
        """The link has ended."""
        link, self._link = self._link, None
        if link is not None and link.asking is not None and now >= link.asked_at + SILENT_SECONDS:
            self._unanswered.setdefault(link.asking, set()).add(link.choice.node_id)

    def answered(self, result: FetchResult, now: float, unix: float) -> None:
        """The gateway has answered what was asked last."""
        link = self._link
        if link is None or link.asking is None:
            return
        link.asking = None
        if isinstance(result, Fetched):
            self._take(result, link, now, unix)
        else:
            link.answered.add(result.epoch)
            self._refuse(link, result.epoch, now, is_gone=result.code is ConsensusCode.GONE)
            if result.epoch == self._clock.epoch(unix):
                self._events.append(Refused())
        self.handle_timers(now, unix)

    def verified(self, document: VerifiedDocument, now: float, unix: float) -> None:
        """What was given to `Verify` is believed."""
        epoch, digest, link = self._verified_from()
        self._digests[epoch] = digest
        if link is not None:
            link.answered.add(epoch)
            self._events.append(Served())
        before, held = self._trusted.exact(epoch), self._trusted.keep(document, unix)
        if held is not before:
            log.debug("verified the document of epoch %d (%d bytes)", epoch, len(held.certificate))
            self._events.append(Kept(held))
            if before is not None:
                self._notices.signed_anew(epoch)
        self._refusers.pop(epoch, None)
        self.handle_timers(now, unix)

    def restored(self, document: VerifiedDocument, now: float, unix: float) -> None:
        """A document from disk is believed."""
        if self._trusted.exact(document.document.epoch) is None:
            self._trusted.keep(document, unix)
        self.handle_timers(now, unix)

    def rejected(self, error: Unbelieved, now: float, unix: float) -> None:
        """What was given to `Verify` is not believed."""
        epoch, digest, link = self._verified_from()
        if not isinstance(error, _MAY_BE_RIGHT_LATER):
            self._refused_blobs.append((digest, error))
        self._reject(epoch, error, link, now, unix)
        self.handle_timers(now, unix)

    def present_epoch(self, unix: float) -> int:
        """The epoch whose document is wanted."""
        return self._clock.epoch(unix)

    def next_event(self) -> WorkerEvent | None:
        """What to do, in order."""
        return self._events.popleft() if self._events else None

    def next_timer(self, now: float, unix: float) -> float:
        """When to call `handle_timers` if nothing happens before: monotonic seconds, always finite."""
        times = [now + self._clock.start(self._clock.epoch(unix) + 1) - unix + JUST_AFTER_SECONDS]
        link = self._link
        if link is not None:
            times.append(self._time_to_leave(link, unix)[0])
            if link.asking is None and self._verifying is None:
                times.extend(self._times_to_ask(link, now, unix))
        return max(now, min(times))

    def handle_timers(self, now: float, unix: float) -> None:
        """Do what is due; also to be called when the clock was stepped."""
        self._tell_current(unix)
        self._forget_far_epochs(unix)
        link = self._link
        if link is None:
            return
        if link.begin_epoch(self._clock.epoch(unix)):
            self._refusers.pop(link.present, None)
        if self._leave(link, now, unix):
            return
        if link.asking is None and self._verifying is None:
            due = next((epoch for epoch in self._wanted(link, unix) if link.rests_until(epoch, now) <= now), None)
            if due is not None:
                link.asking, link.asked_at = due, now
                self._events.append(Ask(due))

    # -- asking

    def _wanted(self, link: _Link, unix: float) -> tuple[int, ...]:
        """The epochs to ask this gateway for, the most urgent first."""
        present = self._clock.epoch(unix)
        is_held = self._trusted.exact(present) is not None
        wanted = [present]
        if self._clock.elapsed(unix) >= NEXT_FROM * self._clock.period:
            wanted.append(present + 1)
        if not is_held and present > 0:
            wanted.append(present - 1)
        return tuple(
            epoch
            for epoch in wanted
            if self._trusted.exact(epoch) is None or (epoch >= present and epoch not in link.answered)
        )

    def _times_to_ask(self, link: _Link, now: float, unix: float) -> list[float]:
        times = [link.rests_until(epoch, now) for epoch in self._wanted(link, unix)]
        next_from = self._clock.start(self._clock.epoch(unix)) + NEXT_FROM * self._clock.period
        if next_from >= unix:
            times.append(now + next_from - unix + JUST_AFTER_SECONDS)
        return times

    def _take(self, fetched: Fetched, link: _Link, now: float, unix: float) -> None:
        digest = blake3(fetched.compressed).digest()
        if digest == self._digests.get(fetched.epoch) and self._trusted.exact(fetched.epoch) is not None:
            link.answered.add(fetched.epoch)
            self._events.append(Served())
            return
        for refused, error in self._refused_blobs:
            if refused == digest:
                self._reject(fetched.epoch, error, link, now, unix)
                return
        self._verifying = (fetched.epoch, digest, link)
        self._events.append(Verify(fetched))

    def _verified_from(self) -> tuple[int, bytes, _Link | None]:
        assert self._verifying is not None, "nothing is being verified"
        epoch, digest, link = self._verifying
        self._verifying = None
        return epoch, digest, link if link is self._link else None

    def _reject(self, epoch: int, error: Unbelieved, link: _Link | None, now: float, unix: float) -> None:
        self._notices.refused(epoch, error)
        if link is not None:
            link.answered.add(epoch)
            is_its_fault = isinstance(error, _THE_GATEWAYS_FAULT)
            self._refuse(link, epoch, now, counts=is_its_fault or self._trusted.current(unix) is None, long=True)

    def _refuse(
        self, link: _Link, epoch: int, now: float, *, is_gone: bool = False, counts: bool = True, long: bool = False
    ) -> None:
        """The gateway did not give us that epoch's document.

        Args:
            link, epoch, now: of what.
            is_gone: it says that it never will; it may be wrong and the only one, so this is believed for a while.
            counts: it is the gateway's fault.
            long: asking again at once makes no sense.
        """
        recheck = max(self._clock.period * RECHECK, SHORTEST_RECHECK_SECONDS)
        refusal = link.refusals.setdefault(epoch, _Refusal())
        rest = recheck if long or is_gone else min(SHORTEST_REST_SECONDS * 2.0 ** min(refusal.count, 16), recheck)
        refusal.count += 1
        refusal.until = now + rest
        refusal.is_gone = is_gone
        if counts:
            if refusal.at_fault_since is None:
                refusal.at_fault_since = now
            self._refusers.setdefault(epoch, set()).add(link.choice.node_id)
        log.debug("epoch %d: the gateway %s; it rests for %.1f s", epoch, "says gone" if is_gone else "has none", rest)

    # -- leaving

    def _leave(self, link: _Link, now: float, unix: float) -> bool:
        at, reason = self._time_to_leave(link, unix)
        if now < at:
            if at == math.inf:
                self._tell_why_it_is_kept(link, unix)
            return False
        self._link = None
        self._events.append(Leave(reason))
        return True

    def _time_to_leave(self, link: _Link, unix: float) -> tuple[float, str]:
        """Until when to bear with this gateway (monotonic seconds, or never), and what is wrong with it."""
        others = self._pool.others(link.choice)
        if others and not self._pool.is_listed(link.choice):
            return link.since + PATIENCE_SECONDS, "the consensus document does not list it, or not with this key"
        present = self._clock.epoch(unix)
        since = self._lacks_present_since(link, unix)
        if since is None or not others - self._refusers.get(present, set()):
            return math.inf, ""
        longest = max(PATIENCE_SECONDS, self._clock.period * RECHECK)
        patience = longest if self._trusted.current(unix) is not None else IMPATIENCE_SECONDS
        return since + patience, f"it has no document of epoch {present} that can be believed"

    def _lacks_present_since(self, link: _Link, unix: float) -> float | None:
        """Since when (monotonic seconds) this gateway does not give us the present document, which nobody else has."""
        present = self._clock.epoch(unix)
        refusal = link.refusals.get(present)
        return refusal.at_fault_since if refusal is not None and self._trusted.exact(present) is None else None

    def _tell_why_it_is_kept(self, link: _Link, unix: float) -> None:
        if not self._pool.is_listed(link.choice):
            self._notices.unlisted(link.choice)
        if self._lacks_present_since(link, unix) is not None:
            present = self._clock.epoch(unix)
            self._notices.nobody_has(present, is_gone=link.refusals[present].is_gone)

    # -- telling

    def _tell_current(self, unix: float) -> None:
        current = self._trusted.current(unix)
        if current is self._told:
            return
        if current is None:
            self._notices.none_any_more()
        elif self._told is not None and current.document.epoch < self._newest_told:
            return  # the clock was put back, and what was told is newer
        self._told = current
        self._pool.follow(current.document if current is not None else None)
        if current is not None:
            self._newest_told = current.document.epoch
            self._notices.current(current.document)
        self._events.append(Current(current))

    def _forget_far_epochs(self, unix: float) -> None:
        present = self._clock.epoch(unix)
        near = range(present - 1, present + 2)
        self._digests = {epoch: digest for epoch, digest in self._digests.items() if epoch in near}
        self._refusers = {epoch: who for epoch, who in self._refusers.items() if epoch in near}
        self._unanswered = {epoch: who for epoch, who in self._unanswered.items() if epoch in near}
        if (link := self._link) is not None:
            link.answered.intersection_update(near)
            link.refusals = {epoch: refusal for epoch, refusal in link.refusals.items() if epoch in near}
