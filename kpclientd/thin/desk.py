"""Serves the requests of applications: local ones at once, messages into their queues.

Source: the Katzenpost thin-client protocol, "requests and replies".
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from arq import AppId, ArqError, Engine, Entry, Message
from kpclientd.config.model import Authority
from kpclientd.thin import events
from kpclientd.thin.errors import InvalidRequest
from kpclientd.thin.events import Event
from kpclientd.thin.requests import (
    ID_LENGTH,
    ChannelRequest,
    GetDirectoryAuthorities,
    GetPkiDocument,
    Request,
    SendMessage,
    SessionToken,
    Swallowed,
    ThinClose,
    UnservedRequest,
)
from kpclientd.thin.sessions import Session, Sessions
from kpclientd.traffic.queues import FairQueues
from pki import EpochClock, TrustedDocuments, key_hash
from sphinx.geometry import Geometry
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId

log = logging.getLogger("client/incomingConn")

HASH_LENGTH: Final = NODE_ID_LENGTH


class Desk:
    """Answers requests on behalf of the daemon.

    Args:
        sessions: who is who.
        engine: takes responsibility for messages.
        queues: where they wait for a slot.
        trusted: the documents.
        clock: the network's epochs.
        authorities: those of the configuration, in its order.
        geometry: bounds payloads.
        unix: the present, in Unix seconds.
    """

    def __init__(
        self,
        *,
        sessions: Sessions,
        engine: Engine,
        queues: FairQueues[AppId, Entry],
        trusted: TrustedDocuments,
        clock: EpochClock,
        authorities: Sequence[Authority],
        geometry: Geometry,
        unix: Callable[[], float],
    ) -> None:
        self._sessions = sessions
        self._engine = engine
        self._queues = queues
        self._trusted = trusted
        self._clock = clock
        self._authorities = [_authority_map(authority) for authority in authorities]
        self._geometry = geometry
        self._unix = unix

    def serve(self, session: Session, request: Request) -> Session | None:
        """Serve one request of `session` and return the connection's session from now on, or None to end it."""
        match request:
            case ThinClose():
                self._sessions.end(session)
                return None
            case SessionToken(token=token):
                return self._register(session, token)
            case SendMessage():
                self._send(session, request)
            case GetPkiDocument(query_id=query_id, epoch=epoch):
                self._post(session, self._document(query_id, epoch))
            case GetDirectoryAuthorities(query_id=query_id):
                self._post(session, self._directory_authorities(query_id))
            case ChannelRequest(verb=verb, query_id=query_id):
                self._post(session, events.refusal(verb, query_id, events.INVALID_CHANNEL))
            case UnservedRequest(verb=verb, query_id=query_id):
                log.info("Refused a %s: this version does not serve it.", verb)
                self._post(session, events.refusal(verb, query_id, events.INTERNAL_ERROR))
            case Swallowed(what=what):
                log.debug("ignored %s", what)
        return session

    @staticmethod
    def _post(session: Session, event: Event) -> None:
        if session.connection is not None:
            session.connection.post(event)

    def _register(self, session: Session, token: bytes | None) -> Session:
        session, resumed = self._sessions.register(session, token)
        self._post(session, events.session_token_reply(session.app_id, resumed=resumed))
        for event in self._sessions.take_kept(session):
            self._post(session, event)
        return session

    def _document(self, query_id: bytes | None, epoch: int) -> Event:
        if query_id is not None and len(query_id) != ID_LENGTH:
            return events.pki_document_reply(query_id, b"", epoch, events.INVALID_REQUEST)
        now = self._unix()
        document = self._trusted.exact(epoch) if epoch else self._trusted.current(now)
        if document is None:
            asked = epoch or self._clock.epoch(now)
            return events.pki_document_reply(query_id, b"", asked, events.SERVICE_UNAVAILABLE)
        return events.pki_document_reply(query_id, document.certificate, document.document.epoch, events.SUCCESS)

    def _directory_authorities(self, query_id: bytes | None) -> Event:
        if query_id is not None and len(query_id) != ID_LENGTH:
            return events.directory_authorities_reply(query_id, [], events.INVALID_REQUEST)
        if not self._authorities:
            return events.directory_authorities_reply(query_id, [], events.SERVICE_UNAVAILABLE)
        return events.directory_authorities_reply(query_id, self._authorities, events.SUCCESS)

    def _send(self, session: Session, request: SendMessage) -> None:
        session.is_flat = request.flat
        try:
            message = self._checked(session.app_id, request)
            entry = self._engine.accept(message)
        except (InvalidRequest, ArqError) as error:
            self._refuse(session, request, str(error))
            return
        self._queues.register(session.app_id)
        self._queues.push(session.app_id, entry)

    def _refuse(self, session: Session, request: SendMessage, reason: str) -> None:
        log.debug("refused a message: %s", reason)
        if request.flat or not (request.with_surb or request.reliable):
            # Clients of generation 1 cannot decode an error; a message without SURB has no events by definition.
            return
        surb_id = request.surb_id if request.with_surb else None
        self._post(session, events.message_not_sent(request.message_id, surb_id, reason, now=self._unix()))

    def _checked(self, owner: AppId, request: SendMessage) -> Message:
        wants_reply = request.with_surb or request.reliable
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
        longest = self._geometry.user_forward_payload_length
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
            payload=request.payload,
            with_surb=wants_reply,
            surb_id=surb_id,
            reliable=request.reliable,
        )


def _authority_map(authority: Authority) -> Mapping[str, Any]:
    return {
        "identifier": authority.identifier,
        "pki_signature_scheme": authority.pki_signature_scheme,
        "wire_kem_scheme": authority.wire_kem_scheme,
        "addresses": list(authority.addresses),
        "identity_public_key_pem": authority.identity_public_key_pem,
        "link_public_key_pem": authority.link_public_key_pem,
        "identity_key_hash": key_hash(authority.identity_public_key),
    }
