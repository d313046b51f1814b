"""`daemon_status`: what the daemon does, for `kpclientd status`; ours, the reference has no such verb.

Its answer does not wait for a document, so that one can see why there is none.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpclientd.thin import events
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.verb import ID_LENGTH, Caller, Verb


@dataclass(frozen=True, slots=True)
class DaemonStatusRequest:
    """Asks for the status."""

    query_id: bytes | None


def parse(fields: Fields) -> DaemonStatusRequest:
    """Read a request for the status."""
    return DaemonStatusRequest(fields.octets("query_id"))


async def tell(caller: Caller, request: DaemonStatusRequest) -> Mapping[str, Any]:
    """All of it to who runs the daemon and to root, and to others what tells nothing of applications."""
    if request.query_id is not None and len(request.query_id) != ID_LENGTH:
        return {"query_id": request.query_id, "status": {}, "error_code": events.INVALID_REQUEST}
    connection = caller.session.connection if caller.session is not None else None
    is_trusted = connection is not None and connection.is_operator()
    return {
        "query_id": request.query_id,
        "status": caller.services.status(caller.app_id, is_trusted),
        "is_whole": is_trusted,
        "error_code": events.SUCCESS,
    }


DAEMON_STATUS = Verb(
    "daemon_status",
    parse,
    tell,
    "daemon_status_reply",
    frozenset({events.SUCCESS, events.INVALID_REQUEST}),
    is_early=True,
)
