"""A gateway that misbehaves is left, or dialled again ever more seldom; what was verified before stays."""

import pytest
import trio

from kpclientd.gateway.choice import LONGEST_WAIT_IF_THERE_SECONDS, LONGEST_WAIT_SECONDS
from kpclientd.localnet.counters import Counted
from kpclientd.localnet.faults import DocumentFault, Faults
from tests.support.world import World, world

REFUSED = [
    DocumentFault.TOO_FEW_SIGNATURES,
    DocumentFault.REPEATED_SIGNER,
    DocumentFault.UNLISTED_SIGNER,
    DocumentFault.NO_SIGNATURES,
    DocumentFault.WRONG,
    DocumentFault.KEY_TYPE,
    DocumentFault.VERSION,
    DocumentFault.EXPIRED,
    DocumentFault.FUTURE,
    DocumentFault.PAST,
    DocumentFault.BAD_GEOMETRY,
    DocumentFault.NO_GATEWAYS,
    DocumentFault.NO_MIX_KEYS,
    DocumentFault.GARBAGE,
    DocumentFault.TRUNCATED_GZIP,
    DocumentFault.GZIP_BOMB,
    DocumentFault.CHUNKS_OUT_OF_ORDER,
    DocumentFault.CHUNK_TOTAL_CHANGES,
]


async def round_trip(here: World) -> None:
    app = await here.app()
    surb_id = here.daemon.randomness.bytes(16)
    await app.send(here.service(), b"still here", surb_id)
    await here.until(lambda: surb_id in app.replies, 120)


@pytest.mark.parametrize("fault", REFUSED)
async def test_a_bad_document_of_the_next_epoch_costs_nothing_before_that_begins(
    fault: DocumentFault, autojump_clock: trio.abc.Clock
) -> None:
    async with world(epoch_period=120.0) as here:
        good = here.daemon.status().document_epoch
        here.network.faults.next_document = fault
        await here.until(lambda: here.network.clock.elapsed(here.network.unix()) > 115.0, 240)
        assert here.daemon.status().document_epoch == here.network.epoch >= (good or 0)
        here.network.faults.clear()
        await here.until(lambda: here.daemon.status().link.gateway, 30)
        await round_trip(here)


@pytest.mark.parametrize("fault", REFUSED)
async def test_a_gateway_with_bad_documents_is_left_for_a_good_one(
    fault: DocumentFault, autojump_clock: trio.abc.Clock
) -> None:
    async with world(epoch_period=120.0, gateways=2) as here:
        name = here.daemon.status().link.gateway
        bad, good = here.network.gateways if name == here.network.gateways[0].keys.name else here.network.gateways[::-1]
        bad.faults.document = fault
        await here.until(lambda: here.daemon.status().link.gateway == good.keys.name, 500)
        await here.until(lambda: here.daemon.status().document_epoch == here.network.epoch, 30)
        await round_trip(here)


@pytest.mark.parametrize("fault", REFUSED)
async def test_the_only_gateway_serves_bad_documents_and_the_last_good_one_stays(
    fault: DocumentFault, autojump_clock: trio.abc.Clock
) -> None:
    async with world(epoch_period=120.0) as here:
        good = here.daemon.status().document_epoch
        assert good is not None
        here.network.faults.document = fault
        connected = here.network.counters[Counted.CONNECTIONS]
        await here.until(lambda: here.network.epoch == good + 1, 240)
        assert here.daemon.status().document_epoch in (good, good + 1)
        await trio.sleep(30)
        assert here.network.counters[Counted.CONNECTIONS] - connected < 10, "redialled with back-off"
        here.network.faults.clear()
        await here.until(lambda: here.daemon.status().document_epoch == here.network.epoch, 60)
        await here.until(lambda: here.daemon.status().link.gateway, LONGEST_WAIT_SECONDS * 2)
        await round_trip(here)


@pytest.mark.parametrize("fault", [Faults.bad_mac, Faults.reset_connections, Faults.half_open])
async def test_a_broken_link_is_noticed_and_replaced(fault: object, autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        before = here.network.counters[Counted.HANDSHAKES]
        assert callable(fault)
        fault(here.network.faults)
        await here.until(lambda: here.network.counters[Counted.HANDSHAKES] > before, 30)
        await here.until(lambda: here.daemon.status().link.gateway, 10)
        await round_trip(here)


@pytest.mark.parametrize("switch", ["impostor", "silent_handshake", "refuse_connections"])
async def test_a_gateway_that_is_not_the_one_dialled_is_left_and_tried_again_ever_more_seldom(
    switch: str, autojump_clock: trio.abc.Clock
) -> None:
    async with world() as here:
        setattr(here.network.faults, switch, True)
        here.network.faults.reset_connections()
        begin = here.network.counters[Counted.CONNECTIONS] + here.network.counters[Counted.CONNECTIONS_REFUSED]
        await trio.sleep(600)
        tries = here.network.counters[Counted.CONNECTIONS] + here.network.counters[Counted.CONNECTIONS_REFUSED] - begin
        assert 600 / LONGEST_WAIT_SECONDS - 10 <= tries <= 600 / LONGEST_WAIT_IF_THERE_SECONDS + 20
        assert here.daemon.status().link.gateway is None
        here.network.faults.clear()
        await here.until(lambda: here.daemon.status().link.gateway, 2 * LONGEST_WAIT_SECONDS)
        await round_trip(here)


async def test_three_epochs_without_a_document_are_survived(autojump_clock: trio.abc.Clock) -> None:
    async with world(epoch_period=60.0) as here:
        first = here.network.epoch
        for epoch in range(first + 1, first + 4):
            here.network.faults.skip_consensus(epoch)
        await here.until(lambda: here.network.epoch == first + 4, 600)
        await here.until(lambda: here.daemon.status().document_epoch == first + 4, 120)
        await here.until(lambda: here.daemon.status().link.gateway, 60)
        await round_trip(here)


async def test_messages_that_wait_while_the_link_is_down_leave_when_it_is_back(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        app, service = await here.app(), here.service()
        here.network.faults.refuse_connections = True
        here.network.faults.reset_connections()
        await here.until(lambda: here.daemon.status().link.gateway is None, 30)
        ids = [number.to_bytes(16, "big") for number in range(5)]
        for surb_id in ids:
            await app.send(service, b"patient", surb_id)
        await trio.sleep(60)
        assert not app.sent and not app.refused
        here.network.faults.clear()
        await here.until(lambda: not app.unanswered(ids), 300)
        assert app.sent == ids
        status = [
            event["connection_status_event"]["is_connected"]
            for event in app.events
            if "connection_status_event" in event
        ]
        assert False in status and status[-1] is True
