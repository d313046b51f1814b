"""Boxes: written once, read by whoever has the capability, deleted by whoever may write.

Theory of operation. Each operation has two steps. The daemon makes a query, which takes a second of a processor without
keys in stock, and names the next box; then the query is exchanged with a courier until its one answer. So a caller may
begin the next box while the exchange of the last is under way. An exchange that fails for a reason that may pass is
begun anew with another query, after a pause.

A read that waits for its box is begun anew from time to time: a courier answers the same query from its cache, and
after some looks says "not written" for minutes, whatever has been written meanwhile. This daemon asks anew by itself,
the reference's does not.

Source: the Katzenpost thin-client protocol, "new_keypair" to "copy-stream builders"; Katzenpost Pigeonhole, 'ARQ for
Pigeonhole', 'courier and replica' and 'copy streams'.
"""

import hashlib
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, TypeVar

import trio

from kpclientd.client.capabilities import ReadCapability, WriteCapability
from kpclientd.client.errors import (
    CANCELLED,
    NOT_WRITTEN,
    SUCCESS,
    ContentTooLongError,
    CopyFailedError,
    StorageUnavailableError,
    error_of_daemon,
    error_of_exchange,
    may_pass,
)
from kpclientd.client.session import Session
from kpclientd.thin.fields import Fields
from sphinx.randomness import Randomness

SEED_LENGTH: Final = 32

RETRY_PAUSES: Final = (2.0, 10.0, 30.0)
"""Seconds before each further attempt at what may pass."""

REFRESH_SECONDS: Final = 300.0
"""After how long a read that waits is begun anew."""

COPIED_AT_ONCE: Final = 8
"""Boxes for which one request makes envelopes: what is done again if the connection breaks."""

_ENVELOPE: Final = "start_resending_encrypted_message"
_CANCEL_ENVELOPE: Final = "cancel_resending_encrypted_message"
_COPY: Final = "start_resending_copy_command"
_CANCEL_COPY: Final = "cancel_resending_copy_command"
_MAKE_ENVELOPES: Final = "create_courier_envelopes_from_multi_payload"

_COPY_FAILED: Final = 26
_PIECE_OVERHEAD: Final = 4
"""A copied box takes so many bytes less."""

Cap = TypeVar("Cap", ReadCapability, WriteCapability)


@dataclass(frozen=True, slots=True)
class Query:
    """What the daemon made for one box; a secret, and of use for hours.

    Attributes:
        ciphertext, descriptor: what the daemon wants back.
        name: of the exchange (32 bytes).
        next_index: of the following box (104 bytes).
    """

    ciphertext: bytes = field(repr=False)
    descriptor: bytes = field(repr=False)
    name: bytes
    next_index: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Write:
    """A write that was prepared.

    Attributes:
        capability: to write this box.
        content: empty deletes it.
        query: what stores it.
    """

    capability: WriteCapability
    content: bytes = field(repr=False)
    query: Query = field(repr=False)

    @property
    def following(self) -> WriteCapability:
        """The capability for the next box."""
        return self.capability.at(self.query.next_index)


@dataclass(frozen=True, slots=True)
class Read:
    """A read that was prepared."""

    capability: ReadCapability
    query: Query = field(repr=False)

    @property
    def following(self) -> ReadCapability:
        """The capability for the next box."""
        return self.capability.at(self.query.next_index)


@dataclass(frozen=True, slots=True)
class Box:
    """A box that was read.

    Attributes:
        content: never empty.
        following: reads the next one.
    """

    content: bytes = field(repr=False)
    following: ReadCapability


@dataclass(frozen=True, slots=True)
class CopyJob:
    """A copy that was prepared, and can be carried out any number of times: boxes that stand already stay.

    Attributes:
        temporary: the stream that a courier is to copy from.
        following: what writes the box after the last copied one.
    """

    temporary: WriteCapability
    following: WriteCapability


class Boxes:
    """Storage, as far as one box goes; see `series` and `streams` for more than one.

    Every method raises a `StorageError` if the daemon, a courier or a replica refuses, and `DaemonLostError` if the
    daemon is away for too long.
    """

    def __init__(self, session: Session, randomness: Randomness) -> None:
        self._session = session
        self._randomness = randomness

    @property
    def longest(self) -> int:
        """Bytes that a box takes on this network.

        Raises:
            StorageUnavailableError: the daemon has not told any.
        """
        length = self._session.storage_geometry.get("MaxPlaintextPayloadLength")
        if not isinstance(length, int) or length < 1:
            raise StorageUnavailableError("the daemon does not tell how long a box is", 0)
        return length

    async def new_stream(self, seed: bytes | None = None) -> WriteCapability:
        """A stream, at its first box: a new one, or the one that grows from `seed` (32 bytes, a secret)."""
        seed = self._randomness.bytes(SEED_LENGTH) if seed is None else seed
        if len(seed) != SEED_LENGTH:
            raise ValueError(f"a seed has {SEED_LENGTH} bytes, not {len(seed)}")
        reply = await self._local("new_keypair", {"seed": seed})
        return WriteCapability(_octets(reply, "write_cap"))

    async def following(self, capability: Cap) -> Cap:
        """The same capability for the next box, without reading or writing this one."""
        reply = await self._local("next_message_box_index", {"message_box_index": capability.index})
        return capability.at(_octets(reply, "next_message_box_index"))

    async def write(self, capability: WriteCapability, content: bytes, *, confirmed: bool = True) -> WriteCapability:
        """Write a box.

        Writing the same again is no error; that makes it safe to repeat a write of which one does not know whether it
        was done.

        Args:
            capability: at the box.
            content: one byte at least, `longest` at most.
            confirmed: whether to wait for a replica's word; else for the courier's, who may still lose it, and nobody
                tells if something else stands in the box.

        Returns:
            what writes the next box.

        Raises:
            ContentTooLongError: it does not fit.
            BoxTakenError: something else stands there.
        """
        if not content:
            raise ValueError("a box cannot be empty; to delete one is another request")
        write = await self.prepare_write(capability, content)
        await self.store(write, confirmed=confirmed)
        return write.following

    async def delete(self, capability: WriteCapability) -> WriteCapability:
        """Delete a box, written or not; nobody can write it any more. Returns what writes the next one."""
        write = await self.prepare_write(capability, b"")
        await self.store(write)
        return write.following

    async def read(self, capability: ReadCapability, *, wait: bool = True) -> Box:
        """Read a box.

        Args:
            capability: at the box.
            wait: whether to wait until it is written, if that takes weeks.

        Raises:
            BoxNotWrittenError: it is not written yet, and is not waited for.
            BoxDeletedError: it was deleted.
        """
        read = await self.prepare_read(capability)
        return Box(await self.fetch(read, wait=wait), read.following)

    async def copy(self, capability: WriteCapability, content: bytes) -> WriteCapability:
        """Write as many boxes as `content` fills, all of them or none as long as the courier works.

        It is written into the boxes of a temporary stream first, and then copied by the courier. Nobody who reads the
        stream sees a part of it for longer than that takes.

        Returns:
            what writes the next box.

        Raises:
            CopyFailedError: something else stands in one of the boxes, or the courier failed.
        """
        job = await self.prepare_copy(capability, content)
        await self.carry_out(job)
        return job.following

    # -- in two steps

    async def prepare_write(self, capability: WriteCapability, content: bytes) -> Write:
        """Have a query made that writes a box, or deletes it if `content` is empty.

        Raises:
            ContentTooLongError: it does not fit.
        """
        if len(content) > self.longest:
            raise ContentTooLongError(f"{len(content)} bytes do not fit in a box, which takes {self.longest}")
        fields = {"plaintext": content, "write_cap": capability.secret, "message_box_index": capability.index}
        return Write(capability, content, _query(await self._local("encrypt_write", fields)))

    async def prepare_read(self, capability: ReadCapability) -> Read:
        """Have a query made that reads a box."""
        fields = {"read_cap": capability.secret, "message_box_index": capability.index}
        return Read(capability, _query(await self._local("encrypt_read", fields)))

    async def store(self, write: Write, *, confirmed: bool = True) -> None:
        """Carry a write out; see `write`. Cancelled, it may or may not be done."""
        is_used = False

        async def attempt() -> int:
            nonlocal write, is_used
            if is_used:
                write = await self.prepare_write(write.capability, write.content)
            is_used = True
            parts = {"write_cap": write.capability.secret, "no_idempotent_box_already_exists": confirmed}
            return _code(await self._exchange(write.query, {"read_cap": None, **parts}, write.capability.index))

        await _until_settled(attempt)

    async def fetch(self, read: Read, *, wait: bool = True) -> bytes:
        """Carry a read out; see `read`."""
        content, is_used = b"", False

        async def attempt() -> int:
            nonlocal read, content, is_used
            while True:
                if is_used:
                    read = await self.prepare_read(read.capability)
                is_used = True
                parts = {"write_cap": None, "no_retry_on_box_id_not_found": not wait}
                with trio.move_on_after(REFRESH_SECONDS):
                    reply = await self._exchange(
                        read.query, {"read_cap": read.capability.secret, **parts}, read.capability.index
                    )
                    content = bytes(reply.payload("plaintext") or b"")
                    code = _code(reply)
                    if code != NOT_WRITTEN or not wait:
                        return code

        await _until_settled(attempt)
        return content

    async def prepare_copy(self, capability: WriteCapability, content: bytes) -> CopyJob:
        """Write what a courier is to copy into a temporary stream, which nobody else knows."""
        temporary = place = await self.new_stream()
        buffer: bytes | None = None
        for piece, is_start, is_last in _pieces(content, COPIED_AT_ONCE * (self.longest - _PIECE_OVERHEAD)):
            destination = {"payload": piece, "write_cap": capability.secret, "start_index": capability.index}
            fields = {"destinations": [destination], "is_start": is_start, "is_last": is_last, "buffer": buffer}
            reply = await self._local(_MAKE_ENVELOPES, fields)
            for element in reply.raw("envelopes") or ():
                place = await self.write(place, bytes(element))
            kept = reply.payload("buffer")
            buffer = None if kept is None else bytes(kept)
            capability = capability.at(bytes((reply.raw("next_dest_indices") or (b"",))[0]))
        return CopyJob(temporary, capability)

    async def carry_out(self, job: CopyJob) -> None:
        """Have a courier copy; see `copy`. Doing it again is no error."""
        name = hashlib.blake2b(job.temporary.secret, digest_size=32).digest()

        async def attempt() -> int:
            try:
                reply = await self._session.request(_COPY, {"write_cap": job.temporary.secret})
            except trio.Cancelled:
                self._session.tell(_CANCEL_COPY, {"write_cap_hash": name})
                raise
            code = _code(reply)
            if code == _COPY_FAILED:
                raise CopyFailedError(
                    code, reply.unsigned("replica_error_code"), reply.unsigned("failed_envelope_index")
                )
            return code

        await _until_settled(attempt, verb=_COPY)

    # -- how it is asked

    async def _exchange(self, query: Query, parts: Mapping[str, object], index: bytes) -> Fields:
        fields = {
            "message_box_index": index,
            "reply_index": None,
            "envelope_descriptor": query.descriptor,
            "message_ciphertext": query.ciphertext,
            "envelope_hash": query.name,
        }
        try:
            return await self._session.request(_ENVELOPE, {**fields, **parts})
        except trio.Cancelled:
            self._session.tell(_CANCEL_ENVELOPE, {"envelope_hash": query.name})
            raise

    async def _local(self, verb: str, fields: Mapping[str, object]) -> Fields:
        """What the daemon answers by itself."""
        replies: list[Fields] = []

        async def attempt() -> int:
            replies.append(await self._session.request(verb, fields))
            return _code(replies[-1])

        await _until_settled(attempt, verb=verb)
        return replies[-1]


async def _until_settled(attempt: Callable[[], Awaitable[int]], *, verb: str = "") -> None:
    """Attempt something until it succeeds, or fails for good; `verb` is what the daemon itself is asked, if it is."""
    for pause in (*RETRY_PAUSES, None):
        code = await attempt()
        if code == SUCCESS:
            return
        if pause is None or not (code == CANCELLED or may_pass(code, of_exchange=not verb)):
            raise error_of_daemon(verb, code) if verb else error_of_exchange(code)
        await trio.sleep(pause)


def _pieces(content: bytes, length: int) -> Iterator[tuple[bytes, bool, bool]]:
    """The content in pieces, and whether each is the first and the last."""
    if not content:
        raise ValueError("nothing cannot be copied")
    for at in range(0, len(content), length):
        yield content[at : at + length], at == 0, at + length >= len(content)


def _query(reply: Fields) -> Query:
    return Query(
        _octets(reply, "message_ciphertext"),
        _octets(reply, "envelope_descriptor"),
        _octets(reply, "envelope_hash"),
        _octets(reply, "next_message_box_index"),
    )


def _octets(reply: Fields, key: str) -> bytes:
    return bytes(reply.payload(key) or b"")


def _code(reply: Fields) -> int:
    return reply.unsigned("error_code")
