"""A document on its way through a gateway: gzip, cut into chunks, put together again.

Katzenpost wire protocol, "fetching the consensus through the gateway". At most one request is outstanding per
connection. Late chunks could not be told from those of a next request: who gives a request up must end the connection.
"""

import zlib
from dataclasses import dataclass, field
from typing import Final

from kpclientd.wire.commands import (
    DOCUMENT_LIMIT,
    Consensus2,
    ConsensusCode,
    GetConsensus2,
    server_to_client_length,
)
from kpclientd.wire.errors import ConsensusError, SessionStateError
from sphinx.geometry import Geometry

# What Go's compress/gzip writes: deflate, no flags, no time, no extra flags, "unknown" operating system.
_GZIP_HEADER: Final = bytes.fromhex("1f8b08000000000000ff")
_GZIP_WINDOW: Final = zlib.MAX_WBITS | 16  # zlib's way to say "with gzip header and trailer"
_RAW_WINDOW: Final = -zlib.MAX_WBITS
_TRAILER_MASK: Final = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Fetched:
    """The signed document that was asked for, as it came: compressed, and not yet verified.

    Attributes:
        epoch: the one that was asked for.
        compressed: the chunks, put together.
        limit: the longest document to take (bytes).
    """

    epoch: int
    compressed: bytes = field(repr=False)
    limit: int = DOCUMENT_LIMIT

    def decompress(self) -> bytes:
        """Return the document. A thousand times as much may be in it: this is no work for an event loop.

        Raises:
            ConsensusError: if it does not decompress to a document within bounds, whole and without anything behind.
        """
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        try:
            blob = inflater.decompress(self.compressed, self.limit + 1)
        except zlib.error as error:
            raise ConsensusError(f"the document of epoch {self.epoch} does not decompress: {error}") from None
        if len(blob) > self.limit:
            raise ConsensusError(f"a document decompresses to more than {self.limit} bytes")
        if not inflater.eof:
            raise ConsensusError(f"the document of epoch {self.epoch} ends inside its compressed stream")
        if inflater.unused_data:
            surplus = len(inflater.unused_data)
            raise ConsensusError(f"{surplus} bytes follow the end of a document's compressed stream")
        return blob


@dataclass(frozen=True, slots=True)
class Unavailable:
    """There is no document of that epoch, with the gateway's reason: ask later, or never again."""

    epoch: int
    code: ConsensusCode


FetchResult = Fetched | Unavailable


class ConsensusAssembler:
    """Asks one gateway for documents, one after the other; make a new one per connection.

    Args:
        chunk_length: bytes of every chunk but the last, see `chunk_length`.
        limit: the longest document to take (bytes), compressed and decompressed.
    """

    __slots__ = ("_chunk_length", "_compressed", "_epoch", "_limit", "_next", "_total")

    def __init__(self, chunk_length: int, limit: int = DOCUMENT_LIMIT) -> None:
        self._chunk_length = chunk_length
        self._limit = limit
        self._reset()

    def _reset(self) -> None:
        self._epoch: int | None = None
        self._next = 0
        self._total = 0
        self._compressed = bytearray()

    @property
    def busy(self) -> bool:
        """Whether an answer is still to come."""
        return self._epoch is not None

    def request(self, epoch: int) -> GetConsensus2:
        """Return the command that asks for the document of `epoch`.

        Raises:
            SessionStateError: if an answer is still to come.
        """
        if self.busy:
            raise SessionStateError(f"the document of epoch {self._epoch} was asked for and has not come yet")
        self._reset()
        self._epoch = epoch
        return GetConsensus2(epoch)

    def feed(self, answer: Consensus2) -> FetchResult | None:
        """Take a chunk.

        Returns:
            What became of the request, None if more chunks are to come.

        Raises:
            ConsensusError: if it was not asked for, is out of order, or contradicts an earlier one; the connection has
                to be closed.
        """
        if self._epoch is None:
            raise ConsensusError("received spurious Consensus")
        if answer.error != ConsensusCode.OK:
            return self._refused(answer, self._epoch)
        self._check_order(answer)
        self._compressed += answer.data
        if self._next < self._total:
            return None
        fetched = Fetched(self._epoch, bytes(self._compressed), self._limit)
        self._reset()
        return fetched

    def _refused(self, answer: Consensus2, epoch: int) -> FetchResult:
        try:
            code = ConsensusCode(answer.error)
        except ValueError:
            raise ConsensusError(f"error {answer.error} is no answer to GetConsensus2") from None
        if self._next or (answer.chunk, answer.total, answer.data) != (0, 1, b""):
            raise ConsensusError(
                f"error {answer.error} comes as chunk {answer.chunk} of {answer.total} with {len(answer.data)} bytes "
                f"after {self._next} chunks, expected alone and empty"
            )
        self._reset()
        return Unavailable(epoch, code)

    def _check_order(self, answer: Consensus2) -> None:
        if answer.total < 1 or (self._next and answer.total != self._total):
            expected = self._total if self._next else "at least 1"
            raise ConsensusError(f"a chunk says that there are {answer.total}, expected {expected}")
        if answer.chunk != self._next:
            raise ConsensusError(f"chunk {answer.chunk} came, expected {self._next} of {answer.total}")
        if answer.total > self._limit // self._chunk_length + 1:
            raise ConsensusError(f"a document of {answer.total} chunks; at most {self._limit} bytes are taken")
        is_last = answer.chunk == answer.total - 1
        if not answer.data or (not is_last and len(answer.data) < self._chunk_length):
            expected = "at least 1" if is_last else f"{self._chunk_length}"
            raise ConsensusError(
                f"chunk {answer.chunk} of {answer.total} has {len(answer.data)} bytes, expected {expected}"
            )
        self._total = answer.total
        self._next += 1


def chunk_length(geometry: Geometry) -> int:
    """Bytes of every chunk but the last: as long as a whole padded command from a gateway."""
    return server_to_client_length(geometry)


def compress_document(blob: bytes) -> bytes:
    """Compress a document with the reference's gzip header."""
    deflater = zlib.compressobj(wbits=_RAW_WINDOW)
    trailer = zlib.crc32(blob).to_bytes(4, "little") + (len(blob) & _TRAILER_MASK).to_bytes(4, "little")
    return _GZIP_HEADER + deflater.compress(blob) + deflater.flush() + trailer


def consensus_commands(blob: bytes, geometry: Geometry) -> list[Consensus2]:
    """The gateway's side: a document as the commands that carry it, in order."""
    compressed = compress_document(blob)
    length = chunk_length(geometry)
    chunks = [compressed[start : start + length] for start in range(0, len(compressed), length)]
    return [Consensus2(ConsensusCode.OK, number, len(chunks), chunk) for number, chunk in enumerate(chunks)]


def not_found() -> Consensus2:
    """The gateway's answer for a document that may still come."""
    return Consensus2(ConsensusCode.NOT_FOUND, 0, 1, b"")


def gone() -> Consensus2:
    """The gateway's answer for a document that will never come."""
    return Consensus2(ConsensusCode.GONE, 0, 1, b"")
