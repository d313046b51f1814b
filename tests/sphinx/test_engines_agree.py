"""All engines, side by side, through any sequence of what packets are for: hypothesis looks for the shortest that tells
them apart. Keys may be degenerate, on the curve's twist or beyond the prime, with tables of multiples and without.

`tests.sphinx.differential` draws whole cases of all schemes, by the million; here a case is what came before, too.
"""

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, multiple, rule

from sphinx import Geometry, NodeDelay, NodeId, PathHop, Recipient, RecipientId, Sphinx, SurbId, SurbReply
from sphinx.crypto.nike import X25519
from sphinx.errors import SphinxError
from sphinx.native import engine_names
from sphinx.randomness import seeded
from sphinx.surb import NewSurb
from sphinx.unwrap import Unwrapped

HOPS = 3
GEOMETRY = Geometry.nike("x25519", HOPS, 40)
P = 2**255 - 19
PRIVATE_KEYS = [bytes([number + 1]) * 32 for number in range(2)]
HONEST_KEYS = [X25519().public_key(private_key) for private_key in PRIVATE_KEYS]
STRANGE_KEYS = [u.to_bytes(32, "little") for u in (0, 1, 2, 9, P - 1, P, P + 2, P + 9, 2**255 - 1, 2**256 - 1)]

Answer = TypeVar("Answer")

BYTES = st.binary(min_size=32, max_size=32)
HONEST = st.sampled_from(HONEST_KEYS)
KEYS = st.one_of(HONEST, HONEST, HONEST, st.sampled_from(STRANGE_KEYS), BYTES)
COMMANDS = st.lists(
    st.one_of(
        st.builds(NodeDelay, st.integers(0, 2**32 - 1)),
        st.builds(Recipient, st.builds(RecipientId, BYTES)),
        st.builds(SurbReply, st.builds(SurbId, st.binary(min_size=16, max_size=16))),
    ),
    max_size=3,
).map(tuple)
PATHS = st.lists(st.builds(PathHop, st.builds(NodeId, BYTES), KEYS, COMMANDS), min_size=1, max_size=HOPS)
PAYLOADS = st.binary(max_size=GEOMETRY.forward_payload_length).map(
    lambda start: start.ljust(GEOMETRY.forward_payload_length, b"\0")
)


class Engines(RuleBasedStateMachine):
    """Makes, carries and opens packets by every engine."""

    packets: Bundle[bytes] = Bundle("packets")
    surbs: Bundle[NewSurb] = Bundle("surbs")
    payloads: Bundle[tuple[NewSurb, bytes]] = Bundle("payloads")

    def __init__(self) -> None:
        super().__init__()
        self.engines = {name: Sphinx(GEOMETRY, engine=name) for name in engine_names()}

    def agreed(self, work: Callable[[Sphinx], Answer]) -> Answer | None:
        """The answer of all engines, or None where all refuse in the same words."""
        answers = {name: outcome(work, sphinx) for name, sphinx in self.engines.items()}
        (first, *others) = answers.values()
        assert all(other == first for other in others), answers
        return None if isinstance(first, Refusal) else first

    @rule(keys=st.lists(KEYS, max_size=4))
    def keep_tables(self, keys: list[bytes]) -> None:
        for sphinx in self.engines.values():
            sphinx.keep_tables(keys)

    @rule(target=packets, path=PATHS, payload=PAYLOADS, seed=st.binary(max_size=4))
    def make(self, path: list[PathHop], payload: bytes, seed: bytes) -> Any:
        packet = self.agreed(lambda sphinx: sphinx.new_packet(path, payload, seeded(seed)))
        return multiple() if packet is None else packet

    @rule(target=surbs, path=PATHS, seed=st.binary(max_size=4))
    def make_surb(self, path: list[PathHop], seed: bytes) -> Any:
        surb = self.agreed(lambda sphinx: sphinx.new_surb(path, seeded(seed)))
        return multiple() if surb is None else surb

    @rule(target=packets, surb=surbs, answer=st.binary(max_size=GEOMETRY.forward_payload_length + 1))
    def answer(self, surb: NewSurb, answer: bytes) -> Any:
        made = self.agreed(lambda sphinx: sphinx.packet_from_surb(surb.surb, answer))
        return multiple() if made is None else made[0]

    @rule(target=packets, packet=packets)
    def unwrap(self, packet: bytes) -> Any:
        unwrapped = self.unwrapped_by_its_node(packet)
        return multiple() if unwrapped is None or unwrapped.packet is None else unwrapped.packet

    def unwrapped_by_its_node(self, packet: bytes) -> Unwrapped | None:
        """What the node finds for which the packet's first layer is, if that is one of these."""
        found = [self.agreed(partial(Sphinx.unwrap, private_key=key, packet=packet)) for key in PRIVATE_KEYS]
        return next((unwrapped for unwrapped in found if unwrapped is not None), None)

    @rule(target=packets, packet=consumes(packets), at=st.integers(0), changed=st.integers(1, 255))
    def change(self, packet: bytes, at: int, changed: int) -> bytes:
        at %= len(packet)
        return packet[:at] + bytes([packet[at] ^ changed]) + packet[at + 1 :]

    @rule(target=packets, packet=consumes(packets), length=st.integers(1, GEOMETRY.packet_length + 20))
    def cut(self, packet: bytes, length: int) -> bytes:
        return packet.ljust(length, b"\1")[:length]

    @rule(packet=packets, surb=surbs)
    def open(self, packet: bytes, surb: NewSurb) -> None:
        self.agreed(lambda sphinx: sphinx.open_reply(surb.keys, packet[GEOMETRY.header_length :]))

    @rule(surb=surbs, answer=st.binary(max_size=GEOMETRY.forward_payload_length))
    def reply_along_honest_hops(self, surb: NewSurb, answer: bytes) -> None:
        """What a SURB's hops make of an answer opens, however many of them there are: here all of them at once."""
        made = self.agreed(lambda sphinx: sphinx.packet_from_surb(surb.surb, answer))
        assert made is not None
        packet, payload = made[0], None
        for _ in range(len(surb.keys) // 64 - 1):
            unwrapped = self.unwrapped_by_its_node(packet)
            if unwrapped is None:
                return  # a hop that is nobody's
            packet = unwrapped.packet or packet
            payload = unwrapped.payload or packet[GEOMETRY.header_length :]
        assert payload is not None
        opened = self.agreed(lambda sphinx: sphinx.open_reply(surb.keys, payload))
        assert opened == answer.ljust(GEOMETRY.forward_payload_length, b"\0")


class Refusal(tuple[type[SphinxError], str, bytes | None]):
    """What an engine says instead of an answer."""


def outcome(work: Callable[[Sphinx], Answer], sphinx: Sphinx) -> Answer | Refusal:
    try:
        return work(sphinx)
    except SphinxError as error:
        return Refusal((type(error), str(error), getattr(error, "replay_tag", None)))


Engines.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)
TestEngines = Engines.TestCase
