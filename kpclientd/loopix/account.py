"""The client's account with its provider: registered, kept registered, and its mail pulled.

A provider that restarts forgets its clients and says nothing of it: a pull is then answered as if there were no mail,
which the reference believes for ever. So the client registers again when the provider was away, when the directory
does not list it any more, and every few minutes. Source: the Nym 2019 Loopix client, "registration" and "pull".
"""

import logging
from typing import Final

import trio

from kpclientd.loopix.errors import LoopixError, NotRunning
from kpclientd.loopix.exchange import Dial, exchange
from kpclientd.loopix.failure_log import FailureLog
from kpclientd.loopix.inbox import Pulled, read_pulled
from kpclientd.loopix.logs import CLIENT
from kpclientd.loopix.loops import PlainLoops
from kpclientd.loopix.nodes import ClientConfig, MixConfig
from kpclientd.loopix.registration import pull_packet, registration_packet, token_of

log = logging.getLogger(CLIENT)

RETRY_SECONDS: Final = 5.0
RENEW_SECONDS: Final = 180.0
LISTING_SECONDS: Final = 5.0
"""How long after a registration the directory may not list it yet: providers report every two seconds."""


class Account:
    """One client at one provider.

    Args:
        own: the client, with its provider.
        provider: the provider.
        loops: tells them from messages.
        dial: connects to the provider.
    """

    def __init__(self, own: ClientConfig, provider: MixConfig, loops: PlainLoops, dial: Dial) -> None:
        self._own = own
        self._provider = provider
        self._loops = loops
        self._dial = dial
        self._token: bytes | None = None
        self._registered_at = -RENEW_SECONDS
        self._due = trio.Event()
        self._failure_log = FailureLog(log, "registering with the provider")

    async def register(self) -> None:
        """Register; on failure again every five seconds, until it succeeds."""
        while True:
            try:
                answer = await exchange(self._dial, self._provider, registration_packet(self._own))
                self._token = token_of(answer)
            except LoopixError as error:
                self._failure_log.failed(error)
                await trio.sleep(RETRY_SECONDS)
            else:
                self._failure_log.worked()
                self._registered_at = trio.current_time()
                return

    async def keep_registered(self) -> None:
        """Register again from time to time, and when it is due, until cancelled."""
        while True:
            with trio.move_on_after(RENEW_SECONDS):
                await self._due.wait()
            self._due = trio.Event()
            await self.register()

    def renew(self) -> None:
        """Let the client be registered again as soon as possible: its provider was away."""
        self._due.set()

    def note_listing(self, is_listed: bool | None) -> None:
        """Take note whether the directory lists the client with its provider; None if it does not list the provider."""
        if is_listed is False and trio.current_time() > self._registered_at + LISTING_SECONDS:
            log.warning("the directory does not list this client any more: it is registered again")
            self.renew()

    async def pull(self) -> Pulled:
        """Fetch the mail that waits.

        Raises:
            LoopixError: if the provider cannot be asked, or what it answers cannot be read.
        """
        if self._token is None:
            raise NotRunning("the client is not registered yet")
        answer = await exchange(self._dial, self._provider, pull_packet(self._token, self._own.public_key))
        return read_pulled(answer, self._loops.is_cover)
