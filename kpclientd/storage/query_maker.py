"""Makes queries for boxes, and opens what comes back: the slow work of Pigeonhole, in worker threads.

Theory of operation. A query needs an ephemeral key that has agreed with two replicas, three operations of half a second
each; everything else takes a millisecond. The two agreements are made side by side. The keys that were agreed on open
the replies as well, so those of the last queries are kept; of older ones, and of queries that another process made, the
descriptor that the application keeps has what is needed to agree anew.

Source: Katzenpost Pigeonhole, 'one exchange, step by step'.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final, Protocol, TypeVar

import trio

from kpclientd.pigeonhole import libraries
from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.codes import ThinCode
from kpclientd.pigeonhole.courier_messages import CourierEnvelopeReply
from kpclientd.pigeonhole.envelopes import (
    EnvelopeDescriptor,
    Opened,
    Query,
    Reading,
    build_query,
    open_reply,
    read_request,
    write_request,
)
from kpclientd.pigeonhole.errors import PigeonholeError, ReplicasUnavailable
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.mkem import KeyPair, Mkem, ReadyExchange
from kpclientd.pigeonhole.replica_messages import ReplicaRequest
from kpclientd.pigeonhole.replicas import Intermediates, choose_intermediates
from kpclientd.pigeonhole.stream_checks import StreamChecks
from pki import Document, EpochClock, TrustedDocuments
from sphinx.randomness import Randomness

MOST_KEPT: Final = 1024
"""Queries whose agreed keys are kept, of half a kilobyte each."""

Result = TypeVar("Result")


class Offload(Protocol):
    """Runs what would hold up the event loop elsewhere, fairly between owners, and cancelled with its caller."""

    async def __call__(self, owner: Hashable, work: Callable[[], Result], /) -> Result:
        """Run `work` for `owner` and return its result, or raise its error."""


class QueryMaker:
    """Makes queries on one network.

    Args:
        geometry: the network's lengths.
        trusted: gives the current document.
        clock: the network's epochs.
        network_time: the present, in Unix seconds.
        randomness: for keys and choices; asked from worker threads.
        offload: runs what is slow.
    """

    def __init__(
        self,
        geometry: PigeonholeGeometry,
        trusted: TrustedDocuments,
        clock: EpochClock,
        network_time: Callable[[], float],
        randomness: Randomness,
        offload: Offload,
    ) -> None:
        self.geometry = geometry
        self.randomness = randomness
        self.offload = offload
        self._trusted = trusted
        self._clock = clock
        self._network_time = network_time
        self._mkem: Mkem | None = None
        self._checks = StreamChecks()
        self._checking = threading.Lock()
        self._kept: OrderedDict[bytes, ReadyExchange] = OrderedDict()

    def document(self) -> Document:
        """The current document.

        Raises:
            ReplicasUnavailable: if there is none.
        """
        current = self._trusted.current(self._network_time())
        if current is None:
            raise ReplicasUnavailable("there is no current document")
        return current.document

    async def mkem(self, owner: Hashable) -> Mkem:
        """The key exchange.

        Raises:
            PigeonholeUnavailable: if a package is missing.
        """
        if self._mkem is None:
            await self.offload(owner, libraries.check_available)
            self._mkem = Mkem(libraries.nike())
        return self._mkem

    async def check(self, owner: Hashable, cap: ReadCap | WriteCap, index: BoxIndex) -> None:
        """See that `index` is on the capability's stream.

        Raises:
            PigeonholeError: if it is not, or too far ahead.
        """
        await self.offload(owner, partial(self._check, cap, index))

    def _check(self, cap: ReadCap | WriteCap, index: BoxIndex) -> None:
        with self._checking:
            self._checks.check(cap, index)

    async def read(self, owner: Hashable, cap: ReadCap, index: BoxIndex) -> Query:
        """A query for the box at `index`; made for `owner`.

        Raises:
            PigeonholeError: if the index is not on the capability's stream, or replicas are missing.
        """

        def request() -> ReplicaRequest:
            self._check(cap, index)
            return read_request(cap, index)

        return await self._query(owner, request)

    async def write(self, owner: Hashable, cap: WriteCap, index: BoxIndex, plaintext: bytes) -> Query:
        """A query that fills the box at `index`, or deletes it if `plaintext` is empty; errors as for `read`.

        Raises:
            PigeonholeError: also if the plaintext is longer than a box.
        """

        def request() -> ReplicaRequest:
            self._check(cap, index)
            return write_request(cap, index, plaintext, self.geometry) if plaintext else cap.tombstone(index)

        return await self._query(owner, request)

    async def query(self, owner: Hashable, request: ReplicaRequest) -> Query:
        """A query of a request that was made already.

        Raises:
            PigeonholeError: if replicas are missing.
        """
        return await self._query(owner, lambda: request)

    async def _query(self, owner: Hashable, make_request: Callable[[], ReplicaRequest]) -> Query:
        mkem = await self.mkem(owner)
        document = self.document()

        def begin() -> tuple[ReplicaRequest, Intermediates, KeyPair]:
            request = make_request()
            to = choose_intermediates(document, request.box_id, self._clock, self._network_time(), self.randomness)
            return request, to, mkem.new_key_pair(self.randomness)

        request, to, pair = await self.offload(owner, begin)
        exchange = ReadyExchange(pair, to.keys, await self._agreed(owner, mkem, pair, to.keys))
        query = build_query(request, to, exchange, self.geometry, self.randomness)
        self._keep(query)
        return query

    async def _agreed(
        self, owner: Hashable, mkem: Mkem, pair: KeyPair, publics: tuple[bytes, ...]
    ) -> tuple[bytes, ...]:
        agreed: dict[bytes, bytes] = {}
        errors: list[PigeonholeError] = []

        async def agree(public: bytes) -> None:
            try:
                agreed[public] = await self.offload(owner, partial(mkem.agree, pair.private, public))
            except PigeonholeError as error:
                errors.append(error)

        async with trio.open_nursery() as nursery:
            for public in dict.fromkeys(publics):
                nursery.start_soon(agree, public)
        if errors:
            raise errors[0]
        return tuple(agreed[public] for public in publics)

    def _keep(self, query: Query) -> None:
        self._kept[query.hash] = query.exchange
        if len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)

    async def opened(
        self,
        owner: Hashable,
        envelope_hash: bytes,
        descriptor: bytes,
        sealed: bytes,
        reading: tuple[bytes, bytes] | None,
    ) -> Opened:
        """What a replica's sealed answer says.

        Args:
            owner: for whom it is opened.
            envelope_hash: the query's (32 bytes).
            descriptor: the query's, as its application kept it.
            sealed: the answer.
            reading: read capability and box index of a read, as the application gave them.

        Raises:
            PigeonholeError: if it does not open; with the code for that.
        """
        mkem = await self.mkem(owner)
        document = self.document()
        exchange = self._kept.get(envelope_hash)

        def work() -> Opened:
            expected = None
            if reading is not None:
                cap, index = reading
                expected = Reading(ReadCap.parse(cap), BoxIndex.parse(index))
            return open_reply(
                CourierEnvelopeReply(envelope_hash, has_payload=True, payload=sealed),
                envelope_hash,
                EnvelopeDescriptor.parse(descriptor),
                document,
                mkem=mkem,
                exchange=exchange,
                reading=expected,
            )

        opened = await self.offload(owner, work)
        if opened.code == ThinCode.SUCCESS:
            self._kept.pop(envelope_hash, None)
        return opened
