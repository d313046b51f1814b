"""Whatever is done to a network in whatever order: published documents stay, and once all is well, all is well."""

import trio
from hypothesis import given, settings
from hypothesis import strategies as st
from trio.testing import MockClock, memory_stream_pair

from kpclientd.localnet import Direction, DocumentFault, LocalNetwork
from kpclientd.localnet.control import execute
from kpclientd.localnet.errors import ControlError
from kpclientd.localnet.faults import Faults
from kpclientd.localnet.impaired_stream import ImpairedStream
from sphinx.randomness import seeded
from tests.localnet.conftest import PERIOD, make_network
from tests.support.localnet_client import connect

COMMANDS = (
    "stop",
    "start",
    "move",
    "rekey",
    "unlist",
    "list",
    "reset",
    "half-open",
    "bad-mac",
    "spurious-document",
    "refuse-connections on",
    "close-at-once on",
    "silent-handshake on",
    "impostor on",
    "reset-handshake 4000",
    "clock-off -86400",
    "drop in",
    "drop out",
    "drop both",
    "drop off",
    "drip 1",
    "no-heartbeats on",
    "ignore-acknowledgements on",
    "document-delay 5",
    *(f"document {fault}" for fault in DocumentFault),
    *(f"next-document {fault}" for fault in (DocumentFault.GONE, DocumentFault.WRONG)),
)
NETWORK_COMMANDS = (
    "loss 1",
    "delay 3",
    "lose-without-consensus on",
    "skip-consensus",
    "skip-consensus 3",
    "add-gateway",
    "restart-network",
    "restart-network all",
    "client-notice hello",
    "min-client-version 1.2",
    "clear",
)
DEADLINE = 10_000.0
"""Virtual seconds: a failure is not to be a test that never ends."""

STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["", "gateway1 ", "gateway2 ", "gateway3 "]), st.sampled_from(COMMANDS)),
        st.tuples(st.just(""), st.sampled_from(NETWORK_COMMANDS)),
        st.tuples(st.just("wait"), st.sampled_from([0.5, PERIOD / 8, PERIOD / 2, 3 * PERIOD])),
        st.tuples(st.just("connect"), st.integers(0, 3)),
    ),
    max_size=25,
)


async def visit(network: LocalNetwork, number: int) -> None:
    """A client that comes, asks for whatever there is, and is not surprised by anything."""
    with trio.move_on_after(30):
        try:
            client = await connect(network, gateway=network.gateways[number % len(network.gateways)])
            document = (await client.document()).document
            await client.ping(document, b"hello")
        except Exception:  # the protocols' own errors are tested elsewhere: here the network must not break
            pass


async def run_through(steps: list[tuple[str, object]]) -> None:
    network = make_network(gateways=2, mu=1.0)
    published: dict[int, bytes] = {}
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        for place, what in steps:
            if place == "wait":
                assert isinstance(what, float)
                await trio.sleep(what)
            elif place == "connect":
                assert isinstance(what, int)
                nursery.start_soon(visit, network, what)
            else:
                try:
                    execute(network, f"{place}{what}")
                except ControlError as error:
                    assert "gateway3" in str(error), error
                if str(what).startswith("restart-network"):
                    published.clear()
            now = network.unix()
            for epoch in (network.epoch, network.directory.newest_published(now)):
                certificate = network.authorities.certificate(epoch).encode()
                assert published.setdefault(epoch, certificate) == certificate, "signed twice"
        for line in ("clear", "start", "list"):
            execute(network, line)
        await trio.sleep(2 * PERIOD)
        with trio.fail_after(DEADLINE):
            for gateway in network.gateways:
                client = await connect(network, gateway=gateway)
                document = (await client.document()).document
                assert len(document.gateway_nodes) == len(network.gateways)
                assert await client.ping(document, b"all is well") == b"all is well"
        nursery.cancel_scope.cancel()


@settings(max_examples=40)
@given(STEPS)
def test_once_all_faults_are_over_every_gateway_serves_as_before(steps: list[tuple[str, object]]) -> None:
    trio.run(run_through, steps, clock=MockClock(autojump_threshold=0))


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.sampled_from([*Direction, None]), st.sampled_from([0.0, 0.0, 0.3])), max_size=8),
    st.lists(st.binary(min_size=1, max_size=40), max_size=8),
)
def test_held_up_and_dripping_bytes_arrive_all_and_in_order(
    faults_in_turn: list[tuple[Direction | None, float]], pieces: list[bytes]
) -> None:
    async def run() -> None:
        faults = Faults(seeded(b"stream"), connections=tuple)
        ours, theirs = memory_stream_pair()
        impaired = ImpairedStream(theirs, faults)
        received: dict[Direction, bytes] = {Direction.IN: b"", Direction.OUT: b""}

        async def send(stream: trio.abc.Stream) -> None:
            for piece in pieces:
                await stream.send_all(piece)
                await trio.sleep(1)

        async def receive(stream: trio.abc.Stream, direction: Direction) -> None:
            while len(received[direction]) < sum(map(len, pieces)):
                received[direction] += await stream.receive_some()

        with trio.fail_after(DEADLINE):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(send, ours)
                nursery.start_soon(send, impaired)
                nursery.start_soon(receive, ours, Direction.OUT)
                nursery.start_soon(receive, impaired, Direction.IN)
                for drop, drip in faults_in_turn:
                    faults.drop, faults.drip = drop, drip
                    await trio.sleep(1.5)
                faults.clear()
        assert received == {Direction.IN: b"".join(pieces), Direction.OUT: b"".join(pieces)}

    trio.run(run, clock=MockClock(autojump_threshold=0))
