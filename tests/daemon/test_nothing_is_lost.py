"""On a network that loses nothing, nothing is lost; on one that does, reliable messages arrive all the same."""

import trio

from arq import ReplyDrop
from kpclientd.localnet.counters import DropReason
from kpclientd.thin.framing import FrameReader, encode_frame
from tests.support.world import App, World, world


def surb_id(number: int) -> bytes:
    return number.to_bytes(16, "big")


async def send_numbered(here: World, app: App, numbers: range) -> list[bytes]:
    ids = [surb_id(number) for number in numbers]
    for number, name in zip(numbers, ids, strict=True):
        await app.send(here.service(), b"message %d" % number, name)
    return ids


async def test_five_hundred_messages_from_the_first_second_on_are_all_answered(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        app = await here.app()
        ids = await send_numbered(here, app, range(500))
        await here.until(lambda: len(app.replies) == 500, 3600)
        assert app.sent == ids, "messages of one application leave in their order"
        for number, name in enumerate(ids):
            assert [reply.rstrip(b"\0") for reply in app.replies[name]] == [b"message %d" % number]
        assert set(here.network.counters.drops) <= {DropReason.RATE_LIMIT}
        assert here.daemon.status().surbs.delivered - here.daemon.status().decoys_returned == 500


async def test_ten_epoch_changes_under_load_lose_nothing(autojump_clock: trio.abc.Clock) -> None:
    async with world(epoch_period=10.0, lambda_p=0.005, lambda_l=0.001) as here:
        app = await here.app()
        first, number = here.network.epoch, 0
        while here.network.epoch < first + 11:
            await send_numbered(here, app, range(number, number + 1))
            number += 1
            await trio.sleep(0.5)
        await here.until(lambda: len(app.replies) == number, 600)
        assert number > 200
        pushed = [event for event in app.events if "new_pki_document_event" in event]
        assert len(pushed) >= 10


async def test_three_applications_get_their_own_replies_and_no_others(autojump_clock: trio.abc.Clock) -> None:
    async with world(lambda_p=0.02, lambda_l=0.01) as here:
        apps = [await here.app() for _ in range(3)]
        ids = [await send_numbered(here, app, range(100 * turn, 100 * turn + 67)) for turn, app in enumerate(apps)]
        await here.until(lambda: all(len(app.replies) == 67 for app in apps), 600)
        for app, own in zip(apps, ids, strict=True):
            assert sorted(app.replies) == own
            assert all(len(replies) == 1 for replies in app.replies.values())


async def test_a_client_of_generation_one_sends_reliably_through_a_network_that_loses_a_fifth(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(lambda_p=0.003, lambda_l=0.0005) as here:
        here.network.faults.loss = 0.2
        stream, reader, service = await here.raw(), FrameReader(), here.service()
        for number in range(30):
            request = {
                "id": surb_id(number),
                "with_surb": True,
                "destination_id_hash": service.node_id,
                "recipient_queue_id": service.endpoint,
                "payload": b"flat %d" % number,
                "is_arq_send_op": True,
            }
            await stream.send_all(encode_frame(request))
        sent: list[bytes] = []
        collected: list[bytes] = []
        replies: list[tuple[bytes, bytes]] = []
        with trio.fail_after(3600):
            while len(collected) < 30:
                for message in reader.feed(bytes(await stream.receive_some(65536))):
                    assert not any(isinstance(body, dict) and body.get("err") for body in message.values())
                    if event := message.get("message_sent_event"):
                        sent.append(event["message_id"])
                    if event := message.get("message_reply_event"):
                        replies.append((event["message_id"], event["payload"].rstrip(b"\0")))
                    if event := message.get("message_id_garbage_collected"):
                        collected.append(event["message_id"])
        assert sent == [surb_id(number) for number in range(30)]
        assert sorted(replies) == [(surb_id(number), b"flat %d" % number) for number in range(30)]
        assert sorted(collected) == sorted(sent)
        assert here.daemon.engine.retransmissions > 10
        assert here.network.counters.drops[DropReason.FAULT_PACKET_LOST] > 0


async def test_duplicated_and_corrupted_packets_cost_retransmissions_and_nothing_else(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with world(lambda_p=0.01, lambda_l=0.005) as here:
        faults = here.network.faults
        faults.duplicate, faults.corrupt_packets, faults.corrupt_replies = 0.2, 0.1, 0.1
        app, service = await here.app(), here.service()
        for number in range(40):
            await app.client.send(
                {
                    "send_arq_message": {
                        "id": surb_id(number),
                        "with_surb": True,
                        "surbid": None,
                        "destination_id_hash": service.node_id,
                        "recipient_queue_id": service.endpoint,
                        "payload": b"sturdy",
                    }
                }
            )
        await here.until(lambda: len(app.replies) == 40, 900)
        assert all([reply.rstrip(b"\0") for reply in replies] == [b"sturdy"] for replies in app.replies.values())
        assert here.daemon.engine.drops[ReplyDrop.UNDECRYPTABLE] > 0
