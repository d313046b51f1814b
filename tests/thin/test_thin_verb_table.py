"""The table of verbs: whose rows stand in it, in which order, and that every row keeps what it promises."""

from itertools import pairwise
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.thin.bounds import MAX_ITEMS
from kpclientd.thin.errors import InvalidRequest, MistypedField
from kpclientd.thin.events import INVALID_CHANNEL
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.refused import IgnoredRequest, RefusedRequest
from kpclientd.thin.verbs.table import ALLOWANCES, LEGACY_V1, TABLE, read_request
from kpclientd.thin.verbs.verb import Caller, Verb
from tests.thin.serving import Office, connected

ID = bytes(range(16))
REFERENCE_ORDER = (
    "thin_close",
    "session_token",
    "new_keypair",
    "encrypt_read",
    "encrypt_write",
    "cancel_resending_encrypted_message",
    "cancel_resending_copy_command",
    "next_message_box_index",
    "get_message_box_index_counter",
    "get_pki_document",
    "get_directory_authorities",
    "create_courier_envelopes_from_payload",
    "create_courier_envelopes_from_multi_payload",
    "create_courier_envelopes_from_tombstone_range",
    "voucher_mint",
    "voucher_induct",
    "voucher_open",
    "voucher_derive_stream",
    "send_message",
    "send_arq_message",
    "start_resending_encrypted_message",
    "start_resending_copy_command",
)
CHANNEL_VERBS = (
    "create_write_channel",
    "create_read_channel",
    "write_channel",
    "read_channel",
    "resume_write_channel",
    "resume_write_channel_query",
    "resume_read_channel",
    "resume_read_channel_query",
    "close_channel",
    "send_channel_query",
)
DECOY_VERBS = ("send_loop_decoy", "send_drop_decoy")
OUR_VERBS = ("daemon_status",)
BY_NAME = {verb.name: verb for verb in TABLE}


def test_every_verb_of_the_reference_is_a_row_in_its_order() -> None:
    assert tuple(verb.name for verb in TABLE) == REFERENCE_ORDER + CHANNEL_VERBS + DECOY_VERBS + OUR_VERBS


def test_the_flags_of_generation_one_are_looked_at_in_its_daemons_order() -> None:
    flags = ["is_thin_close", "is_loop_decoy", "is_drop_decoy", "is_send_op", "is_arq_send_op"]
    assert [flag for flag, _ in LEGACY_V1] == flags


@pytest.mark.parametrize("verb", TABLE, ids=lambda verb: verb.name)
def test_a_row_that_is_answered_names_its_answer_after_itself(verb: Verb) -> None:
    assert verb.reply in (f"{verb.name}_reply", None)
    assert verb.reply is not None or not verb.codes
    assert verb.most_items == ALLOWANCES.get(verb.name.encode(), MAX_ITEMS)


@pytest.mark.parametrize("name", [*REFERENCE_ORDER, *CHANNEL_VERBS, *OUR_VERBS])
def test_every_verb_is_read_or_told_as_not_served(name: str) -> None:
    request = read_request({name: {"query_id": ID}})
    assert request is not None
    assert request.verb is BY_NAME[name]
    if name in CHANNEL_VERBS:
        assert request.content == RefusedRequest(name, ID)
        assert request.verb.codes == {INVALID_CHANNEL}
    else:
        assert not isinstance(request.content, RefusedRequest | IgnoredRequest)


@pytest.mark.parametrize("name", DECOY_VERBS)
def test_decoy_verbs_of_old_are_accepted_and_have_no_effect(name: str) -> None:
    request = read_request({name: {"query_id": ID}})
    assert request is not None
    assert request.content == IgnoredRequest()
    assert (request.verb.reply, request.verb.codes) == (None, frozenset())


@pytest.mark.parametrize(("earlier", "later"), list(pairwise(verb.name for verb in TABLE)))
def test_the_first_live_verb_in_the_references_order_is_the_only_one_served(earlier: str, later: str) -> None:
    request = read_request({later: {"query_id": ID}, earlier: {"query_id": ID}})
    assert request is not None
    assert request.verb is BY_NAME[earlier]
    without = read_request({later: {"query_id": ID}, earlier: None})
    assert without is not None
    assert without.verb is BY_NAME[later]


def test_a_verb_is_added_by_a_row() -> None:
    async def handle(caller: Caller, request: int) -> dict[str, Any]:
        return {"error_code": 0, "double": 2 * request}

    def parse(fields: Fields) -> int:
        return fields.unsigned("number")

    row = Verb("double", parse, handle, "double_reply", frozenset({0}))
    request = read_request({"double": {"number": 21}}, (*TABLE, row))
    assert request is not None
    assert (request.verb, request.content) == (row, 21)
    assert read_request({"double": {"number": 21}}) is None
    with pytest.raises(MistypedField, match="double: number"):
        read_request({"double": {"number": b"21"}}, (*TABLE, row))


# -- every row keeps its promise

IDS = st.none() | st.sampled_from([ID, b"", b"q" * 15, b"q" * 17]) | st.binary(max_size=20)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "query_id": IDS,
        "epoch": st.sampled_from([0, 1, 2**64 - 1]) | st.integers(0, 2**64 - 1),
        "client_instance_token": IDS,
        "id": IDS,
        "surbid": IDS,
        "with_surb": st.booleans(),
        "destination_id_hash": st.none() | st.sampled_from([bytes(32), bytes(31)]),
        "recipient_queue_id": st.none() | st.sampled_from([b"+echo", b"", bytes(33)]),
        "payload": st.none() | st.sampled_from([b"", b"hello", bytes(2000), bytes(2001)]),
        "envelope": st.binary(max_size=8),
    },
)


@pytest.mark.parametrize("bench", [Office(), Office(document=False, authorities=False)], ids=["full", "empty"])
@pytest.mark.parametrize("verb", TABLE, ids=lambda verb: verb.name)
def test_the_answers_of_every_row_carry_its_own_codes_alone(verb: Verb, bench: Office) -> None:
    codes: set[int] = set()

    @settings(max_examples=30, deadline=None)
    @given(FIELDS)
    def check(fields: dict[str, Any]) -> None:
        _, session = connected(bench.sessions)
        caller = Caller(bench.services, session)
        answer: Any = None
        try:
            request = read_request({verb.name: fields})
            assert request is not None
            assert request.verb is verb
            answer = trio.run(verb.handle, caller, request.content)
        except InvalidRequest:
            assert verb.name == "session_token"
        if answer is None:
            assert not verb.codes or verb.name.startswith("start_resending"), "these are answered when they have ended"
        else:
            assert verb.reply is not None
            assert answer["error_code"] in verb.codes
            assert answer["query_id"] == fields.get("query_id")
            codes.add(answer["error_code"])
        if caller.session is not None:
            bench.sessions.end(caller.session)

    check()
    assert codes <= verb.codes


def test_rows_that_may_answer_with_several_codes_do() -> None:
    seen: dict[str, set[int]] = {name: set() for name in ("get_pki_document", "get_directory_authorities")}
    for bench in (Office(), Office(document=False, authorities=False)):
        for name, codes in seen.items():
            for query_id in (ID, b"short"):
                request = read_request({name: {"query_id": query_id}})
                assert request is not None
                answer = trio.run(request.verb.handle, Caller(bench.services, None), request.content)
                assert answer is not None
                codes.add(answer["error_code"])
    for name, codes in seen.items():
        assert codes == BY_NAME[name].codes
