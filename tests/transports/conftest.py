"""A watch on every socket of the process."""

import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest


@dataclass
class Watch:
    """What was connected to, sent to and looked up while the watch was on."""

    connected: list[object] = field(default_factory=list)
    resolved: list[object] = field(default_factory=list)


@pytest.fixture
def watch(monkeypatch: pytest.MonkeyPatch) -> Watch:
    """On for as long as the test runs; everything is still done."""
    made = Watch()

    def watched(place: Any, name: str, seen: list[object], which: int) -> None:
        genuine: Callable[..., object] = getattr(place, name)

        def noted(*arguments: Any, **named: Any) -> object:
            seen.append(arguments[which])
            return genuine(*arguments, **named)

        monkeypatch.setattr(place, name, noted)

    for name in ("connect", "connect_ex"):
        watched(socket.socket, name, made.connected, 1)
    watched(socket.socket, "sendto", made.connected, -1)
    watched(socket.socket, "sendmsg", made.connected, -1)
    for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex", "gethostbyaddr"):
        watched(socket, name, made.resolved, 0)
    return made
