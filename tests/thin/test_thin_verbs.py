"""Verbs: what each request is answered with, and which messages are refused with which words."""

from typing import Any

import cbor2
import pytest
import trio

from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.events import Event
from kpclientd.thin.verbs import directory, messages, refused, session
from kpclientd.thin.verbs.directory import GetDirectoryAuthorities, GetPkiDocument
from kpclientd.thin.verbs.messages import SendMessage
from kpclientd.thin.verbs.refused import IgnoredRequest, RefusedRequest
from kpclientd.thin.verbs.session import SessionToken, ThinClose
from kpclientd.thin.verbs.verb import Caller, Verb
from pki import key_hash
from tests.thin.serving import BEGIN, Office, Peer, connected, framed

ID, SURB, HASH, TOKEN = b"q" * 16, b"s" * 16, b"h" * 32, b"t" * 16
ROWS: dict[type, Verb] = {
    SendMessage: messages.SEND_MESSAGE,
    GetPkiDocument: directory.GET_PKI_DOCUMENT,
    GetDirectoryAuthorities: directory.GET_DIRECTORY_AUTHORITIES,
    SessionToken: session.SESSION_TOKEN,
    ThinClose: session.THIN_CLOSE,
}


class Bench(Office):
    """One application, and all that it may ask."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.peer = Peer()
        self.caller = Caller(self.services, None)
        self.reconnect()

    def reconnect(self) -> None:
        """The application comes again, on a connection of its own."""
        self.peer, self.caller.session = connected(self.sessions)

    def vanish(self) -> None:
        assert self.caller.session is not None
        self.sessions.disconnected(self.caller.session, self.peer, 0.0)

    def ask(self, request: Any, verb: Verb | None = None) -> list[Event]:
        """Serve a request, and return what the application hears."""
        row = verb or ROWS[type(request)]
        answer = trio.run(row.handle, self.caller, request)
        if answer is not None:
            assert row.reply is not None
            assert answer["error_code"] in row.codes
            self.caller.tell({row.reply: answer})
        self.peer.session = self.caller.session
        return self.peer.read() if self.caller.session is not None else []

    def refusal(self, **changes: Any) -> dict[str, Any]:
        """The event with which a message is refused."""
        (heard,) = self.ask(send(**changes))
        body: dict[str, Any] = heard["message_sent_event"]
        assert (body["sent_at"], body["reply_eta"]) == (int(BEGIN), 0)
        assert len(self.queues) == 0
        return body


def send(**changes: Any) -> SendMessage:
    fields: dict[str, Any] = {
        "message_id": None,
        "with_surb": True,
        "surb_id": SURB,
        "destination": HASH,
        "recipient": b"+echo",
        "payload": b"hello",
    }
    return SendMessage(**(fields | changes))


@pytest.fixture
def bench() -> Bench:
    return Bench()


# -- messages


def test_a_good_message_waits_in_its_applications_queue_and_nothing_is_said_yet(bench: Bench) -> None:
    assert bench.ask(send(message_id=ID)) == []
    operation = bench.queues.pick()
    assert operation is not None
    message = operation.message
    assert message is not None
    assert (message.owner, message.message_id, message.surb_id) == (bench.caller.app_id, ID, SURB)
    assert (message.destination, message.recipient) == (HASH, b"+echo".ljust(32, b"\0"))
    assert (message.payload, message.with_surb, message.reliable) == (b"hello", True, False)


def test_a_reliable_message_wants_a_reply_under_a_surb_id_of_the_engines_choice(bench: Bench) -> None:
    assert bench.ask(send(with_surb=False, surb_id=None, reliable=True)) == []
    operation = bench.queues.pick()
    assert operation is not None
    assert operation.message is not None
    assert (operation.message.with_surb, operation.message.reliable, operation.message.surb_id) == (True, True, None)


def test_without_with_surb_a_surb_id_is_ignored(bench: Bench) -> None:
    for _ in range(2):
        assert bench.ask(send(with_surb=False)) == []
    assert len(bench.queues) == 2
    operation = bench.queues.pick()
    assert operation is not None
    assert operation.message is not None
    assert (operation.message.with_surb, operation.message.surb_id) == (False, None)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"destination": None}, "request.DestinationIdHash is nil"),
        ({"destination": b"h" * 31}, "destination_id_hash has 31 bytes, not 32"),
        ({"recipient": None}, "client: recipient is nil"),
        ({"recipient": b""}, "client: recipient is nil"),
        ({"recipient": b"q" * 33}, "client: invalid recipient: it has 33 bytes, at most 32 fit"),
        ({"payload": bytes(2001)}, "message too large: 2001 > 2000"),
        ({"payload": memoryview(bytes(1_000_000))}, "message too large: 1000000 > 2000"),
        ({"message_id": b"m" * 15}, "id has 15 bytes, not 16"),
        ({"surb_id": b"s" * 17}, "surbid has 17 bytes, not 16"),
        ({"destination": None, "recipient": None}, "request.DestinationIdHash is nil"),
        ({"recipient": b"", "payload": bytes(2001)}, "client: recipient is nil"),
    ],
)
def test_a_bad_message_is_refused_at_once_with_its_reason(bench: Bench, changes: dict[str, Any], text: str) -> None:
    refusal = bench.refusal(**changes)
    assert refusal["err"] == text
    assert refusal["surbid"] == changes.get("surb_id", SURB)


@pytest.mark.parametrize("changes", [{}, {"recipient": b""}])
def test_with_surb_but_no_surb_id_is_refused_with_a_null_one(bench: Bench, changes: dict[str, Any]) -> None:
    refusal = bench.refusal(surb_id=None, **changes)
    assert refusal["err"] == ("client: recipient is nil" if changes else "surbid is required when with_surb is set")
    assert refusal["surbid"] is None


def test_the_longest_payload_and_the_empty_one_are_taken(bench: Bench) -> None:
    assert bench.ask(send(payload=bytes(2000))) == []
    assert bench.ask(send(payload=b"", surb_id=b"u" * 16)) == []
    assert len(bench.queues) == 2


def test_a_payload_that_is_kept_does_not_keep_its_frame(bench: Bench) -> None:
    bench.ask(send(payload=memoryview(bytearray(b"a frame around hello"))[15:]))
    operation = bench.queues.pick()
    assert operation is not None
    assert operation.message is not None
    assert operation.message.payload == b"hello"
    assert type(operation.message.payload) is bytes


def test_a_surb_id_that_is_awaited_is_refused(bench: Bench) -> None:
    bench.ask(send())
    bench.queues.pick()
    assert "surbid is in use" in bench.refusal()["err"]


def test_too_many_messages_at_once_are_refused_and_other_applications_not_concerned() -> None:
    bench = Bench(most_per_owner=2)
    for number in range(2):
        assert bench.ask(send(surb_id=bytes([number + 1]) * 16)) == []
    (heard,) = bench.ask(send())
    assert "wait for their replies" in heard["message_sent_event"]["err"]
    bench.reconnect()
    assert bench.ask(send()) == []


@pytest.mark.parametrize("changes", [{"legacy_v1": True}, {"with_surb": False}, {"legacy_v1": True, "reliable": True}])
def test_nothing_is_said_where_no_event_is_expected(bench: Bench, changes: dict[str, Any]) -> None:
    assert bench.ask(send(destination=None, **changes)) == []
    assert len(bench.queues) == 0


def test_a_flat_request_marks_its_session_and_a_later_one_of_today_unmarks_it(bench: Bench) -> None:
    assert bench.caller.session is not None
    bench.ask(send(legacy_v1=True))
    assert bench.caller.session.is_legacy_v1
    bench.ask(send(surb_id=b"u" * 16))
    assert not bench.caller.session.is_legacy_v1


# -- documents and authorities


@pytest.mark.parametrize("query_id", [ID, None])
@pytest.mark.parametrize("asks_by_number", [False, True])
def test_a_document_is_served_with_its_signatures(bench: Bench, query_id: bytes | None, asks_by_number: bool) -> None:
    assert bench.document is not None
    (heard,) = bench.ask(GetPkiDocument(query_id, bench.epoch if asks_by_number else 0))
    assert heard["get_pki_document_reply"] == {
        "query_id": query_id,
        "payload": bench.document.certificate,
        "epoch": bench.epoch,
        "error_code": 0,
    }
    assert cbor2.loads(heard["get_pki_document_reply"]["payload"])["Signatures"]


@pytest.mark.parametrize("epoch", [1, 2**64 - 1])
def test_an_epoch_without_a_document_gets_its_number_back_and_code_ten(bench: Bench, epoch: int) -> None:
    (heard,) = bench.ask(GetPkiDocument(ID, epoch))
    body = {"query_id": ID, "payload": b"", "epoch": epoch, "error_code": 10}
    assert heard["get_pki_document_reply"] == body


def test_without_any_document_the_present_epoch_is_named() -> None:
    bench = Bench(document=False)
    (heard,) = bench.ask(GetPkiDocument(ID, 0))
    body = {"query_id": ID, "payload": b"", "epoch": bench.epoch, "error_code": 10}
    assert heard["get_pki_document_reply"] == body


def test_the_authorities_of_the_configuration_are_named_in_its_order(bench: Bench) -> None:
    (heard,) = bench.ask(GetDirectoryAuthorities(ID))
    body = heard["get_directory_authorities_reply"]
    assert (body["query_id"], body["error_code"]) == (ID, 0)
    assert [entry["identifier"] for entry in body["authorities"]] == ["auth1", "auth2", "auth3"]
    hashes = [key_hash(authority.identity_public_key) for authority in bench.authorities]
    assert [entry["identity_key_hash"] for entry in body["authorities"]] == hashes
    assert set(body["authorities"][0]) == {
        "identifier",
        "pki_signature_scheme",
        "wire_kem_scheme",
        "addresses",
        "identity_public_key_pem",
        "link_public_key_pem",
        "identity_key_hash",
    }


def test_without_authorities_the_answer_is_code_ten() -> None:
    (heard,) = Bench(authorities=False).ask(GetDirectoryAuthorities(ID))
    assert heard["get_directory_authorities_reply"] == {"query_id": ID, "authorities": [], "error_code": 10}


@pytest.mark.parametrize("request_", [GetPkiDocument(b"q" * 15, 0), GetDirectoryAuthorities(b"q" * 17)])
def test_a_query_id_of_a_wrong_length_is_an_invalid_request(bench: Bench, request_: Any) -> None:
    (heard,) = bench.ask(request_)
    (body,) = heard.values()
    assert (body["query_id"], body["error_code"]) == (request_.query_id, 3)


# -- the rest


def test_requests_that_are_not_served_are_answered_under_the_name_awaited(bench: Bench) -> None:
    retired = refused.retired("read_channel")
    assert bench.ask(RefusedRequest("read_channel", ID), retired) == [
        {"read_channel_reply": {"query_id": ID, "error_code": 6}}
    ]


def test_what_is_ignored_has_no_answer(bench: Bench) -> None:
    assert bench.ask(IgnoredRequest(), refused.ignored("send_loop_decoy")) == []
    assert len(bench.queues) == 0


def test_a_token_is_answered_with_the_app_id_and_then_with_what_was_kept(bench: Bench) -> None:
    (first,) = bench.ask(SessionToken(TOKEN))
    app_id = bench.caller.app_id
    assert app_id is not None
    assert first == {"session_token_reply": {"app_id": app_id, "resumed": False}}
    bench.vanish()
    kept = [{"message_reply_event": {"number": number}} for number in range(3)]
    for event in kept:
        bench.sessions.deliver(app_id, event, final=True)
    bench.reconnect()
    assert bench.ask(SessionToken(TOKEN)) == [{"session_token_reply": {"app_id": app_id, "resumed": True}}, *kept]


def test_what_was_said_before_the_token_comes_before_its_answer(bench: Bench) -> None:
    bench.ask(SessionToken(TOKEN))
    app_id = bench.caller.app_id
    assert app_id is not None
    bench.vanish()
    bench.sessions.deliver(app_id, {"kept": {}}, final=True)
    bench.reconnect()
    assert bench.caller.session is not None
    bench.sessions.put(bench.caller.session, framed({"before": {}}))
    heard = bench.ask(SessionToken(TOKEN))
    assert [next(iter(event)) for event in heard] == ["before", "session_token_reply", "kept"]


def test_a_session_that_resumes_still_has_its_messages_waiting(bench: Bench) -> None:
    bench.ask(SessionToken(TOKEN))
    bench.ask(send())
    bench.vanish()
    bench.reconnect()
    bench.ask(SessionToken(TOKEN))
    operation = bench.queues.pick()
    assert operation is not None
    assert operation.owner == bench.caller.app_id


def test_messages_sent_before_the_token_are_the_resumed_sessions(bench: Bench) -> None:
    bench.ask(SessionToken(TOKEN))
    bench.ask(send(message_id=ID, surb_id=b"1" * 16))
    app_id = bench.caller.app_id
    bench.vanish()
    bench.reconnect()
    fresh = bench.caller.app_id
    bench.ask(send(message_id=ID, surb_id=b"2" * 16))
    bench.ask(SessionToken(TOKEN))
    assert (bench.caller.app_id, bench.destroyed) == (app_id, [fresh])
    operations = [bench.queues.pick(), bench.queues.pick()]
    assert [operation.owner for operation in operations if operation is not None] == [app_id, app_id]
    assert [operation.surb_id for operation in operations if operation is not None] == [b"1" * 16, b"2" * 16]
    assert len(bench.engine) == 2, "none was cancelled with the session that is gone"


@pytest.mark.parametrize("token", [None, b"", bytes(16)])
def test_a_useless_token_ends_the_connection(bench: Bench, token: bytes | None) -> None:
    with pytest.raises(InvalidRequest):
        bench.ask(SessionToken(token))


def test_an_application_that_is_done_is_forgotten_without_a_word(bench: Bench) -> None:
    bench.ask(SessionToken(TOKEN))
    app_id, before = bench.caller.app_id, bench.peer.notified
    assert bench.ask(ThinClose()) == []
    assert (bench.caller.session, bench.peer.notified) == (None, before)
    assert bench.destroyed == [app_id]


@pytest.mark.parametrize("request_", [ThinClose(), SessionToken(TOKEN), send()])
def test_who_is_done_asks_nothing_more(bench: Bench, request_: Any) -> None:
    bench.ask(ThinClose())
    assert bench.ask(request_) == []
    assert (len(bench.sessions), len(bench.queues), len(bench.engine)) == (0, 0, 0)
