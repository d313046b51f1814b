"""The rules of a courier: what it answers at once, from its cache, and when it asks the replicas again."""

import pytest

from kpclientd.localnet.storage.courier import (
    COPY_SECONDS,
    ENVELOPE_SECONDS,
    GRACE_SECONDS,
    MOST_COPIES,
    REDISPATCHES,
    Courier,
    CourierAnswer,
)
from kpclientd.localnet.storage.replica import SealedReply
from kpclientd.pigeonhole.codes import CopyStatus, CourierCode, ReplicaCode
from kpclientd.pigeonhole.courier_messages import (
    CopyCommand,
    CopyCommandReply,
    CourierEnvelope,
    CourierEnvelopeReply,
    encode_query,
    parse_query_reply,
)

EPOCH = 480


def envelope(content: bytes = b"content", index: int = 0, epoch: int = EPOCH) -> CourierEnvelope:
    return CourierEnvelope(b"\3\7", (bytes(60), bytes(60)), epoch, b"p" * 160, content, index)


def ask(courier: Courier, query: CourierEnvelope | CopyCommand, now: float = 0.0) -> CourierAnswer:
    answer = courier.query(encode_query(query).ljust(2000, b"\0"), now, EPOCH)
    assert answer is not None
    return answer


def reply_of(answer: CourierAnswer) -> CourierEnvelopeReply:
    reply = parse_query_reply(answer.reply)
    assert isinstance(reply, CourierEnvelopeReply)
    return reply


def good(replica: int, payload: bytes = b"sealed") -> SealedReply:
    return SealedReply(replica, ReplicaCode.SUCCESS, payload)


def missing(replica: int) -> SealedReply:
    return SealedReply(replica, ReplicaCode.BOX_NOT_FOUND, b"sealed: not found")


def test_a_new_envelope_is_acknowledged_and_dispatched() -> None:
    courier = Courier()
    answer = ask(courier, envelope(index=1))
    assert reply_of(answer) == CourierEnvelopeReply(envelope().hash, 1)
    assert answer.dispatch == envelope(index=1)
    assert len(answer.reply) == 40


@pytest.mark.parametrize("payload", [b"", b"\2", b"\0" * 100, b"\1\0\0\0\xff"])
def test_what_is_no_query_gets_no_reply(payload: bytes) -> None:
    assert Courier().query(payload, 0.0, EPOCH) is None


@pytest.mark.parametrize(("epoch", "is_accepted"), [(478, False), (479, True), (481, True), (482, False)])
def test_only_neighbouring_replica_epochs_are_accepted(epoch: int, is_accepted: bool) -> None:
    answer = ask(Courier(), envelope(epoch=epoch, index=1))
    code = CourierCode.SUCCESS if is_accepted else CourierCode.INVALID_EPOCH
    assert reply_of(answer) == CourierEnvelopeReply(envelope().hash, 1, error_code=code)
    assert (answer.dispatch is not None) is is_accepted


def test_a_query_of_zeros_is_an_envelope_of_an_old_epoch() -> None:
    answer = Courier().query(bytes(2000), 0.0, EPOCH)
    assert answer is not None
    assert reply_of(answer).error_code == CourierCode.INVALID_EPOCH


def test_a_reply_is_served_to_every_repetition_and_nothing_is_dispatched_again() -> None:
    courier = Courier()
    ask(courier, envelope())
    assert reply_of(ask(courier, envelope(), 1.0)) == CourierEnvelopeReply(envelope().hash, 0)
    courier.replied(envelope(), good(3))
    courier.dispatched(envelope())
    for _ in range(3):
        answer = ask(courier, envelope(), 2.0)
        assert reply_of(answer) == CourierEnvelopeReply(envelope().hash, 0, has_payload=True, payload=b"sealed")
        assert answer.dispatch is None


def test_the_slot_that_is_asked_for_is_served_and_else_the_other_one_with_its_number() -> None:
    courier = Courier()
    ask(courier, envelope())
    courier.replied(envelope(), good(7, b"seven"))
    assert (reply_of(ask(courier, envelope())).payload, reply_of(ask(courier, envelope())).reply_index) == (b"seven", 1)
    courier.replied(envelope(), SealedReply(3, ReplicaCode.INTERNAL_ERROR, b""))
    assert reply_of(ask(courier, envelope())).payload == b"seven"
    courier.replied(envelope(), good(3, b"three"))
    assert reply_of(ask(courier, envelope())).payload == b"three"
    assert reply_of(ask(courier, envelope(index=1))).payload == b"seven"


def test_a_third_slot_is_an_invalid_envelope_once_the_envelope_is_known() -> None:
    courier = Courier()
    assert reply_of(ask(courier, envelope(index=2))).error_code == CourierCode.SUCCESS
    assert reply_of(ask(courier, envelope(index=2))) == CourierEnvelopeReply(
        envelope().hash, 0, error_code=CourierCode.INVALID_ENVELOPE
    )


def test_not_found_is_asked_for_again_five_times_and_then_served_until_the_entry_is_swept() -> None:
    courier = Courier()
    dispatches = 0
    for second in range(20):
        answer = ask(courier, envelope(), float(second))
        if answer.dispatch is not None:
            dispatches += 1
            courier.replied(envelope(), missing(3))
            courier.dispatched(envelope())
    assert dispatches == 1 + REDISPATCHES
    late = ENVELOPE_SECONDS + 1
    assert ask(courier, envelope(), late).dispatch is None, "only another envelope sweeps"
    ask(courier, envelope(b"another"), late)
    assert ask(courier, envelope(), late).dispatch == envelope()


def test_a_redispatch_waits_for_the_one_under_way_and_a_good_reply_ends_them() -> None:
    courier = Courier()
    ask(courier, envelope())
    courier.replied(envelope(), missing(3))
    assert ask(courier, envelope(), 1.0).dispatch is None
    courier.dispatched(envelope())
    assert ask(courier, envelope(), 2.0).dispatch == envelope()
    courier.replied(envelope(), good(3))
    courier.replied(envelope(), missing(3))
    courier.dispatched(envelope())
    answer = ask(courier, envelope(), 3.0)
    assert answer.dispatch is None
    assert reply_of(answer).payload == b"sealed", "an error does not replace a good reply"


def test_one_good_slot_stops_redispatches_though_the_other_is_served() -> None:
    courier = Courier()
    ask(courier, envelope())
    courier.replied(envelope(), missing(3))
    courier.replied(envelope(), good(7))
    courier.dispatched(envelope())
    answer = ask(courier, envelope(), 1.0)
    assert answer.dispatch is None
    assert reply_of(answer).payload == b"sealed: not found"


def test_silence_is_asked_for_again_after_the_grace() -> None:
    courier = Courier()
    ask(courier, envelope())
    courier.dispatched(envelope())
    assert ask(courier, envelope(), GRACE_SECONDS - 1).dispatch is None
    assert ask(courier, envelope(), GRACE_SECONDS).dispatch == envelope()


def test_replies_of_strangers_and_to_unknown_envelopes_are_ignored() -> None:
    courier = Courier()
    courier.replied(envelope(), good(3))
    courier.dispatched(envelope())
    ask(courier, envelope())
    courier.replied(envelope(), SealedReply(0, ReplicaCode.INVALID_EPOCH, b""))
    assert reply_of(ask(courier, envelope())) == CourierEnvelopeReply(envelope().hash, 0)


def test_a_copy_job_is_started_once_and_its_result_kept_for_half_an_hour() -> None:
    courier = Courier()
    command = CopyCommand(b"w" * 168)
    first = ask(courier, command)
    assert first.copy == b"w" * 168
    assert parse_query_reply(first.reply) == CopyCommandReply(CopyStatus.IN_PROGRESS)
    second = ask(courier, command, 5.0)
    assert (second.copy, second.reply) == (None, first.reply)
    failed = CopyCommandReply(CopyStatus.FAILED, ReplicaCode.BOX_ALREADY_EXISTS, 2)
    courier.copied(b"w" * 168, failed, 10.0)
    assert parse_query_reply(ask(courier, command, 10.0 + COPY_SECONDS - 1).reply) == failed
    assert ask(courier, command, 10.0 + COPY_SECONDS).copy == b"w" * 168


def test_there_is_an_end_to_copy_jobs() -> None:
    courier = Courier()
    for number in range(MOST_COPIES):
        ask(courier, CopyCommand(number.to_bytes(168, "big")))
    assert courier.query(encode_query(CopyCommand(b"x" * 168)), 0.0, EPOCH) is None
