"""Handshakes are counted by how long they took and where they failed."""

import pytest
import trio

from kpclientd.gateway.handshakes import Handshakes
from kpclientd.gateway.protocol import OTHER_FAILURE, PREMATURE_CLOSE
from kpclientd.wire.errors import HandshakeState
from tests.support.world import world


def test_each_is_counted_once() -> None:
    handshakes = Handshakes()
    handshakes.ended(0.1, None)
    handshakes.ended(8.0, OTHER_FAILURE)
    handshakes.ended(0.2, PREMATURE_CLOSE)
    handshakes.ended(0.3, PREMATURE_CLOSE)
    told = handshakes.status()
    assert (told.succeeded.number, told.failed.number) == (1, 3)
    assert told.failures == {OTHER_FAILURE: 1, PREMATURE_CLOSE: 2}
    assert told.failed.total == pytest.approx(8.5)


async def test_a_gateway_with_another_key_fails_where_it_is_to_prove_itself(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        (gateway,) = here.network.gateways
        gateway.stop()
        await here.until(lambda: here.daemon.status().link.failures, 60)
        here.network.rekey(gateway)
        gateway.start()
        await here.until(lambda: here.daemon.status().link.handshakes.failures, 600)
        assert set(here.daemon.status().link.handshakes.failures) == {HandshakeState.PEER_AUTHENTICATION}
