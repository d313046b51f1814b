"""A whole daemon and a network that stores: each exchange ends once, whatever network, clock and process do.

The key exchange is a quick one, everything else is what users get. `KPCLIENTD_STORMS` sets how many storms there are.
"""

import os
import random
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Final

import pytest
import trio

from kpclientd.pigeonhole import libraries
from kpclientd.pigeonhole.codes import ReplicaCode, ThinCode
from kpclientd.pigeonhole.ready_exchanges import STOCK_SIZE
from kpclientd.pigeonhole.trunnel import digest
from tests.localnet.storage.clients import at_once, quick_nike
from tests.pigeonhole.installed import needs_libraries
from tests.support.storage_app import COPY, ENVELOPE, StorageApp, Stream
from tests.support.world import GENESIS, World, world

pytestmark = needs_libraries

WEEK_SECONDS = 7 * 24 * 3600.0
STORAGE: Final[dict[str, Any]] = {"replicas": 5, "lambda_p": 0.008, "lambda_l": 0.0005}
STORMS = range(int(os.environ.get("KPCLIENTD_STORMS", "1")))


@pytest.fixture(autouse=True)
def quick_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(libraries, "nike", quick_nike)


def storing(**options: Any) -> AbstractAsyncContextManager[World]:
    joined: dict[str, Any] = {"storage_nike": quick_nike(), "offload": at_once, "is_watched": False}
    return world(**(joined | STORAGE | options))


async def connected(here: World, name: bytes = b"a") -> StorageApp:
    app = StorageApp(here, name * 16)
    await app.connect()
    return app


async def test_boxes_are_written_read_deleted_and_copied(autojump_clock: trio.abc.Clock) -> None:
    async with storing() as here:
        app = await connected(here)
        stream = await app.new_stream(bytes(32))
        index = stream.first
        assert (await app.read(stream, index, no_retry_on_box_id_not_found=True))[
            "error_code"
        ] == ReplicaCode.BOX_NOT_FOUND
        assert (await app.write(stream, index, b"hello"))["error_code"] == 0
        answer = await app.read(stream, index)
        assert (answer["error_code"], answer["plaintext"]) == (0, b"hello")
        assert (await app.write(stream, index, b""))["error_code"] == 0
        assert (await app.read(stream, index))["error_code"] == ReplicaCode.TOMBSTONE
        target, temporary = await app.new_stream(b"t" * 32), await app.new_stream(b"c" * 32)
        made = await app.ask(
            "create_courier_envelopes_from_payload",
            payload=b"all or nothing" * 200,
            dest_write_cap=target.write_cap,
            dest_start_index=target.first,
            is_start=True,
            is_last=True,
        )
        index = temporary.first
        for element in made["envelopes"]:
            assert (await app.write(temporary, index, element))["error_code"] == 0
            index = await app.after(index)
        assert (await app.ask(COPY, write_cap=temporary.write_cap))["error_code"] == 0
        text, index = b"", target.first
        while index != made["next_dest_index"]:
            text += (await app.read(target, index))["plaintext"]
            index = await app.after(index)
        assert text == b"all or nothing" * 200


async def test_a_reader_waits_for_a_box_that_is_written_later_and_in_another_epoch(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with storing(epoch_period=30.0) as here:
        writer, reader = await connected(here, b"w"), await connected(here, b"r")
        stream = await writer.new_stream(bytes(32))
        query_id = await reader.start(ENVELOPE, **await reader.read_request(stream, stream.first))
        await trio.sleep(80.0)  # the courier has asked for the last time, and its cache lasts for minutes
        reader.hear()
        assert not reader.answers[query_id]
        await writer.write(stream, stream.first, b"at last")
        assert (await reader.result(query_id))["plaintext"] == b"at last"


async def test_an_answer_that_came_while_its_application_was_away_is_told_when_it_is_back(
    autojump_clock: trio.abc.Clock,
) -> None:
    async with storing() as here:
        app = await connected(here)
        stream = await app.new_stream(bytes(32))
        query_id = await app.start(ENVELOPE, **await app.write_request(stream, stream.first, b"box"))
        await app.cut()
        await trio.sleep(60.0)
        await app.connect()
        assert (await app.result(query_id))["error_code"] == 0


async def test_exchanges_go_on_with_the_next_process(autojump_clock: trio.abc.Clock, tmp_path: Path) -> None:
    async with storing(state=tmp_path / "state") as here:
        writer, reader = await connected(here, b"w"), await connected(here, b"r")
        stream = await writer.new_stream(bytes(32))
        reading = await reader.start(ENVELOPE, **await reader.read_request(stream, stream.first))
        await trio.sleep(5.0)
        here.network.faults.loss = 1.0
        writing = await writer.start(ENVELOPE, **await writer.write_request(stream, stream.first, b"kept"))
        await trio.sleep(5.0)
        await here.restart()
        here.network.faults.loss = 0.0
        await here.until(here.is_sending, 60)
        await writer.connect()
        await reader.connect()
        assert (await writer.result(writing))["error_code"] == 0
        assert (await reader.result(reading))["plaintext"] == b"kept"
        assert writer.answers[writing] == reader.answers[reading] == 1


async def test_an_application_cannot_cancel_anothers_exchange(autojump_clock: trio.abc.Clock) -> None:
    async with storing() as here:
        reader, other = await connected(here, b"r"), await connected(here, b"o")
        stream = await reader.new_stream(bytes(32))
        request = await reader.read_request(stream, stream.first)
        query_id = await reader.start(ENVELOPE, **request)
        await trio.sleep(5.0)
        cancel = {"envelope_hash": request["envelope_hash"]}
        assert (await other.ask("cancel_resending_encrypted_message", **cancel))["error_code"] == 0
        await trio.sleep(5.0)
        reader.hear()
        assert not reader.answers[query_id]
        assert (await reader.ask("cancel_resending_encrypted_message", **cancel))["error_code"] == 0
        assert (await reader.result(query_id))["error_code"] == ThinCode.START_RESENDING_CANCELLED


async def test_what_is_ready_is_made_anew_for_each_document(autojump_clock: trio.abc.Clock) -> None:
    async with storing(epoch_period=20.0) as here:
        app = await connected(here)
        stream = await app.new_stream(bytes(32))
        stock = here.daemon.query_maker.exchanges.stock
        await app.read_request(stream, stream.first)
        await trio.sleep(1.0)
        assert len(stock) == STOCK_SIZE
        epoch = here.daemon.status().document_epoch
        await here.until(lambda: here.daemon.status().document_epoch != epoch, 120)
        await trio.sleep(1.0)
        assert len(stock) == STOCK_SIZE, "it was used in the document before"
        epoch = here.daemon.status().document_epoch
        await here.until(lambda: here.daemon.status().document_epoch != epoch, 120)
        await trio.sleep(1.0)
        assert len(stock) == 0, "it was not"
        assert (await app.write(stream, stream.first, b"later"))["error_code"] == 0


async def test_an_exchange_over_the_turn_of_a_week_ends(autojump_clock: trio.abc.Clock) -> None:
    """Replicas still open what was sealed for the week before; and what is sealed anew is sealed for the new one."""
    to_week = WEEK_SECONDS - (GENESIS - 1_496_275_200.0) % WEEK_SECONDS
    jumped = [to_week - 30.0]
    async with storing(epoch_period=20.0, jumped=jumped) as here:
        assert here.network.storage is not None
        week = here.network.storage.epoch
        writer, reader = await connected(here, b"w"), await connected(here, b"r")
        stream = await writer.new_stream(bytes(32))
        reading = await reader.start(ENVELOPE, **await reader.read_request(stream, stream.first))
        late = await writer.write_request(stream, stream.first, b"sealed before")
        await trio.sleep(60.0)
        assert here.network.storage.epoch == week + 1
        assert (await writer.ask(ENVELOPE, **late))["error_code"] == 0
        assert (await reader.result(reading))["plaintext"] == b"sealed before"
        index = await writer.after(stream.first)
        assert (await writer.write(stream, index, b"after"))["error_code"] == 0
        assert (await reader.read(stream, index))["plaintext"] == b"after"


class Storm:
    """Applications that ask for whatever they can, over everything that can happen."""

    def __init__(self, here: World, seed: int) -> None:
        self.here = here
        self.random = random.Random(seed)
        self.apps = [StorageApp(here, name * 16) for name in (b"a", b"b")]
        self.streams: list[Stream] = []
        self.requests: list[dict[str, Any]] = []

    async def run(self, steps: int) -> None:
        for app in self.apps:
            await app.connect()
        self.streams = [await self.apps[0].new_stream(bytes([number]) * 32) for number in range(2)]
        likely = {
            self.write: 6,
            self.read: 6,
            self.again: 3,
            self.copy: 2,
            self.cancel: 2,
            self.cut: 2,
            self.fault: 3,
            self.wait: 4,
            self.restart: 1,
        }
        for action in self.random.choices(list(likely), list(likely.values()), k=steps):
            await action()

    def _app(self) -> StorageApp:
        return self.random.choice(self.apps)

    async def _box(self, app: StorageApp) -> tuple[Stream, bytes]:
        stream = self.random.choice(self.streams)
        return stream, await app.after(stream.first, self.random.randrange(4))

    async def _start(self, app: StorageApp, request: dict[str, Any]) -> None:
        self.requests.append(request)
        await app.start(ENVELOPE, **request)

    async def write(self) -> None:
        app = self._app()
        stream, index = await self._box(app)
        text = self.random.choice([b"one", b"other", b""])
        conflict = self.random.random() < 0.3
        request = await app.write_request(stream, index, text, no_idempotent_box_already_exists=conflict)
        await self._start(app, request)

    async def read(self) -> None:
        app = self._app()
        stream, index = await self._box(app)
        now = self.random.random() < 0.5
        await self._start(app, await app.read_request(stream, index, no_retry_on_box_id_not_found=now))

    async def again(self) -> None:
        if self.requests:
            await self._app().start(ENVELOPE, **self.random.choice(self.requests))

    async def copy(self) -> None:
        app = self._app()
        await app.start(COPY, write_cap=self.random.choice(self.streams).write_cap)

    async def cancel(self) -> None:
        app = self._app()
        if self.requests and self.random.random() < 0.7:
            name = self.random.choice(self.requests)["envelope_hash"]
            await app.ask("cancel_resending_encrypted_message", envelope_hash=name)
        else:
            cap = self.random.choice(self.streams).write_cap
            await app.ask("cancel_resending_copy_command", write_cap_hash=digest(cap))

    async def cut(self) -> None:
        app = self._app()
        await app.cut()
        await trio.sleep(self.random.choice([0.0, 1.0, 30.0]))
        await app.connect()

    async def fault(self) -> None:
        storage = self.here.network.storage
        assert storage is not None
        faults = storage.replicas[self.random.randrange(len(storage.replicas))].faults
        match self.random.randrange(6):
            case 0:
                faults.down = not faults.down
            case 1:
                faults.garbage = not faults.garbage
            case 2:
                faults.code = self.random.choice([None, 3, 5])
            case 3:
                faults.slow = self.random.choice([0.0, 10.0])
            case 4:
                self.here.network.faults.loss = self.random.choice([0.0, 0.1, 0.5])
            case 5:
                storage.faults.weeks_off = self.random.choice([0, 0, 1, 3])

    def calm(self) -> None:
        storage = self.here.network.storage
        assert storage is not None
        for replica in storage.replicas:
            replica.faults.down = replica.faults.garbage = False
            replica.faults.code, replica.faults.slow = None, 0.0
        self.here.network.faults.loss = storage.faults.weeks_off = 0

    async def wait(self) -> None:
        await trio.sleep(self.random.choice([0.1, 3.0, 25.0, 60.0]))

    async def restart(self) -> None:
        await trio.sleep(1.0)  # what was asked for is on the disk
        await self.here.restart()
        for app in self.apps:
            app.process_ended()
        self.here.network.faults.loss = 0.0
        await self.here.until(self.here.is_sending, 300)
        for app in self.apps:
            await app.connect()

    async def end(self) -> None:
        """All faults are mended, all boxes that somebody waits for are written, and all is answered."""
        self.calm()
        app = self.apps[0]
        for stream in self.streams:
            index = stream.first
            for _ in range(5):
                await app.write(stream, index, b"the last")
                index = await app.after(index)
        for app in self.apps:
            for query_id in list(app.asked):
                await app.result(query_id, 7200.0)
            assert max(app.answers.values()) == 1
            assert not app.asked
        assert not [one for one in self.here.daemon.engine if one.owner is not None]


@pytest.mark.parametrize("seed", STORMS)
async def test_each_request_has_one_answer_whatever_happens(
    seed: int, autojump_clock: trio.abc.Clock, tmp_path: Path
) -> None:
    async with storing(epoch_period=60.0, seed=b"storm %d" % seed, state=tmp_path / "state") as here:
        storm = Storm(here, seed)
        await storm.run(40)
        await storm.end()
