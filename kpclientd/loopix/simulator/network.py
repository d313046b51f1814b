"""A whole Loopix network of 2019 in one process: genuine bytes, no genuine secrecy.

    async with trio.open_nursery() as nursery:
        network = LoopixNetwork(providers=2, seed=b"any")
        await nursery.start(network.run)
        network.faults.dead.add("mix2-1")
        ...                                     # a client with network.topology_url, or network.dial and get_topology

Everything but `lastSeen` follows trio's clock. Nodes of other makers may join: they announce themselves at the
directory like the network's own, and packets reach them by TCP.
"""

import errno
import itertools
import os
import time
from collections.abc import Callable
from functools import partial
from typing import Final

import trio

from kpclientd.addresses import LOOPBACK, is_loopback
from kpclientd.localnet.keys import KeyTree
from kpclientd.loopix.errors import DirectoryError
from kpclientd.loopix.nodes import PROVIDER_LAYER
from kpclientd.loopix.profile import DEFAULT, Profile
from kpclientd.loopix.simulator.actions import Ending, Forward, Store
from kpclientd.loopix.simulator.counters import Counters
from kpclientd.loopix.simulator.directory_server import OK, TOPOLOGY_PATH, DirectoryServer, HttpReply, HttpRequest
from kpclientd.loopix.simulator.errors import SimulatorError
from kpclientd.loopix.simulator.faults import Faults
from kpclientd.loopix.simulator.http import serve_http
from kpclientd.loopix.simulator.member import ANNOUNCE_SECONDS, Member
from kpclientd.loopix.simulator.mix import Mix, NodeKeys
from kpclientd.loopix.simulator.presence import DirectoryVersion
from kpclientd.loopix.simulator.provider import Provider
from kpclientd.loopix.simulator.server import NodeServer
from kpclientd.loopix.simulator.streams import Serve
from kpclientd.loopix.simulator.transit import Transit

LAYERS: Final = 3

DIRECTORY_PORT: Final = 8080
"""The port at which genuine local nodes and clients look for the directory."""

FIRST_NODE_PORT: Final = 9980
"""Where upstream's script has its first mix; nodes without sockets are numbered from here."""


class LoopixNetwork:
    """A directory, three layers of mixes, and providers.

    Args:
        mixes_per_layer: how many mixes there are in each layer.
        providers: how many providers.
        profile: of the generation that sets how much the nodes read.
        seed: the same one gives the same keys; None for keys of this run only.
        honour_delays: wait as long as packets say; genuine nodes cut every delay down to whole seconds.
        version: the directory's generation, which sets the topology's spelling.
        tcp: listen on the loopback; False for a network that only `dial` and `get_topology` reach.
        directory_port: the directory's TCP port; 0 for a free one.
        unix: the wall clock, which only `lastSeen` shows.
    """

    def __init__(
        self,
        *,
        mixes_per_layer: int = 1,
        providers: int = 1,
        profile: Profile = DEFAULT,
        seed: bytes | None = None,
        honour_delays: bool = False,
        version: DirectoryVersion = DirectoryVersion.V003,
        tcp: bool = True,
        directory_port: int = 0,
        unix: Callable[[], float] = time.time,
    ) -> None:
        self._tree = KeyTree.of_seed(seed)
        self.profile = profile
        self.counters = Counters()
        self.faults = Faults(self._tree.randomness("faults"))
        self.directory = DirectoryServer(version, self.faults, self.counters, self._tree.randomness("directory"), unix)
        self.transit = Transit(trio.open_tcp_stream if tcp else self.dial, self.faults, self.counters)
        self._honour_delays = honour_delays
        self._tcp = tcp
        self._wanted_port = directory_port
        self._directory_port = directory_port or DIRECTORY_PORT
        self._nursery: trio.Nursery | None = None
        ports = itertools.count(FIRST_NODE_PORT)
        self.mixes = tuple(
            self._mix(layer, place, next(ports))
            for layer in range(1, LAYERS + 1)
            for place in range(1, mixes_per_layer + 1)
        )
        self.providers = tuple(self._provider(place, next(ports)) for place in range(1, providers + 1))

    @property
    def topology_url(self) -> str:
        """What clients ask for the topology."""
        return f"http://{LOOPBACK}:{self._directory_port}{TOPOLOGY_PATH}"

    @property
    def members(self) -> tuple[Member[Mix] | Member[Provider], ...]:
        """All nodes, mixes first."""
        return (*self.mixes, *self.providers)

    def restart_providers(self) -> None:
        """Let every provider forget who is registered with it."""
        for member in self.providers:
            member.node.restart()

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Run the network until cancelled; started once all nodes are listed and can be reached.

        Raises:
            SimulatorError: if the directory's port is taken.
        """
        async with trio.open_nursery() as nursery:
            await nursery.start(self.transit.packets.run)
            if self._tcp:
                await self._listen(nursery)
            self._nursery = nursery
            self._announce()
            nursery.start_soon(self._keep_announcing)
            task_status.started()
            await trio.sleep_forever()

    async def dial(self, host: str, port: int | str) -> trio.abc.Stream:
        """Connect to a node or the directory without sockets.

        Raises:
            OSError: if nobody is there: another address, a dead node, or the network does not run.
        """
        import trio.testing  # only those who connect without sockets need it

        await trio.lowlevel.checkpoint()
        serve = self._served().get(int(port)) if is_loopback(host) else None
        if self._nursery is None or serve is None:
            raise ConnectionRefusedError(errno.ECONNREFUSED, f"nobody of the local network is at {host}:{port}")
        ours, theirs = trio.testing.memory_stream_pair()
        self._nursery.start_soon(serve, ours)
        return theirs

    async def get_topology(self) -> bytes:
        """Ask the directory for the topology without sockets; returns its JSON.

        Raises:
            DirectoryError: if it fails, or answers with another status than 200.
        """
        await trio.lowlevel.checkpoint()
        reply = self._answer(HttpRequest("GET", TOPOLOGY_PATH))
        if reply is Ending.SILENCE:
            await trio.sleep_forever()
        if not isinstance(reply, HttpReply):
            raise DirectoryError("the directory of the local network is out of order")
        if reply.status != OK:
            raise DirectoryError(f"the directory of the local network answers with status {reply.status}")
        return reply.body

    def _mix(self, layer: int, place: int, port: int) -> Member[Mix]:
        mix = Mix(self._keys(f"mix{layer}-{place}"), honour_delays=self._honour_delays)

        def carry(action: Forward | Store) -> None:
            if isinstance(action, Forward):  # a mix refuses the other itself
                self.transit.forward(action)

        return Member(mix, NodeServer(mix, self.profile.packet_limit, self.faults, self.counters, carry), layer, port)

    def _provider(self, place: int, port: int) -> Member[Provider]:
        name = f"provider{place}"
        provider = Provider(
            self._keys(name),
            honour_delays=self._honour_delays,
            faults=self.faults,
            counters=self.counters,
            randomness=self._tree.randomness(name, "order"),
        )

        def carry(action: Forward | Store) -> None:
            if isinstance(action, Forward):
                self.transit.forward(action)
            else:
                self.transit.store(provider, action)

        server = NodeServer(provider, self.profile.packet_limit, self.faults, self.counters, carry)
        return Member(provider, server, PROVIDER_LAYER, port)

    def _keys(self, name: str) -> NodeKeys:
        return NodeKeys.generate(name, self._tree.randomness(name, "key"))

    def _answer(self, request: HttpRequest) -> HttpReply | Ending:
        return self.directory.answer(request, trio.current_time())

    async def _serve_directory(self, stream: trio.abc.Stream) -> None:
        await serve_http(stream, self._answer)

    def _served(self) -> dict[int, Serve]:
        """Who is reached at which port."""
        alive = {member.port: member.server.serve for member in self.members if not member.server.is_dead}
        return {self._directory_port: self._serve_directory, **alive}

    async def _listen(self, nursery: trio.Nursery) -> None:
        for member in self.members:
            member.port = await self._listen_at(nursery, member.server.serve, 0)
        try:
            self._directory_port = await self._listen_at(nursery, self._serve_directory, self._wanted_port)
        except OSError as error:
            reason = os.strerror(error.errno) if error.errno else error
            raise SimulatorError(f"port {self._wanted_port} is not to be had for the directory: {reason}") from None

    async def _listen_at(self, nursery: trio.Nursery, serve: Serve, port: int) -> int:
        listeners = await trio.open_tcp_listeners(port, host=LOOPBACK)
        nursery.start_soon(partial(trio.serve_listeners, serve, listeners))
        bound: int = listeners[0].socket.getsockname()[1]
        return bound

    async def _keep_announcing(self) -> None:
        while True:
            await trio.sleep(ANNOUNCE_SECONDS)
            self._announce()

    def _announce(self) -> None:
        """Post every living node's presence; nodes do not look at the directory's answer."""
        for member in self.members:
            if not member.server.is_dead:
                self._answer(member.announcement())
