"""What goes wrong with a gateway's bytes and answers, switched while the network runs, at one gateway or at all."""

from dataclasses import fields

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kpclientd.localnet import Counted, Direction, DocumentFault, DropReason, GatewayFaults, LocalNetwork
from kpclientd.localnet.faults import Changes, switches
from kpclientd.transports import DialError
from kpclientd.wire.commands import CommandCodec, Consensus2, GetConsensus2, Message, MessageDelivered, NoOp
from kpclientd.wire.consensus import Unavailable
from kpclientd.wire.errors import ConsensusError
from kpclientd.wire.session import Established, NoiseSession
from pki.errors import EpochMismatch
from sphinx.randomness import seeded
from tests.localnet.conftest import PERIOD, make_network
from tests.support.localnet_client import Closed, MixnetClient, connect

MESSAGE_LENGTHS = (1217, 2628, 2644, 1152)
"""Of the handshake with X-Wing: to the gateway, and from it, in turns."""

FIRST_FRAME = 3124
"""The NoOp that ends it."""

HANDSHAKE = sum(MESSAGE_LENGTHS) + FIRST_FRAME


@pytest.fixture
async def network(nursery: trio.Nursery) -> LocalNetwork:
    running = make_network(gateways=2)
    await nursery.start(running.run)
    return running


@pytest.fixture
async def client(network: LocalNetwork) -> MixnetClient:
    return await connect(network)


async def is_silent_for(client: MixnetClient, seconds: float) -> bool:
    with trio.move_on_after(seconds) as patience:
        await client.next_command()
    return patience.cancelled_caught


async def pieces_until_the_end(network: LocalNetwork, seconds: float) -> list[tuple[float, int]]:
    """When, and how many bytes, a client receives that begins a handshake and goes on with it."""
    randomness = seeded(b"piecewise")
    keys = network.gateway.keys
    session = NoiseSession.initiator(
        network.kem,
        network.kem.generate(randomness),
        b"q" * 32,
        CommandCodec(network.geometry),
        lambda peer: peer.public_key == keys.link.public_key,
        randomness,
    )
    begun = trio.current_time()
    received = []
    stream = await network.memory_dial()
    with trio.move_on_after(seconds):
        try:
            await stream.send_all(session.start())
            while data := bytes(await stream.receive_some()):
                received.append((trio.current_time() - begun, len(data)))
                session.receive(data, network.unix())
                if reply := session.outgoing():
                    await stream.send_all(reply)
        except trio.BrokenResourceError:
            pass
        received.append((trio.current_time() - begun, 0))
    return received


async def test_what_is_dropped_on_the_way_in_arrives_when_that_ends(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    faults = client.gateway.faults
    document = (await client.document()).document
    faults.drop = Direction.IN
    surb_id = await client.post(document, b"held up")
    await trio.sleep(PERIOD / 4)
    assert client.network.counters[Counted.PACKETS_RECEIVED] == 0
    faults.drop = None
    assert (await client.reply())[0] == surb_id


@pytest.mark.parametrize("direction", [Direction.OUT, Direction.BOTH])
async def test_what_is_dropped_on_the_way_out_leaves_the_link_open_and_mute_until_that_ends(
    direction: Direction, autojump_clock: MockClock, client: MixnetClient
) -> None:
    client.network.faults.drop = direction
    assert await is_silent_for(client, 100)
    client.network.faults.drop = None
    assert await client.next_command() == NoOp()


async def test_the_end_of_a_connection_is_held_up_too(autojump_clock: MockClock, client: MixnetClient) -> None:
    client.gateway.faults.drop = Direction.BOTH
    assert await is_silent_for(client, 1000), "the gateway gave up after 120 s, but nobody hears of it"
    client.gateway.faults.drop = None
    with pytest.raises(Closed):
        while True:
            await client.next_command()


async def test_who_dials_into_a_dropping_network_waits(autojump_clock: MockClock, network: LocalNetwork) -> None:
    network.faults.drop = Direction.IN
    with trio.move_on_after(100) as patience:
        await network.memory_dial()
    assert patience.cancelled_caught
    async with trio.open_nursery() as nursery:
        nursery.start_soon(network.memory_dial)
        await trio.sleep(100)
        network.faults.drop = None


async def test_a_slow_drip_is_one_byte_each_second_and_ends_on_command(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    network.faults.drip = 1.0
    received = await pieces_until_the_end(network, 100.5)
    assert [length for _, length in received] == [1] * 101
    assert [time for time, _ in received] == pytest.approx(range(101))
    network.faults.drip = 0.0
    await connect(network)


async def test_a_drip_slows_links_that_are_there(autojump_clock: MockClock, client: MixnetClient) -> None:
    client.gateway.faults.drip = 0.01
    begun = trio.current_time()
    assert await client.next_command() == NoOp()
    assert trio.current_time() - begun == pytest.approx(10.0 + (FIRST_FRAME - 1) * 0.01)


@pytest.mark.parametrize(
    "at",
    [0, 1, 1216, 1217, 1218, 3844, 3845, 3846, 5000, 6488, 6489, 6490, 7640, 7641, 7642, HANDSHAKE - 1, HANDSHAKE],
)
async def test_a_handshake_is_reset_at_any_byte_of_either_side(
    at: int, autojump_clock: MockClock, network: LocalNetwork
) -> None:
    network.faults.reset_handshake = at
    received = await pieces_until_the_end(network, 60)
    bytes_from_gateway = sum(length for _, length in received)
    first, second, third, fourth = MESSAGE_LENGTHS
    expected = min(max(0, at - first), second) + min(max(0, at - first - second - third), fourth + FIRST_FRAME)
    assert bytes_from_gateway == expected
    assert received[-1] == (0.0, 0)
    network.faults.reset_handshake = None
    await connect(network)


@pytest.mark.parametrize("at", [0, 1217, 1300, 7000])
async def test_on_tcp_the_reset_of_a_handshake_is_a_reset(at: int) -> None:
    network = LocalNetwork()
    network.faults.reset_handshake = at
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        async with await trio.open_tcp_stream(*network.gateway_address) as stream:
            with pytest.raises(trio.BrokenResourceError):
                await connect(network, stream)
        nursery.cancel_scope.cancel()


async def test_beyond_the_last_byte_of_the_handshake_nothing_is_reset(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    network.faults.reset_handshake = HANDSHAKE + 1
    client = await connect(network)
    await client.document()


@pytest.mark.parametrize("off", [-86400.0, 3 * 86400.0, -(2.0**40), 2.0**40])
async def test_the_gateways_clock_is_off_in_the_handshake(
    off: float, autojump_clock: MockClock, network: LocalNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[float] = []
    receive = NoiseSession.receive

    def observe(session: NoiseSession, data: bytes, now: float) -> list[object]:
        events = receive(session, data, now)
        seen.extend(event.clock_skew for event in events if isinstance(event, Established) and event.clock_skew)
        return events  # type: ignore[return-value]

    monkeypatch.setattr(NoiseSession, "receive", observe)
    network.faults.clock_off = off
    await connect(network)
    expected = min(max(0.0, network.unix() + off), 2.0**32 - 1)
    assert seen == [pytest.approx(network.unix() - expected, abs=1)]


async def test_heartbeats_stop_and_begin_again(autojump_clock: MockClock, client: MixnetClient) -> None:
    client.network.faults.no_heartbeats = True
    document = (await client.document()).document
    await client.ping(document, b"all else goes on")
    assert await is_silent_for(client, 60)
    client.network.faults.no_heartbeats = False
    assert not await is_silent_for(client, 10.5)


async def test_an_acknowledgement_that_is_never_taken_leaves_the_reply_spooled(
    autojump_clock: MockClock, client: MixnetClient
) -> None:
    client.gateway.faults.ignore_acknowledgements = True
    surb_id = await client.post((await client.document()).document, b"again and again")
    assert (await client.reply())[0] == surb_id
    await trio.sleep(61)
    assert client.network.counters[Counted.ACKNOWLEDGEMENTS_MISSED] == 1
    client.gateway.faults.ignore_acknowledgements = False
    again = await connect(client.network, queue=client.queue)
    pushed = await again.next_but_heartbeats()
    assert isinstance(pushed, Message)
    await again.send(MessageDelivered(pushed.sequence))
    await wait_all_tasks_blocked()
    assert client.gateway.spool.waiting(client.queue) == 0


async def test_answers_come_late_and_in_order(autojump_clock: MockClock, client: MixnetClient) -> None:
    client.network.faults.document_delay = 7.0
    begun = trio.current_time()
    await client.document()
    assert trio.current_time() - begun == pytest.approx(7.0)
    document = (await client.document()).document
    client.network.faults.no_heartbeats = True
    for epoch in (client.network.epoch - 100, document.epoch + 100, client.network.epoch - 100):
        await client.send(GetConsensus2(epoch))
    surb_id = await client.post(document, b"meanwhile packets go on")
    assert (await client.reply())[0] == surb_id
    answers = [await client.next_command() for _ in range(3)]
    assert [answer.error for answer in answers if isinstance(answer, Consensus2)] == [2, 1, 2]


async def test_a_spurious_document_answer_comes_at_once(autojump_clock: MockClock, client: MixnetClient) -> None:
    assert await client.next_command() == NoOp()
    begun = trio.current_time()
    client.gateway.faults.spurious_document()
    answer = await client.next_command()
    assert isinstance(answer, Consensus2)
    assert trio.current_time() == begun


@pytest.mark.parametrize("which", ["present_document", "next_document"])
async def test_documents_are_faulty_for_the_present_or_for_the_next_epoch_only(
    which: str, autojump_clock: MockClock, client: MixnetClient
) -> None:
    await trio.sleep(PERIOD * 5 / 8)
    present = client.network.epoch
    setattr(client.gateway.faults, which, DocumentFault.PAST)
    bad, good = (present, present + 1) if which == "present_document" else (present + 1, present)
    await client.document(good)
    with pytest.raises(EpochMismatch):
        await client.document(bad)


async def test_a_fault_of_one_gateway_is_not_the_others(autojump_clock: MockClock, network: LocalNetwork) -> None:
    good, bad = network.gateways
    bad.faults.document = DocumentFault.TRUNCATED_GZIP
    bad.faults.refuse_connections = True
    with pytest.raises(DialError):
        await connect(network, gateway=bad)
    await (await connect(network, gateway=good)).document()
    bad.faults.refuse_connections = False
    with pytest.raises(ConsensusError):
        await (await connect(network, gateway=bad)).document()
    assert bad.counters[Counted.CONNECTIONS_REFUSED] == network.counters[Counted.CONNECTIONS_REFUSED] == 1


async def test_methods_of_a_gateways_faults_act_at_its_connections_only(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    clients = [await connect(network, gateway=gateway) for gateway in network.gateways]
    network.gateways[1].faults.reset_connections()
    with pytest.raises((Closed, trio.BrokenResourceError)):
        await clients[1].next_command()
    await clients[0].document()


async def test_clearing_the_networks_faults_clears_the_gateways_own(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    network.gateways[1].faults.silent_handshake = True
    network.faults.clear()
    await connect(network, gateway=network.gateways[1])


def test_what_is_set_at_the_network_holds_at_every_gateway_and_the_gateways_own_before_it() -> None:
    network = LocalNetwork(gateways=2, port=None)
    network.faults.clock_off, network.faults.reset_handshake = 5.0, 9
    network.gateways[1].faults.clock_off = -5.0
    network.gateways[1].faults.reset_handshake = 0
    effective = [gateway.faults.effective() for gateway in network.gateways]
    assert [(one.clock_off, one.reset_handshake) for one in effective] == [(5.0, 9), (-5.0, 0)]


def test_a_misspelt_fault_is_a_mistake() -> None:
    with pytest.raises(AttributeError, match="slient_handshake"):
        LocalNetwork(port=None).faults.slient_handshake = True  # type: ignore[attr-defined]


def test_every_field_of_the_gateways_faults_is_a_row_with_a_harmless_default() -> None:
    faults = GatewayFaults(connections=tuple, changes=Changes())
    rows = switches(GatewayFaults)
    assert [row.attribute for row in rows] == [field.name for field in fields(faults) if field.repr]
    assert not any(getattr(faults, row.attribute) for row in rows)


async def test_epochs_without_a_consensus_are_answered_as_genuine_gateways_do(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    first = network.epoch + 1
    network.faults.skip_consensus(first, 3)
    clients = [await connect(network, gateway=gateway) for gateway in network.gateways]
    codes: list[list[int]] = []
    for eighths in range(8 * 3):
        await trio.sleep(PERIOD / 8)
        if eighths % 4 == 0:
            answers = [await client.fetch(first) for client in clients]
            codes.append([answer.code if isinstance(answer, Unavailable) else 0 for answer in answers])
            for client in clients:
                await client.send(NoOp())
    assert codes == [[1, 1]] * 2 + [[2, 2]] * 4


async def test_gateways_that_have_lost_their_last_document_let_nobody_in_until_there_is_one(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    client = await connect(network)
    first = network.epoch + 1
    network.faults.skip_consensus(first, 4)
    while network.epoch < first + 2:
        assert not await is_silent_for(client, PERIOD + 1)
        await client.send(NoOp())
        if network.epoch < first + 2:
            await (await connect(network)).stream.aclose()
    with pytest.raises((Closed, trio.BrokenResourceError)):
        await connect(network)
    await client.fetch(first)  # links that are there stay
    while network.directory.newest_published(network.unix()) < first + 4:
        await trio.sleep(PERIOD / 8)
    await (await connect(network)).document(first + 4)


@pytest.mark.parametrize("lose", [False, True])
async def test_packets_of_an_epoch_without_a_consensus_get_lost_on_command(
    lose: bool, autojump_clock: MockClock, client: MixnetClient
) -> None:
    network = client.network
    network.faults.lose_without_consensus = lose
    network.faults.skip_consensus(network.epoch + 1)
    document = (await client.document()).document
    await trio.sleep(PERIOD)
    await client.post(document, b"by the document of before")
    await trio.sleep(PERIOD / 4)
    assert network.counters.drops == ({DropReason.NO_CONSENSUS: 1} if lose else {})
