"""What is made ready before a query: never used twice, never for another document, and no pair of replicas likelier."""

from collections import Counter
from itertools import permutations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, precondition, rule

from kpclientd.pigeonhole.mkem import KeyPair
from kpclientd.pigeonhole.ready_exchanges import STOCK_SIZE, Preparation, Step, Stock
from kpclientd.pigeonhole.replicas import FIRST_FEW, choose_intermediates, choose_replicas, shards_of
from pki.document import Document
from sphinx.randomness import Randomness, seeded
from tests.pigeonhole.paper_replicas import CLOCK, NOW, paper_document
from tests.support.significance import stats

BOX = bytes(range(32))
DRAWS = 6000
UNLIKELY = 1e-4


def make(step: Step, number: int) -> None:
    """Do a step as a key exchange would, but on paper: the agreed key names both keys."""
    preparation = step.preparation
    if step.public is None:
        assert preparation.pair is None
        preparation.pair = KeyPair(number.to_bytes(160, "big"), number.to_bytes(162, "big"))
    else:
        assert preparation.pair is not None and step.public not in preparation.agreed
        preparation.agreed[step.public] = preparation.pair.private[-4:] + step.public[:28]


def fill(stock: Stock, steps: int | None = None) -> int:
    """Do the steps that are due, or some of them; how many there were."""
    done = 0
    while (steps is None or done < steps) and (step := stock.begin_step()) is not None:
        done += 1
        make(step, done)
        stock.end_step()
    return done


def used_stock(document: Document, seed: bytes = b"orders") -> Stock:
    stock = Stock(CLOCK, seeded(seed))
    stock.take(document)
    return stock


@pytest.mark.parametrize("replicas", [2, 3, 4, 7])
def test_a_full_stock_serves_any_box_without_another_step(replicas: int) -> None:
    document = paper_document(range(replicas))
    stock = used_stock(document)
    assert fill(stock) == STOCK_SIZE * (1 + min(replicas, FIRST_FEW))
    assert len(stock) == STOCK_SIZE
    for number in range(STOCK_SIZE):
        box = seeded(bytes([number])).bytes(32)
        taken = stock.take(document)
        to = choose_intermediates(document, box, taken.order, CLOCK, NOW)
        assert not taken.lacking(to.keys)
        exchange = taken.exchange(to.keys)
        assert exchange.recipients == to.keys
        assert exchange.keys == tuple(exchange.pair.private[-4:] + key[:28] for key in to.keys)
    assert len(stock) == 0


def test_nothing_is_made_before_the_first_query_nor_in_documents_without_one() -> None:
    stock = Stock(CLOCK, seeded(b"idle"))
    first, second, third = (paper_document(range(5)) for _ in range(3))
    stock.turn_to(first)
    assert stock.begin_step() is None
    stock.take(first)
    assert fill(stock) > 0
    stock.turn_to(second)
    assert len(stock) == 0
    assert fill(stock) > 0
    stock.turn_to(third)
    assert stock.begin_step() is None
    stock.take(third)
    assert fill(stock) > 0
    stock.turn_to(None)
    assert stock.begin_step() is None


def test_keys_come_first_and_then_one_exchange_after_the_other() -> None:
    stock = used_stock(paper_document(range(5)))
    fill(stock, STOCK_SIZE)
    assert all(step_count(stock) == 1 for _ in range(STOCK_SIZE))
    stock = used_stock(paper_document(range(5)))
    fill(stock, STOCK_SIZE + FIRST_FEW + 2)
    assert len(stock) == 1
    assert [step_count(stock) for _ in range(3)] == [1 + FIRST_FEW, 3, 1]


def step_count(stock: Stock) -> int:
    return stock.take(current(stock)).steps_done


def current(stock: Stock) -> Document:
    document = stock._document
    assert document is not None
    return document


def test_what_a_step_is_made_for_is_not_taken_meanwhile() -> None:
    document = paper_document(range(5))
    stock = used_stock(document)
    step = stock.begin_step()
    assert step is not None
    for _ in range(2 * STOCK_SIZE):
        assert stock.take(document) is not step.preparation
    make(step, 1)
    stock.end_step()
    assert stock.take(document) is step.preparation


def test_a_replica_whose_key_is_none_does_not_keep_the_stock_from_its_end() -> None:
    document = paper_document(range(5))
    stock = used_stock(document)
    steps = 0
    while (step := stock.begin_step()) is not None:
        steps += 1
        if step.public is not None and step.public[0] == 3:
            step.preparation.unusable.add(step.public)
        else:
            make(step, steps)
        stock.end_step()
    assert steps == STOCK_SIZE * (1 + FIRST_FEW)


@pytest.mark.parametrize("steps", [0, STOCK_SIZE, STOCK_SIZE + 3, None])
@pytest.mark.parametrize("replicas", [4, 5, 7])
def test_each_pair_of_replicas_is_as_likely_however_full_the_stock_is(replicas: int, steps: int | None) -> None:
    document = paper_document(range(replicas))
    keepers = {replica.replica_id for replica in shards_of(document, BOX)}
    pairs = list(permutations(set(range(replicas)) - keepers, 2))
    stock = used_stock(document, b"uniform")
    counts: Counter[tuple[int, ...]] = Counter()
    for _ in range(DRAWS):
        fill(stock, steps)
        counts[tuple(choose_replicas(document, BOX, stock.take(document).order))] += 1
    assert counts.keys() == set(pairs)
    assert stats.chisquare([counts[pair] for pair in pairs]).pvalue > UNLIKELY


class StockMachine(RuleBasedStateMachine):
    """A stock under queries, steps that end late, and documents that change under them."""

    taken = Bundle("taken")

    def __init__(self) -> None:
        super().__init__()
        self.stock = Stock(CLOCK, Randomness(seeded(b"machine").bytes), 3)
        self.document: Document | None = paper_document(range(5))
        self.under_way: Step | None = None
        self.number = 0
        self.seen: list[Preparation] = []
        self.used_pairs: set[bytes] = set()

    @precondition(lambda self: self.under_way is None)
    @rule()
    def begin(self) -> None:
        self.under_way = self.stock.begin_step()

    @precondition(lambda self: self.under_way is not None)
    @rule()
    def end(self) -> None:
        assert self.under_way is not None
        self.number += 1
        make(self.under_way, self.number)
        self.stock.end_step()
        self.under_way = None

    @precondition(lambda self: self.document is not None)
    @rule(target=taken)
    def take(self) -> Preparation:
        assert self.document is not None
        preparation = self.stock.take(self.document)
        assert all(preparation is not other for other in self.seen)
        assert self.under_way is None or preparation is not self.under_way.preparation
        self.seen.append(preparation)
        assert sorted(preparation.order) == [replica.replica_id for replica in self.document.storage_replicas]
        return preparation

    @rule(preparation=consumes(taken))
    def use(self, preparation: Preparation) -> None:
        if preparation.pair is not None:
            assert preparation.pair.public not in self.used_pairs
            self.used_pairs.add(preparation.pair.public)

    @rule(replicas=st.sampled_from([None, 2, 3, 5]))
    def change(self, replicas: int | None) -> None:
        self.document = None if replicas is None else paper_document(range(replicas))
        self.stock.turn_to(self.document)

    @invariant()
    def is_small(self) -> None:
        assert len(self.stock._kept) <= 3
        assert self.document is not None or not self.stock._kept


StockMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=60)
TestStock = StockMachine.TestCase
