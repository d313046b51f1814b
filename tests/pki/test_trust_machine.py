"""Trust under any sequence of answers and clocks: what must never happen, does not."""

from functools import cache

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from pki.epoch import EpochClock
from pki.errors import DocumentRejected
from pki.trust import VerifiedDocument
from tests.pki.network import document, paper_network

PERIOD = 10.0
CLOCK = EpochClock(PERIOD)
EPOCHS = range(20_000_000, 20_000_006)
NETWORK = paper_network()
MIDDLE = CLOCK.start(EPOCHS[2])


@cache
def good(epoch: int) -> bytes:
    return NETWORK.signed(document(epoch, per_layer=1))


@cache
def bad(epoch: int, kind: str) -> bytes:
    if kind == "unsigned":
        return NETWORK.signed(document(epoch, per_layer=1), signers=1)
    if kind == "unusable":
        return NETWORK.signed(document(epoch, per_layer=1, mu=0.0))
    return good(epoch)[:-1]


class Trust(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.trusted = NETWORK.trusted(PERIOD)
        self.now = MIDDLE

    @property
    def epoch(self) -> int:
        return CLOCK.epoch(self.now)

    def held(self) -> dict[int, VerifiedDocument | None]:
        return {epoch: self.trusted.exact(epoch) for epoch in EPOCHS}

    @rule(seconds=st.floats(min_value=0.0, max_value=PERIOD))
    def time_passes(self, seconds: float) -> None:
        self.now = min(self.now + seconds, CLOCK.start(EPOCHS[-1]))

    @rule(seconds=st.floats(min_value=0.0, max_value=2 * PERIOD))
    def the_clock_is_put_back(self, seconds: float) -> None:
        self.now = max(self.now - seconds, CLOCK.start(EPOCHS[0]))

    @rule(epoch=st.sampled_from(EPOCHS), asked=st.sampled_from(EPOCHS))
    def somebody_sends_a_document(self, epoch: int, asked: int) -> None:
        before = self.held()
        try:
            self.trusted.accept(good(epoch), asked, self.now)
        except DocumentRejected:
            assert epoch != asked or abs(asked - self.epoch) > 1
            assert self.held() == before
        else:
            assert epoch == asked and abs(asked - self.epoch) <= 1

    @rule(epoch=st.sampled_from(EPOCHS), kind=st.sampled_from(["unsigned", "unusable", "cut"]))
    def the_gateway_sends_a_bad_one(self, epoch: int, kind: str) -> None:
        before = self.held()
        try:
            self.trusted.accept(bad(epoch, kind), epoch, self.now)
            raise AssertionError("a bad document was believed")
        except DocumentRejected:
            assert self.held() == before

    @invariant()
    def whatever_is_held_was_signed(self) -> None:
        for epoch, verified in self.held().items():
            if verified is not None:
                assert verified.document.epoch == epoch
                assert verified.certificate == good(epoch)

    @invariant()
    def the_current_document_is_of_this_epoch_or_the_one_before(self) -> None:
        verified = self.trusted.current(self.now)
        if verified is not None:
            assert verified.document.epoch in (self.epoch, self.epoch - 1)
        assert (verified is None) == (
            self.trusted.exact(self.epoch) is None and self.trusted.exact(self.epoch - 1) is None
        )

    @invariant()
    def at_most_three_epochs_are_held_at_once(self) -> None:
        assert sum(verified is not None for verified in self.held().values()) <= 3


TestTrust = Trust.TestCase
TestTrust.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
