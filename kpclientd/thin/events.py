"""What applications are told: every event and reply of the thin-client protocol, as the map that goes into a frame.

Each function returns a map with one live key. Source: the Katzenpost thin-client protocol, "events" and "replies".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from arq import UNNAMED, RouteNames

SUCCESS: Final = 0
INVALID_REQUEST: Final = 3
INTERNAL_ERROR: Final = 4
MAX_RETRIES: Final = 5
INVALID_CHANNEL: Final = 6
SERVICE_UNAVAILABLE: Final = 10

NANOSECONDS: Final = 1_000_000_000

Event = dict[str, Any]


def connection_status(
    *,
    connected: bool,
    instance_token: bytes,
    sphinx_geometry: Mapping[str, int | str],
    pigeonhole_geometry: Mapping[str, int | str],
) -> Event:
    """Whether the daemon's link to its gateway is up; first message of a connection, and at each change."""
    return {
        "connection_status_event": {
            "is_connected": connected,
            "err": None,
            "instance_token": instance_token,
            "sphinx_geometry": dict(sphinx_geometry),
            "pigeonhole_geometry": dict(pigeonhole_geometry),
        }
    }


def new_pki_document(payload: bytes | None) -> Event:
    """The current document without its signatures, or null where there is none yet."""
    return {"new_pki_document_event": {"payload": payload}}


def session_token_reply(app_id: bytes, *, resumed: bool) -> Event:
    """The application's id (16 bytes), and whether its earlier session goes on."""
    return {"session_token_reply": {"app_id": app_id, "resumed": resumed}}


def message_sent(
    message_id: bytes | None,
    surb_id: bytes | None,
    *,
    sent_at: float,
    reply_eta: float,
    route: RouteNames = UNNAMED,
) -> Event:
    """A packet left: `sent_at` in Unix seconds, `reply_eta` in seconds from then.

    The names of the nodes on its way are of the newest protocol. Released clients of every generation pass over keys
    that they do not know, but the protocol of 2025 has no such keys, and a client might insist on that.
    """
    body: dict[str, Any] = {
        "message_id": message_id,
        "surbid": surb_id,
        "sent_at": int(sent_at),
        "reply_eta": round(reply_eta * NANOSECONDS),
    }
    if route.forward:
        body["forward_route"] = list(route.forward)
    if route.back:
        body["return_route"] = list(route.back)
    return {"message_sent_event": body}


def message_not_sent(message_id: bytes | None, surb_id: bytes | None, reason: str, *, now: float) -> Event:
    """A message that never left, and why."""
    return {
        "message_sent_event": {
            "message_id": message_id,
            "surbid": surb_id,
            "sent_at": int(now),
            "reply_eta": 0,
            "err": reason,
        }
    }


def message_reply(
    message_id: bytes | None, surb_id: bytes | None, payload: bytes, *, error_code: int = SUCCESS
) -> Event:
    """The answer to a message: the reply's whole payload, zero padded."""
    return {
        "message_reply_event": {
            "message_id": message_id,
            "surbid": surb_id,
            "payload": payload,
            "error_code": error_code,
        }
    }


def message_id_garbage_collected(message_id: bytes | None) -> Event:
    """Nothing more will be said of this message: its id may be forgotten."""
    return {"message_id_garbage_collected": {"message_id": message_id}}


def pki_document_reply(query_id: bytes | None, payload: bytes | None, epoch: int, error_code: int) -> Event:
    """The signed document of an epoch, or an empty one with the reason."""
    return {
        "get_pki_document_reply": {
            "query_id": query_id,
            "payload": payload,
            "epoch": epoch,
            "error_code": error_code,
        }
    }


def directory_authorities_reply(
    query_id: bytes | None, authorities: Sequence[Mapping[str, Any]] | None, error_code: int
) -> Event:
    """The authorities of the configuration, in its order."""
    return {
        "get_directory_authorities_reply": {
            "query_id": query_id,
            "authorities": None if authorities is None else [dict(entry) for entry in authorities],
            "error_code": error_code,
        }
    }


def refusal(verb: str, query_id: bytes | None, error_code: int) -> Event:
    """The reply to a request that is not served, under the name that its client waits for."""
    return {f"{verb}_reply": {"query_id": query_id, "error_code": error_code}}


def shutdown() -> Event:
    """The daemon stops; under the name of today and under the misspelt one that older clients know."""
    return {"shutdown_event": {}, "shudown_event": {}}
