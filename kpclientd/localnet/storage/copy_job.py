"""A courier's copy job: it replays the envelopes that a client has written into a temporary stream.

Sans-IO: a generator says what is to be done next and is sent what came of it. Boxes are read from their shards without
envelopes; every embedded envelope goes to its two intermediate replicas, in order. The job ends at the element with the
final flag, or at the first failure. (Katzenpost Pigeonhole, 'courier, copy command' and 'copy streams'.)

The reference writes empty boxes over the stream afterwards, which its replicas refuse as conflicting; that is left out.
"""

from collections.abc import Generator, Iterator
from dataclasses import dataclass
from typing import Final

from kpclientd.errors import KpclientdError
from kpclientd.pigeonhole.capabilities import WriteCap
from kpclientd.pigeonhole.codes import CopyStatus, ReplicaCode
from kpclientd.pigeonhole.copy_streams import StreamDecoder
from kpclientd.pigeonhole.courier_messages import SHARDS, CopyCommandReply, CourierEnvelope
from kpclientd.pigeonhole.errors import MessageError, PigeonholeError
from kpclientd.pigeonhole.replica_messages import ReplicaReadReply
from kpclientd.pigeonhole.trunnel import unpad

ATTEMPTS: Final = 10
FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
MOST_BOXES: Final = 65536
MOST_ENVELOPES: Final = 65536

RETRIED: Final = frozenset(
    {
        ReplicaCode.BOX_NOT_FOUND,
        ReplicaCode.DATABASE_FAILURE,
        ReplicaCode.STORAGE_FULL,
        ReplicaCode.INTERNAL_ERROR,
        ReplicaCode.REPLICATION_FAILED,
    }
)
"""Codes after which the same shard is asked again; after others it is the other shard's turn."""


class TemporaryStream:
    """Walks the boxes of a stream, from the first that its write capability writes.

    Args:
        write_cap: that capability (168 bytes).

    Raises:
        CapabilityError: if it is none.
        PigeonholeUnavailable: if a package is missing.
    """

    def __init__(self, write_cap: bytes) -> None:
        cap = WriteCap.parse(write_cap)
        self._cap = cap.read_cap
        self._index = cap.index
        self.box_id = self._cap.box_id(self._index)

    def open(self, reply: ReplicaReadReply) -> bytes:
        """Return the plaintext of the box `box_id`, without its padding, and go to the next box.

        Raises:
            PigeonholeError: if it is another box, wrongly signed, or does not decrypt, or it is the last there can be.
        """
        plaintext = unpad(self._cap.open(self._index, reply.box_id, reply.payload, reply.signature))
        self._index = self._index.next()
        self.box_id = self._cap.box_id(self._index)
        return plaintext


@dataclass(frozen=True, slots=True)
class ReadBox:
    """Read a box from its first or second shard (0 or 1); is answered with the reply, or None if there is none."""

    box_id: bytes
    shard: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """Send an envelope to its intermediate replicas; is answered with the codes of those replies that came."""

    envelope: CourierEnvelope


@dataclass(frozen=True, slots=True)
class Pause:
    """Wait for so many seconds; is answered with None."""

    seconds: float


Step = ReadBox | Dispatch | Pause
Outcome = ReplicaReadReply | tuple[int, ...] | None
CopyJob = Generator[Step, Outcome, CopyCommandReply]


class CopyFailed(KpclientdError):
    """A box cannot be read, or an envelope was refused; `code` is a replica's."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def copy_job(stream: TemporaryStream, decoder: StreamDecoder) -> CopyJob:
    """Do a copy job.

    Args:
        stream: the temporary stream, at its first box.
        decoder: a new one.

    Returns:
        How it ended.
    """
    done = 0
    try:
        for _ in range(MOST_BOXES):
            reply = yield from _read(stream.box_id)
            for envelope in decoder.feed(stream.open(reply)):
                if done >= MOST_ENVELOPES:
                    raise MessageError(f"more than {MOST_ENVELOPES} envelopes")
                yield from _deliver(envelope)
                done += 1
            if decoder.is_final:
                return CopyCommandReply(CopyStatus.SUCCEEDED)
    except CopyFailed as failure:
        return CopyCommandReply(CopyStatus.FAILED, failure.code, done + 1)
    except PigeonholeError:
        pass
    return CopyCommandReply(CopyStatus.FAILED, ReplicaCode.SUCCESS, done + 1)


def _read(box_id: bytes) -> Generator[Step, Outcome, ReplicaReadReply]:
    """Read a box from either shard, with patience: it may be on its way."""
    code: int = ReplicaCode.SUCCESS
    for shard in range(SHARDS):
        for pause in _pauses():
            reply = yield ReadBox(box_id, shard)
            if isinstance(reply, ReplicaReadReply):
                code = reply.error_code
                if code == ReplicaCode.SUCCESS:
                    return reply
                if code not in RETRIED:
                    break
            if pause is not None:
                yield Pause(pause)
    raise CopyFailed(code)


def _deliver(envelope: CourierEnvelope) -> Generator[Step, Outcome, None]:
    for _ in range(ATTEMPTS):
        codes = yield Dispatch(envelope)
        if not isinstance(codes, tuple) or not codes:
            continue
        if ReplicaCode.SUCCESS in codes:
            return
        raise CopyFailed(ReplicaCode.BOX_ALREADY_EXISTS if ReplicaCode.BOX_ALREADY_EXISTS in codes else codes[0])
    raise CopyFailed(ReplicaCode.SUCCESS)


def _pauses() -> Iterator[float | None]:
    """What to wait after each attempt; nothing after the last."""
    pause = FIRST_PAUSE
    for _ in range(ATTEMPTS - 1):
        yield pause
        pause = min(2 * pause, LONGEST_PAUSE)
    yield None
