"""Connection and document worker under anything a network and a clock may do: they never wedge."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from kpclientd.gateway.connection import ConnectionState
from kpclientd.network_time import LONGEST_CORRECTION, STEP_SECONDS
from tests.gateway.simulation import Answering, Gateway, Network, Temper

DAY = 86_400.0
LONGEST_DEADLINE = 60.0
GATEWAYS = st.integers(0, 2)


class NeverWedged(RuleBasedStateMachine):
    """Rules that spoil something, rules that let time pass, and one that makes all good again."""

    @initialize(
        gateways=st.integers(1, 3),
        pinned=st.integers(1, 3),
        seed=st.binary(min_size=1, max_size=4),
        time_sync=st.booleans(),
    )
    def begin(self, gateways: int, pinned: int, seed: bytes, time_sync: bool) -> None:
        self.time_sync = time_sync
        self.network = Network(gateways, min(pinned, gateways), seed=seed, time_sync=time_sync)
        self.client = self.network.client
        self.network.advance(5.0)

    def one(self, number: int) -> Gateway:
        return self.network.gateways[number % len(self.network.gateways)]

    @rule(seconds=st.floats(0.0, 90.0))
    def time_passes(self, seconds: float) -> None:
        self.network.advance(seconds)

    @rule(number=GATEWAYS, temper=st.sampled_from(Temper), at=st.integers(0, 400))
    def a_gateway_changes_its_temper(self, number: int, temper: Temper, at: int) -> None:
        one = self.one(number)
        one.temper, one.breaks_off_at = temper, at

    @rule(number=GATEWAYS, answering=st.sampled_from(Answering))
    def a_gateway_answers_otherwise(self, number: int, answering: Answering) -> None:
        self.one(number).answering = answering

    @rule(how=st.sampled_from(["close", "mute"]))
    def the_link_breaks(self, how: str) -> None:
        if self.client.wire is not None:
            if how == "close":
                self.client.wire.close()
            else:
                self.client.wire.is_mute = True

    @rule(number=GATEWAYS)
    def a_gateway_leaves_or_joins_the_consensus(self, number: int) -> None:
        one = self.one(number)
        one.is_listed = not one.is_listed
        if not any(gateway.is_listed for gateway in self.network.gateways):
            one.is_listed = True

    @precondition(lambda self: len(self.network.gateways) > 1)
    @rule(number=st.integers(1, 2))
    def a_gateway_that_is_not_the_only_pin_is_re_keyed(self, number: int) -> None:
        self.network.gateways[number % len(self.network.gateways) or 1].change_key()

    @precondition(lambda self: len(self.network.gateways) > 1)
    @rule(number=st.integers(1, 2))
    def a_gateway_moves(self, number: int) -> None:
        self.network.gateways[number % len(self.network.gateways) or 1].port += 10

    @rule(epochs=st.integers(1, 6))
    def the_authorities_fail(self, epochs: int) -> None:
        present = self.network.clock.epoch(self.network.unix)
        self.network.missing_epochs |= set(range(present + 1, present + 1 + epochs))

    @rule(seconds=st.one_of(st.floats(-DAY, 3 * DAY), st.floats(-2.0, 2.0), st.just(-11 * 365 * DAY)))
    def the_wall_clock_is_stepped(self, seconds: float) -> None:
        self.client.wall_error += seconds

    @rule(seconds=st.floats(0.5, 400.0))
    def the_machine_sleeps(self, seconds: float) -> None:
        self.network.sleep(seconds)

    @rule(number=GATEWAYS, seconds=st.one_of(st.floats(-10.0, 10.0), st.floats(-DAY, DAY)))
    def a_gateways_clock_is_wrong(self, number: int, seconds: float) -> None:
        self.one(number).clock_error = seconds

    @rule(seconds=st.floats(1.0, 400.0))
    def the_way_to_the_network_is_cut_for_a_while(self, seconds: float) -> None:
        self.network.is_reachable = False
        self.network.advance(seconds)
        self.network.is_reachable = True

    @rule()
    def all_is_good_again(self) -> None:
        """Within thirty seconds there is a link, and soon a document and no reason to leave."""
        network, client = self.network, self.client
        for one in network.gateways:
            one.temper, one.answering, one.is_listed, one.clock_error = Temper.GOOD, Answering.GOOD, True, 0.0
        network.missing_epochs.clear()
        client.wall_error = 0.0
        ups = client.ups
        network.advance(30.0)
        assert client.is_up or client.ups > ups, (client.failures[-3:], client.downs[-3:])
        network.advance(3 * network.clock.period)
        assert client.is_up
        ups = client.ups
        network.advance(2 * network.clock.period)
        assert client.ups == ups and client.is_up, client.downs[-1]
        error = abs(client.time() - network.unix)
        assert error <= (LONGEST_CORRECTION * network.clock.period if self.time_sync else STEP_SECONDS)
        current = client.trusted.current(client.time())
        assert current is not None and current.document.epoch == network.clock.epoch(client.time())
        assert client.current[-1] == current.document.epoch

    @invariant()
    def there_is_a_link_or_a_deadline(self) -> None:
        if not hasattr(self, "client"):
            return
        client, now = self.client, self.network.now
        assert client.connection.next_timer() <= now + LONGEST_DEADLINE
        assert client.worker.next_timer(now, client.time()) <= now + self.network.clock.period + 1.0
        if client.connection.state is ConnectionState.WAITING:
            assert client.connection.next_timer() <= now + 15.0

    @invariant()
    def no_document_is_used_past_its_rule(self) -> None:
        if not hasattr(self, "client"):
            return
        time = self.client.time()
        current = self.client.trusted.current(time)
        present = self.network.clock.epoch(time)
        assert current is None or present - 1 <= current.document.epoch <= present
        if self.client.current and self.client.current[-1] is None:
            assert current is None


TestNeverWedged = NeverWedged.TestCase
TestNeverWedged.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
