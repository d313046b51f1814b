"""Several gateways: each its own, and all of them changing while the network runs."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from kpclientd.config.load import load_config
from kpclientd.localnet import Counted, Direction, DropReason, Gateway, LocalNetwork
from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.localnet.topology import MOST_GATEWAYS
from kpclientd.transports import DialError
from kpclientd.wire.commands import Message
from kpclientd.wire.errors import WireError
from tests.localnet.conftest import PERIOD, make_network
from tests.support.localnet_client import Closed, MixnetClient, connect

PUBLISHED = 5 / 8 * PERIOD


@pytest.fixture
async def network(nursery: trio.Nursery) -> LocalNetwork:
    running = make_network(gateways=3)
    await nursery.start(running.run)
    return running


async def echoes(client: MixnetClient) -> bool:
    document = (await client.document()).document
    return await client.ping(document, b"there and back") == b"there and back"


async def next_document(network: LocalNetwork) -> set[str]:
    """The gateways' names in the first document that is not published yet, once it is, as any gateway serves it."""
    epoch = network.directory.newest_published(network.unix()) + 1
    while network.directory.newest_published(network.unix()) < epoch:
        await trio.sleep(PERIOD / 8)
    client = await connect(network, gateway=next(one for one in network.gateways if one.is_running))
    return {node.name for node in (await client.document(epoch)).document.gateway_nodes}


async def test_each_gateway_has_keys_an_address_and_counters_of_its_own_and_documents_list_them_all(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    for gateway in network.gateways:
        client = await connect(network, gateway=gateway)
        listed = (await client.document()).document.gateway(gateway.keys.node_id)
        assert listed.addresses == {"tcp4": gateway.urls}
        assert listed.link_key == gateway.keys.link.public_key
        assert await echoes(client)
        await wait_all_tasks_blocked()
        assert gateway.counters[Counted.MESSAGES_ACKNOWLEDGED] == 1
    assert len({url for gateway in network.gateways for url in gateway.urls}) == 3
    assert len({gateway.keys.node_id for gateway in network.gateways}) == 3
    assert network.counters[Counted.MESSAGES_ACKNOWLEDGED] == 3
    assert network.counters.drops == {}


@pytest.mark.parametrize(("pinned", "expected"), [(None, 3), (1, 1), (2, 2)])
def test_a_configuration_pins_as_many_as_are_wanted(pinned: int | None, expected: int, tmp_path: Path) -> None:
    network = LocalNetwork(gateways=3, pinned=pinned, port=None)
    network.write_files(tmp_path, 1)
    pins = load_config(tmp_path / "client.toml").pinned_gateways
    assert [(pin.name, pin.identity_key, pin.link_key, pin.addresses) for pin in pins] == [
        (one.name, one.keys.identity_key, one.keys.link.public_key, one.urls) for one in network.gateways[:expected]
    ]


@pytest.mark.parametrize("pinned", [0, 4])
def test_no_more_gateways_are_pinned_than_there_are(pinned: int) -> None:
    with pytest.raises(LocalNetworkError, match="pinned"):
        LocalNetwork(gateways=3, pinned=pinned, port=None)


async def test_a_stopped_gateway_is_gone_and_comes_back_at_its_address_with_what_was_spooled(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    gateway = network.gateways[1]
    client = await connect(network, gateway=gateway)
    surb_id = await client.post((await client.document()).document, b"kept")
    assert isinstance(await client.next_but_heartbeats(), Message)  # spooled, pushed, not acknowledged
    gateway.stop()
    with pytest.raises(Closed):
        await client.next_command()
    with pytest.raises(DialError, match="refused"):
        await connect(network, gateway=gateway)
    assert await echoes(await connect(network, gateway=network.gateways[2]))
    gateway.start()
    again = await connect(network, gateway=gateway, queue=client.queue)
    message = await again.next_but_heartbeats()
    assert isinstance(message, Message)
    assert message.surb_id == surb_id


async def test_a_reply_to_a_stopped_gateway_is_lost_and_counted(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    client = await connect(network)
    await client.post((await client.document()).document, b"nobody is at home")
    network.gateway.stop()
    await trio.sleep(PERIOD / 4)
    assert network.counters.drops == {DropReason.NODE_GONE: 1}


async def test_a_gateway_with_other_keys_is_a_stranger_until_a_document_names_them(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    gateway = network.gateways[0]
    former = Gateway(gateway.keys, gateway.ports, network._surroundings)
    client = await connect(network, gateway=gateway)
    network.rekey(gateway)
    with pytest.raises(Closed):
        await client.next_command()
    with pytest.raises(WireError):
        await connect(network, gateway=former)
    other = await connect(network, gateway=network.gateways[1])
    present = (await other.document()).document
    assert {node.node_id for node in present.gateway_nodes} >= {former.keys.node_id}
    await trio.sleep(PUBLISHED)
    following = (await other.document(present.epoch + 1)).document
    assert {node.node_id for node in following.gateway_nodes} == {one.keys.node_id for one in network.gateways}
    await trio.sleep(PERIOD - PUBLISHED)
    assert await echoes(await connect(network, gateway=gateway))


async def test_a_moved_gateway_answers_at_its_new_address_only_and_documents_follow(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    gateway = network.gateways[2]
    (old,) = gateway.urls
    client = await connect(network, gateway=gateway)
    network.move(gateway)
    assert gateway.urls != (old,)
    with pytest.raises(Closed):
        await client.next_command()
    with pytest.raises(DialError):
        await network.memory_dial(old)
    again = await connect(network, gateway=gateway)
    present = (await again.document()).document
    assert present.gateway(gateway.keys.node_id).addresses == {"tcp4": (old,)}
    await trio.sleep(PUBLISHED)
    following = (await again.document(present.epoch + 1)).document
    assert following.gateway(gateway.keys.node_id).addresses == {"tcp4": gateway.urls}


async def test_no_gateway_moves_to_anothers_port(autojump_clock: MockClock, network: LocalNetwork) -> None:
    first, second, _ = network.gateways
    with pytest.raises(LocalNetworkError, match="is gateway1's"):
        network.move(second, first.ports["tcp"])
    network.move(first, first.ports["tcp"])


async def test_a_gateway_leaves_the_consensus_with_the_next_document_and_can_come_back(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    blob = network.authorities.certificate(network.epoch).encode()
    network.gateways[1].set_listed(False)
    assert await next_document(network) == {"gateway1", "gateway3"}
    assert network.authorities.certificate(network.epoch).encode() == blob, "published is published"
    network.gateways[1].set_listed(True)
    assert await next_document(network) == {"gateway1", "gateway2", "gateway3"}


async def test_another_gateway_can_join(autojump_clock: MockClock, network: LocalNetwork) -> None:
    gateway = network.add_gateway()
    assert gateway.name == "gateway4"
    assert await next_document(network) == {"gateway1", "gateway2", "gateway3", "gateway4"}
    await trio.sleep(PERIOD / 2)
    assert await echoes(await connect(network, gateway=gateway))


async def test_gateways_join_up_to_a_limit(autojump_clock: MockClock, network: LocalNetwork) -> None:
    network.gateways *= MOST_GATEWAYS
    with pytest.raises(LocalNetworkError, match="already"):
        network.add_gateway()


@pytest.mark.parametrize("rekey_gateways", [False, True])
async def test_the_network_restarts_with_new_keys_and_new_documents_by_the_same_authorities(
    rekey_gateways: bool, autojump_clock: MockClock, network: LocalNetwork
) -> None:
    client = await connect(network)
    before = (await client.document()).document
    former = {node.node_id for node in before.gateway_nodes}
    network.restart(rekey_gateways=rekey_gateways)
    with pytest.raises(Closed):
        await client.next_command()
    client = await connect(network)
    if not rekey_gateways:
        await client.post(before, b"with the keys of before")
        await trio.sleep(PERIOD / 10)
        assert network.counters.drops == {DropReason.UNWRAP_FAILED: 1}
    after = (await client.document()).document
    assert (after.epoch, after.genesis_epoch) == (before.epoch, before.epoch)
    kept = former & {node.node_id for node in after.gateway_nodes}
    assert kept == (set() if rekey_gateways else former)
    assert not {mix.node_id for layer in before.topology for mix in layer} & {
        mix.node_id for layer in after.topology for mix in layer
    }
    assert await echoes(client)


async def test_packets_under_way_to_nodes_of_before_are_lost_and_counted(
    autojump_clock: MockClock, network: LocalNetwork
) -> None:
    client = await connect(network)
    await client.post((await client.document()).document, b"too late")
    await wait_all_tasks_blocked()
    network.restart()
    await trio.sleep(PERIOD)
    assert network.counters.drops == {DropReason.NODE_GONE: 1}


async def until(condition: object) -> None:
    """Real time passes: the operating system's ports do not follow trio's clock."""
    assert callable(condition)
    with trio.fail_after(20):
        while not condition():
            await trio.sleep(0.01)


async def dials(gateway: Gateway) -> bool:
    try:
        stream = await trio.open_tcp_stream("127.0.0.1", gateway.ports["tcp"])
    except OSError:
        return False
    await stream.aclose()
    return True


async def test_on_tcp_a_gateway_stops_starts_moves_joins_and_refuses() -> None:
    network = LocalNetwork(gateways=2, rate_limit=False, mu=1.0)
    first, second = network.gateways
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        assert await dials(first) and await dials(second)
        port = first.ports["tcp"]
        first.stop()
        await wait_all_tasks_blocked()
        assert not await dials(first)
        assert await dials(second)
        first.start()
        with trio.fail_after(20):
            while not await dials(first):
                await trio.sleep(0.01)
        assert first.ports["tcp"] == port

        network.move(first)
        await until(lambda: first.ports["tcp"] not in (0, port))
        assert await dials(first)

        third = network.add_gateway()
        await until(lambda: third.ports["tcp"])
        assert await dials(third)
        assert third.name in {node.keys.name for node in network.authorities.listing(network.epoch + 2).gateways}

        async with await trio.open_tcp_stream("127.0.0.1", second.ports["tcp"]) as stream:
            client = await connect(network, stream, gateway=second)
            second.faults.refuse_connections = True
            await wait_all_tasks_blocked()
            assert not await dials(second)
            assert await dials(first)
            assert await echoes(client), "links that are there stay"
        second.faults.refuse_connections = False
        with trio.fail_after(20):
            while not await dials(second):
                await trio.sleep(0.01)
        nursery.cancel_scope.cancel()


async def test_on_tcp_who_connects_into_a_dropping_network_gets_no_answer_until_that_ends() -> None:
    network = LocalNetwork(rate_limit=False, mu=1.0)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        async with await trio.open_tcp_stream(*network.gateway_address) as stream:
            client = await connect(network, stream)
            network.faults.drop = Direction.BOTH
            await wait_all_tasks_blocked()
            with trio.move_on_after(0.3) as patience:
                await dials(network.gateway)
            assert patience.cancelled_caught
            network.faults.drop = None
            with trio.fail_after(20):
                while not await dials(network.gateway):
                    await trio.sleep(0.01)
            assert await echoes(client), "links that are there were mute, and go on"
        nursery.cancel_scope.cancel()


async def test_a_scheme_without_a_listener_is_refused_by_name() -> None:
    network = LocalNetwork(transports=["pigeon"])
    with pytest.RaisesGroup(LocalNetworkError, flatten_subgroups=True) as refused:
        async with trio.open_nursery() as nursery:
            await nursery.start(network.run)
    assert "no listener for pigeon" in str(refused.value.exceptions)


def test_gateways_have_an_address_of_each_transport() -> None:
    network = LocalNetwork(transports=["tcp", "quic"], port=None, gateways=2)
    (first, second) = network.authorities.document(network.epoch).gateway_nodes
    assert first.addresses == {"tcp4": ("tcp://127.0.0.1:30004",), "quic": ("quic://127.0.0.1:30004",)}
    assert second.addresses == {"tcp4": ("tcp://127.0.0.1:30005",), "quic": ("quic://127.0.0.1:30005",)}
