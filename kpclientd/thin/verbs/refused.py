"""Verbs that are known and not served: those of the channel API of 2025, and requests for decoys.

Each is answered under the name that its client waits for, with a code and its query id, so that nobody waits for ever.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kpclientd.thin import events
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
    return _refused(name, events.INVALID_CHANNEL)


def ignored(name: str) -> Verb:
    """The row of a verb that has no effect and no answer."""
    return Verb(name, _parse_nothing, _ignore)


def _refused(name: str, code: int) -> Verb:
    def parse(fields: Fields) -> RefusedRequest:
        return RefusedRequest(name, fields.octets("query_id"))

    async def refuse(caller: Caller, request: RefusedRequest) -> Mapping[str, Any]:
        log.info("Refused a %s: this version does not serve it.", name)
        return {"query_id": request.query_id, "error_code": code}

    return Verb(name, parse, refuse, f"{name}_reply", frozenset({code}))


def _parse_nothing(fields: Fields) -> IgnoredRequest:
    return IgnoredRequest()


async def _ignore(caller: Caller, request: IgnoredRequest) -> None:
    log.debug("ignored a request for decoys: cover traffic is the daemon's own")
