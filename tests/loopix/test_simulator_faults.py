"""Everything that a local Loopix network does wrong on command, as its clients meet it."""

import pytest
import trio
from trio.testing import MockClock

from kpclientd.loopix.errors import DirectoryError, LoopixError
from kpclientd.loopix.simulator import Counted, DirectoryFault, DropReason, LoopixNetwork, ReplyFault
from kpclientd.loopix.topology import Topology
from tests.support.loopix_peer import SETTLED, Peer, couple, join, received, running


async def _send_many(alice: Peer, bob: Peer, count: int = 200) -> None:
    for number in range(count):
        await alice.send(number.to_bytes(2, "big"), bob)


async def test_packets_are_lost_with_the_probability_given(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        network.faults.loss = 0.2
        await _send_many(alice, bob)
        messages = await received(bob)
        lost = network.counters[DropReason.FAULT_PACKET_LOST]
        assert 20 <= lost <= 60  # mean 40, deviation 5.7
        assert len(messages) == 200 - lost


async def test_packets_are_duplicated_with_the_probability_given(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        network.faults.duplicate = 0.2
        await _send_many(alice, bob)
        messages = await received(bob)
        doubled = network.counters[Counted.FAULT_DUPLICATES]
        assert 20 <= doubled <= 60
        assert (len(messages), len(set(messages))) == (200 + doubled, 200)


async def test_a_corrupted_packet_is_stored_all_the_same(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        network.faults.corrupt = 1.0
        await _send_many(alice, bob)
        await trio.sleep(SETTLED)
        pulled = await bob.pull()
        assert network.counters[Counted.FAULT_CORRUPTIONS] == network.counters[Counted.PACKETS_PULLED] == 200
        assert pulled.unreadable > 0, "some bits make a packet unreadable"
        sent = {number.to_bytes(2, "big") for number in range(200)}
        assert any(message not in sent for message in pulled.messages), "and some change the message"


async def test_delay_and_jitter_hold_packets_up_and_mix_them(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        network.faults.delay = 10.0
        network.faults.jitter = 5.0
        for number in range(5):
            await alice.send(bytes([number]), bob)
        await trio.sleep(9.5)
        assert (await bob.pull()).messages == ()
        seen: list[bytes] = []
        for _ in range(80):
            await trio.sleep(0.1)
            seen += (await bob.pull()).messages
        assert sorted(seen) == [bytes([number]) for number in range(5)]
        assert seen != sorted(seen)


async def test_a_slow_provider_answers_in_the_end(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, _):
        network.faults.reply_delay = 4.0
        begun = trio.current_time()
        await alice.pull()
        assert trio.current_time() - begun == pytest.approx(4.0)


async def test_a_dead_mix_takes_its_packets_with_it_and_vanishes_from_the_list(autojump_clock: MockClock) -> None:
    async with couple(mixes_per_layer=2) as (network, alice, bob):
        network.faults.dead.add("mix2-1")
        await _send_many(alice, bob, 40)
        await trio.sleep(SETTLED)
        lost = network.counters[DropReason.UNREACHABLE]
        assert 0 < lost < 40
        assert len((await bob.pull()).messages) == 40 - lost
        assert len((await alice.topology()).layers[2]) == 1
        await _send_many(alice, bob, 20)
        assert len(await received(bob)) == 20
        network.faults.dead.clear()
        await trio.sleep(2.1)
        assert len((await alice.topology()).layers[2]) == 2


async def test_a_dead_node_resets_tcp_connections() -> None:
    async with running(tcp=True) as network:
        alice = await join(network, "alice", tcp=True)
        network.faults.dead.add("provider1")
        with pytest.raises(LoopixError):
            await alice.pull()
        assert network.counters.drops == {DropReason.NODE_DEAD: 1}
        network.faults.clear()
        await alice.pull()


async def test_a_dead_provider_refuses(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, _):
        network.faults.dead.add("provider1")
        with pytest.raises(LoopixError, match="nobody"):
            await alice.pull()


async def test_a_restarted_provider_must_be_told_again_and_has_kept_the_mail(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        await trio.sleep(2.1)
        assert len((await alice.topology()).clients) == 2
        await alice.send(b"before", bob)
        await trio.sleep(SETTLED)
        network.restart_providers()
        assert (await bob.pull()).messages == ()
        assert network.counters.drops == {DropReason.UNKNOWN_CLIENT: 1}
        await trio.sleep(2.1)
        assert (await alice.topology()).clients == ()
        await bob.register()
        assert (await bob.pull()).messages == (b"before",)


async def test_a_reply_can_be_held_back_for_ever(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, _):
        network.faults.pull = ReplyFault.SILENCE
        with trio.move_on_after(25) as patience:
            await alice.pull()
        assert patience.cancelled_caught


async def test_an_outage_ends_with_all_nodes_listed_again(autojump_clock: MockClock) -> None:
    async with running() as network:
        network.faults.directory = DirectoryFault.OUTAGE
        with pytest.raises(DirectoryError):
            await network.get_topology()
        await trio.sleep(20.5)
        network.faults.directory = None
        assert Topology.parse(await network.get_topology()).providers == (), "all were forgotten"
        await trio.sleep(2.1)
        assert len(Topology.parse(await network.get_topology()).providers) == 1


async def test_a_directory_in_error_says_so_and_a_silent_one_nothing(autojump_clock: MockClock) -> None:
    async with running() as network:
        network.faults.directory = DirectoryFault.ERROR
        with pytest.raises(DirectoryError, match="500"):
            await network.get_topology()
        network.faults.directory = DirectoryFault.SILENCE
        with trio.move_on_after(1000) as patience:
            await network.get_topology()
        assert patience.cancelled_caught


async def test_after_clearing_the_faults_nothing_is_wrong_any_more(autojump_clock: MockClock) -> None:
    async with couple() as (network, alice, bob):
        untouched = LoopixNetwork(seed=b"tests", tcp=False).faults
        faults = network.faults
        faults.loss = faults.duplicate = faults.corrupt = 1.0
        faults.delay = faults.jitter = faults.reply_delay = 100.0
        faults.pull = faults.registration = ReplyFault.GARBAGE
        faults.directory = DirectoryFault.EMPTY
        faults.dead.add("mix1-1")
        faults.clear()
        untouched.randomness = faults.randomness
        assert faults == untouched
        await alice.send(b"fine", bob)
        assert await received(bob) == (b"fine",)
