"""The desk: what each request is answered with, and which messages are refused with which words."""

from typing import Any

import cbor2
import pytest

from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.events import Event
from kpclientd.thin.requests import (
    ChannelRequest,
    GetDirectoryAuthorities,
    GetPkiDocument,
    SendMessage,
    SessionToken,
    Swallowed,
    ThinClose,
    UnservedRequest,
)
from pki import key_hash
from tests.thin.serving import BEGIN, Office
from tests.thin.test_thin_sessions import Connection

ID, SURB, HASH, TOKEN = b"q" * 16, b"s" * 16, b"h" * 32, b"t" * 16


class Bench(Office):
    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.connection = Connection()
        self.session = self.sessions.open(self.connection)

    def ask(self, request: Any) -> list[Event]:
        """Serve a request and return what the application hears."""
        self.connection.posted.clear()
        session = self.desk.serve(self.session, request)
        assert session is not None
        self.session = session
        return self.connection.posted

    def refusal(self, **changes: Any) -> str:
        """The error text with which a message is refused."""
        (heard,) = self.ask(send(**changes))
        body = heard["message_sent_event"]
        assert (body["sent_at"], body["reply_eta"]) == (int(BEGIN), 0)
        assert len(self.queues) == 0
        text: str = body["err"]
        return text


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
    entry = bench.queues.pick()
    assert entry is not None
    message = entry.message
    assert message is not None
    assert (message.owner, message.message_id, message.surb_id) == (bench.session.app_id, ID, SURB)
    assert (message.destination, message.recipient) == (HASH, b"+echo".ljust(32, b"\0"))
    assert (message.payload, message.with_surb, message.reliable) == (b"hello", True, False)


def test_a_reliable_message_wants_a_reply_under_a_surb_id_of_the_engines_choice(bench: Bench) -> None:
    assert bench.ask(send(with_surb=False, surb_id=None, reliable=True)) == []
    entry = bench.queues.pick()
    assert entry is not None
    assert entry.message is not None
    assert (entry.message.with_surb, entry.message.reliable, entry.message.surb_id) == (True, True, None)


def test_without_with_surb_a_surb_id_is_ignored(bench: Bench) -> None:
    bench.ask(send(with_surb=False))
    bench.ask(send(with_surb=False))
    entry = bench.queues.pick()
    assert entry is not None
    assert entry.message is not None
    assert entry.message.surb_id is None


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"destination": None}, "request.DestinationIdHash is nil"),
        ({"destination": b"h" * 31}, "destination_id_hash has 31 bytes, not 32"),
        ({"recipient": None}, "client: recipient is nil"),
        ({"recipient": b""}, "client: recipient is nil"),
        ({"recipient": b"q" * 33}, "client: invalid recipient: it has 33 bytes, at most 32 fit"),
        ({"payload": bytes(2001)}, "message too large: 2001 > 2000"),
        ({"message_id": b"m" * 15}, "id has 15 bytes, not 16"),
        ({"surb_id": b"s" * 17}, "surbid has 17 bytes, not 16"),
        ({"destination": None, "recipient": None}, "request.DestinationIdHash is nil"),
        ({"recipient": b"", "payload": bytes(2001)}, "client: recipient is nil"),
    ],
)
def test_a_bad_message_is_refused_at_once_with_its_reason(bench: Bench, changes: dict[str, Any], text: str) -> None:
    assert bench.refusal(**changes) == text
    assert bench.connection.posted[0]["message_sent_event"]["surbid"] == changes.get("surb_id", SURB)


@pytest.mark.parametrize("changes", [{}, {"recipient": b""}])
def test_with_surb_but_no_surb_id_is_refused_with_a_null_one(bench: Bench, changes: dict[str, Any]) -> None:
    assert bench.refusal(surb_id=None, **changes) == (
        "client: recipient is nil" if changes else "surbid is required when with_surb is set"
    )
    assert bench.connection.posted[0]["message_sent_event"]["surbid"] is None


def test_the_longest_payload_and_the_empty_one_are_taken(bench: Bench) -> None:
    assert bench.ask(send(payload=bytes(2000))) == []
    assert bench.ask(send(payload=b"", surb_id=b"u" * 16)) == []
    assert len(bench.queues) == 2


def test_a_surb_id_that_is_awaited_is_refused(bench: Bench) -> None:
    bench.ask(send())
    bench.queues.pick()
    assert "surbid is in use" in bench.refusal()


def test_too_many_messages_at_once_are_refused_and_other_applications_not_concerned() -> None:
    bench = Bench(most_per_owner=2)
    for number in range(2):
        assert bench.ask(send(surb_id=bytes([number + 1]) * 16)) == []
    (heard,) = bench.ask(send())
    assert "wait for their replies" in heard["message_sent_event"]["err"]
    bench.session = bench.sessions.open(bench.connection)
    assert bench.ask(send()) == []


@pytest.mark.parametrize("changes", [{"flat": True}, {"with_surb": False}, {"flat": True, "reliable": True}])
def test_nothing_is_said_where_no_event_is_expected(bench: Bench, changes: dict[str, Any]) -> None:
    assert bench.ask(send(destination=None, **changes)) == []
    assert len(bench.queues) == 0


def test_a_flat_request_marks_its_session_and_a_later_one_of_today_unmarks_it(bench: Bench) -> None:
    bench.ask(send(flat=True))
    assert bench.sessions.is_flat(bench.session.app_id)
    bench.ask(send(surb_id=b"u" * 16))
    assert not bench.sessions.is_flat(bench.session.app_id)


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
    assert bench.ask(ChannelRequest("read_channel", ID)) == [{"read_channel_reply": {"query_id": ID, "error_code": 6}}]
    assert bench.ask(UnservedRequest("voucher_mint", ID)) == [{"voucher_mint_reply": {"query_id": ID, "error_code": 4}}]


def test_what_is_swallowed_has_no_answer(bench: Bench) -> None:
    assert bench.ask(Swallowed("nothing")) == []
    assert len(bench.queues) == 0


def test_a_token_is_answered_with_the_app_id_and_then_with_what_was_kept(bench: Bench) -> None:
    (first,) = bench.ask(SessionToken(TOKEN))
    app_id = bench.session.app_id
    assert first == {"session_token_reply": {"app_id": app_id, "resumed": False}}
    bench.sessions.disconnected(bench.session, bench.connection, 0.0)
    kept = [{"message_reply_event": {"number": number}} for number in range(3)]
    for event in kept:
        bench.sessions.deliver(app_id, event, final=True)
    bench.connection = Connection()
    bench.session = bench.sessions.open(bench.connection)
    assert bench.ask(SessionToken(TOKEN)) == [{"session_token_reply": {"app_id": app_id, "resumed": True}}, *kept]


def test_a_session_that_resumes_still_has_its_messages_waiting(bench: Bench) -> None:
    bench.ask(SessionToken(TOKEN))
    bench.ask(send())
    bench.sessions.disconnected(bench.session, bench.connection, 0.0)
    bench.connection = Connection()
    bench.session = bench.sessions.open(bench.connection)
    bench.ask(SessionToken(TOKEN))
    entry = bench.queues.pick()
    assert entry is not None
    assert entry.owner == bench.session.app_id


@pytest.mark.parametrize("token", [None, b"", bytes(16)])
def test_a_useless_token_ends_the_connection(bench: Bench, token: bytes | None) -> None:
    with pytest.raises(InvalidRequest):
        bench.desk.serve(bench.session, SessionToken(token))


def test_an_application_that_is_done_is_forgotten_without_a_word(bench: Bench) -> None:
    bench.ask(SessionToken(TOKEN))
    bench.connection.posted.clear()
    assert bench.desk.serve(bench.session, ThinClose()) is None
    assert bench.connection.posted == []
    assert bench.destroyed == [bench.session.app_id]
