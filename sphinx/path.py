"""One hop of a path, as the header's builder needs it."""

from dataclasses import dataclass

from sphinx.commands import RoutingCommand
from sphinx.types import NodeId


@dataclass(frozen=True, slots=True)
class PathHop:
    """A node on a path.

    Attributes:
        node_id: names the node to the hop before it (32 bytes).
        public_key: the node's mix key of the epoch in which the packet will arrive.
        commands: what the node is told, in order; `NextNodeHop` is not among them, the builder appends it.
    """

    node_id: NodeId
    public_key: bytes
    commands: tuple[RoutingCommand, ...]
