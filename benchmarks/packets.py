"""A network on paper for the benchmarks of packets: five nodes' keys, and the paths through them."""

from collections.abc import Iterable

from sphinx import (
    Geometry,
    NodeDelay,
    NodeId,
    PathHop,
    Recipient,
    RecipientId,
    RoutingCommand,
    Sphinx,
    SurbId,
    SurbReply,
)
from sphinx.plaintext import compose_plaintext
from sphinx.randomness import seeded

HOPS = 5
REPLY_HOPS = HOPS - 1
USER_PAYLOAD = 2000
DELAY_MS = 200


class PacketNetwork:
    """Makes, forwards and answers packets of one geometry on one engine."""

    def __init__(self, geometry: Geometry, engine_name: str) -> None:
        self.sphinx = Sphinx(geometry, engine=engine_name)
        self.randomness = seeded(b"benchmark")
        pairs = [self.sphinx.new_key_pair(self.randomness) for _ in range(HOPS)]
        self.private_keys = [private for private, _ in pairs]
        self.public_keys = [public for _, public in pairs]
        recipient = Recipient(RecipientId(bytes(32)))
        self.forward_path = self._path(range(HOPS), (NodeDelay(DELAY_MS), recipient))
        self.reply_path = self._path(reversed(range(REPLY_HOPS)), (recipient, SurbReply(SurbId(bytes(16)))))

    def _path(self, nodes: Iterable[int], end: tuple[RoutingCommand, ...]) -> list[PathHop]:
        *earlier, last = nodes
        commands = {**dict.fromkeys(earlier, (NodeDelay(DELAY_MS),)), last: end}
        return [
            PathHop(NodeId(bytes([number] * 32)), self.public_keys[number], told) for number, told in commands.items()
        ]

    def packet(self, *, with_surb: bool) -> bytes:
        surb = self.sphinx.new_surb(self.reply_path, self.randomness).surb if with_surb else None
        plaintext = compose_plaintext(self.sphinx.geometry, b"message", surb)
        return self.sphinx.new_packet(self.forward_path, plaintext, self.randomness)

    def answered(self, surb: bytes) -> bytes:
        """The payload of the reply to a SURB, as its maker receives it."""
        packet, _ = self.sphinx.packet_from_surb(surb, b"answer")
        for number in reversed(range(REPLY_HOPS)):
            unwrapped = self.sphinx.unwrap(self.private_keys[number], packet)
            packet = unwrapped.packet or b""
        assert unwrapped.payload is not None
        return unwrapped.payload
