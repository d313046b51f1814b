"""A watch on every socket of the process."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field

import pytest


@dataclass
class Watch:
    """What was connected to, sent to and looked up while the watch was on."""

    connected: list[object] = field(default_factory=list)
    resolved: list[object] = field(default_factory=list)

    def note(self, event: str, arguments: tuple[object, ...]) -> None:
        if event in ("socket.connect", "socket.sendto"):
            self.connected.append(arguments[1])
        elif event in ("socket.getaddrinfo", "socket.gethostbyname"):
            self.resolved.append(arguments[0])


_watches: list[Watch] = []


def _hook(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith("socket."):
        for watch in _watches:
            watch.note(event, arguments)


sys.addaudithook(_hook)  # for good: the interpreter cannot take it off again


@pytest.fixture
def watch() -> Iterator[Watch]:
    """On for as long as the test runs."""
    made = Watch()
    _watches.append(made)
    yield made
    _watches.remove(made)
