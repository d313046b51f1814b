import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.document import Document
from pki.epoch import EpochClock
from pki.errors import RouteError, UnknownNodeError
from pki.path import Route, delay_cap_ms, forward_route, keys_on_routes, reply_route
from sphinx.commands import NodeDelay, Recipient, SurbReply
from sphinx.randomness import Randomness, seeded
from sphinx.types import NodeId, RecipientId, SurbId
from tests.pki.network import FIRST_EPOCH, SPHINX_KEY_LENGTH, document

CLOCK = EpochClock(1200.0)
START = CLOCK.start(FIRST_EPOCH) + 1
PAPER = document(FIRST_EPOCH, per_layer=3)
GATEWAY, SERVICE = PAPER.gateway_nodes[0], PAPER.service_nodes[0]
ECHO = RecipientId(b"+echo".ljust(32, b"\0"))
QUEUE = RecipientId(b"q" * 32)
SURB_ID = SurbId(b"s" * 16)


def forward(
    randomness: Randomness, *, on: Document = PAPER, start: float = START, clock: EpochClock = CLOCK, surb: bool = True
) -> Route:
    return forward_route(
        on,
        GATEWAY.node_id,
        SERVICE.node_id,
        ECHO,
        with_surb=surb,
        start=start,
        clock=clock,
        randomness=randomness,
        public_key_length=SPHINX_KEY_LENGTH,
    )


def reply(randomness: Randomness, *, start: float = START, gateway: NodeId = GATEWAY.node_id) -> Route:
    return reply_route(
        PAPER,
        gateway,
        QUEUE,
        SURB_ID,
        start=start,
        clock=CLOCK,
        randomness=randomness,
        public_key_length=SPHINX_KEY_LENGTH,
    )


def delays(route: Route) -> list[int]:
    return [command.milliseconds for hop in route.hops for command in hop.commands if isinstance(command, NodeDelay)]


def test_a_forward_route_goes_through_the_gateway_each_layer_and_the_service_node() -> None:
    route = forward(seeded(b"route"))
    assert [hop.node_id for hop in (route.hops[0], route.hops[-1])] == [GATEWAY.node_id, SERVICE.node_id]
    names = {node.node_id: node.name for node in PAPER.mix_descriptors()}
    assert list(route.names) == [names[hop.node_id] for hop in route.hops]
    for hop, layer in zip(route.hops[1:-1], PAPER.topology, strict=True):
        assert hop.node_id in {node.node_id for node in layer}


def test_the_commands_stand_in_the_reference_s_order() -> None:
    with_surb, without = forward(seeded(b"route")), forward(seeded(b"route"), surb=False)
    back = reply(seeded(b"route"))
    for route in (with_surb, without, back):
        for hop in route.hops[:-1]:
            assert [type(command) for command in hop.commands] == [NodeDelay]
    assert [type(command) for command in with_surb.hops[-1].commands] == [NodeDelay, Recipient]
    assert without.hops[-1].commands == (Recipient(ECHO),)
    assert back.hops[-1].commands == (Recipient(QUEUE), SurbReply(SURB_ID))


def test_a_reply_route_has_one_hop_less_and_ends_at_our_gateway() -> None:
    route = reply(seeded(b"reply"))
    assert len(route.hops) == len(PAPER.topology) + 1
    assert route.hops[-1].node_id == GATEWAY.node_id
    assert len(delays(route)) == len(PAPER.topology)


@given(st.binary(max_size=8), st.booleans())
def test_arrival_is_the_start_and_all_delays(seed: bytes, surb: bool) -> None:
    route = forward(seeded(seed), surb=surb)
    assert len(delays(route)) == len(PAPER.topology) + 1 + surb
    assert route.arrival == pytest.approx(START + sum(delays(route)) / 1000, abs=1e-6)
    assert all(1 <= delay <= delay_cap_ms(PAPER.mu) for delay in delays(route))


def test_delays_are_exponential_with_the_document_s_mean() -> None:
    randomness = seeded(b"delays")
    drawn = [delay for _ in range(4000) for delay in delays(forward(randomness))]
    mean = 1 / PAPER.mu + 0.5  # the half is what floor + 1 adds to an exponential draw
    assert sum(drawn) / len(drawn) == pytest.approx(mean, rel=0.02)
    for quantile in (0.1, 0.5, 0.9, 0.99):
        expected = -math.log(1 - quantile) / PAPER.mu
        assert sorted(drawn)[int(quantile * len(drawn))] == pytest.approx(expected, rel=0.05, abs=2)


def test_every_mix_of_a_layer_is_drawn_equally_often() -> None:
    randomness = seeded(b"mixes")
    routes = [forward(randomness) for _ in range(3000)]
    for position, layer in enumerate(PAPER.topology, 1):
        for node in layer:
            share = sum(route.hops[position].node_id == node.node_id for route in routes) / len(routes)
            assert share == pytest.approx(1 / len(layer), abs=0.03)


def test_the_cap_is_where_one_draw_in_a_million_million_would_exceed_it() -> None:
    assert delay_cap_ms(0.005) == 5527
    assert delay_cap_ms(0.00025) == 110_525
    for nothing in (0.0, -1.0, math.nan, math.inf, 5e-324):
        assert delay_cap_ms(nothing) == 0


class LongestDraws(Randomness):
    """Draws delays that no exponential would ever give."""

    def exponential(self, mean: float) -> float:
        return 100 * mean


def test_a_delay_is_capped() -> None:
    source = seeded(b"capped")
    assert set(delays(forward(LongestDraws(source.bytes)))) == {delay_cap_ms(PAPER.mu)}


class FixedDelays(Randomness):
    """Draws the same delay, in milliseconds, at each hop."""

    def __init__(self, milliseconds: int) -> None:
        super().__init__(seeded(b"fixed").bytes)
        self.milliseconds = milliseconds

    def exponential(self, mean: float) -> float:
        return self.milliseconds - 1


def key_epochs(route: Route) -> list[int]:
    by_id = {node.node_id: node for node in PAPER.mix_descriptors()}
    return [
        next(epoch for epoch, key in by_id[hop.node_id].mix_keys.items() if key == hop.public_key) for hop in route.hops
    ]


def test_each_hop_s_key_is_that_of_the_epoch_in_which_the_packet_arrives() -> None:
    boundary = CLOCK.start(FIRST_EPOCH + 1)
    # Arrivals at -2.5 s, -1.5 s, -0.5 s, +0.5 s and +1.5 s from the boundary.
    route = forward(FixedDelays(1000), start=boundary - 2.5)
    assert key_epochs(route) == [FIRST_EPOCH] * 3 + [FIRST_EPOCH + 1] * 2


def test_a_packet_that_arrives_at_the_boundary_itself_needs_the_new_key() -> None:
    boundary = CLOCK.start(FIRST_EPOCH + 1)
    assert key_epochs(forward(FixedDelays(1000), start=boundary - 1))[:2] == [FIRST_EPOCH, FIRST_EPOCH + 1]
    assert key_epochs(forward(FixedDelays(999), start=boundary - 1))[:2] == [FIRST_EPOCH] * 2


def test_routes_of_the_previous_document_reach_into_this_epoch_and_the_next() -> None:
    assert key_epochs(forward(FixedDelays(1), start=START + 1200)) == [FIRST_EPOCH + 1] * 5
    assert key_epochs(forward(FixedDelays(1), start=START + 2400)) == [FIRST_EPOCH + 2] * 5


def test_a_node_without_a_key_for_the_arrival_is_drawn_around() -> None:
    first, second, third = PAPER.topology
    keyless = tuple(dataclasses.replace(node, mix_keys={}) for node in second[:1])
    bent = dataclasses.replace(PAPER, topology=(first, keyless + second[1:], third))
    good = {node.node_id for node in second[1:]}
    found = 0
    for seed in range(60):
        try:
            assert forward(seeded(b"%d" % seed), on=bent).hops[2].node_id in good
            found += 1
        except RouteError:
            pass
    assert found > 48  # one draw in three fails, three in a row one time in twenty-seven


def test_three_draws_without_a_key_are_enough() -> None:
    with pytest.raises(RouteError, match=r"attempts exceeded \(3\): node 'gateway1' has no mix key for epoch"):
        forward(seeded(b"late"), start=START + 3 * 1200)


def test_a_key_of_a_wrong_length_is_an_error_at_once() -> None:
    short = dataclasses.replace(GATEWAY, mix_keys={FIRST_EPOCH: bytes(31)})
    with pytest.raises(RouteError, match="31 bytes; expected 32"):
        forward(seeded(b"short"), on=dataclasses.replace(PAPER, gateway_nodes=(short,)))


def test_an_empty_layer_is_an_error() -> None:
    with pytest.raises(RouteError, match="layer 1 has no nodes"):
        forward(seeded(b"empty"), on=dataclasses.replace(PAPER, topology=(PAPER.topology[0], ())))


@pytest.mark.parametrize("mu", [0.0, -0.005, math.nan, math.inf, 1e-9, 5e-324])
def test_a_rate_that_no_delay_can_be_drawn_from_is_an_error(mu: float) -> None:
    with pytest.raises(RouteError, match="no rate"):
        forward(seeded(b"mu"), on=dataclasses.replace(PAPER, mu=mu))


def test_unknown_ends_are_errors() -> None:
    with pytest.raises(UnknownNodeError, match="no gateway"):
        reply(seeded(b"x"), gateway=SERVICE.node_id)


def test_every_key_that_a_route_meets_is_among_those_of_the_document_its_own_epoch_first() -> None:
    keys = keys_on_routes(PAPER)
    here = {node.mix_keys[FIRST_EPOCH] for node in PAPER.mix_descriptors()}
    assert set(keys[: len(here)]) == here
    late = CLOCK.start(FIRST_EPOCH + 1) - 0.1
    for start in (START, late):
        for number in range(50):
            for route in (forward(seeded(bytes([number])), start=start), reply(seeded(bytes([number])), start=start)):
                assert {hop.public_key for hop in route.hops} <= set(keys)
