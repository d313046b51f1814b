"""Cases on which all engines must agree: geometry, path, payload and corruption all follow from a case's number.

A case that fails is made again by its number alone: `check(seed, number)`.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias, TypeVar

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
    Unwrapped,
)
from sphinx.agreement import PrivateKey
from sphinx.commands import MAX_DELAY_MS
from sphinx.crypto.kem import kem_scheme
from sphinx.crypto.nike import nike_scheme
from sphinx.errors import SphinxError
from sphinx.native import engine_names
from sphinx.randomness import Randomness, seeded

Answer = TypeVar("Answer")

LONGEST_PATH = 20
NIKES = ("x25519", "x448")
KEMS = ("x25519", "x448", "MLKEM768", "XWING", "MLKEM768-X25519")
X25519_SHARE = 0.85
LONGEST_LATTICE_PATH = 3
"""With a lattice ciphertext in each fragment, and all of it again in the SURB, longer paths would take all the time."""

SPARE_COMMANDS = 17
"""Bytes that a hop before the last has beside its next hop."""

Node: TypeAlias = tuple[PrivateKey, bytes]
"""A node's private and public key."""


class Disagreement(AssertionError):
    """Two engines gave different bytes or different verdicts."""


@dataclass(frozen=True, slots=True)
class Refused:
    """What an engine says instead of an answer."""

    error: type[SphinxError]
    words: str
    replay_tag: bytes | None


@dataclass(frozen=True, slots=True)
class Way:
    """A path, and the private keys of its nodes."""

    hops: list[PathHop]
    keys: list[PrivateKey]


class Case:
    """One case on all engines that work here.

    Args:
        seed: of a run of cases.
        number: of the case in it.
        engines: by name; by default all that work here.
    """

    def __init__(self, seed: int, number: int, engines: Sequence[str] | None = None) -> None:
        self.draws = draws = random.Random(f"{seed}/{number}")
        self.geometry = _geometry(draws)
        self.engines = {name: Sphinx(self.geometry, engine=name) for name in engines or engine_names()}
        name = self.geometry.kem_name.lower()
        # The lattices' library draws from the operating system: what one engine makes, another can not repeat.
        self.repeatable = not ("mlkem" in name or name == "xwing")

    def run(self) -> None:
        """Do one of the things that packets are for.

        Raises:
            Disagreement: if two engines differ.
            AssertionError: if they agree on something wrong.
        """
        self.draws.choice((self.request, self.request, self.reply, self.reply, self.corrupted, self.misused))()

    def request(self) -> None:
        """A packet crosses its path, and the payload arrives."""
        way = self.way(SurbReply(SurbId(bytes(16))) if self.draws.random() < 0.1 else self.recipient())
        payload = self.draws.randbytes(self.geometry.forward_payload_length)
        packet = self.made(way, payload)
        delivered = self.travel(way, packet)
        if not any(isinstance(command, SurbReply) for command in way.hops[-1].commands):
            assert delivered == payload

    def reply(self) -> None:
        """An answer comes back through a SURB, and opens; with a changed bit or other keys it does not."""
        draws, geometry = self.draws, self.geometry
        way = self.way(self.recipient(), SurbReply(SurbId(draws.randbytes(16))))
        seed = draws.randbytes(8)
        if self.repeatable:
            new = self.agreed(lambda sphinx: sphinx.new_surb(way.hops, seeded(seed)))
        else:
            new = self.any_engine().new_surb(way.hops, seeded(seed))
        assert not isinstance(new, Refused)
        answer = draws.randbytes(draws.randint(0, geometry.forward_payload_length))
        packet, first = self.expected(self.agreed(lambda sphinx: sphinx.packet_from_surb(new.surb, answer)))
        assert len(packet) == geometry.packet_length
        assert first == way.hops[0].node_id
        delivered = self.travel(way, packet)
        opened = self.agreed(lambda sphinx: sphinx.open_reply(new.keys, delivered))
        assert opened == answer.ljust(geometry.forward_payload_length, b"\0")
        keys, payload = new.keys, delivered
        if draws.random() < 0.5:
            keys = self.altered(keys)
        else:
            payload = self.altered(payload)
        assert isinstance(self.agreed(lambda sphinx: sphinx.open_reply(keys, payload)), Refused)
        surb = self.altered(new.surb)
        self.agreed(lambda sphinx: sphinx.packet_from_surb(surb, answer))

    def corrupted(self) -> None:
        """A packet is changed somewhere on its path: all engines say the same wherever it still gets to."""
        way = self.way(self.recipient())
        payload = self.draws.randbytes(self.geometry.forward_payload_length)
        packet = self.made(way, payload)
        changed_at = self.draws.randrange(len(way.keys))
        for number, key in enumerate(way.keys):
            before = packet
            if number == changed_at:
                packet = self.altered(packet)
            unwrapped = self.unwrapped(key, packet)
            if isinstance(unwrapped, Refused):
                return
            # What passes was changed in the payload alone, which only the last hop can see.
            header_length = self.geometry.header_length
            assert packet[:header_length] == before[:header_length]
            assert unwrapped.packet is not None
            packet = unwrapped.packet

    def misused(self) -> None:
        """Callers hand in what is wrong: all engines refuse it in the same words."""
        draws, geometry = self.draws, self.geometry
        way = self.way(self.recipient())
        payload = bytes(geometry.forward_payload_length)
        hops = way.hops
        match draws.randrange(4):
            case 0:
                payload += bytes(draws.randint(1, 40))
            case 1:
                hops = hops * (geometry.nr_hops // len(hops) + 1)
            case 2:
                at = draws.randrange(len(hops))
                bad = draws.choice((b"", hops[at].public_key[:-1], bytes(len(hops[at].public_key))))
                if not self.repeatable and len(bad) == len(hops[at].public_key):
                    return  # zeros are a lattice's valid key, though nobody has the private half
                hops = [*hops[:at], PathHop(hops[at].node_id, bad, ()), *hops[at + 1 :]]
            case _:
                delays = (NodeDelay(0),) * draws.randint(17, 40)
                hops = [PathHop(hops[0].node_id, hops[0].public_key, delays), *hops[1:]]
        seed = draws.randbytes(8)
        assert isinstance(self.agreed(lambda sphinx: sphinx.new_packet(hops, payload, seeded(seed))), Refused)

    def made(self, way: Way, payload: bytes) -> bytes:
        """The packet that all engines make, or, where they can not repeat each other, that one of them makes."""
        seed = self.draws.randbytes(8)
        if self.repeatable:
            packet = self.expected(self.agreed(lambda sphinx: sphinx.new_packet(way.hops, payload, seeded(seed))))
        else:
            packet = self.any_engine().new_packet(way.hops, payload, seeded(seed))
        assert len(packet) == self.geometry.packet_length
        return packet

    def travel(self, way: Way, packet: bytes) -> bytes:
        """Carry a packet over its whole path and return what the last hop finds."""
        for hop, key in zip(way.hops, way.keys, strict=True):
            unwrapped = self.expected(self.unwrapped(key, packet))
            assert unwrapped.commands[: len(hop.commands)] == hop.commands
            if unwrapped.packet is not None:
                assert len(unwrapped.packet) == len(packet)
                packet = unwrapped.packet
        assert unwrapped.payload is not None
        return unwrapped.payload

    def unwrapped(self, key: PrivateKey, packet: bytes) -> Unwrapped | Refused:
        return self.agreed(lambda sphinx: sphinx.unwrap(key, packet))

    def agreed(self, work: Callable[[Sphinx], Answer]) -> Answer | Refused:
        """The one answer, or the one refusal, of all engines."""
        answers = {name: _result(work, sphinx) for name, sphinx in self.engines.items()}
        (first, answer), *others = answers.items()
        for name, other in others:
            if other != answer:
                raise Disagreement(f"{first} and {name} differ on {self.geometry}:\n{answer!r}\n{other!r}")
        return answer

    def expected(self, answer: Answer | Refused) -> Answer:
        assert not isinstance(answer, Refused), answer
        return answer

    def any_engine(self) -> Sphinx:
        return self.draws.choice(list(self.engines.values()))

    def recipient(self) -> Recipient:
        return Recipient(RecipientId(self.draws.randbytes(32)))

    def way(self, *last: RoutingCommand) -> Way:
        """A path of random nodes, with random commands and `last` at its end."""
        draws = self.draws
        length = draws.randint(1, self.geometry.nr_hops)
        nodes = [draws.choice(nodes_of(self.geometry.nike_name, self.geometry.kem_name)) for _ in range(length)]
        hops = [PathHop(NodeId(draws.randbytes(32)), public, self._commands()) for _, public in nodes]
        delays = tuple(NodeDelay(draws.randint(0, MAX_DELAY_MS)) for _ in range(draws.randint(0, 3)))
        hops[-1] = PathHop(hops[-1].node_id, hops[-1].public_key, (*delays, *last))
        with_tables = [hop.public_key for hop in hops if draws.random() < 0.5]
        for sphinx in self.engines.values():
            sphinx.keep_tables(with_tables)
        return Way(hops, [private for private, _ in nodes])

    def _commands(self) -> tuple[RoutingCommand, ...]:
        draws = self.draws
        if draws.random() < 0.05:
            return (SurbReply(SurbId(draws.randbytes(SPARE_COMMANDS - 1))),)
        return tuple(NodeDelay(draws.randint(0, MAX_DELAY_MS)) for _ in range(draws.randint(0, SPARE_COMMANDS // 5)))

    def altered(self, data: bytes) -> bytes:
        """`data`, changed for sure."""
        draws = self.draws
        at = draws.randrange(len(data))
        changed = bytearray(data)
        match draws.randrange(8):
            case 0:
                return data[:at]
            case 1:
                return data + draws.randbytes(draws.randint(1, 40))
            case 2:
                end = min(len(data), at + draws.randint(1, 64))
                changed[at:end] = bytes(end - at)
            case 3:
                end = min(len(data), at + draws.randint(1, 64))
                changed[at:end] = draws.randbytes(end - at)
            case 4:
                element = self.geometry.header_length - self.geometry.routing_info_length
                changed[2:element] = bytes(len(changed[2:element]))
            case _:
                changed[at] ^= 1 << draws.randrange(8)
        if changed == data:
            changed[at] ^= 0x80
        return bytes(changed)


def check(seed: int, number: int, engines: Sequence[str] | None = None) -> None:
    """Run one case; arguments as for `Case`.

    Raises:
        Disagreement: naming the engines and the case.
    """
    try:
        Case(seed, number, engines).run()
    except AssertionError as error:
        raise Disagreement(f"case {number} of seed {seed}: {error}") from error


@lru_cache
def nodes_of(nike: str, kem: str) -> Sequence[Node]:
    """The nodes of all cases of one scheme."""
    randomness = seeded(f"{nike} {kem}".encode())
    return [_node(nike, kem, randomness) for _ in range(LONGEST_PATH)]


def _node(nike: str, kem: str, randomness: Randomness) -> Node:
    if kem:
        loaded = kem_scheme(kem).generate(randomness)
        return loaded, loaded.public_key
    scheme = nike_scheme(nike)
    private = scheme.generate(randomness.bytes)
    return private, scheme.public_key(private)


def _geometry(draws: random.Random) -> Geometry:
    kem = ""
    nike = "x25519"
    if draws.random() > X25519_SHARE:
        if draws.random() < 0.5:
            kem = draws.choice(KEMS)
        else:
            nike = draws.choice(NIKES)
    # Most are small, for the sake of the slowest engine; some are of every size up to the network's own and beyond.
    hops = draws.randint(1, LONGEST_PATH) if draws.random() < 0.05 else draws.randint(1, 4)
    payload = draws.randint(0, 5000) if draws.random() < 0.02 else draws.randint(0, 100)
    with_surb = draws.random() < 0.1
    if kem:
        if kem not in NIKES:
            hops = min(hops, LONGEST_LATTICE_PATH)
        return Geometry.kem(kem, hops, payload, with_surb=with_surb)
    return Geometry.nike(nike, hops, payload, with_surb=with_surb)


def _result(work: Callable[[Sphinx], Answer], sphinx: Sphinx) -> Answer | Refused:
    try:
        return work(sphinx)
    except SphinxError as error:
        return Refused(type(error), str(error), getattr(error, "replay_tag", None))
