"""Gateways come and go or fall silent, authorities fail: the daemon follows, and loses nothing."""

import logging

import pytest
import trio

from kpclientd.gateway.choice import LONGEST_WAIT_SECONDS
from kpclientd.localnet import Direction, DocumentFault
from kpclientd.localnet.counters import Counted
from kpclientd.localnet.gateway import Gateway
from kpclientd.log_levels import NOTICE
from tests.support.world import World, world

ONCE_MORE = b"once more"


def connected_and_other(here: World) -> tuple[Gateway, Gateway]:
    one, two = here.network.gateways
    return (one, two) if here.daemon.status().link.gateway == one.keys.name else (two, one)


async def echo(here: World, seconds: float = 120.0) -> None:
    app = await here.app()
    surb_id = here.daemon.randomness.bytes(16)
    await app.send(here.service(), ONCE_MORE, surb_id)
    await here.until(lambda: surb_id in app.replies, seconds)


async def until_connected_to(here: World, gateway: Gateway, seconds: float) -> None:
    await here.until(lambda: here.daemon.status().link.gateway == gateway.keys.name, seconds)


async def test_a_document_request_without_an_answer_costs_its_link_and_no_more(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(epoch_period=120.0) as here:
        here.network.faults.document = DocumentFault.SILENCE
        links = here.daemon.status().link.links
        await here.until(lambda: here.daemon.status().link.links > links, 240)
        here.network.faults.clear()
        await here.until(lambda: here.daemon.status().document_epoch == here.network.epoch, 60)
        await echo(here)


@pytest.mark.parametrize("fault", [DocumentFault.GONE, DocumentFault.NOT_FOUND, DocumentFault.SILENCE])
async def test_a_gateway_that_has_no_documents_is_left(fault: DocumentFault, autojump_clock: trio.abc.Clock) -> None:
    async with world(epoch_period=120.0, gateways=2) as here:
        bad, good = connected_and_other(here)
        bad.faults.document = fault
        await until_connected_to(here, good, 240)
        await echo(here)


async def test_a_gateway_that_leaves_the_consensus_is_left_and_messages_are_kept(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(epoch_period=120.0, gateways=2) as here:
        leaving, staying = connected_and_other(here)
        app = await here.app()
        leaving.set_listed(False)
        await here.until(lambda: here.daemon.status().document_epoch == here.network.epoch, 10)
        first = here.network.epoch
        await here.until(lambda: here.network.epoch == first + 1, 240)
        ids = [number.to_bytes(16, "big") for number in range(10)]
        for surb_id in ids:
            await app.send(here.service(), b"on the way over", surb_id)
        await until_connected_to(here, staying, 130)
        await here.until(lambda: not app.unanswered(ids), 240)
        assert not app.refused


@pytest.mark.parametrize("direction", Direction)
async def test_a_way_that_drops_all_bytes_is_noticed_within_fifteen_seconds(
    direction: Direction, autojump_clock: trio.abc.Clock
) -> None:
    async with world(gateways=2) as here:
        bad, good = connected_and_other(here)
        bad.faults.drop = direction
        if direction is Direction.IN:
            return  # only the gateway notices, after two minutes
        await here.until(lambda: here.daemon.status().link.gateway != bad.keys.name, 16)
        await until_connected_to(here, good, 15)
        await echo(here)


async def test_beside_a_silent_gateway_a_good_one_is_found_within_fifteen_seconds(
    autojump_clock: trio.abc.Clock,
) -> None:
    for number in range(5):
        async with world(seed=b"silent %d" % number, connected=False, gateways=2) as here:
            here.network.gateways[0].faults.silent_handshake = True
            await until_connected_to(here, here.network.gateways[1], 15)


@pytest.mark.parametrize("fault", ["silent_handshake", "close_at_once", "impostor", "refuse_connections"])
async def test_beside_two_bad_gateways_a_good_one_is_found_within_fifteen_seconds(
    fault: str, autojump_clock: trio.abc.Clock
) -> None:
    for number in range(5):
        async with world(seed=b"two of three %d" % number, connected=False, gateways=3) as here:
            for gateway in here.network.gateways[:2]:
                setattr(gateway.faults, fault, True)
            await until_connected_to(here, here.network.gateways[2], 15)


async def test_gateways_that_fail_in_turn_are_each_said_once(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    async with world(connected=False, gateways=3) as here:
        for gateway in here.network.gateways:
            gateway.faults.refuse_connections = True
        await trio.sleep(600.0)
        said = [line for line in caplog.text.splitlines() if "No connection to gateway" in line]
        assert len(said) == len({line.split('"')[1] for line in said}) == 3, said
        here.network.faults.clear()
        for gateway in here.network.gateways:
            gateway.faults.clear()
        await here.until(lambda: here.daemon.status().link.gateway, LONGEST_WAIT_SECONDS)
    assert caplog.text.count("Connected to gateway") == 1


async def test_a_gateway_that_answers_no_document_request_is_said_once(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    async with world(connected=False) as here:
        here.network.faults.document = DocumentFault.SILENCE
        await trio.sleep(600.0)
        assert caplog.text.count("did not answer a document request") == 1
        assert caplog.text.count("Connected to gateway") == 1
        here.network.faults.clear()
        await here.until(lambda: here.daemon.status().document_epoch, 60)
        await trio.sleep(20.0)
    assert caplog.text.count("Connected to gateway") == 2, "it works now, and that is said"


async def test_a_gateway_that_drops_every_link_at_once_is_said_once_and_tried_ever_more_seldom(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    async with world() as here:
        end = trio.current_time() + 300.0
        while trio.current_time() < end:
            here.network.faults.reset_connections()
            await trio.sleep(0.5)
        assert here.daemon.status().link.links < 35
    assert caplog.text.count("Lost the connection") == 1


async def test_a_held_document_is_not_asked_for_again_of_a_gateway_that_did_not_answer(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world() as here:
        here.network.faults.document = DocumentFault.SILENCE
        here.network.faults.reset_connections()
        await trio.sleep(300.0)
        assert here.daemon.status().link.links == 3, "the link that was reset, the silent one, and one that lasts"
        await echo(here)


async def test_a_lone_gateway_that_says_gone_is_asked_again(autojump_clock: trio.abc.Clock) -> None:
    async with world(connected=False) as here:
        here.network.faults.document = DocumentFault.GONE
        await trio.sleep(60.0)
        assert here.daemon.status().link.links == 1
        here.network.faults.clear()
        await here.until(lambda: here.daemon.status().document_epoch, 76)


async def test_a_stop_is_no_failure(autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTICE)
    async with world() as here:
        here.daemon.stop()
        await trio.sleep(1.0)
    assert "next try" not in caplog.text


async def test_a_stopped_gateway_is_found_again_soon(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with world() as here:
        (gateway,) = here.network.gateways
        gateway.stop()
        await trio.sleep(300.0)
        assert here.daemon.status().link.gateway is None
        said = [line for line in caplog.text.splitlines() if "No connection to gateway" in line]
        assert len(said) == 1 and "refused" in said[0] and "next try in" in said[0], said
        gateway.start()
        await here.until(lambda: here.daemon.status().link.gateway, LONGEST_WAIT_SECONDS)
        await echo(here)


async def test_six_epochs_without_a_consensus_and_nothing_old_is_shown_as_current(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(NOTICE)
    async with world(epoch_period=60.0) as here:
        first = here.network.epoch
        here.network.faults.skip_consensus(first + 1, 6)
        await here.until(lambda: here.network.epoch == first + 3, 400)
        assert here.daemon.status().document_epoch is None
        app = await here.app()
        assert app.client.document_payload is None
        await here.until(lambda: here.network.epoch == first + 7, 600)
        await here.until(lambda: here.daemon.status().document_epoch == here.network.epoch, 60)
        await echo(here)
        for epoch in range(first + 1, first + 7):
            assert 1 <= caplog.text.count(f"the present epoch ({epoch})") <= 2, "it is not there yet; it is gone"
    assert caplog.text.count("There is no consensus document any more") == 1


async def test_a_network_that_restarts_with_new_keys_is_followed(autojump_clock: trio.abc.Clock) -> None:
    async with world(epoch_period=60.0) as here:
        here.network.restart()
        before = here.service().node_id
        await here.until(lambda: here.service().node_id != before, 60)
        await echo(here, 240)


async def test_a_clock_before_the_first_epoch_does_no_harm_and_is_said(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(connected=False, clock_ahead=-1_700_000_000.0) as here:
        await trio.sleep(60.0)
        assert here.daemon.status().epoch == 0 and here.daemon.status().link.gateway
        assert "before the first epoch" in caplog.text


async def test_what_the_authorities_want_people_to_know_is_said_once(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    fields = {"ClientNotice": "maintenance on Sunday", "MinClientVersion": "0.0.104"}
    async with world(epoch_period=60.0, document_fields=fields) as here:
        first = here.network.epoch
        await here.until(lambda: here.daemon.status().document_epoch == first + 3, 400)
    assert caplog.text.count("maintenance on Sunday") == 1
    assert caplog.text.count("0.0.104 or newer") == 1


async def test_heartbeats_leave_each_ten_seconds_whatever_else_is_sent(autojump_clock: trio.abc.Clock) -> None:
    async with world(debug={"DisableDecoyTraffic": True}) as here:
        await trio.sleep(300.0)
        assert here.network.counters[Counted.CONNECTIONS] == 1
        assert here.daemon.status().link.links == 1


async def test_a_document_that_is_fetched_again_after_a_reconnect_is_the_same_one(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world() as here:
        before = here.daemon.trusted.current(here.network.unix())
        for _ in range(3):
            links = here.daemon.status().link.links
            here.network.faults.reset_connections()
            await here.until(lambda links=links: here.daemon.status().link.links > links, 30)  # type: ignore[misc]
            await trio.sleep(5.0)
        assert here.daemon.trusted.current(here.network.unix()) is before
        await echo(here)
