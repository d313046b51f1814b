"""A client's life on the virtual clock: it starts, sends, pulls, and goes on whatever fails around it."""

import logging
from dataclasses import replace
from typing import Any

import pytest
import trio
import trio.testing

from kpclientd.loopix.client import LoopixClient
from kpclientd.loopix.errors import (
    DirectoryError,
    LoopixError,
    MessageTooLong,
    NoPath,
    NotRunning,
    ReservedMessage,
    SealedBoxError,
    SendError,
    UnknownRecipient,
)
from kpclientd.loopix.nodes import ClientConfig, key_text
from kpclientd.loopix.sealed import seal
from kpclientd.loopix.simulator import DirectoryFault, ReplyFault
from kpclientd.loopix.simulator.mix import NodeKeys
from kpclientd.loopix.topology import Topology
from sphinx.randomness import seeded
from tests.loopix.world import World, until, world

QUIET: dict[str, Any] = {"message_sending_rate": 1.0, "loop_cover_traffic_rate": 0.2, "fetch_message_rate": 1.0}
"""Rates that leave the virtual clock some pace."""

BRISK: dict[str, Any] = {"message_sending_rate": 1.0, "loop_cover_traffic_rate": 4.0, "fetch_message_rate": 2.0}
"""Enough loops for their loss to be noticed."""


@pytest.fixture(autouse=True)
def whole_log(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)


async def pair(here: World, **settings: Any) -> tuple[LoopixClient, LoopixClient]:
    """Two clients that know each other, by default with few loops."""
    alice, bob = await here.client("alice", **(QUIET | settings)), await here.client("bob", **(QUIET | settings))
    return alice, bob


async def receive(client: LoopixClient, count: int, seconds: float = 120) -> list[bytes]:
    received: list[bytes] = []
    with trio.fail_after(seconds):
        while len(received) < count:
            received += client.get_received_messages()
            await trio.sleep(0.5)
    return received


async def test_messages_arrive_and_loops_do_not_show(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        await alice.send_message(b"hello bob", bob.own_details())
        await alice.send_message(b"", bob.own_details())
        assert sorted(await receive(bob, 2)) == [b"", b"hello bob"]
        await until(lambda: alice.fetch_statistics.covers > 20, 60)
        assert alice.get_received_messages() == bob.get_received_messages() == []


async def test_a_client_finds_itself_and_others_and_can_write_to_itself(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        await trio.sleep(5)
        listed = {client.id: client for client in await alice.all_recipients()}
        assert set(listed) == {alice.client_id, bob.client_id}
        assert alice.own_details().provider == listed[alice.client_id].provider
        await alice.send_message(b"a note", listed[alice.client_id])
        assert await receive(alice, 1) == [b"a note"]


async def test_a_recipient_is_addressed_by_its_key_alone(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        await alice.send_message(b"by key", replace(bob.own_details(), id=""))
        assert await receive(bob, 1) == [b"by key"]


async def test_what_cannot_be_sent_is_refused_with_the_reason(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        details = bob.own_details()
        with pytest.raises(MessageTooLong) as too_long:
            await alice.send_message(bytes(1024), details)
        await alice.send_message(bytes(too_long.value.limit), details)
        assert await receive(bob, 1) == [bytes(too_long.value.limit)]
        with pytest.raises(ReservedMessage):
            await alice.send_message(b"LoopCoverMessage", details)
        with pytest.raises(UnknownRecipient, match="neither"):
            await alice.send_message(b"x", replace(details, id="", public_key=b""))
        with pytest.raises(UnknownRecipient, match="not that of its key"):
            await alice.send_message(b"x", replace(details, id=alice.client_id))
        with pytest.raises(NoPath, match="EgressProvider has invalid configuration"):
            await alice.send_message(b"x", replace(details, provider=None))
        with pytest.raises(NoPath, match="port"):
            assert details.provider is not None
            await alice.send_message(b"x", replace(details, provider=replace(details.provider, port="")))


async def test_a_client_that_does_not_run_says_so(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice = here.make("alice", **QUIET)
        with pytest.raises(NotRunning):
            await alice.send_message(b"x", ClientConfig(alice.client_id))
        with pytest.raises(NotRunning):
            alice.own_details()
        async with alice.running():
            details = alice.own_details()
        with pytest.raises(NotRunning):
            await alice.send_message(b"x", details)
        alice.close()
        await alice.wait()
        with pytest.raises(NotRunning, match="only once"):
            async with alice.running():
                pass


async def test_a_send_that_waits_when_the_client_stops_fails(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice = await here.client("alice", **(QUIET | {"message_sending_rate": 1e-6}))
        await trio.sleep(1)  # the first turn comes at once
        faults: list[LoopixError] = []

        async def send() -> None:
            try:
                await alice.send_message(b"never", alice.own_details())
            except LoopixError as error:
                faults.append(error)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await trio.sleep(1)
            assert not faults
            alice.close()
        assert isinstance(faults[0], NotRunning)


async def test_streams_that_are_off_do_nothing(autojump_clock: trio.abc.Clock) -> None:
    off: dict[str, Any] = {"message_sending_rate": -1.0, "loop_cover_traffic_rate": -1.0, "fetch_message_rate": -1.0}
    async with world() as here:
        alice = await here.client("alice", **off)
        with pytest.raises(SendError, match="switched off"):
            await alice.send_message(b"x", alice.own_details())
        await trio.sleep(60)
        assert alice.send_statistics.covers == alice.fetch_statistics.pulls == 0


async def test_without_covers_the_out_queue_sends_nothing_but_messages(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        settings = QUIET | {"covers_disabled": True, "loop_cover_traffic_rate": -1.0}
        alice = await here.client("alice", **settings)
        await alice.send_message(b"only this", alice.own_details())
        assert await receive(alice, 1) == [b"only this"]
        await trio.sleep(30)
        assert (alice.send_statistics.messages, alice.send_statistics.covers) == (1, 0)
        assert alice.fetch_statistics.covers == 0


async def test_messages_to_a_dead_provider_wait_and_arrive_once(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        here.network.faults.dead.add("provider1")
        messages = [b"%d" % number for number in range(10)]

        async def send_all() -> None:
            for message in messages:
                await alice.send_message(message, bob.own_details())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all)
            await trio.sleep(40)
            assert alice.send_statistics.messages == 0
            here.network.restart_providers()
            here.network.faults.dead.clear()
            received = await receive(bob, len(messages))
        await trio.sleep(20)
        assert sorted(received + bob.get_received_messages()) == sorted(messages)
        said = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
        assert any(text.startswith("sending to the provider failed: 127.0.0.1") for text in said)
        assert any(text.startswith("sending to the provider works again") for text in said)


async def test_a_provider_that_forgot_its_clients_has_them_again_soon(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        await trio.sleep(20)
        here.network.restart_providers()
        await alice.send_message(b"after the restart", bob.own_details())
        assert await receive(bob, 1, seconds=60) == [b"after the restart"]
        assert "the directory does not list this client any more: it is registered again" in caplog.messages


@pytest.mark.parametrize("fault", list(DirectoryFault))
async def test_a_directory_that_fails_changes_nothing(
    fault: DirectoryFault, autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        before = alice.send_statistics.covers
        here.network.faults.directory = fault
        await trio.sleep(40)
        await alice.send_message(b"all the same", bob.own_details())
        assert await receive(bob, 1, seconds=30) == [b"all the same"]
        assert alice.send_statistics.covers > before + 20
        here.network.faults.directory = None
        await trio.sleep(40)
        assert len(await alice.all_recipients()) == 2


async def test_an_outage_of_the_directory_is_said_once_and_its_end_too(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as here:
        alice = await here.client("alice", **QUIET)
        here.network.faults.directory = DirectoryFault.OUTAGE
        assert await alice.all_recipients() == []
        with pytest.raises(DirectoryError):
            await alice.update_network_view()
        await trio.sleep(200)
        here.network.faults.directory = None
        await trio.sleep(60)
        aloud = [record.getMessage() for record in caplog.records if record.levelno >= logging.INFO]
        assert sum(text.startswith("asking the directory failed") for text in aloud) == 1
        assert sum(text.startswith("asking the directory works again") for text in aloud) == 1


async def test_while_the_provider_has_another_key_nothing_is_sent_into_the_void(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """Genuine providers of the first generation draw new keys at each start, and take whatever comes."""
    async with world(providers=2) as here:
        alice, bob = await here.client("alice", **QUIET), await here.client("bob", provider=1, **QUIET)
        await alice.send_message(b"before", bob.own_details())
        assert await receive(bob, 1) == [b"before"]
        node = here.network.providers[0].node
        former = node.keys
        node.rekey(NodeKeys.generate("provider1", seeded(b"of the next start")))
        await trio.sleep(60)
        covers = alice.send_statistics.covers
        with pytest.raises(SendError, match=r"another key .* init --force"):
            await alice.send_message(b"meanwhile", bob.own_details())
        await trio.sleep(120)
        assert alice.send_statistics.covers > covers + 60, "loops take the turns"
        node.rekey(former)
        await trio.sleep(60)
        await alice.send_message(b"after", bob.own_details())
        assert await receive(bob, 1) == [b"after"]
        loud = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
        assert sum("another key" in text for text in loud) == 1
        assert sum("of the loops come back" in text for text in loud) <= 2, "not every ten seconds"


async def test_a_message_that_was_taken_waits_for_the_provider_s_own_key(autojump_clock: trio.abc.Clock) -> None:
    async with world(providers=2) as here:
        slow = QUIET | {"message_sending_rate": 0.005}
        alice, bob = await here.client("alice", **slow), await here.client("bob", provider=1, **QUIET)
        node = here.network.providers[0].node
        former = node.keys
        async with trio.open_nursery() as nursery:
            await trio.sleep(31)
            nursery.start_soon(alice.send_message, b"of before", bob.own_details())
            await trio.testing.wait_all_tasks_blocked()
            node.rekey(NodeKeys.generate("provider1", seeded(b"of the next start")))
            await trio.sleep(2000)
            assert alice.send_statistics.messages == 0
            node.rekey(former)
            assert await receive(bob, 1, seconds=5000) == [b"of before"]


async def test_empty_entries_of_an_inbox_are_no_alarm(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world() as here:
        alice = await here.client("alice", **QUIET)
        here.network.faults.pull = ReplyFault.EMPTY_DATA
        await trio.sleep(60)
        assert alice.fetch_statistics.lost > 0
        assert next(record.levelno for record in caplog.records if "entries of the inbox" in record.getMessage()) == 20
        assert "no messages" not in caplog.text


async def test_a_dead_mix_is_noticed_said_and_left_out(
    autojump_clock: trio.abc.Clock, caplog: pytest.LogCaptureFixture
) -> None:
    async with world(mixes_per_layer=2) as here:
        alice = await here.client("alice", **BRISK)
        await trio.sleep(11)
        here.network.faults.dead |= {"mix2-1", "mix3-2"}
        await trio.sleep(60)
        assert sum(text.startswith("mix ") and text.endswith(" is gone") for text in caplog.messages) == 2
        assert any("of the loops come back" in text for text in caplog.messages)
        for number in range(10):
            await alice.send_message(b"%d" % number, alice.own_details())
        assert len(await receive(alice, 10)) == 10


@pytest.mark.parametrize("fault", list(ReplyFault))
async def test_registration_is_tried_until_it_succeeds(fault: ReplyFault, autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        here.network.faults.registration = fault
        alice = here.make("alice", **QUIET)
        async with trio.open_nursery() as nursery:

            async def mend() -> None:
                await trio.sleep(70)  # beyond two exchanges that nobody answers
                here.network.faults.registration = None

            nursery.start_soon(mend)
            with trio.fail_after(200):
                async with alice.running():
                    await alice.send_message(b"registered", alice.own_details())
                    assert await receive(alice, 1) == [b"registered"]


@pytest.mark.parametrize("fault", list(ReplyFault))
async def test_pulls_go_on_whatever_the_provider_answers(fault: ReplyFault, autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        here.network.faults.pull = fault
        await trio.sleep(40)
        here.network.faults.pull = None
        bob.get_received_messages()
        await alice.send_message(b"afterwards", bob.own_details())
        assert await receive(bob, 1) == [b"afterwards"]


async def test_a_client_without_its_provider_or_directory_does_not_start(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice = here.make("alice")
        alice.config = replace(alice.config, provider_id=key_text(bytes(range(32))))
        with pytest.raises(LoopixError, match="specified provider does not seem to be online"):
            async with alice.running():
                pass
        here.network.faults.directory = DirectoryFault.OUTAGE
        with pytest.raises(DirectoryError):
            async with here.make("bob").running():
                pass


async def test_a_provider_that_was_set_before_the_start_counts(autojump_clock: trio.abc.Clock) -> None:
    async with world(providers=2) as here:
        alice = here.make("alice", **QUIET)
        topology = Topology.parse(await here.network.get_topology())
        wanted = next(p.node for p in topology.providers if key_text(p.node.public_key) != alice.config.provider_id)
        alice.provider = wanted
        async with alice.running():
            assert alice.own_details().provider == wanted
            assert here.network.providers[1].node.clients == [alice.client_id]


async def test_a_given_topology_is_used_but_not_one_without_mixes(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice = await here.client("alice", **QUIET)
        alice.load_topology(replace(alice.topology, clients=()))
        assert alice.topology.clients == ()
        with pytest.raises(DirectoryError, match="no mix of layer 1"):
            alice.load_topology(replace(alice.topology, layers={}))
        await alice.send_message(b"still", alice.own_details())


async def test_a_block_s_own_error_leaves_it_as_it_was_raised(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        with pytest.raises(ZeroDivisionError):
            async with here.make("alice", **QUIET).running():
                raise ZeroDivisionError


async def test_hardened_loops_do_not_show(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await pair(here, hardened_loops=True)
        for _ in range(20):
            await alice.send_message(bytes(100), bob.own_details())
        assert await receive(bob, 20) == [bytes(100)] * 20
        await until(lambda: alice.fetch_statistics.covers > 20, 120)
        assert alice.get_received_messages() == bob.get_received_messages() == []


async def test_sealed_boxes_are_opened_by_their_recipient_alone(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await pair(here)
        await alice.send_message(seal(b"for bob", bob.own_details()), bob.own_details())
        (box,) = await receive(bob, 1)
        assert bob.open_sealed(box) == b"for bob" and b"for bob" not in box
        for damaged in (box[:-1] + bytes([box[-1] ^ 1]), box[:10], b""):
            with pytest.raises(SealedBoxError):
                bob.open_sealed(damaged)
        with pytest.raises(SealedBoxError):
            alice.open_sealed(box)
        with pytest.raises(UnknownRecipient):
            seal(b"x", replace(bob.own_details(), public_key=b""))
