"""Keeps a link to some gateway for as long as the daemon runs.

    choose --> dial --> handshake --> link --> (lost) --+
      ^                                                 |
      +---------------- back off <----------------------+

Source: the Katzenpost wire protocol, "lifecycle" and "choosing the gateway".
"""

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import trio

from kpclientd.config.model import ClientConfig
from kpclientd.gateway.backoff import Backoff
from kpclientd.gateway.choice import GatewayChoice, choose_from_document, choose_from_pins
from kpclientd.gateway.errors import GatewayError, LinkLost, NoGateway
from kpclientd.gateway.link import GatewayLink, open_link, prepare_handshake
from kpclientd.logs import NOTICE
from kpclientd.transports import DialError
from kpclientd.transports.dialler import Dial
from pki import Document, TrustedDocuments
from sphinx.crypto.kem import kem_scheme
from sphinx.randomness import Randomness
from sphinx.types import SurbId

log = logging.getLogger("client/conn")

WhileConnected = Callable[[GatewayLink], Awaitable[None]]
"""A task that runs beside each link and is cancelled when it ends."""


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """When a link, or a try for one, ended (Unix seconds in a status), and why."""

    at: float
    reason: str


@dataclass(frozen=True, slots=True)
class LinkStatus:
    """What can be seen of the link.

    Attributes:
        gateway: the name of the gateway that is connected, or None.
        since: Unix seconds.
        links: how many have been established since the start.
        last_end: how the last link, or the last try for one, ended.
        next_try: Unix seconds of the next try, where one is waited for.
        tokens: what the gateway's limiter surely has for us; None where there is no link or no limit.
    """

    gateway: str | None
    since: float | None
    links: int
    last_end: LinkEnd | None
    next_try: float | None
    tokens: float | None


class Connector:
    """Chooses, dials and serves gateways, one at a time.

    Attributes:
        link: the present link, or None.

    Args:
        wall_clock: this machine's clock, against which a gateway's is measured, in Unix seconds.
        network_time: the network's time, in Unix seconds.
        on_message: takes each delivered (SURB id, payload); must not block.
        on_status: called with True when a link is up, and with False when it is lost or a try failed.
        while_connected: run beside each link.
    """

    def __init__(
        self,
        config: ClientConfig,
        trusted: TrustedDocuments,
        *,
        dial: Dial,
        wall_clock: Callable[[], float],
        network_time: Callable[[], float],
        randomness: Randomness,
        on_message: Callable[[SurbId, bytes], None],
        on_status: Callable[[bool], None],
        while_connected: Sequence[WhileConnected],
    ) -> None:
        self.link: GatewayLink | None = None
        self._config = config
        self._trusted = trusted
        self._dial = dial
        self._wall_clock = wall_clock
        self._network_time = network_time
        self._randomness = randomness
        self._on_message = on_message
        self._on_status = on_status
        self._while_connected = while_connected
        self._kem = kem_scheme(config.wire_kem_scheme)
        self._backoff = Backoff(randomness)
        self._last: GatewayChoice | None = None
        self._links = 0
        self._last_end: LinkEnd | None = None
        self._next_try: float | None = None

    async def run(self) -> None:
        """Keep a link, for ever."""
        while True:
            try:
                choice = self._choose()
                await self._connect(choice)
            except (GatewayError, DialError) as error:
                log.info("No link to a gateway: %s", error)
                self._last_end = LinkEnd(trio.current_time(), str(error))
                self._on_status(False)
            wait = self._backoff.next_wait()
            log.debug("next try in %.1f s", wait)
            self._next_try = trio.current_time() + wait
            await trio.sleep_until(self._next_try)
            self._next_try = None

    def status(self, network_time_offset: float) -> "LinkStatus":
        """What can be seen; `network_time_offset` is the network's time less monotonic time (seconds)."""
        link, end = self.link, self._last_end
        return LinkStatus(
            gateway=link.choice.name if link is not None else None,
            since=link.since + network_time_offset if link is not None else None,
            links=self._links,
            last_end=LinkEnd(end.at + network_time_offset, end.reason) if end is not None else None,
            next_try=self._next_try + network_time_offset if self._next_try is not None else None,
            tokens=link.tokens.level(trio.current_time()) if link is not None else None,
        )

    def _choose(self) -> GatewayChoice:
        transports = self._config.preferred_transports
        current = self._trusted.current(self._network_time())
        try:
            if current is not None:
                return self._from_document(current.document, transports)
            return choose_from_pins(self._config.pinned_gateways, transports, self._randomness)
        except NoGateway:
            if self._last is None:
                raise
            return self._last

    def _from_document(self, document: Document, transports: Sequence[str]) -> GatewayChoice:
        return choose_from_document(document, transports, self._randomness)

    async def _connect(self, choice: GatewayChoice) -> None:
        # A gateway gives a handshake few seconds: the keys are made before it is dialled.
        prepared = prepare_handshake(choice, kem=self._kem, geometry=self._config.geometry, randomness=self._randomness)
        stream = await self._dial_any(choice)
        link = await open_link(stream, prepared, wall_clock=self._wall_clock, on_message=self._on_message)
        self._last = choice
        log.log(NOTICE, 'Connected to gateway "%s".', choice.name)
        began = trio.current_time()
        reason = await self._serve(link)
        log.info('Lost connection to gateway "%s": %s', choice.name, reason)
        self._last_end = LinkEnd(trio.current_time(), str(reason))
        self._backoff.after_link(trio.current_time() - began)
        self._on_status(False)

    async def _dial_any(self, choice: GatewayChoice) -> trio.abc.Stream:
        try:
            return await self._dial(choice.addresses, isolation=choice.node_id)
        except DialError as error:
            raise DialError(f"gateway {choice.name!r}: {error}", is_refused=error.is_refused) from None

    async def _serve(self, link: GatewayLink) -> LinkLost:
        self.link = link
        self._links += 1
        try:
            async with trio.open_nursery() as nursery:
                self._on_status(True)
                for task in self._while_connected:
                    nursery.start_soon(task, link)
                reason = await link.run()
                nursery.cancel_scope.cancel()
        finally:
            self.link = None
        return reason
