"""The connection's life cycle: every state has a deadline, and every end a next try."""

import itertools

import pytest

from kpclientd.config.model import PinnedGateway
from kpclientd.gateway.choice import (
    FIRST_WAIT_SECONDS,
    LONGEST_WAIT_IF_THERE_SECONDS,
    LONGEST_WAIT_SECONDS,
    GatewayPool,
)
from kpclientd.gateway.connection import (
    BETWEEN_TRIES_SECONDS,
    DIAL_SECONDS,
    HURRIED_DIAL_SECONDS,
    LOOK_AGAIN_SECONDS,
    OVERTIME_SECONDS,
    PROVED_SECONDS,
    SETTLED_SECONDS,
    Connection,
    ConnectionEvent,
    ConnectionState,
    Dial,
    Down,
    Failed,
    HangUp,
    Settled,
)
from kpclientd.gateway.protocol import HANDSHAKE_SECONDS, READ_SECONDS, LinkProtocol
from kpclientd.wire.commands import CommandCodec
from kpclientd.wire.session import NoiseSession
from pki import key_hash
from sphinx.randomness import seeded
from tests.wire.links import FAST_KEM, GEOMETRY, NOW

RANDOM = seeded(b"connection")
KEY = FAST_KEM.generate(RANDOM)
NODE_ID = key_hash(bytes(32))


class Bench:
    """A connection whose streams the test plays."""

    def __init__(self, gateways: int = 1) -> None:
        pins = [
            PinnedGateway(f"gateway{n}", bytes([n]) * 32, KEY.public_key, (f"tcp://192.0.2.{n}:1",))
            for n in range(gateways)
        ]
        self.now = 50.0
        self.pool = GatewayPool(pins, ("tcp",), lambda url: True, RANDOM)
        self.connection = Connection(
            self.pool, lambda choice: LinkProtocol(choice, kem=FAST_KEM, geometry=GEOMETRY, randomness=RANDOM)
        )

    def take(self) -> list[ConnectionEvent]:
        events = []
        while (event := self.connection.next_event()) is not None:
            events.append(event)
        return events

    def next_timer(self) -> list[ConnectionEvent]:
        """Go on to the next timer, and handle it."""
        due = self.connection.next_timer()
        assert due < float("inf")
        self.now = max(self.now, due)
        self.connection.handle_timers(self.now)
        return self.take()


def test_it_dials_at_once() -> None:
    bench = Bench()
    (event,) = bench.next_timer()
    assert isinstance(event, Dial) and bench.now == 50.0
    assert bench.connection.state is ConnectionState.DIALLING


@pytest.mark.parametrize(("gateways", "seconds"), [(1, DIAL_SECONDS), (2, HURRIED_DIAL_SECONDS)])
def test_a_stream_that_does_not_open_is_given_up_sooner_where_there_are_others(gateways: int, seconds: float) -> None:
    bench = Bench(gateways)
    bench.next_timer()
    began = bench.now
    events = bench.next_timer()
    assert bench.now - began == pytest.approx(seconds + OVERTIME_SECONDS)
    assert [type(event) for event in events] == [HangUp, Failed]
    assert bench.connection.state is ConnectionState.WAITING


def test_a_handshake_has_its_deadline() -> None:
    bench = Bench()
    bench.next_timer()
    bench.connection.opened(bench.now)
    began = bench.now
    events = bench.next_timer()
    assert bench.now - began == pytest.approx(HANDSHAKE_SECONDS)
    assert [type(event) for event in events] == [HangUp, Failed]


def test_among_several_only_the_last_one_has_time_for_its_handshake() -> None:
    bench = Bench(3)
    seconds = []
    for _ in range(3):
        while not any(isinstance(event, Dial) for event in bench.next_timer()):
            pass
        bench.connection.opened(bench.now)
        began = bench.now
        assert [type(event) for event in bench.next_timer()] == [HangUp, Failed]
        seconds.append(bench.now - began)
    assert seconds == pytest.approx([HURRIED_DIAL_SECONDS, HURRIED_DIAL_SECONDS, HANDSHAKE_SECONDS])


def test_one_gateway_after_the_other_is_tried_before_any_a_second_time() -> None:
    bench = Bench(3)
    tried = []
    for _ in range(3):
        while not (dials := [event for event in bench.next_timer() if isinstance(event, Dial)]):
            pass
        tried.append(dials[0].protocol.choice.name)
        bench.connection.not_opened("nobody there", bench.now, is_refused=False)
        bench.take()
    assert sorted(tried) == ["gateway0", "gateway1", "gateway2"]
    assert bench.now < 52.0


@pytest.mark.parametrize(
    ("is_refused", "longest"), [(False, LONGEST_WAIT_SECONDS), (True, LONGEST_WAIT_IF_THERE_SECONDS)]
)
def test_the_next_try_is_told_and_never_far(is_refused: bool, longest: float) -> None:
    bench = Bench()
    for _ in range(20):
        bench.next_timer()
        bench.connection.not_opened("nobody there", bench.now, is_refused=is_refused)
        _, failed = bench.take()
        assert isinstance(failed, Failed) and failed.reason == "nobody there"
        assert bench.now < failed.next_try == bench.connection.next_timer() <= bench.now + longest


def test_without_any_gateway_it_looks_again_soon() -> None:
    bench = Bench(0)
    (failed,) = bench.next_timer()
    assert isinstance(failed, Failed) and failed.choice is None
    assert bench.connection.next_timer() == bench.now + LOOK_AGAIN_SECONDS


def test_when_the_way_to_the_network_changes_it_dials_at_once() -> None:
    bench = Bench()
    for _ in range(6):
        bench.next_timer()
        bench.connection.not_opened("nobody there", bench.now, is_refused=False)
        bench.take()
    bench.connection.route_changed(bench.now, link_is_cut=False)
    assert bench.connection.next_timer() == bench.now


@pytest.mark.parametrize("is_open", [False, True])
def test_a_way_that_is_cut_ends_the_try_and_leads_to_another(is_open: bool) -> None:
    bench = Bench()
    bench.next_timer()
    if is_open:
        bench.connection.opened(bench.now)
    bench.connection.route_changed(bench.now, link_is_cut=True)
    assert [type(event) for event in bench.take()] == [HangUp, Failed]
    assert bench.connection.next_timer() <= bench.now + 1.0


class Established(Bench):
    """A connection that is up."""

    def __init__(self) -> None:
        super().__init__()
        self.bring_up()

    def bring_up(self) -> None:
        while self.connection.state is not ConnectionState.DIALLING:
            self.next_timer()
        protocol = self.connection.protocol
        assert protocol is not None
        self.connection.opened(self.now)
        gateway = NoiseSession.responder(FAST_KEM, KEY, NODE_ID, CommandCodec(GEOMETRY), lambda _: True, RANDOM)
        while not protocol.was_up:
            gateway.receive(protocol.outgoing(self.now), NOW)
            protocol.wrote()
            protocol.receive(gateway.outgoing(), self.now, NOW)
        self.connection.progressed(self.now)
        assert self.connection.is_up
        self.take()

    def end(self) -> float:
        """The link breaks; in how many seconds the next try is."""
        assert self.connection.protocol is not None
        self.connection.protocol.broke("reset")
        self.connection.progressed(self.now)
        return self.connection.next_timer() - self.now


def test_links_that_never_prove_good_are_tried_ever_more_seldom_and_a_good_one_at_once() -> None:
    bench = Established()
    waits = []
    for _ in range(4):
        waits.append(bench.end())
        bench.bring_up()
    assert all(wait < later for wait, later in itertools.pairwise(waits))
    bench.connection.proved(bench.now)
    assert bench.take() == [], "it may be lost again at once"
    bench.now += PROVED_SECONDS
    for _ in range(2):
        bench.connection.progressed(bench.now)
        bench.connection.proved(bench.now)
    assert [type(event) for event in bench.take()] == [Settled]
    assert bench.end() <= FIRST_WAIT_SECONDS


@pytest.mark.parametrize("seconds", [SETTLED_SECONDS - 1.0, SETTLED_SECONDS])
def test_a_link_that_lives_long_is_a_good_one(seconds: float) -> None:
    bench = Established()
    for _ in range(4):
        bench.end()
        bench.bring_up()
    bench.now += seconds
    assert (bench.end() <= FIRST_WAIT_SECONDS) is (seconds >= SETTLED_SECONDS)


def test_a_way_by_which_too_little_comes_is_told_from_a_gateway_that_says_no() -> None:
    bench = Bench()
    bench.next_timer()
    bench.connection.not_opened("refused", bench.now, is_refused=True)
    ends = bench.take()
    bench.next_timer()
    bench.connection.opened(bench.now)
    ends += bench.next_timer()
    assert [event.is_way_bad for event in ends if isinstance(event, Failed)] == [False, True]
    established = Established()
    established.now += READ_SECONDS
    established.connection.handle_timers(established.now)
    assert [event.is_way_bad for event in established.take() if isinstance(event, Down)] == [True]


def test_a_link_that_is_lost_by_no_fault_of_the_gateways_costs_it_nothing() -> None:
    bench = Established()
    for _ in range(4):
        bench.connection.lose("the time is to be measured again", bench.now)
        assert [type(event) for event in bench.take()] == [HangUp, Down]
        assert bench.connection.next_timer() == bench.now + BETWEEN_TRIES_SECONDS
        bench.bring_up()


def test_what_comes_of_a_try_that_was_given_up_changes_nothing() -> None:
    bench = Bench()
    bench.next_timer()
    bench.next_timer()
    bench.connection.not_opened("too late", bench.now, is_refused=True)
    bench.connection.progressed(bench.now)
    bench.connection.leave("too late", bench.now)
    assert bench.take() == []
