"""A whole mixnet in one process: real cores, real bytes, one gateway that clients can dial.

    async with trio.open_nursery() as nursery:
        network = LocalNetwork(epoch_period=10.0, seed=b"any", mu=0.02)
        await nursery.start(network.run)
        network.faults.loss = 0.2
        ...                                     # dial network.gateway_url, or network.memory_dial()

Epochs follow `unix`, delays and deadlines follow trio's clock alone. A test on a virtual clock hands in
`unix=lambda: BASE + trio.current_time()` and everything is virtual.
"""

import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.localnet.authority import Authorities, Rates
from kpclientd.localnet.counters import Counters
from kpclientd.localnet.document_server import OLDEST_SERVED, DocumentServer
from kpclientd.localnet.faults import Faults
from kpclientd.localnet.files import Listen, Membership, write_files
from kpclientd.localnet.gateway import Gateway
from kpclientd.localnet.keys import KeyTree
from kpclientd.localnet.limiter import refill_interval
from kpclientd.localnet.service import Services
from kpclientd.localnet.topology import build
from kpclientd.localnet.transit import Transit
from kpclientd.transports import DialError
from pki.certificate import Verifier
from pki.epoch import DEFAULT_PERIOD, EpochClock
from pki.signatures import signature_scheme
from sphinx.crypto.kem import kem_scheme
from sphinx.geometry import Geometry
from sphinx.packet import Sphinx
from sphinx.randomness import Randomness

MU: Final = 0.005
"""Per-hop delays of 200 ms on average: the reference's test network, like the two rates below (all per ms)."""

LAMBDA_P: Final = 0.001
LAMBDA_L: Final = 0.0005

NIKE: Final = "x25519"
HOPS: Final = 5
USER_PAYLOAD_LENGTH: Final = 2000
"""User payload of the reference's test network, bytes."""

WIRE_KEM: Final = "XWING"
SIGNATURES: Final = "Ed25519"

NOMINAL_GATEWAY_PORT: Final = 30004
"""What descriptors say while nothing listens on TCP; the reference's test network has its gateway there."""

AUTHORITY_PORTS: Final = (30001, 30002, 30003)
"""Nothing listens there, and no client ever asks: configurations must name some address."""


class LocalNetwork:
    """One gateway, mix layers, a service node with `echo` and `testdest`, and three directory authorities.

    Args:
        epoch_period: seconds.
        seed: the same one gives the same keys; None for keys of this run only.
        mu: rate of each hop's delay, per ms.
        lambda_p, lambda_l: the clients' sending rates, per ms; they also set the gateway's limiter.
        rate_limit: whether the gateway limits its clients.
        mixes_per_layer: how many mixes there are in each of the geometry's layers.
        geometry: of the packets; by default the reference test network's.
        wire_kem: name of the links' KEM.
        port: the gateway's TCP port on the loopback; 0 for a free one, None for no TCP at all.
        unix: the wall clock, unix seconds.
    """

    def __init__(
        self,
        *,
        epoch_period: float = DEFAULT_PERIOD,
        seed: bytes | None = None,
        mu: float = MU,
        lambda_p: float = LAMBDA_P,
        lambda_l: float = LAMBDA_L,
        rate_limit: bool = True,
        mixes_per_layer: int = 1,
        geometry: Geometry | None = None,
        wire_kem: str = WIRE_KEM,
        port: int | None = 0,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self.geometry = geometry or Geometry.nike(NIKE, HOPS, USER_PAYLOAD_LENGTH)
        self.sphinx = Sphinx(self.geometry)
        self.clock = EpochClock(epoch_period)
        self.unix = unix
        self.counters = Counters()
        self._kem = kem_scheme(wire_kem)
        self._signatures = signature_scheme(SIGNATURES)
        self._port = port
        self._gateway_port = NOMINAL_GATEWAY_PORT
        self._nursery: trio.Nursery | None = None
        tree = KeyTree.of_seed(seed)
        self.topology = build(tree, self.sphinx, self._kem, self._signatures, mixes_per_layer)
        self.faults = Faults(tree.randomness("faults"), connections=lambda: self.gateway.connections)
        self.authorities = Authorities(
            topology=self.topology,
            geometry=self.geometry,
            rates=Rates(mu, lambda_p, lambda_l),
            genesis_epoch=max(1, self.clock.epoch(unix()) - OLDEST_SERVED),
            gateway_url=lambda: self.gateway_url,
            shared_randomness=tree,
        )
        self.directory = DocumentServer(self.authorities, self.clock, self.geometry, self.faults, self.counters)
        self.gateway = Gateway(
            keys=self.topology.gateway,
            impostor_link=self._kem.generate(tree.randomness("impostor", "link")),
            kem=self._kem,
            geometry=self.geometry,
            token_interval=refill_interval(lambda_p, lambda_l) if rate_limit else None,
            faults=self.faults,
            counters=self.counters,
            randomness=Randomness(os.urandom),
            unix=unix,
            inject=lambda packet: self.transit.inject(packet),
            consensus=lambda epoch: self.directory.answer(epoch, unix()),
        )
        self.transit = Transit(
            nodes=self.topology.nodes(self.sphinx, self.clock, mu),
            gateway=self.topology.gateway.node_id,
            services=Services(self.sphinx),
            deliver=self.gateway.deliver,
            faults=self.faults,
            counters=self.counters,
            unix=unix,
        )

    @property
    def gateway_address(self) -> tuple[str, int]:
        """Host and port of the gateway."""
        return LOOPBACK, self._gateway_port

    @property
    def gateway_url(self) -> str:
        """The gateway's address as its descriptor gives it."""
        return f"tcp://{LOOPBACK}:{self._gateway_port}"

    @property
    def epoch(self) -> int:
        """The present epoch."""
        return self.clock.epoch(self.unix())

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The authorities as their clients know them."""
        return self.authorities.verifiers

    @property
    def membership(self) -> Membership:
        """What a client's configuration says about this network."""
        return Membership(
            geometry=self.geometry,
            kem=self._kem,
            signatures=self._signatures,
            gateway=self.topology.gateway,
            gateway_url=self.gateway_url,
            authorities=self.topology.authorities,
            authority_urls=tuple(f"tcp://{LOOPBACK}:{port}" for port in AUTHORITY_PORTS),
        )

    def client_config(self, listen: Listen) -> str:
        """Return a `client.toml` for a daemon that listens at `listen`."""
        return self.membership.client_config(listen)

    def write_files(self, directory: Path, thin_port: int, period: str | None = None) -> Listen:
        """Write the configuration files of daemon and clients; see `files.write_files`."""
        return write_files(directory, self.membership, thin_port, period or f"{self.clock.period:g}s")

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the network until cancelled; started once clients can dial."""
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            await nursery.start(self.transit.packets.run)
            nursery.start_soon(self._follow_epochs)
            if self._port is not None:
                await nursery.start(partial(self.serve_tcp, self._port))
            task_status.started()
            await trio.sleep_forever()

    async def serve_tcp(self, port: int = 0, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Accept clients on a loopback port, 0 for a free one, until cancelled."""
        listeners = await trio.open_tcp_listeners(port, host=LOOPBACK)
        self._gateway_port = listeners[0].socket.getsockname()[1]
        self.authorities.republish()
        task_status.started()
        await trio.serve_listeners(self.gateway.serve, listeners)

    async def serve_stream(self, stream: trio.abc.Stream) -> None:
        """Serve one client over a stream of any kind until either side ends it."""
        await self.gateway.serve(stream)

    async def memory_dial(self, addresses: Sequence[str] | None = None, *, isolation: bytes = b"") -> trio.abc.Stream:
        """Connect to the gateway without sockets.

        Args:
            addresses: URLs of the gateway that is meant; None for the network's only one.
            isolation: as daemons dial, and of no use here.

        Raises:
            DialError: if nothing is there: other addresses, or the network does not run.
        """
        import trio.testing  # only those who connect without sockets need it

        await trio.lowlevel.checkpoint()
        if self._nursery is None or not (addresses is None or self.gateway_url in addresses):
            raise DialError(f"no gateway of the local network at {', '.join(addresses or [self.gateway_url])}")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(self.serve_stream, ours)
        return theirs

    async def _follow_epochs(self) -> None:
        while True:
            await trio.sleep(self.clock.till_next(self.unix()))
            self.gateway.sweep()
