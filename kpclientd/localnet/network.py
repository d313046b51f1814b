"""A whole mixnet in one process: real cores, real bytes, gateways that clients can dial.

    async with trio.open_nursery() as nursery:
        network = LocalNetwork(epoch_period=10.0, seed=b"any", mu=0.02)
        await nursery.start(network.run)
        network.faults.loss = 0.2
        ...                                     # dial network.gateway_url, or network.memory_dial()

Epochs follow `unix`, delays and deadlines follow trio's clock alone. A test on a virtual clock hands in
`unix=lambda: BASE + trio.current_time()` and everything is virtual.

What is changed while it runs, keys, addresses, who is listed, stands in the first document that is not published yet,
since authorities do not sign an epoch's document twice. Only a restart of the whole network makes the present one new.
"""

import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.localnet.authority import Authorities, Listing, Rates
from kpclientd.localnet.counters import Counted, Counters
from kpclientd.localnet.document_server import OLDEST_SERVED, DocumentServer
from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.localnet.faults import Faults
from kpclientd.localnet.files import Listen, Membership, write_files
from kpclientd.localnet.gateway import Gateway, Surroundings
from kpclientd.localnet.keys import KeyMaker, KeyTree
from kpclientd.localnet.limiter import refill_interval
from kpclientd.localnet.listeners import Presence, keep_open
from kpclientd.localnet.service import ENDPOINTS, HANDLERS, Services
from kpclientd.localnet.storage.build import build_storage
from kpclientd.localnet.storage.replica import Replica
from kpclientd.localnet.storage.storage import COURIER_ENDPOINT, Offload
from kpclientd.localnet.topology import (
    AUTHORITIES,
    MOST_GATEWAYS,
    build,
    gateway_name,
    layer_sizes,
    layers_of,
    mix_layers,
)
from kpclientd.localnet.transit import Transit
from kpclientd.pigeonhole.replicas import COURIER
from kpclientd.transports import DialError
from pki.certificate import Verifier
from pki.epoch import DEFAULT_PERIOD, EpochClock
from pki.signatures import signature_scheme
from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.nike import Nike
from sphinx.geometry import Geometry
from sphinx.packet import Sphinx
from sphinx.randomness import Randomness
from sphinx.types import NodeId, RecipientId, SurbId

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
TRANSPORTS: Final = ("tcp",)

NOMINAL_GATEWAY_PORT: Final = 30004
"""The first gateway's while nothing listens; the reference's test network has its gateway there."""

FIRST_AUTHORITY_PORT: Final = 20001
"""Nothing listens there, and no client ever asks: configurations must name some address."""


class LocalNetwork:
    """Gateways, mix layers, a service node with `echo` and `testdest`, and directory authorities.

    Args:
        epoch_period: seconds.
        seed: the same one gives the same keys; None for keys of this run only.
        mu: rate of each hop's delay, per ms.
        lambda_p, lambda_l: the clients' sending rates, per ms; they also set the gateways' limiter.
        rate_limit: whether the gateways limit their clients.
        gateways: how many there are at first.
        pinned: how many of them a client's configuration pins; None for all.
        mixes_per_layer: how many mixes there are in each of the geometry's layers.
        nodes: instead of that, how many nodes there are in all, with gateways and service node.
        authorities: how many directory authorities there are.
        signers: how many of them sign each document, more than half; None for all.
        geometry: of the packets; by default the reference test network's.
        wire_kem: name of the links' KEM.
        signatures: name of the signature scheme of authorities and nodes.
        transports: schemes of the gateways' addresses.
        port: the first gateway's port on the loopback, further ones have the next; 0 for free ones, None for no
            sockets at all.
        unix: the wall clock, unix seconds.
        document_fields: further fields of documents by their names there, such as `ClientNotice`.
        replicas: how many storage replicas there are, none or at least two; with any, the service node has a courier.
        storage_file: where they keep boxes; None for memory.
        storage_nike: the scheme of their envelope keys; None for the one that clients demand.
        offload: runs their slow work; None for threads.

    Raises:
        LocalNetworkError: if there cannot be such a network.
        PigeonholeUnavailable: if there are to be replicas, and a package that they need is missing.
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
        gateways: int = 1,
        pinned: int | None = None,
        mixes_per_layer: int = 1,
        nodes: int | None = None,
        authorities: int = AUTHORITIES,
        signers: int | None = None,
        geometry: Geometry | None = None,
        wire_kem: str = WIRE_KEM,
        signatures: str = SIGNATURES,
        transports: Sequence[str] = TRANSPORTS,
        port: int | None = 0,
        unix: Callable[[], float] = time.time,
        document_fields: Mapping[str, Any] | None = None,
        replicas: int = 0,
        storage_file: Path | None = None,
        storage_nike: Nike | None = None,
        offload: Offload | None = None,
    ) -> None:
        if pinned is not None and not 1 <= pinned <= gateways:
            raise LocalNetworkError(f"{pinned} of {gateways} gateways cannot be pinned")
        self.geometry = geometry or Geometry.nike(NIKE, HOPS, USER_PAYLOAD_LENGTH)
        self.sphinx = Sphinx(self.geometry)
        self.clock = EpochClock(epoch_period)
        self.unix = unix
        self.kem = kem_scheme(wire_kem)
        self.signatures = signature_scheme(signatures)
        self.counters = Counters()
        self._mu = mu
        self._port = port
        self._transports = tuple(transports)
        self._pinned = pinned
        self._numbers = 0
        self._generation = 0
        self._genesis_epoch = max(1, self.clock.epoch(unix()) - OLDEST_SERVED)
        self._document_fields = dict(document_fields or {})
        self._nursery: trio.Nursery | None = None
        tree = KeyTree.of_seed(seed)
        self._keys = KeyMaker(tree, self.sphinx, self.kem, self.signatures)
        self._sizes = (
            (mixes_per_layer,) * layers_of(self.geometry)
            if nodes is None
            else layer_sizes(self.geometry, nodes, gateways)
        )
        self.topology = build(self._keys, self._sizes, gateways, authorities)
        self.faults = Faults(
            tree.randomness("faults"),
            connections=lambda: [one for gateway in self.gateways for one in gateway.connections],
            gateways=lambda: [gateway.faults for gateway in self.gateways],
            storage=lambda: [] if self.storage is None else self.storage.all_faults,
        )
        self.authorities = Authorities(
            self.topology.authorities,
            signers=signers,
            geometry=self.geometry,
            rates=Rates(mu, lambda_p, lambda_l),
            shared_randomness=tree,
            clock=self.clock,
        )
        self.storage = (
            build_storage(
                replicas,
                keys=self._keys,
                tree=tree,
                sphinx_geometry=self.geometry,
                clock=self.clock,
                unix=unix,
                counters=self.counters,
                changed=self._update_listing,
                path=storage_file,
                nike=storage_nike,
                offload=offload,
            )
            if replicas
            else None
        )
        self.directory = DocumentServer(self.authorities, self.clock, self.geometry, lambda: self.faults.skipped_epochs)
        self.transit = Transit(
            nodes={},
            services=Services(
                self.sphinx,
                HANDLERS if self.storage is None else {**HANDLERS, COURIER_ENDPOINT: self.storage.query},
            ),
            deliver=self._deliver,
            faults=self.faults,
            counters=self.counters,
            clock=self.clock,
            unix=unix,
        )
        self._surroundings = Surroundings(
            kem=self.kem,
            geometry=self.geometry,
            token_interval=refill_interval(lambda_p, lambda_l) if rate_limit else None,
            impostor_link=self.kem.generate(tree.randomness("impostor", "link")),
            faults=self.faults,
            counters=self.counters,
            randomness=Randomness(os.urandom),
            unix=unix,
            inject=self.transit.inject,
            consensus=lambda epoch, faults, counters: self.directory.answer(epoch, unix(), faults, counters),
            holds_document=lambda: self.directory.holds_any(unix()),
            changed=self._update_listing,
        )
        self.gateways = [Gateway(keys, self._next_ports(), self._surroundings) for keys in self.topology.gateways]
        self._update_listing()

    @property
    def gateway(self) -> Gateway:
        """The first gateway."""
        return self.gateways[0]

    @property
    def gateway_address(self) -> tuple[str, int]:
        """Host and port of the first gateway."""
        return LOOPBACK, next(iter(self.gateway.ports.values()))

    @property
    def gateway_url(self) -> str:
        """The first gateway's first address as its descriptor gives it."""
        return self.gateway.urls[0]

    @property
    def replicas(self) -> tuple[Replica, ...]:
        """The storage replicas, if there are any."""
        return () if self.storage is None else self.storage.replicas

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
        """What configurations say about this network."""
        return Membership(
            geometry=self.geometry,
            kem=self.kem,
            signatures=self.signatures,
            gateways=tuple(gateway.listed for gateway in self.gateways[: self._pinned]),
            authorities=self.topology.authorities,
            authority_urls=tuple(
                f"tcp://{LOOPBACK}:{FIRST_AUTHORITY_PORT + place}" for place in range(len(self.topology.authorities))
            ),
            listing=self.authorities.listing(self.epoch),
        )

    def client_config(self, listen: Listen) -> str:
        """Return a `client.toml` for a daemon that listens at `listen`."""
        return self.membership.client_config(listen)

    def write_files(self, directory: Path, thin_port: int, period: str | None = None) -> Listen:
        """Write the configuration files of daemon and clients; see `files.write_files`."""
        return write_files(directory, self.membership, thin_port, period or f"{self.clock.period:g}s")

    def find_gateway(self, name: str) -> Gateway | None:
        """Return the gateway of that name, if there is one."""
        return next((gateway for gateway in self.gateways if gateway.name == name), None)

    def add_gateway(self) -> Gateway:
        """Let another gateway join.

        Raises:
            LocalNetworkError: if there are as many as there may be.
        """
        if len(self.gateways) >= MOST_GATEWAYS:
            raise LocalNetworkError(f"there are {MOST_GATEWAYS} gateways already")
        gateway = Gateway(self._keys.node(gateway_name(len(self.gateways))), self._next_ports(), self._surroundings)
        self.gateways.append(gateway)
        if self._nursery is not None and self._port is not None:
            for scheme in self._transports:
                keep = partial(keep_open, gateway, scheme, self.faults.changes.wait, self._nursery, patient=True)
                self._nursery.start_soon(keep)
        self._update_listing()
        return gateway

    def rekey(self, gateway: Gateway) -> None:
        """Give a gateway other keys: identity, link and Sphinx keys. Its name and its address stay."""
        self._generation += 1
        gateway.set_keys(self._keys.node(gateway.name, self._generation))
        self._update_listing()

    def move(self, gateway: Gateway, port: int | None = None) -> None:
        """Let a gateway go to another port; None for any that is free.

        Raises:
            LocalNetworkError: if another gateway has that port.
        """
        holder = next((one for one in self.gateways if port in one.ports.values() and one is not gateway), None)
        if holder is not None:
            raise LocalNetworkError(f"port {port} is {holder.name}'s")
        free = self._next_ports() if self._port is None else dict.fromkeys(self._transports, 0)
        gateway.move(free if port is None else dict.fromkeys(self._transports, port))

    def restart(self, *, rekey_gateways: bool = False) -> None:
        """Restart everything but the authorities, with new keys, and with new documents from the present one on.

        Args:
            rekey_gateways: whether gateways lose their identity and link keys too. A client's configuration does not
                know them any more then.
        """
        self._generation += 1
        self.topology = replace(
            self.topology,
            layers=mix_layers(self._keys, self._sizes, self._generation),
            service=self._keys.node(self.topology.service.name, self._generation),
        )
        for gateway in self.gateways:
            gateway.set_keys(
                self._keys.node(gateway.name, self._generation)
                if rekey_gateways
                else self._keys.with_new_mix_keys(gateway.keys, self._generation)
            )
        self._genesis_epoch = self.epoch
        if self.storage is not None:
            self.storage.restart_courier()
        self._update_listing(self.epoch)

    def set_document_fields(self, **document_fields: Any) -> None:
        """Let documents have further fields, by their names there; None takes one out again."""
        fields = self._document_fields | document_fields
        self._document_fields = {name: value for name, value in fields.items() if value is not None}
        self._update_listing()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the network until cancelled; started once clients can dial."""
        async with trio.open_nursery() as nursery:
            await nursery.start(self.transit.packets.run)
            nursery.start_soon(self._follow_epochs)
            if self.storage is not None:  # before anybody can ask for a document
                await nursery.start(self.storage.run)
                self._update_listing()
            if self._port is not None:
                async with trio.open_nursery() as opening:
                    for gateway in self.gateways:
                        opening.start_soon(self._open_ports, gateway, nursery)
            self._nursery = nursery
            task_status.started()
            await trio.sleep_forever()

    async def memory_dial(
        self, addresses: str | Sequence[str] | None = None, /, *, isolation: bytes = b""
    ) -> trio.abc.Stream:
        """Connect to a gateway without sockets; waits while the network holds up what goes there, or comes back.

        Args:
            addresses: one or several URLs of the gateway that is meant; None for the first one.
            isolation: as daemons dial, and of no use here.

        Raises:
            DialError: if nothing is there: other addresses, or the gateway or the network does not run.
        """
        import trio.testing  # only those who connect without sockets need it

        await trio.lowlevel.checkpoint()
        wanted = [addresses] if isinstance(addresses, str) else list(addresses or self.gateway.urls)
        gateway = next((one for one in self.gateways if not set(wanted).isdisjoint(one.urls)), None)
        if gateway is None or self._nursery is None:
            raise DialError(f"no gateway of the local network at {', '.join(wanted)}")
        while gateway.presence is Presence.UNREACHABLE:
            await self.faults.changes.wait()
        if gateway.presence is Presence.CLOSED:
            gateway.counters.add(Counted.CONNECTIONS_REFUSED)
            raise DialError(f"{', '.join(wanted)} cannot be reached: connection refused", is_refused=True)
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(gateway.serve, ours)
        return theirs

    def _deliver(self, node_id: NodeId, recipient: RecipientId, surb_id: SurbId, payload: bytes) -> None:
        for gateway in self.gateways:
            if gateway.keys.node_id == node_id:
                gateway.deliver(recipient, surb_id, payload)

    def _next_ports(self) -> dict[str, int]:
        number = self._numbers
        self._numbers += 1
        if self._port == 0:
            return dict.fromkeys(self._transports, 0)
        return dict.fromkeys(self._transports, (self._port or NOMINAL_GATEWAY_PORT) + number)

    async def _open_ports(self, gateway: Gateway, nursery: trio.Nursery) -> None:
        for scheme in self._transports:
            await nursery.start(partial(keep_open, gateway, scheme, self.faults.changes.wait, nursery))

    def _update_listing(self, since: int | None = None) -> None:
        """Let nodes and documents know of what has changed, documents from the first one that nobody has yet."""
        self.topology = replace(self.topology, gateways=tuple(gateway.keys for gateway in self.gateways))
        self.transit.nodes = self.topology.nodes(self.sphinx, self.clock, self._mu)
        if since is None:  # before anybody can ask, all of them
            since = 0 if self._nursery is None else self.directory.newest_published(self.unix()) + 1
        self.authorities.list_from(
            since,
            Listing(
                gateways=tuple(
                    gateway.listed for gateway in self.gateways if gateway.is_listed and all(gateway.ports.values())
                ),
                layers=self.topology.layers,
                service=self.topology.service,
                genesis_epoch=self._genesis_epoch,
                replicas=() if self.storage is None else self.storage.listed,
                endpoints=ENDPOINTS if self.storage is None else {**ENDPOINTS, COURIER: COURIER_ENDPOINT},
                extra=self._document_fields,
            ),
        )

    async def _follow_epochs(self) -> None:
        while True:
            await trio.sleep(self.clock.till_next(self.unix()))
            for gateway in self.gateways:
                gateway.sweep()
