"""A whole network, seen by a client that really speaks its protocols; the clock is virtual."""

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kpclientd.localnet import Counted, DropReason, LocalNetwork
from kpclientd.localnet.gateway import Acknowledgement
from kpclientd.transports import DialError
from kpclientd.wire.commands import (
    Command,
    Disconnect,
    GetConsensus2,
    Message,
    MessageDelivered,
    NoOp,
    RetrieveMessage,
    SendPacket,
)
from kpclientd.wire.consensus import Unavailable
from pki.wellformed import check_well_formed
from tests.localnet.conftest import MU, PERIOD, make_network
from tests.support.localnet_client import Closed, MixnetClient, connect


@pytest.fixture
async def client(network: LocalNetwork) -> MixnetClient:
    return await connect(network)


async def test_a_client_shakes_hands_believes_the_document_and_gets_its_echo(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    document = (await client.document()).document
    assert await client.ping(document, b"hello, mixnet") == b"hello, mixnet"
    assert client.network.counters.drops == {}


async def test_testdest_answers_what_it_was_asked(autojump_clock: MockClock, client: MixnetClient) -> None:
    document = (await client.document()).document
    assert await client.ping(document, b"?" * 2000, "testdest") == b"?" * 2000


async def test_a_reply_takes_about_as_long_as_the_delays_drawn_for_it(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    document = (await client.document()).document
    begun = trio.current_time()
    rounds = 40
    for number in range(rounds):
        await client.ping(document, bytes([number]))
        if client.network.epoch != document.epoch:
            document = (await client.document()).document
    mean = (trio.current_time() - begun) / rounds
    waiting_hops = 7  # gateway and three mixes there, three mixes back; a service does not wait
    assert mean == pytest.approx(waiting_hops / MU / 1000, rel=0.25)


async def test_every_request_of_many_epochs_is_answered_also_across_the_boundaries(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    first = network.epoch
    while network.epoch < first + 10:
        document = (await client.document()).document
        for number in range(5):
            await client.ping(document, bytes([number]))
            await trio.sleep(PERIOD / 20)
    assert network.counters.drops == {}


async def test_documents_of_last_this_and_late_in_the_epoch_of_the_next_epoch_are_well_formed(
    autojump_clock: MockClock,
    client: MixnetClient,
) -> None:
    network = client.network
    present = network.epoch
    for epoch in (present - 1, present):
        check_well_formed((await client.document(epoch)).document, epoch)
    early = await client.fetch(present + 1)
    await trio.sleep(PERIOD * 5 / 8)
    assert network.epoch == present
    check_well_formed((await client.document(present + 1)).document, present + 1)
    assert isinstance(early, Unavailable)
    assert early.code == 1


@pytest.mark.parametrize(("age", "code"), [(-100, 1), (-2, 1), (3, 2), (100, 2)])
async def test_a_document_that_is_not_there_is_not_found_or_gone(
    autojump_clock: MockClock, client: MixnetClient, age: int, code: int
) -> None:
    answer = await client.fetch(client.network.epoch - age)
    assert isinstance(answer, Unavailable)
    assert answer.code == code


async def test_consecutive_documents_share_the_keys_of_the_epochs_they_share(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    present = client.network.epoch
    earlier, later = [(await client.document(epoch)).document for epoch in (present - 1, present)]
    for before, after in zip(earlier.mix_descriptors(), later.mix_descriptors(), strict=True):
        assert set(after.mix_keys) == {present, present + 1, present + 2}
        for epoch in (present, present + 1):
            assert before.mix_keys[epoch] == after.mix_keys[epoch]


async def test_the_same_seed_gives_the_same_network_and_another_seed_another(autojump_clock: MockClock) -> None:
    blobs = [
        network.authorities.certificate(network.epoch).encode()
        for network in (make_network(seed=seed) for seed in (b"one", b"one", b"two", None, None))
    ]
    assert blobs[0] == blobs[1]
    assert len(set(blobs)) == 4


async def test_the_gateway_says_noop_every_ten_seconds_of_quiet(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    begun = trio.current_time()
    for beat in (1, 2, 3):
        assert await client.next_command() == NoOp()
        assert trio.current_time() - begun == pytest.approx(10.0 * beat)


async def test_a_client_that_says_nothing_for_two_minutes_is_disconnected(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    await trio.sleep(60)
    await client.send(NoOp())
    spoken = trio.current_time()
    with pytest.raises(Closed):
        while True:
            await client.next_command()
    assert trio.current_time() - spoken == pytest.approx(120.0)


async def test_a_stranger_who_does_not_finish_the_handshake_is_disconnected_after_three_seconds(
    autojump_clock: MockClock,
    network: LocalNetwork,
) -> None:
    stream = await network.memory_dial()
    begun = trio.current_time()
    assert await stream.receive_some() == b""
    assert trio.current_time() - begun == pytest.approx(3.0)
    assert network.counters[Counted.HANDSHAKES_FAILED] == 1


async def test_a_stranger_who_speaks_something_else_is_disconnected_at_once(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    stream = await network.memory_dial()
    await stream.send_all(b"GET / HTTP/1.1\r\n\r\n")
    assert await stream.receive_some() == b""
    assert network.counters[Counted.HANDSHAKES_FAILED] == 1


@pytest.mark.parametrize("command", [RetrieveMessage(0), Disconnect()])
async def test_a_command_that_clients_may_not_send_closes_the_connection(
    autojump_clock: MockClock, client: MixnetClient, command: Command
) -> None:
    await client.send(command)
    with pytest.raises(Closed):
        await client.next_command()
    assert client.network.counters[Counted.PROTOCOL_ERRORS] == 1


async def test_a_damaged_frame_closes_the_connection(autojump_clock: MockClock, client: MixnetClient) -> None:
    frame = client.session.seal(NoOp())
    await client.stream.send_all(frame[:-1] + bytes([frame[-1] ^ 1]))
    with pytest.raises(Closed):
        await client.next_command()
    assert client.network.counters[Counted.PROTOCOL_ERRORS] == 1


async def test_random_packets_and_stray_acknowledgements_are_ignored(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    await client.send(SendPacket(bytes(client.network.geometry.packet_length)))
    await client.send(SendPacket(b"short"))
    await client.send(MessageDelivered(77))
    document = (await client.document()).document
    assert await client.ping(document, b"still here") == b"still here"
    assert client.network.counters.drops == {DropReason.UNWRAP_FAILED: 1, DropReason.WRONG_LENGTH: 1}


async def test_a_packet_sent_twice_is_answered_once(autojump_clock: MockClock, client: MixnetClient) -> None:
    document = (await client.document()).document
    packet, _ = client.compose(document, b"once")
    await client.send(SendPacket(packet))
    await client.send(SendPacket(packet))
    await client.reply()
    await trio.sleep(PERIOD)
    assert client.network.counters.drops == {DropReason.REPLAY: 1}


async def test_the_next_reply_is_pushed_only_after_the_acknowledgement(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    document = (await client.document()).document
    for number in range(3):
        await client.post(document, bytes([number]))
    await trio.sleep(5)
    first = await client.next_but_heartbeats()
    assert isinstance(first, Message)
    with trio.move_on_after(20) as patience:  # neither another message nor a heartbeat
        await client.next_command()
    assert patience.cancelled_caught
    await client.send(MessageDelivered(first.sequence))
    for sequence in (2, 3):
        message = await client.next_command()
        assert isinstance(message, Message)
        assert message.sequence == sequence
        await client.send(MessageDelivered(sequence))


async def test_after_a_minute_without_acknowledgement_the_connection_is_mute_but_serves_documents(
    autojump_clock: MockClock,
    client: MixnetClient,
) -> None:
    document = (await client.document()).document
    await client.post(document, b"ignored")
    message = await client.next_but_heartbeats()
    assert isinstance(message, Message)
    await trio.sleep(61)
    await client.send(MessageDelivered(message.sequence))
    await client.document()
    with trio.move_on_after(50) as patience:
        await client.next_command()
    assert patience.cancelled_caught
    assert client.network.counters[Counted.ACKNOWLEDGEMENTS_MISSED] == 1


async def test_an_unacknowledged_reply_is_pushed_again_to_whoever_gives_the_same_queue(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    document = (await client.document()).document
    await client.post(document, b"twice")
    first = await client.next_but_heartbeats()
    await client.stream.aclose()
    again = await connect(client.network, queue=client.queue)
    second = await again.next_but_heartbeats()
    assert isinstance(second, Message)
    assert second == first
    await again.send(MessageDelivered(second.sequence))
    await trio.sleep(1)
    third = await connect(client.network, queue=client.queue)
    assert await third.next_command() == NoOp()


async def test_the_newest_of_two_connections_with_one_queue_and_link_key_wins(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    queue = b"q" * 32
    older = await connect(network, queue=queue, link_seed=b"same")
    newer = await connect(network, queue=queue, link_seed=b"same")
    with pytest.raises(Closed):
        await older.next_command()
    assert await newer.next_command() == NoOp()


async def test_of_two_connections_with_one_queue_and_other_link_keys_the_newer_gets_the_replies(
    autojump_clock: MockClock,
    network: LocalNetwork,
) -> None:
    older = await connect(network, queue=b"q" * 32)
    newer = await connect(network, queue=b"q" * 32)
    document = (await older.document()).document
    surb_id = await older.post(document, b"whose?")
    message = await newer.next_but_heartbeats()
    assert isinstance(message, Message)
    assert message.surb_id == surb_id
    assert await older.next_command() == NoOp()


async def test_a_client_whose_queue_id_is_not_32_bytes_connects_but_gets_no_reply(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    client = await connect(network, queue=b"too short")
    assert (await client.document()).document.epoch == network.epoch
    assert await client.next_command() == NoOp()


async def test_several_requests_for_documents_at_once_are_answered_in_order(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    epoch = client.network.epoch
    for age in (100, 0):
        await client.send(GetConsensus2(epoch - age))
    first = await client.next_command()
    second = await client.next_command()
    assert (first.error, second.error, second.chunk) == (2, 0, 0)  # type: ignore[union-attr]


async def test_the_limiter_drops_what_exceeds_its_tokens_and_says_nothing(autojump_clock: MockClock) -> None:
    network = make_network(rate_limit=True, lambda_p=0.001, lambda_l=0.0005)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        client = await connect(network)
        document = (await client.document()).document
        await trio.sleep(3.6)
        for number in range(30):
            await client.post(document, bytes([number]))
        for _ in range(6):
            await client.reply()
        await trio.sleep(5)
        assert network.counters.drops == {DropReason.RATE_LIMIT: 24}
        nursery.cancel_scope.cancel()


async def test_an_observer_at_the_gateway_sees_times_and_equal_lengths(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    document = (await client.document()).document
    network.gateway.arrivals = []
    for number in range(3):
        await client.post(document, bytes(number))
        await trio.sleep(1)
    times = [arrival.time for arrival in network.gateway.arrivals]
    assert [arrival.length for arrival in network.gateway.arrivals] == [network.geometry.packet_length] * 3
    assert times[1] - times[0] == pytest.approx(1.0)


async def test_an_observer_at_the_gateway_sees_how_long_acknowledgements_take(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    document = (await client.document()).document
    network.gateway.acknowledgements = []
    surb_id = await client.post(document, b"to be acknowledged late")
    pushed = await client.next_but_heartbeats()
    assert isinstance(pushed, Message)
    await trio.sleep(2)
    assert network.gateway.acknowledgements == []
    await client.send(MessageDelivered(pushed.sequence))
    await wait_all_tasks_blocked()
    (acknowledgement,) = network.gateway.acknowledgements
    assert acknowledgement == Acknowledgement(surb_id, acknowledgement.seconds, acknowledgement.time)
    assert acknowledgement.seconds == pytest.approx(2.0)


async def test_only_the_gateways_own_address_can_be_dialled(autojump_clock: MockClock, network: LocalNetwork) -> None:
    stream = await network.memory_dial([network.gateway_url])
    await stream.aclose()
    with pytest.raises(DialError):
        await network.memory_dial(["tcp://127.0.0.1:9"])


async def test_a_network_with_several_mixes_per_layer_uses_them_all(autojump_clock: MockClock) -> None:
    network = make_network(mixes_per_layer=3)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        client = await connect(network)
        document = (await client.document()).document
        assert [len(layer) for layer in document.topology] == [3, 3, 3]
        for number in range(20):
            await client.ping(document, bytes([number]))
            if network.epoch != document.epoch:
                document = (await client.document()).document
        nursery.cancel_scope.cancel()
    assert network.counters.drops == {}


async def test_the_network_answers_on_tcp_too() -> None:
    network = LocalNetwork(mu=1.0, rate_limit=False)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        async with await trio.open_tcp_stream(*network.gateway_address) as stream:
            client = await connect(network, stream)
            document = (await client.document()).document
            (gateway,) = document.gateway_nodes
            assert gateway.addresses == {"tcp4": (network.gateway_url,)}
            assert await client.ping(document, b"over TCP") == b"over TCP"
        nursery.cancel_scope.cancel()
