"""`send_message` and `send_arq_message`: what goes into the mixnet.

A message is checked when it is received, taken over by the engine, and answered by events: that it was sent, or could
not be, and its reply. A message without SURB has no events at all.

Source: the Katzenpost thin-client protocol, "send_message" and "older generations".
"""

import logging
from dataclasses import dataclass, field
from typing import Final

from arq import AppId, ArqError, Message
from kpclientd.thin import events
from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.verb import ID_LENGTH, Caller, Verb
from sphinx.geometry import Geometry
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId

log = logging.getLogger("client/incomingConn")

HASH_LENGTH: Final = NODE_ID_LENGTH


@dataclass(frozen=True, slots=True)
class SendMessage:
    """Asks for one packet to a service; reliably means that the daemon retransmits until it is answered."""

    message_id: bytes | None
    with_surb: bool
    surb_id: bytes | None
    destination: bytes | None
    recipient: bytes | None = field(repr=False)
    payload: bytes | memoryview = field(repr=False)
    reliable: bool = False
    legacy_v1: bool = False
    """Whether it came as a flat map of generation 1, whose clients cannot read an error text."""


def parse_plain(fields: Fields) -> SendMessage:
    """Read a message that is sent once."""
    return parse_send(fields, reliable=False)


def parse_reliable(fields: Fields) -> SendMessage:
    """Read a message that is sent until it is answered."""
    return parse_send(fields, reliable=True)


def parse_send(fields: Fields, *, reliable: bool, legacy_v1: bool = False) -> SendMessage:
    """Read a message of any generation."""
    return SendMessage(
        message_id=fields.octets("id"),
        with_surb=fields.flag("with_surb"),
        surb_id=fields.octets("surbid"),
        destination=fields.octets("destination_id_hash"),
        recipient=fields.octets("recipient_queue_id"),
        payload=fields.payload("payload") or b"",
        reliable=reliable,
        legacy_v1=legacy_v1,
    )


async def send(caller: Caller, request: SendMessage) -> None:
    """Check a message and hand it to the engine, or say why not."""
    session, services = caller.session, caller.services
    if session is None:
        return
    session.is_legacy_v1 = request.legacy_v1
    try:
        services.engine.accept(_checked(session.app_id, request, services.geometry))
    except (InvalidRequest, ArqError) as error:
        _refuse(caller, request, str(error))
    else:
        services.on_progress()


def _refuse(caller: Caller, request: SendMessage, reason: str) -> None:
    log.debug("refused a message: %s", reason)
    if request.legacy_v1 or not (request.with_surb or request.reliable):
        # Clients of generation 1 cannot decode an error; a message without SURB has no events by definition.
        return
    surb_id = request.surb_id if request.with_surb else None
    now = caller.services.network_time()
    caller.tell(events.message_not_sent(request.message_id, surb_id, reason, now=now))


def _checked(owner: AppId, request: SendMessage, geometry: Geometry) -> Message:
    destination, recipient = request.destination, request.recipient
    if destination is None:
        raise InvalidRequest("request.DestinationIdHash is nil")
    if len(destination) != HASH_LENGTH:
        raise InvalidRequest(f"destination_id_hash has {len(destination)} bytes, not {HASH_LENGTH}")
    if not recipient:
        raise InvalidRequest("client: recipient is nil")
    if len(recipient) > RECIPIENT_ID_LENGTH:
        raise InvalidRequest(
            f"client: invalid recipient: it has {len(recipient)} bytes, at most {RECIPIENT_ID_LENGTH} fit"
        )
    longest = geometry.user_forward_payload_length
    if len(request.payload) > longest:
        raise InvalidRequest(f"message too large: {len(request.payload)} > {longest}")
    if request.message_id is not None and len(request.message_id) != ID_LENGTH:
        raise InvalidRequest(f"id has {len(request.message_id)} bytes, not {ID_LENGTH}")
    surb_id = None
    if request.with_surb and not request.reliable:
        if request.surb_id is None:
            raise InvalidRequest("surbid is required when with_surb is set")
        if len(request.surb_id) != SURB_ID_LENGTH:
            raise InvalidRequest(f"surbid has {len(request.surb_id)} bytes, not {SURB_ID_LENGTH}")
        surb_id = SurbId(request.surb_id)
    return Message(
        owner=owner,
        message_id=request.message_id,
        destination=NodeId(destination),
        recipient=RecipientId(recipient.ljust(RECIPIENT_ID_LENGTH, b"\0")),
        payload=bytes(request.payload),
        with_surb=request.with_surb or request.reliable,
        surb_id=surb_id,
        reliable=request.reliable,
    )


SEND_MESSAGE = Verb("send_message", parse_plain, send)
SEND_ARQ_MESSAGE = Verb("send_arq_message", parse_reliable, send)
