"""What applications ask: every request of the thin-client protocol that this daemon serves, as a value.

Three generations of clients are told apart by what they send: generation 1 writes one flat map with flags, later ones
a union of maps with one live key. Source: the Katzenpost thin-client protocol, "requests" and "older generations".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kpclientd.thin.errors import MistypedField
from kpclientd.thin.fields import Fields

ID_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class ThinClose:
    """The application is done: forget it."""


@dataclass(frozen=True, slots=True)
class SessionToken:
    """Names the application over reconnects."""

    token: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class GetPkiDocument:
    """Asks for the signed document of an epoch; 0 is the current one."""

    query_id: bytes | None
    epoch: int


@dataclass(frozen=True, slots=True)
class GetDirectoryAuthorities:
    """Asks for the authorities of the daemon's configuration."""

    query_id: bytes | None


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Asks for one packet to a service; reliably means that the daemon retransmits until it is answered."""

    message_id: bytes | None
    with_surb: bool
    surb_id: bytes | None
    destination: bytes | None
    recipient: bytes | None = field(repr=False)
    payload: bytes = field(repr=False)
    reliable: bool = False
    flat: bool = False
    """Whether it came as a flat map of generation 1, whose clients cannot read an error text."""


@dataclass(frozen=True, slots=True)
class ChannelRequest:
    """A verb of the channel API of 2025, which no longer exists."""

    verb: str
    query_id: bytes | None


@dataclass(frozen=True, slots=True)
class UnservedRequest:
    """A verb of today that this version does not serve."""

    verb: str
    query_id: bytes | None


@dataclass(frozen=True, slots=True)
class Swallowed:
    """Accepted and without effect: decoy requests of old clients, and maps without a live known verb."""

    what: str


Request = (
    ThinClose
    | SessionToken
    | GetPkiDocument
    | GetDirectoryAuthorities
    | SendMessage
    | ChannelRequest
    | UnservedRequest
    | Swallowed
)

_FLAT_FLAGS: Final = ("is_thin_close", "is_loop_decoy", "is_drop_decoy", "is_send_op", "is_arq_send_op")

_VERBS: Final = (
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
"""In the order in which the reference looks for a live one."""

_CHANNEL_VERBS: Final = (
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
_OLD_DECOY_VERBS: Final = ("send_loop_decoy", "send_drop_decoy")


def parse_request(message: Mapping[Any, Any]) -> Request:
    """Return what a decoded frame asks for.

    Raises:
        MistypedField: if a field that matters has an unreadable type.
    """
    for flag in _FLAT_FLAGS:
        if flag in message:
            return _parse_flat(Fields("request", message))
    union = Fields("request", message)
    for verb in _VERBS + _CHANNEL_VERBS + _OLD_DECOY_VERBS:
        body = union.raw(verb)
        if body is not None:
            if not isinstance(body, dict):
                raise MistypedField(f"{verb} holds a {type(body).__name__} where a map belongs")
            return _parse_verb(verb, Fields(verb, body))
    return Swallowed("a map without a known request")


def _parse_flat(fields: Fields) -> Request:
    flags = {flag: fields.flag(flag) for flag in _FLAT_FLAGS}
    if flags["is_thin_close"]:
        return ThinClose()
    if flags["is_loop_decoy"] or flags["is_drop_decoy"]:
        return Swallowed("a decoy request: cover traffic is the daemon's own business")
    if flags["is_send_op"]:
        return _parse_send(fields, reliable=False, flat=True)
    if flags["is_arq_send_op"]:
        return _parse_send(fields, reliable=True, flat=True)
    return Swallowed("a flat map with no flag set")


def _parse_verb(verb: str, fields: Fields) -> Request:
    match verb:
        case "thin_close":
            return ThinClose()
        case "session_token":
            return SessionToken(fields.octets("client_instance_token"))
        case "get_pki_document":
            return GetPkiDocument(fields.octets("query_id"), fields.unsigned("epoch"))
        case "get_directory_authorities":
            return GetDirectoryAuthorities(fields.octets("query_id"))
        case "send_message":
            return _parse_send(fields, reliable=False)
        case "send_arq_message":
            return _parse_send(fields, reliable=True)
        case _ if verb in _CHANNEL_VERBS:
            return ChannelRequest(verb, fields.octets("query_id"))
        case _ if verb in _OLD_DECOY_VERBS:
            return Swallowed("a decoy request: cover traffic is the daemon's own business")
        case _:
            return UnservedRequest(verb, fields.octets("query_id"))


def _parse_send(fields: Fields, *, reliable: bool, flat: bool = False) -> SendMessage:
    return SendMessage(
        message_id=fields.octets("id"),
        with_surb=fields.flag("with_surb"),
        surb_id=fields.octets("surbid"),
        destination=fields.octets("destination_id_hash"),
        recipient=fields.octets("recipient_queue_id"),
        payload=fields.octets("payload") or b"",
        reliable=reliable,
        flat=flat,
    )
