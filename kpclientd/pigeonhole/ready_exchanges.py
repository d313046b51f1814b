"""Exchanges that are made ready before there is a query: an ephemeral key that has agreed with a few replicas.

Theory of operation. Making a query costs three slow operations, and none needs the query: the ephemeral key, and what
it agrees on with each of the two replicas. Which two depends on the box, but only by whom it leaves out. So each
exchange goes by a random order of the replicas, drawn when it is begun; its key agrees with the first few of that
order, and any box finds its two among these (`choose_replicas` says why the choice stays uniform). A query takes an
exchange as far as that is made, and makes what lacks; so nothing is made twice, and nothing is used twice.

Exchanges are taken by how far they are made, which is the same for every box and every order: taking the one that suits
a box best would make some pairs of replicas likelier than others.

A stock belongs to one document; another one, with other replicas or keys perhaps, empties it. It fills only while
queries are made: after a document in whose time there was none it stays empty until the next query.

Source: Katzenpost Pigeonhole, 'NIKE and MKEM' and 'choosing replicas, epochs, courier'.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from kpclientd.pigeonhole.mkem import KeyPair, ReadyExchange
from kpclientd.pigeonhole.replicas import FIRST_FEW, epoch_of, key_of, random_order
from pki.document import Document
from pki.epoch import EpochClock
from sphinx.randomness import Randomness

STOCK_SIZE: Final = 8
"""Exchanges that are kept ready."""


@dataclass(slots=True, eq=False)
class Preparation:
    """An exchange, as far as it is made.

    Attributes:
        order: the replicas' numbers, in the order by which two are chosen.
        first: the public keys of the first few of them (160 bytes each), as far as the document has them.
        pair: the ephemeral key, once there is one.
        agreed: by the public key of a replica, what the ephemeral key agrees on with it (32 bytes).
        unusable: public keys of replicas that are none.
    """

    order: bytes
    first: tuple[bytes, ...] = field(default=(), repr=False)
    pair: KeyPair | None = None
    agreed: dict[bytes, bytes] = field(default_factory=dict, repr=False)
    unusable: set[bytes] = field(default_factory=set, repr=False)

    @property
    def steps_done(self) -> int:
        """How far it is made."""
        return (self.pair is not None) + len(self.agreed) + len(self.unusable)

    def lacking(self, publics: Sequence[bytes]) -> list[bytes]:
        """Those of some public keys that the ephemeral key has not agreed with, each once."""
        return [public for public in dict.fromkeys(publics) if public not in self.agreed]

    def exchange(self, publics: tuple[bytes, ...]) -> ReadyExchange:
        """What a query is sealed with, once nothing is lacking for these public keys."""
        assert self.pair is not None
        return ReadyExchange(self.pair, publics, tuple(self.agreed[public] for public in publics))


@dataclass(frozen=True, slots=True)
class Step:
    """What is to be made next: an exchange's key, or what it agrees on with `public`."""

    preparation: Preparation
    public: bytes | None = field(default=None, repr=False)


class Stock:
    """A few exchanges that are made ready, one step after the other.

    Args:
        clock: the network's epochs.
        randomness: for the orders.
        size: how many exchanges are kept.
    """

    def __init__(self, clock: EpochClock, randomness: Randomness, size: int = STOCK_SIZE) -> None:
        self._clock = clock
        self._randomness = randomness
        self._size = size
        self._document: Document | None = None
        self._kept: list[Preparation] = []
        self._under_way: Step | None = None
        self._is_wanted = False
        self._was_used = False

    def __len__(self) -> int:
        """Exchanges that a query could be sealed with at once, whatever its box."""
        return sum(self._next_of(preparation) is None for preparation in self._kept)

    def turn_to(self, document: Document | None) -> None:
        """Forget all that was made for another document than this."""
        if document is self._document:
            return
        self._document = document
        self._kept.clear()
        self._under_way = None
        self._is_wanted, self._was_used = self._was_used, False

    def take(self, document: Document) -> Preparation:
        """An exchange for one query; it is the caller's alone."""
        self.turn_to(document)
        self._is_wanted = self._was_used = True
        busy = self._under_way.preparation if self._under_way is not None else None
        candidates = [preparation for preparation in self._kept if preparation is not busy]
        if not candidates:
            return self._new(document)
        taken = max(candidates, key=lambda preparation: preparation.steps_done)
        self._kept.remove(taken)
        return taken

    def begin_step(self) -> Step | None:
        """What is to be made now, or None if there is nothing; until `end_step` its exchange is not taken.

        All keys come first, as each serves any query; then what the exchange nearest to its end lacks.
        """
        document = self._document
        if document is None or not self._is_wanted:
            return None
        while len(self._kept) < self._size:
            self._kept.append(self._new(document))
        steps = [step for preparation in self._kept if (step := self._next_of(preparation)) is not None]
        keys = [step for step in steps if step.public is None]
        if keys:
            self._under_way = keys[0]
        else:
            self._under_way = max(steps, key=lambda step: step.preparation.steps_done, default=None)
        return self._under_way

    def end_step(self) -> None:
        """The step that was begun is done."""
        self._under_way = None

    def _new(self, document: Document) -> Preparation:
        order = random_order(document, self._randomness)
        week = epoch_of(document, self._clock)
        keys = (key_of(document, number, week) for number in order[:FIRST_FEW])
        return Preparation(order, tuple(key for key in keys if key))

    def _next_of(self, preparation: Preparation) -> Step | None:
        if preparation.pair is None:
            return Step(preparation)
        lacking = (key for key in preparation.lacking(preparation.first) if key not in preparation.unusable)
        public = next(lacking, None)
        return None if public is None else Step(preparation, public)
