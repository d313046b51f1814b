"""Networks on a virtual clock: every delay is real to the protocols and takes no time at all."""

from collections.abc import AsyncIterator, Callable

import pytest
import trio

from kpclientd.localnet import LocalNetwork
from pki.epoch import GENESIS

PERIOD = 10.0
START = GENESIS + 1_000_000 * PERIOD + 1.0  # one second into an epoch
MU = 0.05


def virtual_unix() -> Callable[[], float]:
    """A wall clock that trio's clock drives."""
    begun = trio.current_time()
    return lambda: START + trio.current_time() - begun


def make_network(**parameters: object) -> LocalNetwork:
    """A network without sockets or limiter, in epochs of ten seconds."""
    defaults: dict[str, object] = {
        "epoch_period": PERIOD,
        "seed": b"tests",
        "mu": MU,
        "rate_limit": False,
        "port": None,
        "unix": virtual_unix(),
    }
    return LocalNetwork(**(defaults | parameters))  # type: ignore[arg-type]


@pytest.fixture
async def network() -> AsyncIterator[LocalNetwork]:
    """A running network. A test has to name `autojump_clock` itself: pytest-trio looks at nobody else's arguments."""
    running = make_network()
    async with trio.open_nursery() as nursery:
        await nursery.start(running.run)
        yield running
        nursery.cancel_scope.cancel()
