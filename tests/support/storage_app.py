"""An application of storage as a test drives it: asks, waits for the one answer, and comes back after a cut."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import trio

from tests.support.world import App, World

ENVELOPE: str = "start_resending_encrypted_message"
COPY: str = "start_resending_copy_command"

Answer = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream of boxes, and what writes and reads it."""

    write_cap: bytes = field(repr=False)
    read_cap: bytes = field(repr=False)
    first: bytes = field(repr=False)


@dataclass
class StorageApp:
    """One application, over all of its connections.

    Attributes:
        answers: by query id, how many answers came.
        asked: the requests under way that are answered when their exchange ends, by query id.
    """

    world: World
    token: bytes
    answers: Counter[bytes] = field(default_factory=Counter)
    asked: dict[bytes, tuple[str, Answer]] = field(default_factory=dict)
    _app: App | None = None
    _results: dict[bytes, Answer] = field(default_factory=dict)
    _serial: int = 0
    _told_by_others: set[bytes] = field(default_factory=set)
    _read: int = 0

    async def connect(self) -> None:
        """Come, or come back, as the same application."""
        self._app, self._read = await self.world.app(self.token), 0

    async def cut(self) -> None:
        """End the connection without a word, having heard what came by it: what it leaves unread may be lost."""
        await trio.sleep(0.01)
        self.hear()
        if self._app is not None:
            await self._app.hang_up()
        self._app = None

    def process_ended(self) -> None:
        """Another process does not know what was read by a stream like these: it may tell the same again."""
        self.hear()
        self._told_by_others = set(self.answers)

    def hear(self) -> None:
        """Take what was told."""
        if self._app is None:
            return
        for event in self._app.events[self._read :]:
            for body in event.values():
                if isinstance(body, dict) and isinstance(query_id := body.get("query_id"), bytes):
                    if query_id in self._told_by_others:
                        assert body == self._results[query_id]
                        continue
                    self.answers[query_id] += 1
                    self._results[query_id] = body
                    self.asked.pop(query_id, None)
        self._read = len(self._app.events)

    async def start(self, verb: str, **fields: Any) -> bytes:
        """Send a request; returns its query id."""
        assert self._app is not None
        self._serial += 1
        query_id = self.token[:8] + self._serial.to_bytes(8, "big")
        if verb in (ENVELOPE, COPY):
            self.asked[query_id] = verb, fields
        await self._app.client.send({verb: {"query_id": query_id} | fields})
        return query_id

    async def result(self, query_id: bytes, seconds: float = 3600.0) -> Answer:
        """The answer to a request, when it comes."""
        with trio.fail_after(seconds):
            while query_id not in self._results:
                await trio.sleep(0.05)
                self.hear()
        return self._results[query_id]

    async def ask(self, verb: str, **fields: Any) -> Answer:
        """Send a request and wait for its answer."""
        return await self.result(await self.start(verb, **fields))

    # -- boxes

    async def new_stream(self, seed: bytes) -> Stream:
        made = await self.ask("new_keypair", seed=seed)
        return Stream(made["write_cap"], made["read_cap"], made["first_message_index"])

    async def write_request(self, stream: Stream, index: bytes, plaintext: bytes, **flags: bool) -> Answer:
        """What `start_resending_encrypted_message` is asked with, to fill a box."""
        made = await self.ask("encrypt_write", plaintext=plaintext, write_cap=stream.write_cap, message_box_index=index)
        return _exchange(made, index, write_cap=stream.write_cap) | flags

    async def read_request(self, stream: Stream, index: bytes, **flags: bool) -> Answer:
        """The same, to read one."""
        made = await self.ask("encrypt_read", read_cap=stream.read_cap, message_box_index=index)
        return _exchange(made, index, read_cap=stream.read_cap) | flags

    async def write(self, stream: Stream, index: bytes, plaintext: bytes) -> Answer:
        return await self.ask(ENVELOPE, **await self.write_request(stream, index, plaintext))

    async def read(self, stream: Stream, index: bytes, **flags: bool) -> Answer:
        return await self.ask(ENVELOPE, **await self.read_request(stream, index, **flags))

    async def after(self, index: bytes, boxes: int = 1) -> bytes:
        """The index of a box farther on."""
        for _ in range(boxes):
            index = (await self.ask("next_message_box_index", message_box_index=index))["next_message_box_index"]
        return index


def _exchange(made: Answer, index: bytes, **cap: bytes) -> Answer:
    assert made["error_code"] == 0, made
    return {
        "read_cap": None,
        "write_cap": None,
        "message_box_index": index,
        "reply_index": 0,
        "envelope_descriptor": made["envelope_descriptor"],
        "message_ciphertext": made["message_ciphertext"],
        "envelope_hash": made["envelope_hash"],
    } | cap
