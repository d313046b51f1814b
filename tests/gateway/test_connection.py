"""The connection's life cycle: every state has a deadline, and every end a next try."""

import pytest

from kpclientd.config.model import PinnedGateway
from kpclientd.gateway.choice import LONGEST_WAIT_IF_THERE_SECONDS, LONGEST_WAIT_SECONDS, GatewayPool
from kpclientd.gateway.connection import (
    DIAL_SECONDS,
    HURRIED_DIAL_SECONDS,
    LOOK_AGAIN_SECONDS,
    Connection,
    ConnectionEvent,
    ConnectionState,
    Dial,
    Failed,
    HangUp,
)
from kpclientd.gateway.protocol import HANDSHAKE_SECONDS, LinkProtocol
from sphinx.randomness import seeded
from tests.wire.links import FAST_KEM, GEOMETRY

RANDOM = seeded(b"connection")


class Bench:
    """A connection whose streams the test plays."""

    def __init__(self, gateways: int = 1) -> None:
        pins = [
            PinnedGateway(f"gateway{n}", bytes([n]) * 32, bytes(32), (f"tcp://192.0.2.{n}:1",)) for n in range(gateways)
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
    assert bench.now - began == pytest.approx(seconds)
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


def test_what_comes_of_a_try_that_was_given_up_changes_nothing() -> None:
    bench = Bench()
    bench.next_timer()
    bench.next_timer()
    bench.connection.not_opened("too late", bench.now, is_refused=True)
    bench.connection.progressed(bench.now)
    bench.connection.leave("too late", bench.now)
    assert bench.take() == []
