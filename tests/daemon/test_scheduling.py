"""What waits for a slot, and when slots come: bounds that are told, documents' rates, and decoys that are off."""

import pytest
import trio

from kpclientd.localnet.counters import Counted
from tests.support.loads import break_link
from tests.support.world import App, World, world

LAMBDA_P = 0.02
MEBIBYTE = 1024 * 1024


def surb_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def send(here: World, app: App, numbers: range, payload: bytes = b"") -> list[bytes]:
    ids = [surb_id(number) for number in numbers]
    for name in ids:
        await app.send(here.service(), payload, name)
    return ids


async def sent_at(here: World, app: App, *, takes_back: bool) -> list[float]:
    """When packets arrive while an application sends sixty messages, and perhaps takes back those that wait."""
    arrivals = here.network.gateway.arrivals = []
    begun = trio.current_time()
    await send(here, app, range(60))
    await trio.sleep(2.0)
    if takes_back:
        await app.client.send({"thin_close": {}})
    await trio.sleep(10.0)
    messages = here.daemon.status().traffic.messages
    assert messages < 40 if takes_back else messages == 60
    return [arrival.time - begun for arrival in arrivals]


async def test_messages_beyond_an_applications_number_are_refused_with_the_reason_and_no_other_is_lost(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(lambda_p=LAMBDA_P, limits={"MessagesPerApplication": 10}) as here:
        app, other = await here.app(), await here.app()
        ids = await send(here, app, range(30))
        await send(here, other, range(30, 35))
        await here.until(lambda: len(app.refused) == 20, 1)
        assert list(app.refused) == ids[10:], "those that came when there was no room"
        assert {reason.split(";")[0] for reason in app.refused.values()} == {"10 messages are waiting or in flight"}
        await here.until(lambda: len(app.replies) == 10 and len(other.replies) == 5, 60)
        assert (app.sent, other.refused) == (ids[:10], {})
        again = await send(here, app, range(100, 110))
        await here.until(lambda: not app.unanswered(again), 60)


async def test_messages_beyond_an_applications_bytes_are_refused_with_the_reason(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(lambda_p=LAMBDA_P, limits={"MessageBytesPerApplication": MEBIBYTE}) as here:
        app, other = await here.app(), await here.app()
        ids = await send(here, app, range(400), bytes(2000))
        other_ids = await send(here, other, range(1000, 1010), bytes(2000))
        await here.until(lambda: len(app.refused) > 50, 1)
        assert all("waiting or in flight; wait for their replies" in reason for reason in app.refused.values())
        await here.until(lambda: len(app.replies) == 400 - len(app.refused), 120)
        assert sorted([*app.replies, *app.refused]) == ids
        assert not other.unanswered(other_ids) and not other.refused


async def test_messages_beyond_the_bytes_of_all_are_refused_with_the_reason(autojump_clock: trio.abc.Clock) -> None:
    async with world(lambda_p=LAMBDA_P, limits={"MessageBytes": MEBIBYTE}) as here:
        apps = [await here.app() for _ in range(3)]
        for number, app in enumerate(apps):
            await send(here, app, range(1000 * number, 1000 * number + 150), bytes(2000))
        await here.until(lambda: sum(len(app.refused) for app in apps) > 50, 1)
        reasons = {reason for app in apps for reason in app.refused.values()}
        assert reasons == {"the daemon holds as many messages as it may, of all applications; try again later"}
        await here.until(lambda: all(len(app.replies) + len(app.refused) == 150 for app in apps), 120)


async def test_local_requests_do_not_wait_behind_a_full_queue(autojump_clock: trio.abc.Clock) -> None:
    async with world(limits={"MessagesPerApplication": 500}) as here:
        app = await here.app()
        await send(here, app, range(600))
        await app.client.send({"get_pki_document": {"query_id": bytes(16), "epoch": 0}})
        await here.until(lambda: any("get_pki_document_reply" in event for event in app.events), 1)
        assert len(app.sent) < 10, "while nearly all messages wait"


async def test_a_new_documents_rates_count_at_once(autojump_clock: trio.abc.Clock) -> None:
    async with world(epoch_period=120.0, lambda_p=0.001, lambda_l=0.0005, rate_limit=False) as here:
        arrivals = here.network.gateway.arrivals = []
        here.network.set_document_fields(LambdaP=0.05, LambdaL=0.03)
        noted: list[float] = []
        note = here.daemon.network_time.note_document

        def noting(start: float) -> None:
            noted.append(trio.current_time())
            note(start)

        here.daemon.network_time.note_document = noting  # type: ignore[method-assign]
        await here.until(lambda: noted, 400)
        (changed,) = noted
        await trio.sleep(5.0)
        assert here.daemon.status().traffic.mean_interval_ms == {"λP": 20, "λL": 33}
        before = [arrival for arrival in arrivals if changed - 20.0 < arrival.time <= changed]
        after = [arrival for arrival in arrivals if changed < arrival.time <= changed + 5.0]
        assert 10 < len(before) < 60, "one and a half a second"
        assert 300 < len(after) < 500, "eighty a second, from the first second on"
        assert sum(arrival.time <= changed + 0.5 for arrival in after) > 20


async def test_without_decoys_nothing_but_messages_is_sent_over_documents_and_reconnections(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(epoch_period=60.0, lambda_p=0.01, lambda_l=0.005, debug={"DisableDecoyTraffic": True}) as here:
        app = await here.app()
        first, number = here.network.epoch, 0
        for epoch in range(1, 5):
            here.network.set_document_fields(LambdaP=0.01 + 0.001 * epoch)
            await here.until(lambda epoch=epoch: here.daemon.status().document_epoch >= first + epoch, 200)  # type: ignore[misc]
            if epoch == 3:
                await break_link(here)
            ids = await send(here, app, range(number, number + 10))
            number += 10
            await here.until(lambda ids=ids: not app.unanswered(ids), 60)  # type: ignore[misc]
        traffic = here.daemon.status().traffic
        assert (traffic.decoys_p, traffic.decoys_l, traffic.mean_interval_ms["λL"]) == (0, 0, 0)
        assert here.network.counters[Counted.PACKETS_RECEIVED] == traffic.messages == number
        assert traffic.slots_without_packet == 0


async def test_an_application_that_leaves_takes_back_what_waits_and_nothing_changes_on_the_link(
    autojump_clock: trio.abc.Clock,
) -> None:
    times = []
    for takes_back in (True, False):
        async with world(lambda_p=0.01, lambda_l=0.005) as here:
            times.append(await sent_at(here, await here.app(), takes_back=takes_back))
    assert times[0] == pytest.approx(times[1], abs=1e-9)
    assert len(times[0]) > 120
