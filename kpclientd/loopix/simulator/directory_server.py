"""The directory server of a local Loopix network: which request gets which answer.

Sans-IO; genuine nodes may announce themselves here, and genuine clients ask. (The Nym 2019 Loopix client,
"directory HTTP API".)
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kpclientd.loopix.simulator.actions import Ending
from kpclientd.loopix.simulator.counters import Counted, Counters
from kpclientd.loopix.simulator.errors import PresenceError
from kpclientd.loopix.simulator.faults import DirectoryFault, Faults
from kpclientd.loopix.simulator.presence import DirectoryVersion, Kind, Presences
from sphinx.randomness import Randomness

TOPOLOGY_PATH: Final = "/api/presence/topology"
PRESENCE_PATH: Final = "/api/presence/"
METRICS_PATH: Final = "/api/metrics/mixes"
HEALTH_PATH: Final = "/api/healthcheck"

OK: Final = 200
CREATED: Final = 201
BAD_REQUEST: Final = 400
NOT_FOUND: Final = 404
TOO_LARGE: Final = 413
SERVER_ERROR: Final = 500

MAX_BODY: Final = 1 << 20
"""Bytes of an announcement: ours, some fifteen thousand clients of one provider."""

_JSON: Final = "application/json; charset=utf-8"
_TEXT: Final = "text/plain"
_NOT_JSON: Final = b'{"MixNodes": [{"host'
_DONE: Final = {"ok": True}


@dataclass(frozen=True, slots=True)
class HttpRequest:
    """What was asked.

    Attributes:
        method: in capitals.
        target: path and query.
        body: the content.
        source: the address it came from.
    """

    method: str
    target: str
    body: bytes = field(default=b"", repr=False)
    source: str = ""


@dataclass(frozen=True, slots=True)
class HttpReply:
    """What is answered."""

    status: int
    body: bytes = field(default=b"", repr=False)
    content_type: str = _JSON


class DirectoryServer:
    """The server without its connections.

    Args:
        version: which generation it is.
        faults: the switches.
        counters: where to count.
        randomness: for the order of the lists.
        unix: the wall clock, shown as `lastSeen`.
    """

    def __init__(
        self,
        version: DirectoryVersion,
        faults: Faults,
        counters: Counters,
        randomness: Randomness,
        unix: Callable[[], float],
    ) -> None:
        self.faults = faults
        self.counters = counters
        self._presences = Presences(version, randomness, unix)

    def answer(self, request: HttpRequest, now: float) -> HttpReply | Ending:
        """Answer one request, or say how the connection ends instead.

        Args:
            request: from anybody.
            now: seconds of a clock that does not jump.
        """
        path = request.target.partition("?")[0]
        reply: HttpReply | Ending | None = self._failure()
        if reply is None:
            try:
                reply = self._serve(request.method, path, request, now)
            except PresenceError as error:
                reply = _json(BAD_REQUEST, {"error": str(error)})
        if path == TOPOLOGY_PATH:
            served = isinstance(reply, HttpReply) and reply.status == OK
            self.counters.add(Counted.TOPOLOGIES_SERVED if served else Counted.TOPOLOGIES_REFUSED)
        return reply

    def _failure(self) -> HttpReply | Ending | None:
        match self.faults.directory:
            case DirectoryFault.OUTAGE:
                return Ending.RESET
            case DirectoryFault.SILENCE:
                return Ending.SILENCE
            case DirectoryFault.ERROR:
                return _json(SERVER_ERROR, {"error": "out of order"})
        return None

    def _serve(self, method: str, path: str, request: HttpRequest, now: float) -> HttpReply:
        match method, path:
            case "GET", _ if path == TOPOLOGY_PATH:
                return self._topology(now)
            case "GET", _ if path == METRICS_PATH:
                return _json(OK, self._presences.metrics(now))
            case "GET", _ if path == HEALTH_PATH:
                return _json(OK, _DONE)
            case "POST", _ if path == METRICS_PATH:
                self._presences.measure(request.body, now)
                return _json(CREATED, _DONE)
            case "POST", _ if (kind := _KINDS.get(path)) is not None:
                self._presences.announce(kind, request.body, request.source, now)
                self.counters.add(Counted.PRESENCES)
                return _json(CREATED, _DONE)
        return HttpReply(NOT_FOUND, b"404 page not found", _TEXT)

    def _topology(self, now: float) -> HttpReply:
        topology = self._presences.topology(now)
        fault = self.faults.directory
        if fault is DirectoryFault.GARBAGE:
            return HttpReply(OK, _NOT_JSON)
        return _json(OK, topology if fault is None else _FAULTY[fault](topology))


def _json(status: int, value: object) -> HttpReply:
    return HttpReply(status, json.dumps(value).encode())


_KINDS: Final[Mapping[str, Kind]] = {PRESENCE_PATH + kind: kind for kind in Kind}

_NO_PORT: Final = "127.0.0.1"
_SHORT_KEY: Final = "AAAA"
_NOT_BASE64: Final = "?" * 44
_UNUSABLE: Final[tuple[Mapping[str, object], ...]] = (
    {"host": "127.0.0.1:9", "pubKey": _SHORT_KEY},
    {"host": "127.0.0.1:9", "pubKey": _NOT_BASE64},
    {"host": "127.0.0.1:9", "pubKey": "A" * 43 + "="},
    {"host": _NO_PORT, "pubKey": "B" * 42 + "A="},
    {"host": "127.0.0.1:0", "pubKey": "C" * 42 + "A="},
)


def _without(*words: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Empty the lists whose names contain one of `words`, in lower case."""

    def emptied(topology: dict[str, Any]) -> dict[str, Any]:
        return {
            name: None if any(word in name.lower() for word in words) else nodes for name, nodes in topology.items()
        }

    return emptied


def _with_bad_entries(topology: dict[str, Any]) -> dict[str, Any]:
    """Add entries that no client can use, before and after the good ones."""

    def surrounded(nodes: list[Any] | None) -> list[Any]:
        extras = {"layer": 1, "registeredClients": [{"pubKey": _SHORT_KEY}], "lastSeen": 0}
        bad = [dict(entry) | extras for entry in _UNUSABLE]
        half = len(bad) // 2
        return bad[:half] + (nodes or []) + bad[half:]

    return {name: surrounded(nodes) for name, nodes in topology.items()}


_FAULTY: Final[Mapping[DirectoryFault, Callable[[dict[str, Any]], object]]] = {
    DirectoryFault.WRONG_TYPES: lambda topology: [topology],
    DirectoryFault.EMPTY: _without("nodes"),
    DirectoryFault.NO_PROVIDERS: _without("provider"),
    DirectoryFault.NO_MIXES: _without("mixnodes"),
    DirectoryFault.BAD_ENTRIES: _with_bad_entries,
}
