"""A machine whose clock is wrong: told about it, and, where the configuration says so, put right by the gateway."""

import logging

import pytest
import trio

from tests.support.world import world

MINUTES = 60.0


@pytest.mark.parametrize("ahead", [-2 * MINUTES, 2 * MINUTES])
async def test_with_time_sync_a_wrong_clock_does_no_harm(ahead: float, autojump_clock: trio.abc.Clock) -> None:
    async with world(clock_ahead=ahead, debug={"EnableTimeSync": True}) as here:
        assert here.daemon.status().time.correction == pytest.approx(ahead, abs=1.5)
        assert here.daemon.status().epoch == here.network.epoch
        app = await here.app()
        ids = [number.to_bytes(16, "big") for number in range(10)]
        for surb_id in ids:
            await app.send(here.service(), b"in time", surb_id)
        await here.until(lambda: not app.unanswered(ids), 120)


async def test_with_time_sync_an_epoch_without_a_consensus_costs_no_link(autojump_clock: trio.abc.Clock) -> None:
    async with world(clock_ahead=-5.0, epoch_period=120.0, debug={"EnableTimeSync": True}) as here:
        first = here.network.epoch
        here.network.faults.skip_consensus(first + 1, 1)
        await here.until(lambda: here.network.epoch == first + 2, 400)
        await here.until(lambda: here.daemon.status().document_epoch == first + 2, 20)
        assert here.daemon.status().link.links == 1


async def test_a_wrong_clock_is_said_aloud(autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        async with world(epoch_period=1200.0, clock_ahead=7 * MINUTES):
            assert "+420 s off the gateway's" in caplog.text


async def test_a_clock_that_is_right_within_a_second_is_left_alone(autojump_clock: trio.abc.Clock) -> None:
    async with world(clock_ahead=0.9, debug={"EnableTimeSync": True}) as here:
        assert here.daemon.trusted.current(here.network.unix()) is not None
        assert here.daemon.status().time.correction == 0.0


async def test_a_machine_that_stood_still_for_an_hour_catches_up(autojump_clock: trio.abc.Clock) -> None:
    """As a paused virtual machine does: everybody's clock has gone on, and only its own timers have not."""
    jumped = [0.0]
    async with world(epoch_period=120.0, jumped=jumped) as here:
        jumped[0] = 3600.0
        # The gateway's clock, as it was measured, contradicts: until its documents show that it is measured anew.
        await here.until(lambda: here.daemon.status().document_epoch == here.network.epoch, 180)
        await here.until(lambda: here.daemon.status().link.gateway, 60)
        app = await here.app()
        await app.send(here.service(), b"after the jump", b"j" * 16)
        await here.until(lambda: not app.unanswered([b"j" * 16]), 60)
