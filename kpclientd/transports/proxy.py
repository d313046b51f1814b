"""Streams through a SOCKS5 proxy, which is reached by TCP or by a Unix socket.

Names go to the proxy as they are. Nothing here ever opens a socket to anything but the proxy.
"""

import socket
from collections.abc import Callable

import trio

from kpclientd.addresses import AddressError, ip_literal, split_host_port
from kpclientd.transports.errors import DialError
from kpclientd.transports.socks5 import Credentials, Socks5Client
from kpclientd.transports.tcp import connect_socket, resolve
from kpclientd.transports.upstream import UpstreamProxy


async def connect_through(
    proxy: UpstreamProxy,
    host: str,
    port: int,
    credentials: Credentials | None,
    *,
    is_anonymous_allowed: bool,
    on_wait: Callable[[str], None],
    on_asked: Callable[[], None],
) -> trio.abc.Stream:
    """Open a stream to `host`, a literal or a name, through `proxy`.

    Args:
        proxy: the way.
        host, port: where to.
        credentials: shown where the proxy asks for them; None for none.
        is_anonymous_allowed: whether the proxy may go without them.
        on_wait: told what is waited for from now on, in words for people.
        on_asked: called when the proxy has been asked for the stream, so that what fails from now on is not it.

    Raises:
        DialError: if the proxy cannot be reached, or does not open the stream. There is no deadline.
    """
    on_wait(f"the proxy at {proxy.address} takes no connection")
    stream = await _connect_proxy(proxy)
    on_wait(f"the proxy at {proxy.address} does not answer")
    client = Socks5Client(host, port, credentials, is_anonymous_allowed=is_anonymous_allowed)
    try:
        await stream.send_all(client.start())
        while not client.is_open:
            data = await stream.receive_some(client.wanted)
            if not data:
                raise DialError("the proxy closed the connection")
            answer = client.receive(bytes(data))
            if answer:
                await stream.send_all(answer)
            if client.has_asked:
                on_asked()
                whose = "Tor" if proxy.is_tor else "the proxy"
                on_wait(f"{whose} at {proxy.address} was asked, and has not opened the stream")
    except BaseException as error:
        await trio.aclose_forcefully(stream)
        if isinstance(error, trio.BrokenResourceError):
            raise DialError("the connection to the proxy broke") from None
        raise
    return stream


async def _connect_proxy(proxy: UpstreamProxy) -> trio.abc.Stream:
    try:
        if proxy.network == "unix":
            return await connect_socket(socket.AF_UNIX, proxy.address)
        host, port = split_host_port(proxy.address)
        if ip_literal(host) is None:
            raise DialError("its address is a name")
        ((family, address),) = await resolve(host, port, socket.AF_UNSPEC, socket.SOCK_STREAM)
        return await connect_socket(family, address)
    except (DialError, AddressError) as error:
        is_refused = isinstance(error, DialError) and error.is_refused
        raise DialError(f"the proxy at {proxy.address} cannot be reached: {error}", is_refused=is_refused) from None
