"""Opens streams to gateways, by every way that the configuration allows and by none that it does not.

A proxy that is configured is never gone around: what it cannot carry is not dialled, and no name is looked up here.
"""

import logging
import math
import os
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Final

import trio

from kpclientd.addresses import AddressError, shortened
from kpclientd.transports.errors import DialError
from kpclientd.transports.isolation import StreamIsolation
from kpclientd.transports.proxy import connect_through
from kpclientd.transports.race import Attempt, Race
from kpclientd.transports.socks5 import Credentials
from kpclientd.transports.targets import Target, target_of
from kpclientd.transports.upstream import NO_PROXY, SOCKS5, TOR, UpstreamProxy
from sphinx.randomness import Randomness

log = logging.getLogger("client/dial")

DIRECT_SECONDS: Final = 10.0
"""For all addresses of a gateway together."""

PROXY_SECONDS: Final = 30.0
"""The same through a proxy, which may have to build a circuit first."""

MOST_ADDRESSES: Final = 16
"""Addresses of one gateway that are tried; a document may list any number."""


class Dialler:
    """Dials gateways; made once from the configuration.

    Args:
        proxy: the way to them.
        hostnames_allowed: whether addresses may have host names, which only DNS can resolve.
        randomness: draws the number that makes this daemon's streams its own, where Tor keeps streams apart.

    Raises:
        DialError: `proxy` is of no known type, so that nothing may leave.
    """

    def __init__(self, proxy: UpstreamProxy, *, hostnames_allowed: bool, randomness: Randomness) -> None:
        if proxy.type not in (NO_PROXY, SOCKS5, TOR):
            raise DialError(f"UpstreamProxy has the unknown type {shortened(proxy.type)!r}")
        self._proxy = proxy
        self._hostnames_allowed = hostnames_allowed
        self._isolation = StreamIsolation(os.getpid(), max(0, int(time.time())), randomness)

    def can_dial(self, url: str) -> bool:
        """Whether `url` is well-formed and may be dialled here; nothing is looked up or opened."""
        return self.fault_of(url) is None

    def fault_of(self, url: str) -> str | None:
        """Why `url` cannot be dialled, in words that quote it, or None where it can."""
        try:
            self._target(url)
        except AddressError as error:
            return str(error)
        return None

    def renew(self, isolation: bytes) -> None:
        """The way to this gateway has proved bad: through Tor, the next streams take another circuit."""
        self._isolation.renew(isolation, trio.current_time())

    async def dial(self, addresses: Sequence[str], *, isolation: bytes, within: float = math.inf) -> trio.abc.Stream:
        """Open a stream to one gateway: its addresses are tried side by side, and the first that answers is taken.

        Args:
            addresses: its URLs in order of preference, each next one tried 250 ms later or once one has failed.
            isolation: names the gateway, by any bytes; through Tor, no two gateways share a circuit.
            within: seconds for all of it; at most 10, or 30 where there is a proxy.

        Raises:
            DialError: if no address can be reached in time. The text has each once, with its reason.
        """
        attempts: dict[str, Attempt] = {}
        waits_for: dict[str, str] = {}
        excluded: list[str] = []
        asked: set[str] = set()
        for url in tuple(dict.fromkeys(addresses))[:MOST_ADDRESSES]:
            try:
                name = shortened(url)
                on_wait = partial(waits_for.__setitem__, name)
                on_asked = partial(asked.add, name)
                attempts[name] = partial(self._connect, self._target(url), isolation, on_wait, on_asked)
            except AddressError as error:
                excluded.append(str(error))
        seconds = min(within, PROXY_SECONDS if self._proxy.is_used else DIRECT_SECONDS)
        race = Race(attempts)
        log.debug("dialling %s", ", ".join(attempts))
        try:
            with trio.move_on_after(seconds):
                stream = await race.run()
                log.debug("reached %s", race.winner)
                return stream
        except DialError:
            pass  # it knows less of what came of the attempts than is known here
        is_by_proxy = self._proxy.is_used and bool(attempts) and not asked
        failure = race.error(f"no answer within {seconds:.0f} s", waits_for, is_by_proxy=is_by_proxy)
        reasons = (str(failure), *(() if is_by_proxy else excluded))
        text = "; ".join(filter(None, reasons)) or "there is no address"
        raise DialError(text, is_refused=failure.is_refused, is_by_proxy=is_by_proxy)

    def _target(self, url: str) -> Target:
        return target_of(url, self._proxy, hostnames_allowed=self._hostnames_allowed)

    async def _connect(
        self, target: Target, gateway: bytes, on_wait: Callable[[str], None], on_asked: Callable[[], None]
    ) -> trio.abc.Stream:
        if self._proxy.is_used:
            return await connect_through(
                self._proxy,
                target.host,
                target.port,
                self._credentials(gateway),
                is_anonymous_allowed=not self._proxy.is_tor,
                on_wait=on_wait,
                on_asked=on_asked,
            )
        assert target.transport.connect is not None
        return await target.transport.connect(target.host, target.port, target.transport.family)

    def _credentials(self, gateway: bytes) -> Credentials | None:
        if self._proxy.is_tor:
            return self._isolation.credentials(gateway)
        if self._proxy.user:
            return Credentials(self._proxy.user.encode(), self._proxy.password.encode())
        return None
