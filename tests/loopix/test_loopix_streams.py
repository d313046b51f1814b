"""What a provider sees of its client: exponential pauses, whatever applications do and whatever fails."""

import itertools
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import pytest
import trio
import trio.testing

from kpclientd.loopix.account import Account
from kpclientd.loopix.composer import Composer
from kpclientd.loopix.errors import Unreachable
from kpclientd.loopix.failure_log import FailureLog
from kpclientd.loopix.fetcher import Fetcher
from kpclientd.loopix.inbox import ReceiveBuffer
from kpclientd.loopix.loops import HardenedLoops, LoopWatch, PlainLoops
from kpclientd.loopix.nodes import ClientConfig, MixConfig
from kpclientd.loopix.profile import DEFAULT
from kpclientd.loopix.schedule import LONGEST_BACKOFF
from kpclientd.loopix.sender import Rates, Sender
from kpclientd.loopix.topology import Topology
from kpclientd.loopix.view import NetworkView
from sphinx.randomness import seeded
from tests.support.significance import exponential_p_value

SENDS = 20_000
PULLS = 5_000
SIGNIFICANCE = 0.01
RATE = 10.0
PROVIDER = MixConfig("provider", "127.0.0.1", "1789", bytes(range(32)))
ALICE = ClientConfig("alice", public_key=bytes(range(1, 33)), provider=PROVIDER)


class Cheap(Composer):
    """Makes packets that say what they are."""

    def message(self, topology: Topology, recipient: ClientConfig, message: bytes) -> bytes:
        return b"message " + message

    def loop(self, topology: Topology, own: ClientConfig, content: bytes = b"") -> bytes:
        return b"loop"


async def no_directory() -> bytes:
    raise AssertionError("nobody asks the directory here")


def sender(hand_over: Callable[[bytes], Awaitable[object]], rates: Rates) -> Sender:
    view = NetworkView(no_directory)
    view.load(Topology({}, (), ()))
    composer = Cheap(PROVIDER, DEFAULT, seeded(b"composer"))
    return Sender(composer, ALICE, PlainLoops(), view, hand_over, rates, seeded(b"pauses of streams"))


async def record(rates: Rates, load: float, fail_each: int = 0) -> tuple[list[tuple[float, bytes]], Sender]:
    """When what was handed over, until there are enough; every `fail_each`th attempt fails."""
    attempts: list[tuple[float, bytes]] = []
    enough = trio.Event()

    async def hand_over(packet: bytes) -> None:
        attempts.append((trio.current_time(), packet))
        if len(attempts) > SENDS:
            enough.set()
        if fail_each and len(attempts) % fail_each == 0:
            raise Unreachable("nobody is there")

    async def produce(stream: Sender) -> None:
        for number in itertools.count():
            await stream.send(b"%d" % number, ALICE)
            await trio.sleep(1 / load)

    stream = sender(hand_over, rates)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stream.run)
        if load:
            nursery.start_soon(produce, stream)
        await enough.wait()
        nursery.cancel_scope.cancel()
    return attempts, stream


def pauses(times: Sequence[float]) -> list[float]:
    return [later - earlier for earlier, later in itertools.pairwise(times)]


@pytest.mark.parametrize("load", [0.0, 1000.0], ids=["idle", "as many messages as fit"])
async def test_pauses_of_the_out_queue_are_exponential(load: float, autojump_clock: trio.abc.Clock) -> None:
    attempts, _ = await record(Rates(RATE, None), load)
    assert exponential_p_value(pauses([when for when, _ in attempts]), 1 / RATE) > SIGNIFICANCE
    share = sum(packet.startswith(b"message") for _, packet in attempts) / len(attempts)
    assert share == pytest.approx(min(load / RATE, 1.0), abs=0.1)


async def test_pauses_of_the_loops_are_exponential(autojump_clock: trio.abc.Clock) -> None:
    attempts, _ = await record(Rates(None, RATE), 0)
    assert exponential_p_value(pauses([when for when, _ in attempts]), 1 / RATE) > SIGNIFICANCE
    assert {packet for _, packet in attempts} == {b"loop"}


async def test_pauses_do_not_depend_on_what_is_sent_or_fails(autojump_clock: trio.abc.Clock) -> None:
    idle, _ = await record(Rates(RATE, None), 0)
    loaded, stream = await record(Rates(RATE, None), 5.0, fail_each=7)
    ours = [round(pause, 6) for pause in pauses([when for when, _ in idle])]
    assert ours == [round(pause, 6) for pause in pauses([when for when, _ in loaded])]
    sent = [packet for _, packet in loaded if packet.startswith(b"message")]
    in_order = [packet for packet, _ in itertools.groupby(sent)]
    assert in_order == [b"message %d" % number for number in range(len(in_order))]
    assert stream.statistics.repeated == len(sent) - len(in_order) > 100


async def test_loops_of_both_streams_together_come_at_both_rates(autojump_clock: trio.abc.Clock) -> None:
    attempts, _ = await record(Rates(RATE, 2 * RATE), 0)
    times = [when for when, _ in attempts]
    assert exponential_p_value(pauses(times), 1 / (3 * RATE)) > SIGNIFICANCE


async def test_pulls_are_exponential_and_rarer_while_the_provider_is_away(autojump_clock: trio.abc.Clock) -> None:
    times: list[float] = []
    away = False

    async def dial(host: str, port: int) -> trio.abc.Stream:
        times.append(trio.current_time())
        if away:
            raise ConnectionRefusedError
        ours, theirs = trio.testing.memory_stream_pair()
        await theirs.send_eof()  # no mail
        return ours

    account = Account(ALICE, PROVIDER, PlainLoops(), dial)
    account._token = b"token"  # as after a registration
    fetcher = Fetcher(account, ReceiveBuffer(), lambda covers: None, seeded(b"pulls"))
    async with trio.open_nursery() as nursery:
        nursery.start_soon(partial(fetcher.run, RATE))
        while len(times) <= PULLS:
            await trio.sleep(10)
        assert exponential_p_value(pauses(times), 1 / RATE) > SIGNIFICANCE
        away = True
        before = len(times)
        await trio.sleep(1000)
        assert len(times) - before < 1000 / LONGEST_BACKOFF + 20
        nursery.cancel_scope.cancel()


def test_the_watch_tells_the_share_of_loops_that_come_back() -> None:
    watch = LoopWatch(sent=100, returned=100)
    assert watch.end_period() is None  # nothing to compare with yet
    watch.sent, watch.returned = 90, 30
    assert watch.end_period() == pytest.approx(1 / 3)
    watch.sent, watch.returned = 5, 0
    assert watch.end_period() is None


def test_an_outage_is_said_at_its_begin_ever_more_rarely_and_at_its_end(caplog: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("loopix.test")
    caplog.set_level(logging.INFO)
    failures = FailureLog(log, "it")
    assert not failures.worked()
    for _ in range(250):
        failures.failed(ValueError("no"))
    assert failures.worked() and not failures.worked()
    assert caplog.messages == [
        "it failed: no",
        "it failed (10 times in a row): no",
        "it failed (100 times in a row): no",
        "it works again after 250 failures",
    ]


def test_hardened_loops_look_like_messages_and_are_known_again() -> None:
    loops = HardenedLoops(seeded(b"loops"))
    loops.note_message(100)
    loops.note_message(3)
    contents = [loops.content() for _ in range(200)]
    assert len(set(contents)) == 200
    assert {len(content) for content in contents} == {16, 100}
    assert all(map(loops.is_cover, contents)) and loops.is_cover(b"LoopCoverMessage")
    assert not loops.is_cover(bytes(100))
    assert len(loops.content(longest=50)) <= 50
    described = loops.recipient(ALICE)
    assert (described.id, described.address) == (ALICE.id, "0.0.0.0:42")
