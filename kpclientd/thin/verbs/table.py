"""The table of verbs, and how a request finds its row.

To add a verb: write its module beside this one, and add its row here. Rows stand in the order in which the reference
looks for a live key, as several may be live in one union; what is ours stands behind them.

Three generations of clients are told apart by what they send: generation 1 writes one flat map with flags, later ones
a union of maps with one live key. Source: the Katzenpost thin-client protocol, "requests" and "older generations".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kpclientd.thin.bounds import MAX_ITEMS
from kpclientd.thin.errors import MistypedField
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs import boxes, copy_streams, directory, messages, refused, resending, session, status, vouchers
from kpclientd.thin.verbs.verb import Verb

TABLE: Final = (
    session.THIN_CLOSE,
    session.SESSION_TOKEN,
    boxes.NEW_KEYPAIR,
    boxes.ENCRYPT_READ,
    boxes.ENCRYPT_WRITE,
    resending.CANCEL_RESENDING_ENCRYPTED_MESSAGE,
    resending.CANCEL_RESENDING_COPY_COMMAND,
    boxes.NEXT_MESSAGE_BOX_INDEX,
    boxes.GET_MESSAGE_BOX_INDEX_COUNTER,
    directory.GET_PKI_DOCUMENT,
    directory.GET_DIRECTORY_AUTHORITIES,
    copy_streams.FROM_PAYLOAD,
    copy_streams.FROM_PAYLOADS,
    copy_streams.FROM_TOMBSTONE_RANGE,
    vouchers.VOUCHER_MINT,
    vouchers.VOUCHER_INDUCT,
    vouchers.VOUCHER_OPEN,
    vouchers.VOUCHER_DERIVE_STREAM,
    messages.SEND_MESSAGE,
    messages.SEND_ARQ_MESSAGE,
    resending.START_RESENDING_ENCRYPTED_MESSAGE,
    resending.START_RESENDING_COPY_COMMAND,
    refused.retired("create_write_channel"),
    refused.retired("create_read_channel"),
    refused.retired("write_channel"),
    refused.retired("read_channel"),
    refused.retired("resume_write_channel"),
    refused.retired("resume_write_channel_query"),
    refused.retired("resume_read_channel"),
    refused.retired("resume_read_channel_query"),
    refused.retired("close_channel"),
    refused.retired("send_channel_query"),
    refused.ignored("send_loop_decoy"),
    refused.ignored("send_drop_decoy"),
    status.DAEMON_STATUS,
)

LEGACY_V1: Final = (
    ("is_thin_close", session.THIN_CLOSE),
    ("is_loop_decoy", refused.ignored("is_loop_decoy")),
    ("is_drop_decoy", refused.ignored("is_drop_decoy")),
    (
        "is_send_op",
        Verb("is_send_op", partial(messages.parse_send, reliable=False, legacy_v1=True), messages.send),
    ),
    (
        "is_arq_send_op",
        Verb("is_arq_send_op", partial(messages.parse_send, reliable=True, legacy_v1=True), messages.send),
    ),
)
"""The flags of generation 1, in the order in which its daemon looked at them."""

ALLOWANCES: Final[Mapping[bytes, int]] = {
    verb.name.encode(): verb.most_items for verb in TABLE if verb.most_items > MAX_ITEMS
}
"""The verbs whose frames may have more CBOR items than others."""


@dataclass(frozen=True, slots=True)
class Request:
    """A request that was read: its row, and what that row's parser made of it."""

    verb: Verb
    content: Any


def read_request(message: Mapping[Any, Any], table: tuple[Verb, ...] = TABLE) -> Request | None:
    """Return what a decoded frame asks for, or None where it asks for nothing that is known.

    Raises:
        MistypedField: if a field that matters has an unreadable type.
    """
    union = Fields("request", message)
    if any(flag in message for flag, _ in LEGACY_V1):
        flags = [(union.flag(flag), verb) for flag, verb in LEGACY_V1]
        live = next((verb for is_set, verb in flags if is_set), None)
        return Request(live, live.parse(union)) if live is not None else None
    for verb in table:
        body = union.raw(verb.name)
        if body is not None:
            if not isinstance(body, dict):
                raise MistypedField(f"{verb.name} holds a {type(body).__name__} where a map belongs")
            return Request(verb, verb.parse(Fields(verb.name, body)))
    return None
