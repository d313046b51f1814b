"""Where gateways listen: every URL scheme that they can be reached by, and how its port is opened. The one list.

A further transport is a row here.
"""

import socket
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from enum import Enum, auto
from functools import partial
from typing import Final, Protocol

import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.localnet.errors import LocalNetworkError

RETRY_SECONDS: Final = 0.5
"""Between two tries for a port that somebody else holds."""

Opened = tuple[trio.abc.Listener[trio.abc.Stream], int]
"""A listener and the port that it is bound to."""


class Presence(Enum):
    """What becomes of a try to connect."""

    OPEN = auto()
    CLOSED = auto()
    """It is refused."""

    UNREACHABLE = auto()
    """There is no answer."""


Blackhole = Callable[[int], AbstractContextManager[None]]
"""Holds a port so that whoever connects gets no answer; raises OSError."""


@dataclass(frozen=True, slots=True)
class ListenerKind:
    """How gateways listen on addresses of one scheme.

    Attributes:
        open: opens a port of the loopback, 0 for a free one; raises OSError.
        blackhole: None where that cannot be done; connections are accepted meanwhile.
    """

    open: Callable[[int], Awaitable[Opened]]
    blackhole: Blackhole | None = None


class Host(Protocol):
    """The gateway behind a port."""

    ports: dict[str, int]

    @property
    def presence(self) -> Presence:
        """What is to become of tries to connect."""

    def bound(self, scheme: str, port: int) -> None:
        """Take note of a port that was opened."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one client."""


async def _open_tcp(port: int) -> Opened:
    (listener,) = await trio.open_tcp_listeners(port, host=LOOPBACK)
    return listener, listener.socket.getsockname()[1]


@contextmanager
def _blackhole_tcp(port: int) -> Iterator[None]:
    """Listen, accept nothing, and fill the queue: Linux drops every further request for a connection."""
    with socket.socket() as listening, socket.socket() as first, socket.socket() as second:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
        listening.listen(0)
        for filling in (first, second):
            filling.setblocking(False)
            filling.connect_ex((LOOPBACK, port))
        yield


async def _open_quic(port: int) -> Opened:
    from kpclientd.localnet.quic_listener import open_quic_listener  # its library takes its time to load

    listener = await open_quic_listener(port)
    return listener, listener.port


LISTENERS: Final[Mapping[str, ListenerKind]] = {
    "tcp": ListenerKind(_open_tcp, _blackhole_tcp),
    "quic": ListenerKind(_open_quic),
}
"""URL scheme -> how gateways listen on such addresses."""

_IN_DESCRIPTORS: Final[Mapping[str, str]] = {"tcp": "tcp4"}
"""How descriptors file the addresses of a scheme, where it is not by the scheme itself: by the family of the IP."""


def descriptor_transport(scheme: str) -> str:
    """Return the name under which a descriptor lists addresses of `scheme`."""
    return _IN_DESCRIPTORS.get(scheme, scheme)


def url_of(scheme: str, port: int) -> str:
    """Return an address on the loopback."""
    return f"{scheme}://{LOOPBACK}:{port}"


async def keep_open(
    host: Host,
    scheme: str,
    changes: Callable[[], Awaitable[None]],
    connections: trio.Nursery,
    *,
    patient: bool = False,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hold a gateway's port of one scheme as it is to be, wherever it is to be; never returns.

    Args:
        host: the gateway.
        scheme: of the addresses.
        changes: returns when anything may be different.
        connections: where connections are served; they outlive the port.
        patient: whether a port that somebody else holds is waited for at the first try too.
        task_status: started when the port is open for the first time.

    Raises:
        LocalNetworkError: if this version does not listen on such addresses.
        OSError: if the port is not to be had at the first try; later ones are repeated.
    """
    kind = LISTENERS.get(scheme)
    if kind is None:
        raise LocalNetworkError(f"this version has no listener for {scheme}; there are {', '.join(LISTENERS)}")
    is_first = True
    while True:
        try:
            listener, port = await kind.open(host.ports[scheme])
        except OSError:
            if is_first and not patient:
                raise
            await trio.sleep(RETRY_SECONDS)
            continue
        host.bound(scheme, port)
        if is_first:
            is_first = False
            task_status.started()
        accepting = {Presence.OPEN} if kind.blackhole else {Presence.OPEN, Presence.UNREACHABLE}
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.serve_listeners, host.serve, [listener], handler_nursery=connections))
            while host.presence in accepting and host.ports[scheme] == port:
                await changes()
            nursery.cancel_scope.cancel()
        while host.presence not in accepting:
            await _close_until_change(host, kind.blackhole, port, changes)


async def _close_until_change(
    host: Host, blackhole: Blackhole | None, port: int, changes: Callable[[], Awaitable[None]]
) -> None:
    """Let `port` be silent, or nobody's, until something may be different."""
    if blackhole is None or host.presence is Presence.CLOSED:
        await changes()
        return
    try:
        with blackhole(port):
            while host.presence is Presence.UNREACHABLE:
                await changes()
    except OSError:  # it is somebody else's by now
        await changes()
