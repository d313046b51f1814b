"""When documents are asked for, what becomes of the answers, and when a gateway is left; times are exact."""

import itertools
from dataclasses import replace

import pytest

from kpclientd.config.model import PinnedGateway
from kpclientd.gateway.choice import GatewayChoice, GatewayPool
from kpclientd.gateway.document_worker import (
    IMPATIENCE_SECONDS,
    JUST_AFTER_SECONDS,
    PATIENCE_SECONDS,
    Ask,
    Current,
    DocumentWorker,
    Kept,
    Leave,
    Refused,
    Verify,
    WorkerEvent,
)
from kpclientd.wire.commands import ConsensusCode
from kpclientd.wire.consensus import Fetched, Unavailable, compress_document
from pki import DocumentRejected, EpochClock, TrustedDocuments, key_hash
from sphinx.randomness import seeded
from sphinx.types import NodeId
from tests.pki.network import FIRST_EPOCH, document, paper_network

PERIOD = 1200.0
CLOCK = EpochClock(PERIOD)
E = FIRST_EPOCH
NETWORK = paper_network()
LISTED = document(E).gateway_nodes[0]


def published(epoch: int, **changes: object) -> bytes:
    """That epoch's document, with the same gateway in all."""
    paper = document(epoch)
    same = replace(paper.gateway_nodes[0], identity_key=LISTED.identity_key, link_key=LISTED.link_key)
    return NETWORK.signed(replace(paper, gateway_nodes=(same,), **changes))  # type: ignore[arg-type]


BLOBS = {epoch: published(epoch) for epoch in range(E - 1, E + 4)}
EARLY = 100.0


class Bench:
    """A worker, and a gateway that the test plays; monotonic time is Unix time less the first epoch's beginning."""

    def __init__(self, at: float = EARLY, *, pins: int = 1, period: float = PERIOD) -> None:
        self.now = at
        self.clock = EpochClock(period)
        self.epoch = E if period == PERIOD else 20_000_000
        self.begin = self.clock.start(self.epoch)
        pinned = [PinnedGateway(f"pin{n}", bytes([n]) * 32, bytes(32), ("tcp://127.0.0.1:1",)) for n in range(pins)]
        self.trusted = TrustedDocuments(self.clock, NETWORK.verifiers, NETWORK.trusted()._geometry)
        self.pool = GatewayPool(pinned, ("tcp", "tcp4"), lambda url: True, seeded(b"pool"))
        self.worker = DocumentWorker(self.clock, self.trusted, self.pool)
        self.events: list[WorkerEvent] = []

    @property
    def unix(self) -> float:
        return self.begin + self.now

    def take(self) -> list[WorkerEvent]:
        """What the worker wants since the last time."""
        events = []
        while (event := self.worker.next_event()) is not None:
            events.append(event)
        return events

    def asked(self) -> list[int]:
        return [event.epoch - E for event in self.take() if isinstance(event, Ask)]

    def connect(self, choice: GatewayChoice | None = None) -> None:
        self.worker.link_up(choice or self.pool.candidates()[0], self.now, self.unix)

    def connect_listed(self) -> None:
        """To the gateway that the documents list."""
        self.connect(GatewayChoice(LISTED.name, LISTED.node_id, LISTED.link_key, ("tcp://127.0.0.1:1",)))

    def answer(self, epoch: int, blob: bytes | None = None) -> None:
        """A document comes, and is verified at once."""
        self.worker.answered(Fetched(epoch, compress_document(blob or BLOBS[epoch])), self.now, self.unix)
        for event in self.take():
            self.events.append(event)
            if isinstance(event, Verify):
                try:
                    verified = self.trusted.verify(event.fetched.decompress(), event.fetched.epoch, self.unix)
                except DocumentRejected as error:
                    self.worker.rejected(error, self.now, self.unix)
                else:
                    self.worker.verified(verified, self.now, self.unix)

    def refuse(self, epoch: int, code: ConsensusCode = ConsensusCode.NOT_FOUND) -> None:
        self.worker.answered(Unavailable(epoch, code), self.now, self.unix)

    def sleep(self) -> float:
        return self.worker.next_timer(self.now, self.unix) - self.now

    def wait(self, seconds: float | None = None) -> None:
        """Let time pass: until the next timer, or so many seconds with all timers on the way."""
        end = self.now + (self.sleep() if seconds is None else seconds)
        while self.now < end:
            self.now = min(end, self.worker.next_timer(self.now, self.unix))
            self.worker.handle_timers(self.now, self.unix)


def held(at: float, *epochs: int) -> Bench:
    """A worker with a link to the listed gateway, which has just given those documents."""
    bench = Bench(at)
    for epoch in epochs:
        bench.trusted.accept(BLOBS[epoch], epoch, bench.unix)
    bench.connect_listed()
    for event in bench.take():
        if isinstance(event, Ask) and event.epoch in epochs:
            bench.answer(event.epoch)
    return bench


def test_without_a_link_nothing_is_asked() -> None:
    bench = Bench()
    bench.wait(PERIOD)
    assert bench.take() == []


def test_at_first_the_present_document_is_asked_for_and_the_previous_one_as_a_stopgap() -> None:
    bench = Bench()
    bench.connect()
    assert bench.asked() == [0]
    bench.refuse(E)
    assert bench.asked() == [-1]
    bench.answer(E - 1)
    assert next(event for event in bench.take() if isinstance(event, Current)).document is bench.trusted.exact(E - 1)
    bench.wait()
    assert bench.asked() == [0]


def test_the_previous_document_is_not_asked_for_beside_the_present_one() -> None:
    bench = Bench()
    bench.connect()
    bench.answer(E)
    assert all(event.epoch == E for event in bench.events if isinstance(event, Ask))
    assert bench.asked() == []


def test_the_next_document_is_asked_for_from_eleven_sixteenths_of_the_period_on() -> None:
    bench = held(EARLY, E)
    assert bench.sleep() == pytest.approx(825.0 - EARLY + JUST_AFTER_SECONDS)
    bench.wait()
    assert bench.asked() == [1]


def test_late_in_an_epoch_that_begins_empty_handed_three_documents_are_asked_for_in_order() -> None:
    bench = Bench(PERIOD * 0.9)
    bench.connect()
    asked = bench.asked()
    bench.refuse(E)
    asked += bench.asked()
    bench.refuse(E + 1)
    asked += bench.asked()
    assert asked == [0, 1, -1]


def test_what_is_gone_is_not_asked_for_again_but_of_another_gateway() -> None:
    bench = Bench()
    bench.connect()
    bench.refuse(E, ConsensusCode.GONE)
    bench.answer(E - 1)
    bench.wait(PATIENCE_SECONDS)
    assert bench.asked() == []
    bench.worker.link_down(bench.now)
    bench.connect()
    assert bench.asked() == [0]


def test_what_is_not_there_yet_is_asked_for_ever_more_seldom() -> None:
    bench = held(EARLY, E - 1)
    times = []
    for _ in range(9):
        times.append(bench.now)
        bench.refuse(E)
        bench.take()
        bench.wait()
    gaps = [round(later - earlier, 2) for earlier, later in itertools.pairwise(times)]
    assert gaps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 75.0]


def test_on_a_new_link_what_is_held_is_asked_for_once_more() -> None:
    bench = held(EARLY, E)
    bench.worker.link_down(bench.now)
    bench.take()
    bench.connect_listed()
    assert bench.asked() == [0]
    bench.answer(E)
    bench.wait(300.0)
    assert bench.asked() == []
    assert sum(isinstance(event, Verify) for event in bench.events) == 1, "the bytes are known the second time"


def test_the_same_bad_bytes_are_not_verified_twice() -> None:
    bench = held(EARLY, E - 1)
    bad = BLOBS[E][:-1] + b"\0"
    bench.answer(E, bad)
    assert sum(isinstance(event, Verify) for event in bench.events) == 1
    bench.wait(PERIOD / 16 + 1)
    bench.answer(E, bad)
    assert sum(isinstance(event, Verify) for event in bench.events) == 1


def test_bytes_that_were_refused_in_another_epochs_place_are_taken_in_their_own() -> None:
    bench = held(PERIOD * 0.9, E)
    bench.answer(E + 1, BLOBS[E + 2])
    bench.wait(PERIOD)
    bench.answer(E + 1)
    assert bench.asked() == [2]
    bench.answer(E + 2)
    assert bench.trusted.exact(E + 2) is not None


def test_a_document_is_current_once_and_at_the_boundary() -> None:
    bench = held(PERIOD * 0.9, E, E + 1)
    bench.take()
    assert bench.sleep() == pytest.approx(PERIOD * 0.1 + JUST_AFTER_SECONDS)
    bench.wait()
    assert [event.document for event in bench.take() if isinstance(event, Current)] == [bench.trusted.exact(E + 1)]
    bench.worker.handle_timers(bench.now, bench.unix)
    assert not any(isinstance(event, Current) for event in bench.take())


def test_when_no_document_serves_any_more_that_is_told() -> None:
    bench = held(EARLY, E)
    bench.worker.link_down(bench.now)
    bench.take()
    bench.wait(2 * PERIOD)
    assert [event.document for event in bench.take() if isinstance(event, Current)] == [None]
    assert bench.pool.is_listed(bench.pool.candidates()[0])


def test_a_clock_put_back_tells_nothing_old_anew() -> None:
    bench = held(PERIOD * 0.9, E, E + 1)
    bench.wait(PERIOD * 0.2)
    bench.take()
    bench.worker.handle_timers(bench.now, bench.unix - PERIOD / 2)
    assert not any(isinstance(event, Current) for event in bench.take())


def test_a_gateway_that_leaves_the_consensus_is_left_and_one_that_never_was_in_it_after_a_while() -> None:
    bench = Bench(pins=2)
    bench.connect()
    bench.answer(E)
    assert not any(isinstance(event, Leave) for event in bench.take())
    bench.wait(PATIENCE_SECONDS + 1)
    assert [event for event in bench.take() if isinstance(event, Leave)]


def test_a_gateway_without_the_present_document_is_left_for_one_that_may_have_it() -> None:
    bench = Bench(pins=2)
    bench.connect()
    bench.refuse(E, ConsensusCode.GONE)
    assert Refused() in bench.take()
    bench.refuse(E - 1, ConsensusCode.GONE)
    bench.wait(IMPATIENCE_SECONDS)
    assert [event for event in bench.take() if isinstance(event, Leave)]


def test_with_the_previous_document_it_is_borne_with_for_longer() -> None:
    bench = Bench(pins=3)
    bench.connect()
    bench.refuse(E, ConsensusCode.GONE)
    bench.answer(E - 1)
    bench.pool.follow(None)  # as if all pins were listed
    bench.wait(PATIENCE_SECONDS)
    assert not any(isinstance(event, Leave) for event in bench.take())
    bench.wait(PERIOD / 16)
    assert [event for event in bench.take() if isinstance(event, Leave)]


def test_when_all_have_refused_the_last_one_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("NOTICE")
    bench = Bench(pins=3)
    left = 0
    for choice in (*bench.pool.candidates(), *bench.pool.candidates()):
        bench.connect(choice)
        bench.refuse(E, ConsensusCode.GONE)
        bench.take()
        bench.wait(IMPATIENCE_SECONDS + 1)
        left += any(isinstance(event, Leave) for event in bench.take())
        bench.worker.link_down(bench.now)
    assert left == 2
    assert "KATZENPOST_EPOCH_DURATION" in caplog.text and "1200 s" in caplog.text


def test_a_bad_document_of_the_next_epoch_costs_nothing() -> None:
    bench = held(PERIOD * 0.9, E)
    bench.answer(E + 1, BLOBS[E + 1][:-1] + b"\0")
    bench.wait(PERIOD * 0.09)
    assert not any(isinstance(event, Leave) for event in bench.take())
    assert bench.trusted.current(bench.unix) is bench.trusted.exact(E)


@pytest.mark.parametrize("is_served", [False, True])
def test_a_document_that_is_bad_by_the_authorities_doing_is_a_reason_to_leave_only_where_none_serves(
    is_served: bool,
) -> None:
    bench = Bench(pins=2)
    if is_served:
        bench.trusted.accept(BLOBS[E - 1], E - 1, bench.unix)
    bench.connect()
    bench.pool.follow(None)  # as if all pins were listed
    bench.answer(E, published(E, mu=0.0))
    bench.wait(PERIOD / 4)
    assert any(isinstance(event, Leave) for event in bench.take()) is not is_served


def test_a_document_from_disk_is_current_without_a_link() -> None:
    bench = Bench()
    bench.worker.restored(bench.trusted.verify(BLOBS[E], E, bench.unix), bench.now, bench.unix)
    events = bench.take()
    assert [event.document for event in events if isinstance(event, Current)] == [bench.trusted.exact(E)]
    assert not any(isinstance(event, Kept) for event in events)


def test_what_is_verified_after_the_link_has_ended_is_kept() -> None:
    bench = Bench()
    bench.connect()
    bench.worker.answered(Fetched(E, compress_document(BLOBS[E])), bench.now, bench.unix)
    bench.take()
    bench.worker.link_down(bench.now)
    bench.worker.verified(bench.trusted.verify(BLOBS[E], E, bench.unix), bench.now, bench.unix)
    assert bench.trusted.exact(E) is not None


def test_two_documents_of_one_epoch_are_told_one_after_the_other() -> None:
    bench = held(EARLY, E)
    bench.worker.link_down(bench.now)
    bench.connect_listed()
    bench.take()
    other = published(E, mu=0.05)
    bench.answer(E, other)
    assert [e.document.document.mu for e in bench.take() if isinstance(e, Current) and e.document] == [0.05]


@pytest.mark.parametrize("period", [1.0, 2.0, 10.0])
def test_with_short_epochs_no_timer_stands_still(period: float) -> None:
    bench = Bench(0.0, period=period)
    bench.connect()
    for _ in range(50):
        before = bench.now
        for event in bench.take():
            if isinstance(event, Ask):
                bench.refuse(event.epoch)
        bench.wait()
        assert bench.now > before


def test_the_pin_of_a_listed_gateway_is_the_listed_one() -> None:
    assert NodeId(key_hash(LISTED.identity_key)) == LISTED.node_id
