"""The gateways that may be dialled, which of them is next, and when.

Theory of operation. While a document is current its gateways are the ones, and a gateway that has left it is none any
more. Where there is no document, those of the last one are remembered beside those that the configuration pins; they
are also tried when each gateway of the document has failed twice, since it may be the document that is outdated. A
gateway none of whose addresses can be dialled from here is never drawn.

Each gateway has a back-off of its own: after a failure it is not drawn for a while, which doubles with each further
one; so while one is down the others are tried in turn, and none is dialled without pause. Among those that may be
dialled, and of these have failed least often, one is drawn at random, each as likely as any other.

The reference waits 2, 17, 32 ... seconds whatever it dials; these waits bring a client of a single gateway back sooner.

Source: the Katzenpost wire protocol, "choosing the gateway" and "transports".
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from kpclientd.addresses import scheme_of
from pki import Document, MixDescriptor, key_hash
from sphinx.randomness import Randomness
from sphinx.types import NodeId

if TYPE_CHECKING:
    from kpclientd.config.model import PinnedGateway

FIRST_WAIT_SECONDS: Final = 1.0
LONGEST_WAIT_SECONDS: Final = 15.0
LONGEST_WAIT_IF_THERE_SECONDS: Final = 10.0
"""The machine is there and refuses: it is starting, and will be back soon."""

JITTER: Final = 0.2
FAILURES_UNTIL_PINS: Final = 2


@dataclass(frozen=True, slots=True)
class GatewayChoice:
    """A gateway that may be dialled.

    Attributes:
        name: for people.
        node_id: BLAKE2b-256 of its identity key (32 bytes); it must present this in the handshake.
        link_key: its key of the link KEM; it must own this.
        addresses: URLs that can be dialled, in order of preference.
    """

    name: str
    node_id: NodeId = field(repr=False)
    link_key: bytes = field(repr=False)
    addresses: tuple[str, ...]


_Name = tuple[NodeId, bytes]
"""What a back-off is for: node id and link key. A gateway with a new key is another one."""


@dataclass(slots=True)
class _Record:
    failures: int = 0
    not_before: float = 0.0


class GatewayPool:
    """All gateways that are known. Every `now` is in monotonic seconds.

    Args:
        pins: those of the configuration.
        transports: in order of preference: the keys of a descriptor's addresses.
        can_dial: whether an address can be dialled from here.
        randomness: draws gateways and jitter.
    """

    def __init__(
        self,
        pins: Sequence["PinnedGateway"],
        transports: Sequence[str],
        can_dial: Callable[[str], bool],
        randomness: Randomness,
    ) -> None:
        self._transports = tuple(transports)
        self._can_dial = can_dial
        self._randomness = randomness
        self._pinned = self._dialable(self._from_pin(pin) for pin in pins)
        self._offered = tuple(address for pin in pins for address in pin.addresses)
        self._listed: dict[_Name, GatewayChoice] = {}
        self._remembered: dict[_Name, GatewayChoice] = {}
        self._has_document = False
        self._records: dict[_Name, _Record] = {}

    def follow(self, document: Document | None) -> None:
        """`document` has become current; or no document is any more."""
        self._has_document = document is not None
        if document is None:
            self._listed = {}
            return
        self._listed = self._dialable(self._from_descriptor(node) for node in document.gateway_nodes)
        self._offered = tuple(
            url for node in document.gateway_nodes for urls in node.addresses.values() for url in urls
        )
        self._remembered = dict(self._listed)
        known = self._listed.keys() | self._pinned.keys()
        self._records = {name: record for name, record in self._records.items() if name in known}

    def candidates(self) -> tuple[GatewayChoice, ...]:
        """Those that may be drawn, whenever that is."""
        listed = tuple(self._listed.values())
        if self._has_document and any(self._record(choice).failures < FAILURES_UNTIL_PINS for choice in listed):
            return listed
        return tuple({**self._remembered, **self._pinned, **self._listed}.values())

    def is_listed(self, choice: GatewayChoice) -> bool:
        """Whether the current document lists this gateway with this link key; true where there is no document."""
        return not self._has_document or _name(choice) in self._listed

    def others(self, choice: GatewayChoice) -> frozenset[NodeId]:
        """The node ids of all candidates but this one."""
        return frozenset(one.node_id for one in self.candidates()) - {choice.node_id}

    def draw(self, now: float) -> GatewayChoice | None:
        """A random one of those that may be dialled at `now`."""
        due = [choice for choice in self.candidates() if self._record(choice).not_before <= now]
        fewest = min((self._record(choice).failures for choice in due), default=0)
        best = [choice for choice in due if self._record(choice).failures == fewest]
        return self._randomness.choice(best) if best else None

    def is_rival_due(self, choice: GatewayChoice, now: float) -> bool:
        """Whether another one, which has failed no more often, may be dialled at `now`."""
        mine = self._record(choice).failures
        others = (self._record(one) for one in self.candidates() if one != choice)
        return any(other.not_before <= now and other.failures <= mine for other in others)

    def next_due(self) -> float | None:
        """When the first of them may be dialled: monotonic seconds, perhaps past; None if there is none at all."""
        return min((self._record(choice).not_before for choice in self.candidates()), default=None)

    def failed(self, choice: GatewayChoice, now: float, *, is_there: bool = False) -> None:
        """A try, or a link, has failed: it is not drawn for a while.

        Args:
            choice: the gateway.
            now: monotonic seconds.
            is_there: somebody refused the connection, or closed it in the handshake.
        """
        record = self._records.setdefault(_name(choice), _Record())
        longest = LONGEST_WAIT_IF_THERE_SECONDS if is_there else LONGEST_WAIT_SECONDS
        wait = min(FIRST_WAIT_SECONDS * 2.0**record.failures, longest)
        record.failures = min(record.failures + 1, 2 * int(LONGEST_WAIT_SECONDS))
        record.not_before = now + wait * (1 - JITTER * self._randomness.uniform())

    def settled(self, choice: GatewayChoice) -> None:
        """A link to it is a good one: the next failure is the first again."""
        self._records.pop(_name(choice), None)

    def forget_failures(self) -> None:
        """The way to the gateways has changed: all may be dialled at once."""
        self._records.clear()

    def why_none(self) -> str:
        """Why there is no candidate at all, for people."""
        if not self._offered:
            return "the configuration pins no gateway, and no document that lists one is at hand"
        return f"no gateway has an address that can be dialled from here; they offer {', '.join(self._offered[:4])}"

    def _record(self, choice: GatewayChoice) -> _Record:
        return self._records.get(_name(choice)) or _Record()

    def _from_descriptor(self, node: MixDescriptor) -> GatewayChoice:
        return GatewayChoice(node.name, node.node_id, node.link_key, self._in_order(node.addresses))

    def _from_pin(self, pin: "PinnedGateway") -> GatewayChoice:
        by_scheme: dict[str, list[str]] = {}
        for address in pin.addresses:
            by_scheme.setdefault(scheme_of(address), []).append(address)
        return GatewayChoice(pin.name, NodeId(key_hash(pin.identity_key)), pin.link_key, self._in_order(by_scheme))

    def _in_order(self, addresses: Mapping[str, Sequence[str]]) -> tuple[str, ...]:
        urls = (url for transport in self._transports for url in addresses.get(transport, ()))
        return tuple(dict.fromkeys(url for url in urls if self._can_dial(url)))

    @staticmethod
    def _dialable(choices: Iterable[GatewayChoice]) -> dict[_Name, GatewayChoice]:
        return {_name(choice): choice for choice in choices if choice.addresses}


def _name(choice: GatewayChoice) -> _Name:
    return choice.node_id, choice.link_key
