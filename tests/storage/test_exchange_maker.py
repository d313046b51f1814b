"""What is made ahead of queries and what for them, in which order and for whom; with a quick key exchange."""

from collections.abc import Callable, Hashable
from dataclasses import replace
from typing import TypeVar

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from kpclientd.pigeonhole import libraries
from kpclientd.pigeonhole.errors import UnusableKey
from kpclientd.pigeonhole.mkem import Mkem
from kpclientd.pigeonhole.ready_exchanges import STOCK_SIZE, Preparation
from kpclientd.pigeonhole.replicas import FIRST_FEW, Intermediates, choose_intermediates
from kpclientd.storage.exchange_maker import AHEAD, ExchangeMaker
from pki import Document
from sphinx.randomness import seeded
from tests.localnet.storage.clients import quick_nike
from tests.pigeonhole.paper_replicas import CLOCK, NOW, WEEK, paper_document, paper_replica

Result = TypeVar("Result")

BOX = bytes(range(32))
MKEM = Mkem(quick_nike())
PRIVATE = [MKEM.new_key_pair(seeded(bytes([number]))) for number in range(5)]


class Offload:
    """Does work at once, or keeps it until a test says so; and remembers for whom."""

    def __init__(self) -> None:
        self.owners: list[Hashable] = []
        self.gate = trio.Event()
        self.gate.set()
        self.at_once = 0
        self.most_at_once = 0

    async def __call__(self, owner: Hashable, work: Callable[[], Result], /) -> Result:
        await trio.lowlevel.checkpoint()
        self.owners.append(owner)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await self.gate.wait()
        finally:
            self.at_once -= 1
        return work()


class Made:
    def __init__(self) -> None:
        self.document: Document | None = with_keys(5)
        self.offload = Offload()
        self.maker = ExchangeMaker(CLOCK, seeded(b"maker"), self.offload, lambda: self.document)

    def begin(self) -> tuple[Preparation, Intermediates]:
        assert self.document is not None
        preparation = self.maker.begin(self.document)
        return preparation, choose_intermediates(self.document, BOX, preparation.order, CLOCK, NOW)


def with_keys(replicas: int, unusable: int | None = None) -> Document:
    """A document whose replicas have keys of the quick exchange, but for one."""
    up = []
    for number in range(replicas):
        key = PRIVATE[number].public if number != unusable else bytes(160)
        up.append(replace(paper_replica(number), envelope_keys={WEEK: key}))
    return replace(paper_document(range(replicas)), storage_replicas=tuple(up))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Made:
    monkeypatch.setattr(libraries, "check_available", lambda: None)
    monkeypatch.setattr(libraries, "nike", quick_nike)
    return Made()


async def test_what_a_query_lacks_is_made_for_its_application_and_the_two_halves_side_by_side(made: Made) -> None:
    preparation, to = made.begin()
    exchange = await made.maker.finish("app", preparation, to.keys)
    # The look at the packages, the key, and two agreements.
    assert made.offload.owners == ["app"] * 4
    assert made.offload.most_at_once == 2
    for number, key in zip(to.replicas, exchange.keys, strict=True):
        assert key == MKEM.agree(PRIVATE[number].private, exchange.pair.public)


async def test_once_there_was_a_query_the_next_find_all_they_need(made: Made, nursery: trio.Nursery) -> None:
    nursery.start_soon(made.maker.run)
    await wait_all_tasks_blocked()
    assert made.offload.owners == []
    preparation, to = made.begin()
    await made.maker.finish("app", preparation, to.keys)
    await wait_all_tasks_blocked()
    assert len(made.maker.stock) == STOCK_SIZE
    assert made.offload.owners.count(AHEAD) == STOCK_SIZE * (1 + FIRST_FEW)
    before = made.offload.owners.count("app")
    for _ in range(STOCK_SIZE):
        preparation, to = made.begin()
        exchange = await made.maker.finish("app", preparation, to.keys)
        assert exchange.keys[0] == MKEM.agree(PRIVATE[to.replicas[0]].private, exchange.pair.public)
    assert made.offload.owners.count("app") == before


async def test_ahead_one_piece_is_made_at_a_time(made: Made, nursery: trio.Nursery) -> None:
    preparation, to = made.begin()
    await made.maker.finish("app", preparation, to.keys)
    made.offload.gate = trio.Event()
    made.offload.most_at_once = 0
    nursery.start_soon(made.maker.run)
    await wait_all_tasks_blocked()
    assert made.offload.most_at_once == 1
    made.offload.gate.set()
    await wait_all_tasks_blocked()
    assert made.offload.most_at_once == 1
    assert len(made.maker.stock) == STOCK_SIZE


async def test_another_document_empties_the_stock_and_it_fills_again(made: Made, nursery: trio.Nursery) -> None:
    nursery.start_soon(made.maker.run)
    preparation, to = made.begin()
    await made.maker.finish("app", preparation, to.keys)
    await wait_all_tasks_blocked()
    made.offload.gate = trio.Event()
    made.document = with_keys(3)
    made.maker.document_changed()
    assert len(made.maker.stock) == 0
    made.offload.gate.set()
    await wait_all_tasks_blocked()
    assert len(made.maker.stock) == STOCK_SIZE
    assert sorted(made.begin()[0].order) == [0, 1, 2]
    made.document = None
    made.maker.document_changed()
    await wait_all_tasks_blocked()
    assert len(made.maker.stock) == 0


async def test_a_key_that_is_none_fails_the_queries_that_need_it_and_no_others(
    made: Made, nursery: trio.Nursery
) -> None:
    made.document = with_keys(5, unusable=3)
    nursery.start_soon(made.maker.run)
    failed, succeeded = 0, 0
    for _ in range(6 * STOCK_SIZE):
        preparation, to = made.begin()
        await wait_all_tasks_blocked()
        if 3 in to.replicas:
            failed += 1
            with pytest.raises(UnusableKey):
                await made.maker.finish("app", preparation, to.keys)
        else:
            succeeded += 1
            await made.maker.finish("app", preparation, to.keys)
    assert failed and succeeded


async def test_what_is_made_for_an_application_that_goes_is_not_made_to_the_end(made: Made) -> None:
    preparation, to = made.begin()
    await made.maker.mkem("app")
    made.offload.gate = trio.Event()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(made.maker.finish, "app", preparation, to.keys)
        await wait_all_tasks_blocked()
        nursery.cancel_scope.cancel()
    assert preparation.pair is None
    assert made.begin()[0] is not preparation
