"""Storage with the genuine key exchange, and a client of it: what the daemon's cores send and read is understood."""

import trio

from kpclientd.localnet import LocalNetwork
from kpclientd.pigeonhole import libraries
from kpclientd.pigeonhole.capabilities import WriteCap
from kpclientd.pigeonhole.codes import ReplicaCode
from kpclientd.pigeonhole.courier_messages import CourierEnvelopeReply
from kpclientd.pigeonhole.envelopes import Opened, Query, Reading, build_query, open_reply, read_request, write_request
from kpclientd.pigeonhole.mkem import Mkem, ReadyExchange
from kpclientd.pigeonhole.replica_messages import ReplicaRequest
from kpclientd.pigeonhole.replicas import choose_intermediates, random_order
from pki.document import Document
from sphinx.randomness import Randomness, seeded
from tests.localnet.storage.clients import GEOMETRY, raw_ask
from tests.pigeonhole.installed import needs_libraries

pytestmark = needs_libraries

POLL_SECONDS = 0.05


class Client:
    """Asks the courier of a network as a daemon would."""

    def __init__(self, network: LocalNetwork, randomness: Randomness) -> None:
        self._network = network
        self._randomness = randomness
        self._mkem = Mkem(libraries.nike())
        self._document = Document.parse(network.authorities.certificate(network.epoch).certified)

    async def ask(self, request: ReplicaRequest, reading: Reading | None = None) -> Opened:
        network = self._network
        order = random_order(self._document, self._randomness)
        chosen = choose_intermediates(self._document, request.box_id, order, network.clock, network.unix())
        exchange = await trio.to_thread.run_sync(self._mkem.ready, chosen.keys, self._randomness)
        query = build_query(request, chosen, exchange, GEOMETRY, self._randomness)
        return self._open(await self._poll(query), query, exchange, reading)

    async def _poll(self, query: Query) -> CourierEnvelopeReply:
        while True:
            reply = raw_ask(self._network, query.encode())
            assert isinstance(reply, CourierEnvelopeReply)
            if reply.has_payload:
                return reply
            await trio.sleep(POLL_SECONDS)

    def _open(
        self, reply: CourierEnvelopeReply, query: Query, exchange: ReadyExchange, reading: Reading | None
    ) -> Opened:
        return open_reply(
            reply, query.hash, query.descriptor, self._document, mkem=self._mkem, exchange=exchange, reading=reading
        )


async def test_what_a_daemon_writes_is_kept_and_what_it_reads_is_what_was_written(nursery: trio.Nursery) -> None:
    network = LocalNetwork(seed=b"genuine", port=None, replicas=2)
    with trio.fail_after(300):
        await nursery.start(network.run)
        client = Client(network, seeded(b"client"))
        cap = WriteCap.from_seed(b"s" * 32)
        write = write_request(cap, cap.index, b"a message that is kept", GEOMETRY)
        assert await client.ask(write) == Opened(ReplicaCode.SUCCESS)
        reading = Reading(cap.read_cap, cap.index)
        read = await client.ask(read_request(cap.read_cap, cap.index), reading)
        assert read == Opened(ReplicaCode.SUCCESS, b"a message that is kept")
