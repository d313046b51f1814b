"""What an observer of the gateway link sees: a Poisson process of equal packets, whatever applications do."""

import itertools
import statistics

import pytest
import trio

from tests.support.kolmogorov import exponential_p_value
from tests.support.world import App, World, world

SENDS = 20_000
LAMBDA_P, LAMBDA_L = 0.001, 0.0005
SIGNIFICANCE = 0.01
RATE_TOLERANCE = 0.01


async def keep_queue_filled(here: World, app: App) -> None:
    number = 0
    while True:
        if len(here.daemon.queues) < 50:
            for _ in range(100):
                number += 1
                await app.send(here.service(), b"load", number.to_bytes(16, "big"))
        await trio.sleep(10)


@pytest.mark.parametrize("loaded", [False, True], ids=["idle", "loaded"])
async def test_intervals_are_exponential_and_packets_of_equal_length(
    loaded: bool, autojump_clock: trio.abc.Clock
) -> None:
    # Twenty thousand sends with all their applications in one process: what a step costs is benchmarks.app_load's.
    async with world(seed=b"send times", lambda_p=LAMBDA_P, lambda_l=LAMBDA_L, is_watched=False) as here:
        here.network.faults.loss = 1.0  # what becomes of the packets further on is not looked at
        if loaded:
            here.nursery.start_soon(keep_queue_filled, here, await here.app())
        arrivals = here.network.gateway.arrivals = []
        await here.until(lambda: len(arrivals) > SENDS, 10 * SENDS, step=10)
        counts = here.daemon.status().traffic

    times = [arrival.time for arrival in arrivals[: SENDS + 1]]
    intervals = [later - earlier for earlier, later in itertools.pairwise(times)]
    rate = (LAMBDA_P + LAMBDA_L) * 1000
    assert abs(1 / statistics.fmean(intervals) / rate - 1) < RATE_TOLERANCE
    assert exponential_p_value(intervals, 1 / rate) > SIGNIFICANCE
    assert {arrival.length for arrival in arrivals} == {here.network.geometry.packet_length}
    assert (counts.messages > 0.6 * SENDS) if loaded else (counts.messages == 0)
