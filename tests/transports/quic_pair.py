"""Both ends of a QUIC connection, joined without sockets: on a clock of their own, or on trio's."""

import heapq
import math
import random
from collections.abc import Callable
from itertools import count

import trio
from aioquic._buffer import Buffer
from aioquic.quic.packet import pull_quic_header

from kpclientd.localnet.quic_listener import server_configuration
from kpclientd.transports.quic import QuicStream
from kpclientd.transports.quic_session import CONNECTION_ID_LENGTH, Address, QuicSession, configuration

CLIENT = ("192.0.2.1", 1)
SERVER = ("192.0.2.2", 2)
SERVER_CONFIGURATION = server_configuration()


def new_client(now: float = 0.0) -> QuicSession:
    client = QuicSession(configuration(is_client=True))
    client.connect(SERVER, now)
    return client


def new_server(first: bytes) -> QuicSession:
    """The server for a client whose first datagram this is."""
    header = pull_quic_header(Buffer(data=first), host_cid_length=CONNECTION_ID_LENGTH)
    return QuicSession(SERVER_CONFIGURATION, original_destination=header.destination_cid)


class Pair:
    """Client and server, and a network between them that loses and delays.

    Args:
        loss: how likely a datagram is lost.
        latency: seconds, of each way.
        jitter: up to so many seconds are added by chance, so that datagrams overtake each other.

    Attributes:
        largest_burst: the most datagrams that an end wanted to send at once.
    """

    def __init__(self, *, loss: float = 0.0, latency: float = 0.02, jitter: float = 0.0, seed: int = 0) -> None:
        self.now = 0.0
        self.loss = loss
        self.client = new_client()
        self.largest_burst = 0
        self._latency = latency
        self._jitter = jitter
        self._draws = random.Random(seed)
        self._flying: list[tuple[float, int, QuicSession, bytes, Address]] = []
        self._numbers = count()
        first = self.client.datagrams(0.0)
        self.server = new_server(first[0][0])
        for data, _ in first:
            self._send(self.server, data, CLIENT)

    def flush(self) -> None:
        """Let both ends send what is due."""
        for session, other, source in ((self.client, self.server, CLIENT), (self.server, self.client, SERVER)):
            datagrams = session.datagrams(self.now)
            self.largest_burst = max(self.largest_burst, len(datagrams))
            for data, _ in datagrams:
                self._send(other, data, source)

    def _send(self, to: QuicSession, data: bytes, source: Address) -> None:
        if self._draws.random() >= self.loss:
            arrival = self.now + self._latency + self._jitter * self._draws.random()
            heapq.heappush(self._flying, (arrival, next(self._numbers), to, data, source))

    def run(self, until: Callable[[], bool], seconds: float = 120.0) -> bool:
        """Let time pass until something is so; False if it did not become so in that many seconds."""
        end = self.now + seconds
        while True:
            self.flush()
            if until():
                return True
            sessions = (self.client, self.server)
            timers = [timer for session in sessions if (timer := session.timer()) is not None]
            arrival = self._flying[0][0] if self._flying else math.inf
            self.now = max(self.now, min(arrival, *timers, end))
            if self.now >= end:
                return False
            while self._flying and self._flying[0][0] <= self.now:
                _, _, to, data, source = heapq.heappop(self._flying)
                to.receive_datagram(data, source, self.now)
            for session in sessions:
                session.handle_timer(self.now)

    def open(self) -> "Pair":
        """Shake hands, and let the client's first byte arrive."""
        assert self.run(lambda: self.client.is_established)
        assert self.client.write(b"\0") == 1
        assert self.run(lambda: self.server.is_open)
        assert self.server.read(9) == b"\0"
        return self


class MemoryDatagrams:
    """One end of a network in memory.

    Args:
        source: this end's address, as the other sees it.
        loss: how likely a datagram is lost.
    """

    def __init__(self, source: Address, loss: float = 0.0, seed: int = 0) -> None:
        self.source = source
        self.loss = loss
        self.is_closed = False
        self.other: MemoryDatagrams | None = None
        self._draws = random.Random(seed)
        self._in, self._out = trio.open_memory_channel[tuple[bytes, Address]](1000)

    async def receive(self) -> list[tuple[bytes, Address]]:
        try:
            return [await self._out.receive()]
        except trio.EndOfChannel:
            raise trio.ClosedResourceError from None

    def send(self, data: bytes, address: Address) -> None:
        if self.other is not None and self._draws.random() >= self.loss:
            try:
                self.other._in.send_nowait((data, self.source))
            except (trio.WouldBlock, trio.ClosedResourceError, trio.BrokenResourceError):
                pass

    def close(self) -> None:
        self.is_closed = True
        self._in.close()


async def stream_pair(*, loss: float = 0.0) -> tuple[QuicStream, QuicStream]:
    """A client's stream and a server's, joined in memory."""
    ours, theirs = MemoryDatagrams(CLIENT, loss, 1), MemoryDatagrams(SERVER, loss, 2)
    ours.other, theirs.other = theirs, ours
    client = QuicSession(configuration(is_client=True))
    client.connect(SERVER, trio.current_time())
    ((first, _),) = client.datagrams(trio.current_time())
    server = new_server(first)
    near, far = QuicStream(client, ours), QuicStream(server, theirs)
    ours.send(first, SERVER)
    await near.wait_established()
    await near.send_all(b"\0")
    assert await far.wait_open()
    assert await far.receive_some(1) == b"\0"
    return near, far
