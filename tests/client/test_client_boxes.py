"""Boxes by the library, through a whole daemon and a network that stores."""

from collections.abc import Mapping

import pytest
import trio
from trio.testing import MockClock

from kpclientd.client import (
    BoxDeletedError,
    BoxNotWrittenError,
    BoxTakenError,
    CapabilityRefusedError,
    ContentTooLongError,
    CopyFailedError,
    StorageFullError,
    StorageTroubleError,
    boxes,
)
from kpclientd.client.session import Session
from kpclientd.thin.fields import Fields
from tests.client.storing import Station, storing, storing_client
from tests.pigeonhole.installed import needs_libraries
from tests.support.world import World

pytestmark = needs_libraries


def held(here: World) -> int:
    """Bytes of what the daemon has under way for applications."""
    return here.daemon.engine.bytes_held


async def test_a_box_is_written_read_and_deleted(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with storing_client(monkeypatch) as (_, client):
        stream = await client.boxes.new_stream()
        following = await client.boxes.write(stream, b"first")
        assert following.number == stream.number + 1
        assert following == await client.boxes.following(stream)
        await client.boxes.write(following, b"second")
        box = await client.boxes.read(stream.reader)
        assert box.content == b"first"
        assert box.following == following.reader
        assert (await client.boxes.read(box.following, wait=False)).content == b"second"
        assert await client.boxes.delete(stream) == following
        with pytest.raises(BoxDeletedError):
            await client.boxes.read(stream.reader)


async def test_a_seed_gives_the_same_stream_again(monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock) -> None:
    async with storing_client(monkeypatch) as (_, client):
        seed = b"s" * 32
        assert await client.boxes.new_stream(seed) == await client.boxes.new_stream(seed)
        assert await client.boxes.new_stream() != await client.boxes.new_stream()
        with pytest.raises(ValueError, match="32 bytes"):
            await client.boxes.new_stream(b"short")


async def test_a_box_is_written_once_and_the_same_again_is_no_error(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with storing_client(monkeypatch) as (_, client):
        stream = await client.boxes.new_stream()
        await client.boxes.write(stream, b"this")
        await client.boxes.write(stream, b"this")
        with pytest.raises(BoxTakenError):
            await client.boxes.write(stream, b"that")
        await client.boxes.write(stream, b"that", confirmed=False)  # the courier's word says nothing of it
        assert (await client.boxes.read(stream.reader)).content == b"this"


async def test_a_read_may_ask_whether_there_is_something_or_wait_for_it(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with storing_client(monkeypatch) as (_, client):
        stream = await client.boxes.new_stream()
        with pytest.raises(BoxNotWrittenError):
            await client.boxes.read(stream.reader, wait=False)
        found: list[bytes] = []

        async def wait() -> None:
            found.append((await client.boxes.read(stream.reader)).content)

        began = trio.current_time()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(100)
            assert not found
            await client.boxes.write(stream, b"at last")
        assert found == [b"at last"]
        assert trio.current_time() - began < 100 + 150  # and not when the courier's cache ends, after 300


async def test_a_read_that_waits_is_begun_anew_and_only_once_at_a_time(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    verbs: list[str] = []
    genuine = Session.request

    async def noted(session: Session, verb: str, fields: Mapping[str, object]) -> Fields:
        verbs.append(verb)
        return await genuine(session, verb, fields)

    monkeypatch.setattr(Session, "request", noted)
    monkeypatch.setattr(boxes, "REFRESH_SECONDS", 10.0)
    async with storing_client(monkeypatch) as (here, client):
        stream = await client.boxes.new_stream()
        found: list[bytes] = []

        async def wait() -> None:
            found.append((await client.boxes.read(stream.reader)).content)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.sleep(5)
            of_one = held(here)
            await trio.sleep(30)
            assert verbs.count("encrypt_read") == 4
            assert held(here) == of_one
            await client.boxes.write(stream, b"at last")
        assert found == [b"at last"]


async def test_what_does_not_fit_is_refused_before_anything_is_sent(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with storing_client(monkeypatch) as (_, client):
        stream = await client.boxes.new_stream()
        longest = bytes(client.boxes.longest)
        await client.boxes.write(stream, longest)
        assert (await client.boxes.read(stream.reader)).content == longest
        with pytest.raises(ContentTooLongError, match=f"takes {len(longest)}"):
            await client.boxes.write(stream, longest + b"x")
        with pytest.raises(ValueError, match="delete"):
            await client.boxes.write(stream, b"")


async def test_trouble_that_passes_costs_time_and_other_trouble_has_a_name(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with storing_client(monkeypatch) as (here, client):
        assert here.network.storage is not None
        stream = await client.boxes.new_stream()
        replicas = [replica.faults for replica in here.network.storage.replicas]
        for faults in replicas:
            faults.code = 7
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.boxes.write, stream, b"in the end")
            await trio.sleep(5)
            for faults in replicas:
                faults.code = None
        assert (await client.boxes.read(stream.reader)).content == b"in the end"
        for code, error in ((7, StorageTroubleError), (6, StorageFullError), (3, CapabilityRefusedError)):
            for faults in replicas:
                faults.code = code
            with pytest.raises(error) as raised:
                await client.boxes.write(await client.boxes.new_stream(), b"never")
            assert raised.value.code == code


async def test_a_copy_writes_all_or_says_where_it_stopped(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with storing_client(monkeypatch) as (_, client):
        content = bytes(range(256)) * 2  # more than a box takes
        stream = await client.boxes.new_stream()
        job = await client.boxes.prepare_copy(stream, content)
        with pytest.raises(BoxNotWrittenError):
            await client.boxes.read(stream.reader, wait=False)
        await client.boxes.carry_out(job)
        await client.boxes.carry_out(job)
        place, read = stream.reader, b""
        while place.number < job.following.number:
            box = await client.boxes.read(place, wait=False)
            read += box.content
            place = box.following
        assert read == content
        with pytest.raises(CopyFailedError) as failed:
            await client.boxes.copy(stream, b"something else")
        assert (failed.value.replica_code, failed.value.envelope) == (10, 1)


async def test_neither_cuts_nor_restarts_of_the_daemon_are_noticed(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with storing(monkeypatch) as here:
        station = Station(here, b"t" * 16)
        async with station.client() as client, trio.open_nursery() as nursery:
            stream = await client.boxes.new_stream()
            found: list[bytes] = []

            async def wait() -> None:
                found.append((await client.boxes.read(stream.reader)).content)

            nursery.start_soon(wait)
            await trio.sleep(5)
            await station.cut()
            await trio.sleep(5)
            await here.restart()
            await here.until(here.is_sending, 60)
            nursery.start_soon(client.boxes.write, stream, b"over all of it")
            await trio.sleep(0.01)
            await station.cut()
        assert found == [b"over all of it"]
        assert len(station.streams) == 4


async def test_what_is_cancelled_ends_in_the_daemon_too(
    monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    async with storing_client(monkeypatch) as (here, client):
        stream = await client.boxes.new_stream()
        with trio.move_on_after(20) as scope:
            await client.boxes.read(stream.reader)
        assert scope.cancelled_caught
        assert held(here)
        await here.until(lambda: not held(here), 1)
