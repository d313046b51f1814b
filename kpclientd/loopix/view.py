"""What the client knows of the network, and how it learns it anew.

Source: the Nym 2019 Loopix client, "start sequence and topology". The reference's covers keep the first view for ever;
here it is renewed in the background, and a directory that fails, or forgets the mixes, changes nothing.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio

from kpclientd.loopix.errors import DirectoryError, NotRunning, TopologyError
from kpclientd.loopix.logs import CLIENT
from kpclientd.loopix.nodes import ClientConfig, MixConfig
from kpclientd.loopix.topology import MIX_LAYERS, Topology

log = logging.getLogger(CLIENT)

FETCH_SECONDS: Final = 10.0
"""For the directory's whole answer."""

LARGE_TOPOLOGY: Final = 256 * 1024
"""Bytes from which on reading one would hold up the traffic, and is left to a thread."""

Fetch = Callable[[], Awaitable[bytes]]
"""Asks the directory; raises DirectoryError."""


class NetworkView:
    """The latest topology that is of use.

    Args:
        fetch: asks the directory.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._topology: Topology | None = None
        self._fetching = trio.Lock()

    @property
    def topology(self) -> Topology:
        """The network as last seen.

        Raises:
            NotRunning: if it was never seen.
        """
        if self._topology is None:
            raise NotRunning("the network is not known yet")
        return self._topology

    async def refresh(self) -> Topology:
        """Ask the directory and take over what it says.

        Raises:
            DirectoryError: if it can not be asked, or what it says is no topology; TopologyError, a child of it, also
                if there is no path in it although there was one before. The view stays as it was.
        """
        async with self._fetching:
            try:
                with trio.fail_after(FETCH_SECONDS):
                    data = await self._fetch()
            except trio.TooSlowError:
                raise DirectoryError(f"the directory did not answer within {FETCH_SECONDS:.0f} s") from None
            if len(data) < LARGE_TOPOLOGY:
                topology = Topology.parse(data)
            else:
                topology = await trio.to_thread.run_sync(Topology.parse, data)
            self.load(topology)
            return topology

    def load(self, topology: Topology) -> None:
        """Take over a topology.

        Raises:
            TopologyError: if there is no path in it although there is one in the present one.
        """
        missing = [layer for layer in MIX_LAYERS if not topology.layers.get(layer)]
        if missing and self._topology is not None and all(map(self._topology.layers.get, MIX_LAYERS)):
            raise TopologyError(f"the directory lists no mix of layer {missing[0]}; the older view is kept")
        _say_changes(self._topology, topology)
        self._topology = topology

    def is_registered(self, own: ClientConfig, provider: MixConfig) -> bool | None:
        """Whether the directory lists a client at its provider; None if it does not list the provider."""
        for listed in self.topology.providers:
            if listed.node.public_key == provider.public_key:
                return any(client.id == own.id for client in listed.clients)
        return None

    def has_other_key(self, provider: MixConfig) -> bool:
        """Whether the directory lists somebody else at a provider's address: what is sent to it then is lost."""
        listed = [listed.node for listed in self.topology.providers]
        return any(node.address == provider.address for node in listed) and not any(
            node.public_key == provider.public_key for node in listed
        )


def _say_changes(before: Topology | None, after: Topology) -> None:
    old, new = (set() if before is None else _nodes(before)), _nodes(after)
    for what, nodes in (("is gone", old - new), ("is new", new - old if before else set())):
        for node in sorted(nodes, key=lambda node: node.address):
            log.info("%s %s %s", "provider" if node.id == node.address else "mix", node.address, what)


def _nodes(topology: Topology) -> set[MixConfig]:
    mixes = (mix for layer in topology.layers.values() for mix in layer)
    return {*mixes, *(provider.node for provider in topology.providers)}
