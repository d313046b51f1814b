"""Spooling, pushing, acknowledging and sending again."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from kpclientd.localnet.spool import MAX_QUEUE_LENGTH, Delivery, Spool, SpooledReply
from sphinx.types import RecipientId, SurbId

ALICE = RecipientId(b"a" * 32)
BOB = RecipientId(b"b" * 32)


def _reply(number: int) -> SpooledReply:
    return SpooledReply(SurbId(number.to_bytes(16, "big")), b"sealed")


def _stored(*numbers: int) -> Spool:
    spool = Spool()
    for number in numbers:
        assert spool.store(ALICE, _reply(number))
    return spool


def _number(delivery: Delivery) -> int | None:
    message = delivery.next_message()
    return None if message is None else int.from_bytes(message.surb_id, "big")


def test_replies_are_pushed_in_the_order_they_came_with_sequence_numbers_from_one() -> None:
    delivery = Delivery(_stored(7, 8, 9), ALICE)
    for sequence, number in enumerate((7, 8, 9), start=1):
        message = delivery.next_message()
        assert message is not None
        assert (message.sequence, message.surb_id) == (sequence, _reply(number).surb_id)
        assert delivery.acknowledge(sequence)
    assert delivery.next_message() is None


def test_only_one_message_is_under_way_until_it_is_acknowledged() -> None:
    delivery = Delivery(_stored(1, 2), ALICE)
    assert _number(delivery) == 1
    assert delivery.next_message() is None
    assert delivery.acknowledge(1)
    assert _number(delivery) == 2


def test_an_acknowledgement_of_another_sequence_number_is_ignored() -> None:
    spool = _stored(1)
    delivery = Delivery(spool, ALICE)
    assert not delivery.acknowledge(1)
    assert _number(delivery) == 1
    assert not delivery.acknowledge(0)
    assert not delivery.acknowledge(2)
    assert spool.waiting(ALICE) == 1
    assert delivery.acknowledge(1)
    assert not delivery.acknowledge(1)
    assert spool.waiting(ALICE) == 0


def test_what_was_not_acknowledged_is_pushed_again_on_the_next_connection_from_one() -> None:
    spool = _stored(1, 2)
    first = Delivery(spool, ALICE)
    assert _number(first) == 1
    assert first.acknowledge(1)
    assert _number(first) == 2
    second = Delivery(spool, ALICE)
    message = second.next_message()
    assert message is not None
    assert (message.sequence, message.surb_id) == (1, _reply(2).surb_id)


def test_nobody_is_pushed_what_is_for_somebody_else() -> None:
    spool = _stored(1)
    assert Delivery(spool, BOB).next_message() is None
    assert Delivery(spool, RecipientId(ALICE[:16])).next_message() is None


def test_an_acknowledgement_never_forgets_a_reply_that_another_connection_took_over() -> None:
    spool = _stored(1, 2)
    old, new = Delivery(spool, ALICE), Delivery(spool, ALICE)
    assert _number(old) == 1
    assert _number(new) == 1
    assert new.acknowledge(1)
    assert old.acknowledge(1)
    assert spool.waiting(ALICE) == 1


def test_a_full_queue_takes_no_more() -> None:
    spool = _stored(*range(MAX_QUEUE_LENGTH))
    assert not spool.store(ALICE, _reply(0))
    assert spool.store(BOB, _reply(0))


def test_once_per_epoch_the_replies_of_those_who_left_are_deleted() -> None:
    spool = _stored(1, 2)
    spool.store(BOB, _reply(3))
    assert spool.keep_only({BOB}) == 2
    assert spool.waiting(ALICE) == 0
    assert spool.waiting(BOB) == 1


@given(st.lists(st.sampled_from(["store", "push", "acknowledge", "reconnect"]), max_size=60))
def test_each_reply_is_acknowledged_once_and_in_order_whatever_happens(steps: list[str]) -> None:
    spool = Spool()
    delivery = Delivery(spool, ALICE)
    stored = 0
    acknowledged: list[int] = []
    under_way: tuple[int, int] | None = None
    for step in steps:
        if step == "store":
            stored += 1
            spool.store(ALICE, _reply(stored))
        elif step == "push" and (message := delivery.next_message()) is not None:
            under_way = (message.sequence, int.from_bytes(message.surb_id, "big"))
        elif step == "acknowledge" and under_way is not None and delivery.acknowledge(under_way[0]):
            acknowledged.append(under_way[1])
            under_way = None
        elif step == "reconnect":
            delivery = Delivery(spool, ALICE)
            under_way = None
    assert all(later == earlier + 1 for earlier, later in pairwise(acknowledged))
    assert spool.waiting(ALICE) == stored - len(acknowledged)
