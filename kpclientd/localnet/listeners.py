"""Where gateways listen: every URL scheme that they can be reached by, and how its port is opened. The one list.

A further transport is a row here.
"""

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Final, Protocol

import trio

from kpclientd.addresses import LOOPBACK
from kpclientd.localnet.errors import LocalNetworkError

RETRY_SECONDS: Final = 0.5
"""Between two tries for a port that somebody else holds."""

Opened = tuple[trio.abc.Listener[trio.abc.Stream], int]
"""A listener and the port that it is bound to."""

Open = Callable[[int], Awaitable[Opened]]
"""Opens a port of the loopback, 0 for a free one; raises OSError."""


class Host(Protocol):
    """The gateway behind a port."""

    ports: dict[str, int]

    @property
    def accepts(self) -> bool:
        """Whether the ports are to be open."""

    def bound(self, scheme: str, port: int) -> None:
        """Take note of a port that was opened."""

    async def serve(self, stream: trio.abc.Stream) -> None:
        """Serve one client."""


async def _open_tcp(port: int) -> Opened:
    (listener,) = await trio.open_tcp_listeners(port, host=LOOPBACK)
    return listener, listener.socket.getsockname()[1]


LISTENERS: Final[Mapping[str, Open]] = {
    "tcp": _open_tcp,
}
"""URL scheme -> how its port is opened."""

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
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Hold a gateway's port of one scheme open whenever it is to be, wherever it is to be; never returns.

    Args:
        host: the gateway.
        scheme: of the addresses.
        changes: returns when anything may be different.
        connections: where connections are served; they outlive the port.
        task_status: started when the port is open for the first time.

    Raises:
        LocalNetworkError: if this version does not listen on such addresses.
        OSError: if the port is somebody else's at the first try; later ones are repeated.
    """
    open_port = LISTENERS.get(scheme)
    if open_port is None:
        raise LocalNetworkError(f"this version has no listener for {scheme}; there are {', '.join(LISTENERS)}")
    is_first = True
    while True:
        while not (host.accepts or is_first):
            await changes()
        try:
            listener, port = await open_port(host.ports[scheme])
        except OSError:
            if is_first:
                raise
            await trio.sleep(RETRY_SECONDS)
            continue
        host.bound(scheme, port)
        if is_first:
            is_first = False
            task_status.started()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(partial(trio.serve_listeners, host.serve, [listener], handler_nursery=connections))
            while host.accepts and host.ports[scheme] == port:
                await changes()
            nursery.cancel_scope.cancel()
