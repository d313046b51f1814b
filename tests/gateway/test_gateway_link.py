"""The bytes of a link and its deadlines, over a stream that takes no more of them."""

from collections.abc import Callable

import pytest
import trio
import trio.testing

from kpclientd.gateway.link import CATCH_UP_SECONDS, GatewayLink
from kpclientd.gateway.protocol import HEARTBEAT_SECONDS, READ_SECONDS, WRITE_SECONDS, LinkLost
from kpclientd.wire.commands import MessageDelivered, NoOp, SendPacket
from kpclientd.wire.session import CommandReceived
from sphinx.types import SurbId
from tests.gateway.test_link_protocol import Bench, message
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


def mute_link(stream: Callable[[Bench], trio.abc.Stream] = lambda _: MuteStream()) -> tuple[Bench, GatewayLink]:
    """A link that was established, and the bench of its protocol."""
    bench = Bench()
    bench.now = trio.current_time()
    bench.connect()
    return bench, link_over(stream(bench), bench)


def link_over(
    stream: trio.abc.Stream, bench: Bench, on_message: Callable[[SurbId, bytes], None] = lambda surb_id, payload: None
) -> GatewayLink:
    return GatewayLink(
        stream,
        bench.client,
        wall_clock=lambda: NOW,
        on_message=on_message,
        on_answer=lambda result: None,
        on_progress=lambda: None,
    )


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


class DeafStream(MuteStream):
    """It takes nothing, and goes on giving."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench

    async def receive_some(self, max_bytes: int | None = None) -> bytes:
        await trio.sleep(READ_SECONDS / 2)
        return self.bench.gateway.seal(NoOp())


async def test_a_write_that_does_not_end_keeps_nobody_from_reading(autojump_clock: trio.testing.MockClock) -> None:
    bench, link = mute_link(DeafStream)
    began = trio.current_time()
    await link.run()
    assert "took no data" in str(bench.client.end)
    assert trio.current_time() - began == pytest.approx(HEARTBEAT_SECONDS + WRITE_SECONDS)


async def test_a_process_that_was_stopped_reads_first_what_came_meanwhile(mock_clock: trio.testing.MockClock) -> None:
    bench, _ = mute_link()
    ours, gateways = trio.testing.memory_stream_pair()
    link = link_over(ours, bench)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        for _ in range(5):
            await trio.testing.wait_all_tasks_blocked()
            assert gateways.receive_stream is not None and gateways.send_stream is not None
            await gateways.send_all(bench.gateway.seal(NoOp()))
            mock_clock.jump(10 * READ_SECONDS)
            await trio.testing.wait_all_tasks_blocked()
            mock_clock.jump(CATCH_UP_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert bench.client.end is None
        mock_clock.jump(10 * READ_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        mock_clock.jump(CATCH_UP_SECONDS)
    assert "silent" in str(bench.client.end)


class NotingStream(MuteStream):
    """It takes all, and notes when."""

    def __init__(self, order: list[str]) -> None:
        self.order = order

    async def send_all(self, data: bytes | bytearray | memoryview) -> None:
        self.order.append("write")
        await trio.lowlevel.checkpoint()


@pytest.mark.parametrize("number", range(10))
async def test_what_is_ready_when_a_packet_is_sent_runs_after_its_write(
    number: int, autojump_clock: trio.testing.MockClock
) -> None:
    order: list[str] = []
    _, link = mute_link(lambda _: NotingStream(order))

    async def other() -> None:
        order.append("other")

    async with trio.open_nursery() as nursery:
        nursery.start_soon(other)
        await link.send_packet(bytes(GEOMETRY.packet_length))
    assert order == ["write", "other"]


async def test_a_packet_that_is_written_has_left_whatever_ends_the_link_thereafter(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench, _ = mute_link()
    ours, gateways = trio.testing.memory_stream_pair()
    link = link_over(ours, bench, lambda surb_id, payload: bench.client.leave("what came is the end of it"))
    bench.push(message())
    await link.send_packet(bytes(GEOMETRY.packet_length))
    assert "the end of it" in str(bench.client.end)
    written = bench.gateway.receive(bytes(await gateways.receive_some()), NOW)
    assert [type(event.command) for event in written if isinstance(event, CommandReceived)] == [
        MessageDelivered,
        SendPacket,
    ]
    with pytest.raises(LinkLost, match="the end of it"):
        await link.send_packet(bytes(GEOMETRY.packet_length))


async def test_a_packet_takes_an_acknowledgement_along_and_waits_for_nothing_that_comes_of_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    bench, _ = mute_link()
    ours, gateways = trio.testing.memory_stream_pair()
    handed_on: list[float] = []
    link = link_over(ours, bench, lambda surb_id, payload: handed_on.append(trio.current_time()))
    bench.client.pause = lambda: 0.016  # type: ignore[method-assign]
    began = trio.current_time()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(link.run)
        await gateways.send_all(bench.gateway.seal(message()))
        await trio.sleep(0.005)
        await link.send_packet(bytes(GEOMETRY.packet_length))
        assert handed_on == []
        written = bench.gateway.receive(bytes(await gateways.receive_some()), NOW)
        assert [type(event.command) for event in written if isinstance(event, CommandReceived)] == [
            MessageDelivered,
            SendPacket,
        ]
        await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    assert handed_on == [pytest.approx(began + 0.016)]


async def test_cancellation_ends_the_link(autojump_clock: trio.testing.MockClock) -> None:
    bench, link = mute_link()
    with trio.move_on_after(1.0):
        await link.run()
    assert bench.client.end is not None
