"""Verbs that are known and not served: retired ones, and those of today that this version does not have.

Each is answered under the name that its client waits for, with a code and its query id, so that nobody waits for ever.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from kpclientd.thin import events
from kpclientd.thin.bounds import MAX_ITEMS
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.verb import Caller, Verb

log = logging.getLogger("client/incomingConn")


@dataclass(frozen=True, slots=True)
class RefusedRequest:
    """A request that is answered with a code alone."""

    verb: str
    query_id: bytes | None


@dataclass(frozen=True, slots=True)
class IgnoredRequest:
    """Accepted and without effect."""


def retired(name: str) -> Verb:
    """The row of a verb of the channel API of 2025, which no longer exists."""
    return _refused(name, events.INVALID_CHANNEL, MAX_ITEMS)


def not_served(name: str, most_items: int = MAX_ITEMS) -> Verb:
    """The row of a verb of today that this version does not serve: there is no such service."""
    return _refused(name, events.SERVICE_UNAVAILABLE, most_items)


def operation_not_served(name: str) -> Verb:
    """The row of an operation on a box that this version does not serve.

    Clients read small codes in these answers as a storage replica's. Its 10 is that the box exists already, which a
    writer takes for success; 4 is a failure either way, and what the reference says for want of a document.
    """
    return _refused(name, events.INTERNAL_ERROR, MAX_ITEMS)


def ignored(name: str) -> Verb:
    """The row of a verb that has no effect and no answer."""
    return Verb(name, _parse_nothing, _ignore)


def _refused(name: str, code: int, most_items: int) -> Verb:
    def parse(fields: Fields) -> RefusedRequest:
        return RefusedRequest(name, fields.octets("query_id"))

    async def refuse(caller: Caller, request: RefusedRequest) -> Mapping[str, Any]:
        log.info("Refused a %s: this version does not serve it.", name)
        return {"query_id": request.query_id, "error_code": code}

    return Verb(name, parse, refuse, f"{name}_reply", frozenset({code}), most_items=most_items)


def _parse_nothing(fields: Fields) -> IgnoredRequest:
    return IgnoredRequest()


async def _ignore(caller: Caller, request: IgnoredRequest) -> None:
    log.debug("ignored a request for decoys: cover traffic is the daemon's own")


MOST_ITEMS_OF_MANY_DESTINATIONS: Final = 8192
"""A destination is seven items: some thousand of them in one request."""
