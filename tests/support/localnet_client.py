"""A client in the fewest lines: a real session, real packets, and nothing that a daemon would do by itself."""

import os
from dataclasses import dataclass, field

import trio

from kpclientd.localnet import Gateway, LocalNetwork
from kpclientd.wire.commands import (
    Command,
    CommandCodec,
    Consensus2,
    GetConsensus2,
    Message,
    MessageDelivered,
    NoOp,
    SendPacket,
)
from kpclientd.wire.consensus import ConsensusAssembler, Fetched, Unavailable, chunk_length
from kpclientd.wire.session import CommandReceived, Established, NoiseSession, PeerCredentials
from pki.document import Document
from pki.path import forward_route, reply_route
from pki.trust import TrustedDocuments, VerifiedDocument
from sphinx.plaintext import compose_plaintext
from sphinx.randomness import Randomness, seeded
from sphinx.types import RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, RecipientId, SurbId

CHUNK_LENGTH = 65536


class Closed(Exception):
    """The gateway closed the connection."""


@dataclass
class MixnetClient:
    """One connection to a gateway of a local network."""

    network: LocalNetwork
    gateway: Gateway
    stream: trio.abc.Stream
    queue: RecipientId
    session: NoiseSession
    randomness: Randomness
    commands: list[Command] = field(default_factory=list)
    surb_keys: dict[SurbId, bytes] = field(default_factory=dict)

    @property
    def trusted(self) -> TrustedDocuments:
        return TrustedDocuments(self.network.clock, self.network.verifiers, self.network.geometry)

    async def send(self, command: Command) -> None:
        await self.stream.send_all(self.session.seal(command))

    async def next_command(self) -> Command:
        while not self.commands:
            data = bytes(await self.stream.receive_some(CHUNK_LENGTH))
            if not data:
                raise Closed
            events = self.session.receive(data, self.network.unix())
            self.commands += [event.command for event in events if isinstance(event, CommandReceived)]
        return self.commands.pop(0)

    async def next_but_heartbeats(self) -> Command:
        while isinstance(command := await self.next_command(), NoOp):
            pass
        return command

    async def fetch(self, epoch: int) -> Fetched | Unavailable:
        """Ask for a document and put it together."""
        assembler = ConsensusAssembler(chunk_length(self.network.geometry))
        assembler.request(epoch)
        await self.send(GetConsensus2(epoch))
        while True:
            chunk = await self.next_but_heartbeats()
            assert isinstance(chunk, Consensus2)
            outcome = assembler.feed(chunk)
            if outcome is not None:
                return outcome

    async def document(self, epoch: int | None = None) -> VerifiedDocument:
        """Ask for a document and believe it only if the daemon would."""
        wanted = self.network.epoch if epoch is None else epoch
        fetched = await self.fetch(wanted)
        assert isinstance(fetched, Fetched), f"no document of epoch {wanted}: {fetched}"
        return self.trusted.accept(fetched.decompress(), wanted, self.network.unix())

    def compose(self, document: Document, payload: bytes, capability: str = "echo") -> tuple[bytes, SurbId]:
        """A packet with SURB to a service; the SURB's keys are kept."""
        network = self.network
        gateway = self.gateway.keys.node_id
        (service,) = document.services(capability)
        surb_id = SurbId(self.randomness.bytes(SURB_ID_LENGTH))
        length = network.sphinx.nike.public_key_length
        forward = forward_route(
            document,
            gateway,
            service.node_id,
            RecipientId(service.endpoint.ljust(RECIPIENT_ID_LENGTH, b"\0")),
            with_surb=True,
            start=network.unix(),
            clock=network.clock,
            randomness=self.randomness,
            public_key_length=length,
        )
        reply = reply_route(
            document,
            gateway,
            self.queue,
            surb_id,
            start=forward.arrival,
            clock=network.clock,
            randomness=self.randomness,
            public_key_length=length,
        )
        surb = network.sphinx.new_surb(reply.hops, self.randomness)
        self.surb_keys[surb_id] = surb.keys
        plaintext = compose_plaintext(network.geometry, payload, surb.surb)
        return network.sphinx.new_packet(forward.hops, plaintext, self.randomness), surb_id

    async def post(self, document: Document, payload: bytes, capability: str = "echo") -> SurbId:
        """Send a request."""
        packet, surb_id = self.compose(document, payload, capability)
        await self.send(SendPacket(packet))
        return surb_id

    async def reply(self) -> tuple[SurbId, bytes]:
        """Take one pushed reply, acknowledge it and open it."""
        message = await self.next_but_heartbeats()
        assert isinstance(message, Message), message
        await self.send(MessageDelivered(message.sequence))
        keys = self.surb_keys[message.surb_id]
        return message.surb_id, self.network.sphinx.open_reply(keys, message.payload)

    async def ping(self, document: Document, payload: bytes, capability: str = "echo") -> bytes:
        """Send a request and return the answer, cut to the request's length."""
        surb_id = await self.post(document, payload, capability)
        answered, answer = await self.reply()
        assert answered == surb_id
        return answer[: len(payload)]


async def connect(
    network: LocalNetwork,
    stream: trio.abc.Stream | None = None,
    *,
    gateway: Gateway | None = None,
    queue: bytes | None = None,
    link_seed: bytes | None = None,
) -> MixnetClient:
    """Shake hands with a gateway; by default the first, without sockets, with a fresh queue id and link key."""
    randomness = Randomness(os.urandom)
    kem = network.kem
    dialled = gateway or network.gateway
    keys = dialled.keys
    own_queue = RecipientId(randomness.bytes(RECIPIENT_ID_LENGTH // 2).hex().encode() if queue is None else queue)

    def is_gateway(peer: PeerCredentials) -> bool:
        return (peer.additional_data, peer.public_key) == (keys.node_id, keys.link.public_key)

    session = NoiseSession.initiator(
        kem,
        kem.generate(randomness if link_seed is None else seeded(link_seed)),
        own_queue,
        CommandCodec(network.geometry),
        is_gateway,
        randomness,
    )
    own_stream = stream or await network.memory_dial(dialled.urls[0])
    client = MixnetClient(network, dialled, own_stream, own_queue, session, randomness)
    await client.stream.send_all(session.start())
    while not session.established:
        data = bytes(await client.stream.receive_some(CHUNK_LENGTH))
        if not data:
            raise Closed
        for event in session.receive(data, network.unix()):
            assert isinstance(event, Established | CommandReceived)
            if isinstance(event, CommandReceived):
                client.commands.append(event.command)
        await client.stream.send_all(session.outgoing())
    return client
