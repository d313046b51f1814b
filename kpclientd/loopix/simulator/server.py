"""The connections of one node, as genuine nodes serve them: one read, perhaps one answer, and the end."""

from collections.abc import Callable
from typing import Final, Protocol, TypeAlias

import trio

from kpclientd.localnet.in_flight import Arrival
from kpclientd.loopix.simulator.actions import Answer, Drop, Ending, Forward, NodeAction, Store
from kpclientd.loopix.simulator.counters import Counted, Counters, DropReason
from kpclientd.loopix.simulator.faults import Faults
from kpclientd.loopix.simulator.mix import NodeKeys
from kpclientd.loopix.simulator.streams import end

READ_SECONDS: Final = 30.0
"""A peer that sends nothing for so long is disconnected."""

WRITE_SECONDS: Final = 30.0

MAX_CONNECTIONS: Final = 1024

Carry: TypeAlias = Callable[[Forward | Store], None]


class Node(Protocol):
    """What a server needs of the node behind it."""

    keys: NodeKeys

    def take(self, data: bytes) -> NodeAction:
        """Say what to do about what a connection brought."""


class NodeServer:
    """Serves one node's connections.

    Args:
        node: what to do about them.
        limit: how many bytes the one read takes; what comes after them is lost.
        faults: the switches.
        counters: where to count.
        carry: takes packets that go on or have arrived.
    """

    def __init__(self, node: Node, limit: int, faults: Faults, counters: Counters, carry: Carry) -> None:
        self.node = node
        self.arrivals: list[Arrival] | None = None
        """Set it to a list, and every connection's time and length are appended."""
        self._limit = limit
        self._faults = faults
        self._counters = counters
        self._carry = carry
        self._connections = 0

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one connection and close it."""
        ending = Ending.RESET
        self._connections += 1
        try:
            if self.is_dead or self._connections > MAX_CONNECTIONS:
                self._counters.add(DropReason.NODE_DEAD if self.is_dead else DropReason.TOO_MANY_CONNECTIONS)
            else:
                self._counters.add(Counted.CONNECTIONS)
                ending = await self._exchange(stream)
        except (trio.BrokenResourceError, trio.TooSlowError):
            pass  # the peer has gone, or might as well have
        finally:
            try:
                await end(stream, ending)
            finally:
                self._connections -= 1

    @property
    def is_dead(self) -> bool:
        """Whether the node is dead on command."""
        return self.node.keys.name in self._faults.dead

    async def _exchange(self, stream: trio.abc.Stream) -> Ending:
        with trio.fail_after(READ_SECONDS):
            data = bytes(await stream.receive_some(self._limit))
        if not data:
            return Ending.CLOSE
        if self.arrivals is not None:
            self.arrivals.append(Arrival(trio.current_time(), len(data)))
        action = self.node.take(data)
        if isinstance(action, Drop):
            self._counters.add(action.reason)
        elif isinstance(action, Answer):
            await trio.sleep(self._faults.reply_delay)
            with trio.fail_after(WRITE_SECONDS):
                await stream.send_all(action.data)
            return action.ending
        else:
            self._carry(action)
        return Ending.CLOSE
