"""The bytes of a link and its deadlines, over a stream that takes no more of them."""

import trio
import trio.testing

from kpclientd.gateway.link import GatewayLink
from kpclientd.gateway.protocol import READ_SECONDS, LinkLost
from tests.gateway.test_link_protocol import Bench
from tests.wire.links import GEOMETRY, NOW


class MuteStream(trio.abc.Stream):
    """Established, and then cut: it takes nothing and gives nothing."""

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        await trio.sleep_forever()

    async def wait_send_all_might_not_block(self) -> None:
        await trio.sleep_forever()

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        return await trio.sleep_forever()

    async def aclose(self) -> None:
        await trio.lowlevel.checkpoint()


def mute_link() -> tuple[Bench, GatewayLink]:
    """A link that was established, and the bench of its protocol."""
    bench = Bench()
    bench.now = trio.current_time()
    bench.connect()
    link = GatewayLink(
        MuteStream(),
        bench.client,
        wall_clock=lambda: NOW,
        on_message=lambda surb_id, payload: None,
        on_answer=lambda result: None,
        on_progress=lambda: None,
    )
    return bench, link


async def test_a_write_that_does_not_end_hides_no_deadline(autojump_clock: trio.testing.MockClock) -> None:
    bench, link = mute_link()
    refused = []

    async def send() -> None:
        try:
            await link.send_packet(bytes(GEOMETRY.packet_length))
        except LinkLost as error:
            refused.append(str(error))

    with trio.fail_after(READ_SECONDS + 1.0):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send)
            await link.run()
            nursery.cancel_scope.cancel()
    assert "silent" in str(bench.client.end)


async def test_cancellation_ends_the_link(autojump_clock: trio.testing.MockClock) -> None:
    bench, link = mute_link()
    with trio.move_on_after(1.0):
        await link.run()
    assert bench.client.end is not None
