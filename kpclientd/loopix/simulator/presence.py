"""Who is there: what nodes announced of themselves, and until when it counts.

Sans-IO, and as forgetful as the directory server of 2019: an announcement counts for five seconds, a measurement for
three. Nobody has to prove who it is. (The Nym 2019 Loopix client, "directory HTTP API".)
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeGuard

from kpclientd.addresses import is_loopback
from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.nodes import split_host
from kpclientd.loopix.simulator.errors import PresenceError
from pki.epoch import NANOSECONDS_PER_SECOND
from sphinx.randomness import Randomness

LIFETIME_SECONDS: Final = 5.0
METRICS_SECONDS: Final = 3.0

MAX_ENTRIES: Final = 1024
"""Nodes of one kind; a bound of our own."""

DEFAULT_NODE_PORT: Final = 1789
"""Where nodes of that time listened if not told otherwise; older directories put it into every foreign address."""

_LARGEST_LAYER: Final = 2**63 - 1


class DirectoryVersion(StrEnum):
    """The generations of the directory server."""

    V003 = "0.0.3"
    V004 = "0.0.4"


class Kind(StrEnum):
    """What can be announced; the values end the paths under which it is."""

    COCONODES = "coconodes"
    MIXNODES = "mixnodes"
    MIXPROVIDERS = "mixproviders"


@dataclass(frozen=True, slots=True)
class Entry:
    """One announcement as the topology shows it, and when it ceases to count (seconds of the caller's clock)."""

    shown: Mapping[str, object]
    expires: float


class Presences:
    """Everything that was announced.

    Args:
        version: how addresses are rewritten and how the topology is spelt.
        randomness: for the order of the topology's lists, on which nobody may rely.
        unix: the wall clock, which only `lastSeen` shows.
    """

    def __init__(self, version: DirectoryVersion, randomness: Randomness, unix: Callable[[], float]) -> None:
        self._version = version
        self._randomness = randomness
        self._unix = unix
        self._entries: dict[Kind, dict[str, Entry]] = {kind: {} for kind in Kind}
        self._metrics: dict[str, Entry] = {}

    def announce(self, kind: Kind, body: bytes, source: str, now: float) -> None:
        """Take an announcement in.

        Args:
            kind: of what.
            body: its JSON.
            source: the address that it came from.
            now: seconds of a clock that does not jump.

        Raises:
            PresenceError: if something is missing or of the wrong type, or there are too many nodes.
        """
        announced = _object(body)
        key = _text(announced, "pubKey")
        shown: dict[str, object] = {"host": self._host(_text(announced, "host", ""), source), "pubKey": key}
        match kind:
            case Kind.COCONODES:
                shown["type"] = _text(announced, "type")
            case Kind.MIXNODES:
                shown["layer"] = _layer(announced)
            case Kind.MIXPROVIDERS:
                shown["registeredClients"] = _clients(announced)
        shown["lastSeen"] = self._nanoseconds()
        _put(self._entries[kind], key, Entry(shown, now + LIFETIME_SECONDS), now)

    def measure(self, body: bytes, now: float) -> None:
        """Take a mix's measurement in; arguments and errors as for `announce`."""
        announced = _object(body)
        key = _text(announced, "pubKey")
        sent = announced.get("sent") or {}
        received = announced.get("received")
        if not isinstance(sent, dict) or not all(_is_count(count) for count in sent.values()):
            raise PresenceError("sent is not an object of counts")
        if not _is_count(received):
            raise PresenceError("received is not a count")
        shown = {"pubKey": key, "sent": sent, "received": received, "timestamp": self._nanoseconds()}
        _put(self._metrics, key, Entry(shown, now + METRICS_SECONDS), now)

    def topology(self, now: float) -> dict[str, object]:
        """Return all announcements that still count."""
        older = self._version is DirectoryVersion.V003
        names = (
            ("CocoNodes", "MixNodes", "MixProviderNodes") if older else ("cocoNodes", "mixNodes", "mixProviderNodes")
        )
        lists = (self._randomness.shuffled(_alive(self._entries[kind], now)) for kind in Kind)
        return {name: shown or (None if older else []) for name, shown in zip(names, lists, strict=True)}

    def metrics(self, now: float) -> list[Mapping[str, object]]:
        """Return all measurements that still count."""
        return self._randomness.shuffled(_alive(self._metrics, now))

    def _host(self, sent: str, source: str) -> str:
        """Rewrite an address that others could not reach: what is not on this machine gets the sender's."""
        try:
            host, port = split_host(sent)
        except LoopixError:
            host, port = "", str(DEFAULT_NODE_PORT)
        if host and is_loopback(host):
            return sent
        if self._version is DirectoryVersion.V003:
            port = str(DEFAULT_NODE_PORT)
        return f"[{source}]:{port}" if ":" in source else f"{source}:{port}"

    def _nanoseconds(self) -> int:
        return int(self._unix() * NANOSECONDS_PER_SECOND)


def _alive(entries: Mapping[str, Entry], now: float) -> list[Mapping[str, object]]:
    return [entry.shown for entry in entries.values() if entry.expires > now]


def _put(entries: dict[str, Entry], key: str, entry: Entry, now: float) -> None:
    for old in [old for old, known in entries.items() if known.expires <= now]:
        del entries[old]
    if key not in entries and len(entries) >= MAX_ENTRIES:
        raise PresenceError(f"{MAX_ENTRIES} nodes of this kind are present; no more are listed")
    entries[key] = entry


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object of `body`, known names in their exact letter case: senders may use any."""
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise PresenceError(f"a body of {len(body)} bytes is not JSON") from None
    if not isinstance(value, dict):
        raise PresenceError("the body is not a JSON object")
    return _renamed(value)


def _renamed(value: dict[str, Any]) -> dict[str, Any]:
    return {_NAMES.get(name.lower(), name): member for name, member in value.items()}


_NAMES: Final = {
    name.lower(): name for name in ("host", "pubKey", "type", "layer", "registeredClients", "sent", "received")
}


def _text(announced: Mapping[str, Any], name: str, default: str | None = None) -> str:
    value = announced.get(name, default)
    if not isinstance(value, str) or (not value and default is None):
        raise PresenceError(f"{name} is missing or not a text")
    return value


def _layer(announced: Mapping[str, Any]) -> int:
    layer = announced.get("layer")
    if not _is_count(layer) or not 1 <= layer <= _LARGEST_LAYER:
        raise PresenceError("layer is not a whole number above 0")
    return layer


def _clients(announced: Mapping[str, Any]) -> list[dict[str, str]]:
    clients = announced.get("registeredClients")
    if not isinstance(clients, list) or not all(isinstance(client, dict) for client in clients):
        raise PresenceError("registeredClients is missing or not a list of objects")
    return [{"pubKey": _text(_renamed(client), "pubKey")} for client in clients]


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0
