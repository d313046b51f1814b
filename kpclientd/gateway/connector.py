"""Keeps a link to some gateway for as long as the daemon runs.

    choose --> dial --> handshake --> link --> (lost) --+
      ^                                                 |
      +---------------- back off <----------------------+

Source: the Katzenpost wire protocol, "lifecycle" and "choosing the gateway".
"""

import logging
from collections.abc import Awaitable, Callable, Sequence

import trio

from kpclientd.config.model import ClientConfig
from kpclientd.gateway.backoff import Backoff
from kpclientd.gateway.candidates import Candidate, candidate_from_document, candidate_from_pins
from kpclientd.gateway.dial import Dial
from kpclientd.gateway.errors import DialError, GatewayError, LinkLost, NoGateway
from kpclientd.gateway.link import GatewayLink, open_link
from kpclientd.logs import NOTICE
from pki import Document, TrustedDocuments
from sphinx.crypto.kem import kem_scheme
from sphinx.randomness import Randomness
from sphinx.types import SurbId

log = logging.getLogger("client/conn")

WhileConnected = Callable[[GatewayLink], Awaitable[None]]
"""A task that runs beside each link and is cancelled when it ends."""


class Connector:
    """Chooses, dials and serves gateways, one at a time.

    Attributes:
        link: the present link, or None.

    Args:
        wall_clock: this machine's clock, against which a gateway's is measured, in Unix seconds.
        unix: the network's time, in Unix seconds.
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
        unix: Callable[[], float],
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
        self._unix = unix
        self._randomness = randomness
        self._on_message = on_message
        self._on_status = on_status
        self._while_connected = while_connected
        self._kem = kem_scheme(config.wire_kem_scheme)
        self._backoff = Backoff(randomness)
        self._last: Candidate | None = None

    async def run(self) -> None:
        """Keep a link, for ever."""
        while True:
            try:
                candidate = self._choose()
                await self._connect(candidate)
            except GatewayError as error:
                log.info("No link to a gateway: %s", error)
                self._on_status(False)
            wait = self._backoff.next_wait()
            log.debug("next try in %.1f s", wait)
            await trio.sleep(wait)

    def _choose(self) -> Candidate:
        transports = self._config.preferred_transports
        current = self._trusted.current(self._unix())
        try:
            if current is not None:
                return self._from_document(current.document, transports)
            return candidate_from_pins(self._config.pinned_gateways, transports, self._randomness)
        except NoGateway:
            if self._last is None:
                raise
            return self._last

    def _from_document(self, document: Document, transports: Sequence[str]) -> Candidate:
        return candidate_from_document(document, transports, self._randomness)

    async def _connect(self, candidate: Candidate) -> None:
        stream = await self._dial_any(candidate)
        link = await open_link(
            stream,
            candidate,
            kem=self._kem,
            geometry=self._config.geometry,
            randomness=self._randomness,
            unix=self._wall_clock,
            on_message=self._on_message,
        )
        self._last = candidate
        log.log(NOTICE, 'Connected to gateway "%s".', candidate.name)
        began = trio.current_time()
        reason = await self._serve(link)
        log.info('Lost connection to gateway "%s": %s', candidate.name, reason)
        self._backoff.after_link(trio.current_time() - began)
        self._on_status(False)

    async def _dial_any(self, candidate: Candidate) -> trio.abc.Stream:
        failures = []
        for address in candidate.addresses:
            try:
                return await self._dial(address)
            except DialError as error:
                failures.append(str(error))
        raise DialError(f"gateway {candidate.name!r}: {'; '.join(failures)}")

    async def _serve(self, link: GatewayLink) -> LinkLost:
        self.link = link
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
