"""Makes queries for boxes, and opens what comes back: the slow work of Pigeonhole, in worker threads.

Theory of operation. What a query is sealed with is slow to make, and made ahead where it can be (see `exchange_maker`);
everything else takes a millisecond. The keys that were agreed on open the replies as well, so those of the last queries
are kept; of older ones, and of queries that another process made, the descriptor that the application keeps has what is
needed to agree anew.

Source: Katzenpost Pigeonhole, 'one exchange, step by step'.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from functools import partial
from typing import Final

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
from kpclientd.pigeonhole.errors import ReplicasUnavailable
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.mkem import Mkem, ReadyExchange
from kpclientd.pigeonhole.replica_messages import ReplicaRequest
from kpclientd.pigeonhole.replicas import Intermediates, choose_intermediates, epoch_of, key_of
from kpclientd.pigeonhole.stream_checks import StreamChecks
from kpclientd.storage.exchange_maker import ExchangeMaker, Offload
from pki import Document, EpochClock, TrustedDocuments
from sphinx.randomness import Randomness

MOST_KEPT: Final = 1024
"""Queries whose agreed keys are kept, of half a kilobyte each."""


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
        self.exchanges = ExchangeMaker(clock, randomness, offload, self._current)
        self._checks = StreamChecks()
        self._checking = threading.Lock()
        self._kept: OrderedDict[bytes, ReadyExchange] = OrderedDict()

    def document(self) -> Document:
        """The current document.

        Raises:
            ReplicasUnavailable: if there is none.
        """
        document = self._current()
        if document is None:
            raise ReplicasUnavailable("there is no current document")
        return document

    def _current(self) -> Document | None:
        current = self._trusted.current(self._network_time())
        return current.document if current is not None else None

    async def mkem(self, owner: Hashable) -> Mkem:
        """The key exchange.

        Raises:
            PigeonholeUnavailable: if a package is missing.
        """
        return await self.exchanges.mkem(owner)

    async def check(self, owner: Hashable, cap: ReadCap | WriteCap, index: BoxIndex) -> None:
        """See that `index` is on the capability's stream.

        Raises:
            PigeonholeError: if it is not, or too far ahead.
        """
        await self.offload(owner, partial(self._check, cap, index))

    def _check(self, cap: ReadCap | WriteCap, index: BoxIndex) -> None:
        with self._checking:
            walk = self._checks.begin(cap, index)
        walk.check()  # nobody waits for another's long way
        with self._checking:
            self._checks.end(walk)

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
        await self.mkem(owner)
        request = await self.offload(owner, make_request)
        document = self.document()
        preparation = self.exchanges.begin(document)
        to = choose_intermediates(document, request.box_id, preparation.order, self._clock, self._network_time())
        exchange = await self.exchanges.finish(owner, preparation, to.keys)
        query = build_query(request, to, exchange, self.geometry, self.randomness)
        self._keep(query)
        return query

    async def read_anew(
        self, owner: Hashable, query_hash: bytes, descriptor: bytes, reading: tuple[bytes, bytes], reply_index: int
    ) -> Query:
        """Another query for what a query asks, that no courier has in its cache.

        In the same week it takes the same ephemeral key and the same two replicas, so it costs nothing, and tells the
        courier and the two no more than the same query again.

        Args:
            owner: for whom it is made.
            query_hash: the query's (32 bytes).
            descriptor: the query's.
            reading: read capability and box index.
            reply_index: which of the two replies is wanted first.

        Raises:
            PigeonholeError: as for `read`.
        """
        cap, index = ReadCap.parse(reading[0]), BoxIndex.parse(reading[1])
        parsed, document = EnvelopeDescriptor.parse(descriptor), self.document()
        exchange = self._kept.pop(query_hash, None)
        keys = tuple(key_of(document, number, parsed.epoch) for number in parsed.replicas)
        is_of_this_week = parsed.epoch == epoch_of(document, self._clock)
        if exchange is None or not is_of_this_week or exchange.recipients != keys:
            return await self.read(owner, cap, index)

        def work() -> Query:
            to = Intermediates(parsed.replicas, keys, parsed.epoch)
            return build_query(read_request(cap, index), to, exchange, self.geometry, self.randomness, reply_index)

        query = await self.offload(owner, work)
        self._keep(query)
        return query

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
