"""Admission: how many applications are let in, who makes room for whom, and what a want of descriptors does."""

import errno
import logging
import resource
from dataclasses import dataclass, field

import pytest
import trio
from trio.testing import MockClock, memory_stream_pair

from kpclientd.streams import RETRY_SECONDS
from kpclientd.thin.admission import (
    MOST_DESCRIPTORS,
    SAY_AGAIN_SECONDS,
    SILENT_SECONDS,
    Admission,
    raise_descriptor_limit,
)
from tests.thin.serving import settle


@dataclass(eq=False)
class Connection:
    """What is served until it is closed, or its application says so."""

    stream: trio.abc.Stream
    opened: float = field(default_factory=trio.current_time)
    requests: int = 0
    closed: str | None = None
    fault: bool = False
    is_over: bool = False
    _end: trio.Event = field(default_factory=trio.Event)

    def close(self, reason: str) -> None:
        self.closed = reason
        self._end.set()

    def leave(self) -> None:
        self._end.set()

    async def serve(self) -> None:
        try:
            await self._end.wait()
            if self.fault:
                raise RuntimeError("a fault of the daemon")
        finally:
            self.is_over = True


class Bench:
    def __init__(self, nursery: trio.Nursery, most: int) -> None:
        self.nursery = nursery
        self.made: list[Connection] = []
        self.admission = Admission(most, self._make)

    def _make(self, stream: trio.abc.Stream) -> Connection:
        self.made.append(Connection(stream))
        return self.made[-1]

    async def come(self) -> trio.abc.Stream:
        """Another application comes; its end of the stream."""
        ours, theirs = memory_stream_pair()
        self.nursery.start_soon(self.admission.serve, theirs)
        await settle()
        return ours

    @property
    def counts(self) -> tuple[int, int, int, int]:
        one = self.admission
        return len(one), one.admitted, one.turned_away, one.ended_silent


async def is_closed(stream: trio.abc.Stream) -> bool:
    with trio.move_on_after(0.001):
        return not await stream.receive_some(1)
    return False


async def test_as_many_are_admitted_as_there_is_room_for_and_the_next_is_turned_away_by_closing(
    autojump_clock: MockClock,
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 3)
        streams = [await bench.come() for _ in range(4)]
        assert [await is_closed(stream) for stream in streams] == [False, False, False, True]
        assert bench.counts == (3, 3, 1, 0)
        assert len(bench.made) == 3
        nursery.cancel_scope.cancel()


async def test_a_place_is_free_again_when_its_application_leaves(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 1)
        for number in range(5):
            await bench.come()
            assert bench.counts == (1, number + 1, 0, 0)
            bench.made[-1].leave()
            await settle()
            assert len(bench.admission) == 0
        nursery.cancel_scope.cancel()


async def test_there_is_always_room_for_one(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, -20)
        await bench.come()
        assert bench.counts == (1, 1, 0, 0)
        nursery.cancel_scope.cancel()


async def test_a_connection_that_says_nothing_makes_room_once_it_had_time_to_speak(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 2)
        await bench.come()
        await trio.sleep(1.0)
        await bench.come()
        await trio.sleep(SILENT_SECONDS - 1.1)
        assert await is_closed(await bench.come()), "both are young"
        await trio.sleep(0.2)
        assert not await is_closed(await bench.come())
        assert [connection.closed is not None for connection in bench.made] == [True, False, False]
        assert bench.made[0].is_over
        assert bench.counts == (2, 3, 1, 1)
        nursery.cancel_scope.cancel()


async def test_of_those_that_are_silent_the_oldest_goes_first(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 3)
        for _ in range(3):
            await bench.come()
            await trio.sleep(1.0)
        await trio.sleep(100.0)
        gone = []
        for _ in range(3):
            await bench.come()
            gone.append([place for place, one in enumerate(bench.made) if one.closed])
        assert gone == [[0], [0, 1], [0, 1, 2]]
        nursery.cancel_scope.cancel()


async def test_who_has_asked_anything_is_never_the_one_to_go(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 2)
        await bench.come()
        await bench.come()
        bench.made[0].requests = 1
        await trio.sleep(1e6)
        await bench.come()
        assert [connection.closed is not None for connection in bench.made] == [False, True, False]
        bench.made[2].requests = 1
        await trio.sleep(1e6)
        assert await is_closed(await bench.come())
        assert bench.counts == (2, 3, 1, 1)
        nursery.cancel_scope.cancel()


async def test_a_fault_in_one_connection_concerns_no_other(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 5)
        await bench.come()
        await bench.come()
        bench.made[0].fault = True
        bench.made[0].leave()
        await settle()
        assert [connection.is_over for connection in bench.made] == [True, False]
        assert "ended by a fault of the daemon" in caplog.text
        assert len(bench.admission) == 1
        nursery.cancel_scope.cancel()


async def test_that_newcomers_are_turned_away_is_said_once_in_a_while(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 1)
        for _ in range(10):
            await bench.come()
        assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 1
        bench.made[0].requests = 1
        await trio.sleep(SAY_AGAIN_SECONDS)
        await bench.come()
        await bench.come()
        assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2
        assert bench.admission.turned_away == 11
        nursery.cancel_scope.cancel()


# -- accepting


class Listener(trio.abc.Listener[trio.abc.Stream]):
    """Fails as often as it is told to, with whatever it is told to, and then gives streams."""

    def __init__(self, failures: int = 0, error: int = errno.EMFILE) -> None:
        self.left = failures
        self.error = error
        self.tried_at: list[float] = []
        self.send, self.waiting = trio.open_memory_channel[trio.abc.Stream](10)

    async def accept(self) -> trio.abc.Stream:
        self.tried_at.append(trio.current_time())
        if self.left:
            self.left -= 1
            raise OSError(self.error, "a text of the system")
        return await self.waiting.receive()

    async def aclose(self) -> None:
        pass


async def test_applications_come_from_all_listeners(autojump_clock: MockClock) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 10)
        listeners = [Listener(), Listener()]
        nursery.start_soon(bench.admission.run, listeners, nursery)
        for listener in listeners * 2:
            listener.send.send_nowait(memory_stream_pair()[0])
        await settle()
        assert bench.counts == (4, 4, 0, 0)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("error", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
async def test_an_accept_that_fails_for_want_of_something_is_tried_again_and_said_once(
    error: int, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    async with trio.open_nursery() as nursery:
        bench = Bench(nursery, 10)
        listener, other = Listener(failures=20, error=error), Listener()
        nursery.start_soon(bench.admission.run, [listener, other], nursery)
        listener.send.send_nowait(memory_stream_pair()[0])
        other.send.send_nowait(memory_stream_pair()[0])
        await settle()
        assert bench.admission.admitted == 1, "another listener is not concerned"
        await trio.sleep(21 * RETRY_SECONDS)
        assert bench.admission.admitted == 2
        assert bench.admission.accept_failures == 20
        gaps = [later - earlier for earlier, later in zip(listener.tried_at, listener.tried_at[1:], strict=False)]
        assert gaps[:20] == pytest.approx([RETRY_SECONDS] * 20)
        assert [record.getMessage() for record in caplog.records] == [
            "An application cannot be accepted: a text of the system."
        ]
        nursery.cancel_scope.cancel()


async def test_an_accept_that_fails_otherwise_is_a_fault(autojump_clock: MockClock) -> None:
    with pytest.RaisesGroup(pytest.RaisesExc(OSError, match="a text"), flatten_subgroups=True):
        async with trio.open_nursery() as nursery:
            bench = Bench(nursery, 10)
            nursery.start_soon(bench.admission.run, [Listener(1, errno.EBADF)], nursery)


# -- descriptors


@pytest.mark.parametrize(
    ("soft", "hard", "set_to", "result"),
    [
        (1024, 4096, 4096, 4096),
        (1024, 1_000_000, MOST_DESCRIPTORS, MOST_DESCRIPTORS),
        (1024, resource.RLIM_INFINITY, MOST_DESCRIPTORS, MOST_DESCRIPTORS),
        (4096, 4096, None, 4096),
        (100_000, 1_000_000, None, 100_000),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, MOST_DESCRIPTORS),
    ],
)
def test_the_limit_of_descriptors_is_raised_as_far_as_it_may_be_and_never_lowered(
    soft: int, hard: int, set_to: int | None, result: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes: list[tuple[int, int]] = []
    monkeypatch.setattr(resource, "getrlimit", lambda which: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda which, limits: changes.append(limits))
    assert raise_descriptor_limit() == result
    assert changes == ([] if set_to is None else [(set_to, hard)])
