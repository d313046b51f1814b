"""The local Loopix network as its clients meet it: on a virtual clock without sockets, and on TCP."""

import itertools

import pytest
import trio
from trio.testing import MockClock

from kpclientd.localnet import in_flight
from kpclientd.localnet.in_flight import Arrival
from kpclientd.loopix.composer import Composer
from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.exchange import dial_tcp, exchange
from kpclientd.loopix.nodes import ClientConfig, MixConfig
from kpclientd.loopix.packet import COMM, general, wrap
from kpclientd.loopix.profile import PROFILES
from kpclientd.loopix.simulator import Counted, DropReason, LoopixNetwork
from kpclientd.loopix.simulator.actions import Forward
from kpclientd.loopix.simulator.errors import SimulatorError
from kpclientd.loopix.simulator.network import DIRECTORY_PORT
from kpclientd.loopix.simulator.transit import Transit
from kpclientd.loopix.topology import Topology
from tests.support.loopix_peer import SETTLED, couple, join, received, running


async def test_messages_travel_both_ways_over_five_hops(autojump_clock: MockClock) -> None:
    async with couple(mixes_per_layer=2) as (network, alice, bob):
        await alice.send(b"to bob", bob)
        await bob.send(b"to alice", alice)
        assert await received(bob) == (b"to bob",)
        assert await received(alice) == (b"to alice",)
        assert network.counters.drops == {}
        assert network.counters[Counted.PACKETS_RELAYED] == 8
        assert network.transit.packets.count == 0


async def test_a_client_can_write_to_itself(autojump_clock: MockClock) -> None:
    async with couple() as (_, alice, _bob):
        await alice.send(b"note", alice)
        assert await received(alice) == (b"note",)


async def test_nodes_are_listed_at_once_and_stay_listed(autojump_clock: MockClock) -> None:
    async with running(mixes_per_layer=3, providers=2) as network:
        for _ in range(10):
            seen = Topology.parse(await network.get_topology())
            assert {mix for mixes in seen.layers.values() for mix in mixes} == {mix.config for mix in network.mixes}
            assert {provider.node for provider in seen.providers} == {member.config for member in network.providers}
            await trio.sleep(1.7)


async def test_a_provider_tells_of_its_client_within_two_seconds(autojump_clock: MockClock) -> None:
    async with running(providers=2) as network:
        bob = await join(network, "bob", 1)
        assert Topology.parse(await network.get_topology()).clients == ()
        await trio.sleep(2.1)
        (client,) = Topology.parse(await network.get_topology()).clients
        assert (client.id, client.provider) == (bob.config.id, network.providers[1].config)


@pytest.mark.parametrize(("honoured", "waited"), [(False, 3.0), (True, 7.5)])
async def test_delays_are_whole_seconds_unless_they_are_to_be_honoured(
    autojump_clock: MockClock, honoured: bool, waited: float
) -> None:
    async with couple(honour_delays=honoured) as (_, alice, bob):
        path = (await alice.topology()).path(alice.provider, bob.config, alice.randomness)
        packet = wrap(path, [1.9, 1.9, 0.9, 0.9, 1.9], bob.config, b"slow", bytes(range(32)))
        await alice.exchange(general(COMM, packet))
        await trio.sleep(waited - 0.05)
        assert (await bob.pull()).messages == ()
        await trio.sleep(0.1)
        assert (await bob.pull()).messages == (b"slow",)


@pytest.mark.parametrize(("profile", "limit"), [("0.2", 1024), ("0.4", 2048)])
async def test_the_one_read_takes_what_the_profile_says_and_not_a_byte_more(
    autojump_clock: MockClock, profile: str, limit: int
) -> None:
    async with couple(profile=PROFILES[profile]) as (network, alice, bob):
        path = (await alice.topology()).path(alice.provider, bob.config, alice.randomness)

        def packet(length: int) -> bytes:
            return general(COMM, wrap(path, [0.1] * 5, bob.config, bytes(length), bytes(range(32))))

        longest = next(n for n in itertools.count() if len(packet(n + 1)) > limit)
        assert len(packet(longest)) == limit
        assert len(packet(longest + 1)) == limit + 1
        await alice.exchange(packet(longest))
        await alice.exchange(packet(longest + 1))
        assert await received(bob) == (bytes(longest),)
        assert network.counters.drops == {DropReason.NOT_A_PACKET: 1}


async def test_a_packet_in_two_writes_is_lost(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        packet = await alice.compose(b"halves", bob)
        stream = await network.dial("localhost", alice.provider.port)
        await stream.send_all(packet[:100])
        assert await stream.receive_some() == b""
        assert await received(bob) == ()
        assert network.counters.drops == {DropReason.NOT_A_PACKET: 1}


async def test_the_same_packet_is_delivered_as_often_as_it_is_sent(autojump_clock: MockClock) -> None:
    async with couple() as (_, alice, bob):
        packet = await alice.compose(b"again", bob)
        for _ in range(3):
            await alice.exchange(packet)
        assert await received(bob) == (b"again",) * 3


async def test_a_silent_peer_is_disconnected(autojump_clock: MockClock) -> None:
    async with running() as network:
        stream = await network.dial("127.0.0.1", network.mixes[0].port)
        begun = trio.current_time()
        assert await stream.receive_some() == b""
        assert trio.current_time() - begun == pytest.approx(30.0)


async def test_nobody_is_elsewhere_or_before_the_start(autojump_clock: MockClock) -> None:
    async with running() as network:
        for host, port in (("127.0.0.1", 1), ("192.0.2.1", network.mixes[0].port), ("localhost", 9)):
            with pytest.raises(OSError, match="nobody"):
                await network.dial(host, port)
    with pytest.raises(OSError, match="nobody"):
        await LoopixNetwork(tcp=False).dial("localhost", DIRECTORY_PORT)


async def test_the_directory_can_be_dialled_without_sockets_too(autojump_clock: MockClock) -> None:
    async with running() as network:
        stream = await network.dial("localhost", DIRECTORY_PORT)
        await stream.send_all(b"GET /api/healthcheck HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert (await stream.receive_some()).endswith(b'{"ok": true}')


async def test_no_packet_leaves_this_machine(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        for host, port in (("192.0.2.1", "9980"), ("::1", "9980"), ("", ""), ("localhost", "70000")):
            elsewhere = MixConfig("x", host, port, bob.provider.public_key, 1)
            packet = wrap([alice.provider, elsewhere], [0.0, 0.0], bob.config, b"out", bytes(range(32)))
            await alice.exchange(general(COMM, packet))
        await trio.sleep(SETTLED)
        assert network.counters.drops == {DropReason.BAD_ADDRESS: 4}


async def test_a_packet_to_a_port_where_nobody_is_is_dropped(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        nobody = MixConfig("x", "127.0.0.1", "9", bob.provider.public_key, 1)
        packet = wrap([alice.provider, nobody], [0.0, 0.0], bob.config, b"out", bytes(range(32)))
        await alice.exchange(general(COMM, packet))
        await trio.sleep(SETTLED)
        assert network.counters.drops == {DropReason.UNREACHABLE: 1}


async def test_packets_under_way_have_a_bound(autojump_clock: MockClock, monkeypatch: pytest.MonkeyPatch) -> None:
    bound = 16
    monkeypatch.setattr(in_flight, "MAX_IN_FLIGHT", bound)
    async with running() as network:
        for _ in range(bound + 1):
            network.transit.forward(Forward("127.0.0.1:9", b"", 1.0))
        assert network.transit.packets.count == bound
        assert network.counters.drops == {DropReason.IN_FLIGHT_LIMIT: 1}
        await trio.sleep(SETTLED)
        assert network.transit.packets.count == 0


def test_a_network_that_does_not_run_carries_nothing() -> None:
    network = LoopixNetwork(tcp=False)
    Transit(network.dial, network.faults, network.counters).forward(Forward("127.0.0.1:9", b"", 0.0))
    assert network.counters.drops == {DropReason.IN_FLIGHT_LIMIT: 1}


async def test_arrivals_are_recorded_when_somebody_asks_for_them(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        arrivals: list[Arrival] = []
        network.providers[0].server.arrivals = arrivals
        packet = await alice.compose(b"seen", bob)
        begun = trio.current_time()
        await alice.exchange(packet)
        assert [(arrival.time, arrival.length) for arrival in arrivals] == [(begun, len(packet))]


async def test_the_same_seed_gives_the_same_network() -> None:
    def keys(seed: bytes) -> list[bytes]:
        return [member.config.public_key for member in LoopixNetwork(seed=seed, tcp=False, providers=2).members]

    assert keys(b"one") == keys(b"one")
    assert not set(keys(b"one")) & set(keys(b"two"))
    assert len(set(keys(b"one"))) == 5


async def test_a_hundred_messages_over_tcp_arrive_each_once() -> None:
    async with running(providers=2, mixes_per_layer=2, tcp=True) as network:
        alice, bob = await join(network, "alice", 0, tcp=True), await join(network, "bob", 1, tcp=True)
        topology = Topology.parse(await network.get_topology())
        composer = Composer(alice.provider, network.profile, alice.randomness)
        sent = [number.to_bytes(2, "big") for number in range(100)]
        for message in sent:
            await exchange(dial_tcp, alice.provider, composer.message(topology, bob.config, message))
        arrived: list[bytes] = []
        with trio.fail_after(30):
            while len(arrived) < len(sent):
                arrived += (await bob.pull()).messages
        assert sorted(arrived) == sent
        assert network.counters.drops == {}


async def test_a_packet_one_byte_too_long_is_lost_on_tcp_too() -> None:
    async with running(tcp=True) as network:
        alice = await join(network, "alice", tcp=True)
        provider = alice.provider
        for length, lost in ((1024, DropReason.PROCESSING_FAILED), (1025, DropReason.NOT_A_PACKET)):
            packet = general(COMM, bytes(length - 6))
            assert len(packet) == length
            try:
                assert await exchange(dial_tcp, provider, packet) == b""
            except LoopixError:
                assert length == 1025, "what was not read resets the connection"
            assert network.counters[lost] == 1


async def test_a_port_that_is_taken_is_told() -> None:
    async with running(tcp=True) as network:
        port = int(network.topology_url.split(":")[2].split("/")[0])
        second = LoopixNetwork(directory_port=port)
        with pytest.raises(ExceptionGroup) as caught:
            await second.run()
        assert caught.group_contains(SimulatorError, match=f"port {port} is not to be had", depth=1)


async def test_a_client_config_with_another_id_reaches_the_inbox_of_that_id_or_none(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        path = (await alice.topology()).path(alice.provider, bob.config, alice.randomness)
        for name in ("../../inbox", bob.config.id):
            packet = wrap(path, [0.0] * 5, ClientConfig(id=name), name.encode(), bytes(range(32)))
            await alice.exchange(general(COMM, packet))
        assert await received(bob) == (bob.config.id.encode(),)
        assert network.counters.drops == {DropReason.UNKNOWN_INBOX: 1}
