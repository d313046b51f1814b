"""Who keeps a box, who is asked for it, with which keys, and by way of whom."""

from collections import Counter
from dataclasses import replace
from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.pigeonhole.errors import NoCourier, ReplicasUnavailable
from kpclientd.pigeonhole.replicas import (
    FIRST_FEW,
    Intermediates,
    choose_courier,
    choose_intermediates,
    choose_replicas,
    epoch_of,
    key_of,
    random_order,
    shards_of,
)
from kpclientd.pigeonhole.trunnel import digest
from pki.document import Document
from sphinx.randomness import seeded
from tests.pigeonhole.genuine import DAEMON_WRITE, GENUINE
from tests.pigeonhole.paper_replicas import (
    CLOCK,
    EPOCH,
    GENUINE_CLOCK,
    NOW,
    WEEK,
    genuine_document,
    paper_document,
    paper_replica,
)
from tests.support.significance import stats

BOX = bytes(range(32))
DRAWS = 6000
UNLIKELY = 1e-4


def test_the_specifications_example_of_shards() -> None:
    prefixes = [digest(bytes([number]) * 32 + BOX)[:4].hex() for number in range(5)]
    assert prefixes == ["77fa625f", "1a74e8e7", "2472d567", "d96055a2", "100d3f39"]
    assert [replica.replica_id for replica in shards_of(paper_document(range(5)), BOX)] == [4, 1]


def test_the_genuine_networks_shards() -> None:
    shards = shards_of(genuine_document(), bytes.fromhex(DAEMON_WRITE["box_id"]))
    assert [replica.replica_id for replica in shards] == DAEMON_WRITE["shard_replica_ids"]


@given(st.binary(min_size=32, max_size=32), st.sets(st.integers(0, 255), min_size=2, max_size=9))
def test_shards_are_the_two_nearest_by_hash_as_the_references_scan_finds_them(box_id: bytes, ids: set[int]) -> None:
    first: tuple[bytes, int] | None = None
    second: tuple[bytes, int] | None = None
    for number in ids:
        found = (digest(bytes([number]) * 32 + box_id), number)
        if first is None or found < first:
            first, second = found, first
        elif second is None or found < second:
            second = found
    assert first is not None and second is not None
    shards = [replica.replica_id for replica in shards_of(paper_document(sorted(ids)), box_id)]
    assert shards == [first[1], second[1]]


def test_a_replica_that_is_down_keeps_its_boxes() -> None:
    assert [replica.replica_id for replica in shards_of(paper_document((0, 1, 2, 3), range(5)), BOX)] == [1]
    with pytest.raises(ReplicasUnavailable, match="none of the replicas that keep this box is up"):
        shards_of(paper_document((0, 2, 3), range(5)), BOX)
    with pytest.raises(ReplicasUnavailable, match="names 1 replicas; a box needs 2"):
        shards_of(paper_document((0,)), BOX)


def test_a_query_needs_two_replicas() -> None:
    with pytest.raises(ReplicasUnavailable, match="1 replicas are up; a query needs 2"):
        chosen_by(b"", paper_document((1,), range(5)))


def test_two_replicas_are_asked_in_the_documents_order() -> None:
    assert chosen_by(b"", paper_document((1, 0))) == bytes([1, 0])
    assert chosen_by(b"", paper_document((0, 1))) == bytes([0, 1])


def drawn(document: Document) -> Counter[tuple[int, ...]]:
    randomness = seeded(b"draws")
    return Counter(tuple(choose_replicas(document, BOX, random_order(document, randomness))) for _ in range(DRAWS))


def chosen_by(seed: bytes, document: Document, box_id: bytes = BOX) -> bytes:
    return choose_replicas(document, box_id, random_order(document, seeded(seed)))


def intermediates(document: Document, now: float) -> Intermediates:
    return choose_intermediates(document, BOX, random_order(document, seeded(b"")), CLOCK, now)


def assert_uniform(counts: Counter[tuple[int, ...]], expected: set[tuple[int, ...]]) -> None:
    assert counts.keys() == expected
    assert stats.chisquare([counts[pair] for pair in sorted(expected)]).pvalue > UNLIKELY


def test_of_three_replicas_the_nearest_is_asked_first_and_either_other_second() -> None:
    nearest = shards_of(paper_document(range(3)), BOX)[0].replica_id
    assert_uniform(drawn(paper_document(range(3))), {(nearest, other) for other in range(3) if other != nearest})


@pytest.mark.parametrize("replicas", [4, 5, 7])
def test_of_many_replicas_two_are_asked_that_do_not_keep_the_box(replicas: int) -> None:
    keepers = {replica.replica_id for replica in shards_of(paper_document(range(replicas)), BOX)}
    others = [number for number in range(replicas) if number not in keepers]
    assert len(others) == replicas - 2
    assert_uniform(drawn(paper_document(range(replicas))), set(permutations(others, 2)))


@given(st.sets(st.integers(0, 255), min_size=2, max_size=9), st.binary(min_size=32, max_size=32), st.binary(max_size=4))
def test_the_two_are_always_among_the_first_few(ids: set[int], box_id: bytes, seed: bytes) -> None:
    document = paper_document(sorted(ids))
    order = random_order(document, seeded(seed))
    first = order[: FIRST_FEW if len(ids) > 3 else len(ids)]
    assert set(choose_replicas(document, box_id, order)) <= set(first)


def test_where_one_keeper_is_down_only_the_other_is_left_out() -> None:
    document = paper_document((0, 1, 2, 3), range(5))
    assert_uniform(drawn(document), set(permutations((0, 2, 3), 2)))


def test_the_genuine_daemons_choice_is_a_possible_one() -> None:
    chosen = bytes(DAEMON_WRITE["parts"]["intermediate_replicas"])
    box_id = bytes.fromhex(DAEMON_WRITE["box_id"])
    assert chosen in {chosen_by(bytes([n]), genuine_document(), box_id) for n in range(20)}


def test_replicas_are_known_by_their_numbers_and_not_by_their_places() -> None:
    document = genuine_document()
    for entry in GENUINE["network"]["replicas"]:
        for week, key in entry["EnvelopeKeys"].items():
            assert key_of(document, entry["ReplicaID"], int(week)).hex() == key
    assert key_of(document, 7, 494) == key_of(document, 0, 493) == b""


def test_replicas_that_share_a_number_are_too_few() -> None:
    document = paper_document(range(4))
    keepers = [replica.replica_id for replica in shards_of(document, BOX)]
    others = [number for number in range(4) if number not in keepers]
    same = replace(paper_replica(others[1]), replica_id=others[0])
    up = tuple(paper_replica(number) for number in (*keepers, others[0]))
    with pytest.raises(ReplicasUnavailable, match="too few that differ"):
        chosen_by(b"", replace(document, storage_replicas=(*up, same)))


def test_a_document_belongs_to_the_week_in_which_its_epoch_begins() -> None:
    assert epoch_of(paper_document(range(2)), CLOCK) == WEEK == EPOCH // 504
    assert epoch_of(genuine_document(), GENUINE_CLOCK) == GENUINE["network"]["replica_epoch"] == 494


def test_the_keys_are_those_of_the_documents_week() -> None:
    chosen = intermediates(paper_document(range(4)), NOW + 604_800)
    assert chosen.epoch == WEEK
    assert chosen.keys == tuple(bytes([number, WEEK % 256]) * 80 for number in chosen.replicas)


def test_where_the_document_lacks_them_the_keys_are_those_of_the_clocks_week() -> None:
    replicas = tuple(paper_replica(number, (WEEK + 1,)) for number in range(2))
    document = replace(paper_document(range(2)), storage_replicas=replicas)
    chosen = intermediates(document, NOW + 604_800)
    assert chosen.epoch == WEEK + 1
    assert chosen.keys == tuple(bytes([number, (WEEK + 1) % 256]) * 80 for number in (0, 1))
    with pytest.raises(ReplicasUnavailable, match=f"lacks keys for replica epoch {WEEK} of"):
        intermediates(document, NOW)


@pytest.mark.parametrize("key", [b"", bytes(159), bytes(161)])
def test_a_key_of_another_length_is_none(key: bytes) -> None:
    replicas = (paper_replica(0), replace(paper_replica(1), envelope_keys={WEEK: key}))
    document = replace(paper_document(range(2)), storage_replicas=replicas)
    with pytest.raises(ReplicasUnavailable, match="lacks keys"):
        intermediates(document, NOW)


def test_each_courier_is_chosen_as_often() -> None:
    document = paper_document(range(2), couriers=4)
    randomness = seeded(b"couriers")
    counts = Counter(choose_courier(document, randomness).endpoint for _ in range(DRAWS))
    assert counts.keys() == {b"+courier%d" % number for number in range(4)}
    assert stats.chisquare(list(counts.values())).pvalue > UNLIKELY


def test_a_courier_that_tells_no_endpoint_is_passed_over() -> None:
    document = paper_document(range(2), couriers=3)
    nodes = list(document.service_nodes)
    nodes[-3] = replace(nodes[-3], kaetzchen={"courier": None})
    nodes[-2] = replace(nodes[-2], kaetzchen={"courier": {"endpoint": 7}})
    document = replace(document, service_nodes=tuple(nodes))
    courier = choose_courier(document, seeded(b""))
    assert (courier.node_id, courier.endpoint) == (nodes[-1].node_id, b"+courier2")
    with pytest.raises(NoCourier):
        choose_courier(replace(document, service_nodes=tuple(nodes[:-1])), seeded(b""))
