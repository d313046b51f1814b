"""A client's life on the virtual clock: it starts, sends, pulls, and goes on whatever fails around it."""

import trio

from tests.loopix.world import until, world


async def test_a_message_arrives_and_covers_do_not_show(autojump_clock: trio.abc.Clock) -> None:
    async with world() as here:
        alice, bob = await here.client("alice"), await here.client("bob")
        await until(lambda: len(alice.topology.clients) == 2, 60)
        await alice.send_message(b"hello bob", bob.own_details())
        received: list[bytes] = []
        await until(lambda: received.extend(bob.get_received_messages()) or received, 30)
        await trio.sleep(20)
        assert received + bob.get_received_messages() == [b"hello bob"]
        assert alice.get_received_messages() == []
        assert alice.fetch_statistics.covers > 300
