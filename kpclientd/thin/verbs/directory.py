"""`get_pki_document` and `get_directory_authorities`: what the daemon knows of the network.

Source: the Katzenpost thin-client protocol, "get_pki_document" and "get_directory_authorities".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpclientd.config.model import Authority
from kpclientd.thin import events
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.verb import ID_LENGTH, Caller, Verb
from pki import key_hash


@dataclass(frozen=True, slots=True)
class GetPkiDocument:
    """Asks for the signed document of an epoch; 0 is the current one."""

    query_id: bytes | None
    epoch: int


@dataclass(frozen=True, slots=True)
class GetDirectoryAuthorities:
    """Asks for the authorities of the daemon's configuration."""

    query_id: bytes | None


def parse_document(fields: Fields) -> GetPkiDocument:
    """Read a request for a document."""
    return GetPkiDocument(fields.octets("query_id"), fields.unsigned("epoch"))


def parse_authorities(fields: Fields) -> GetDirectoryAuthorities:
    """Read a request for the authorities."""
    return GetDirectoryAuthorities(fields.octets("query_id"))


async def document(caller: Caller, request: GetPkiDocument) -> Mapping[str, Any]:
    """The signed document as it came from the gateway, or the code that says why not."""
    services, query_id, epoch = caller.services, request.query_id, request.epoch
    if _is_bad(query_id):
        return _document_reply(query_id, b"", epoch, events.INVALID_REQUEST)
    now = services.network_time()
    held = services.trusted.exact(epoch) if epoch else services.trusted.current(now)
    if held is None:
        return _document_reply(query_id, b"", epoch or services.clock.epoch(now), events.SERVICE_UNAVAILABLE)
    return _document_reply(query_id, held.certificate, held.document.epoch, events.SUCCESS)


async def authorities(caller: Caller, request: GetDirectoryAuthorities) -> Mapping[str, Any]:
    """The authorities of the configuration, in its order."""
    code = events.SUCCESS if caller.services.authorities else events.SERVICE_UNAVAILABLE
    if _is_bad(request.query_id):
        code = events.INVALID_REQUEST
    listed = caller.services.authorities if code == events.SUCCESS else ()
    return {
        "query_id": request.query_id,
        "authorities": [_authority_map(authority) for authority in listed],
        "error_code": code,
    }


def _is_bad(query_id: bytes | None) -> bool:
    return query_id is not None and len(query_id) != ID_LENGTH


def _document_reply(query_id: bytes | None, payload: bytes, epoch: int, code: int) -> Mapping[str, Any]:
    return {"query_id": query_id, "payload": payload, "epoch": epoch, "error_code": code}


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


_CODES = frozenset({events.SUCCESS, events.INVALID_REQUEST, events.SERVICE_UNAVAILABLE})

GET_PKI_DOCUMENT = Verb("get_pki_document", parse_document, document, "get_pki_document_reply", _CODES)
GET_DIRECTORY_AUTHORITIES = Verb(
    "get_directory_authorities", parse_authorities, authorities, "get_directory_authorities_reply", _CODES
)
