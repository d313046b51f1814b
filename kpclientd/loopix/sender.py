"""The two streams that send: the out queue, which a waiting message or a loop takes, and the loops.

Every turn is one exchange with the own provider, and pauses between turns are exponential. A loop for each turn is
made while the stream pauses, whether it will be needed or not, so that neither the work nor what applications do
shows in the times. Source: the Nym 2019 Loopix client, "traffic loops".

The reference loses a packet that could not be handed over. Here, a message that never reached the provider keeps its
place and takes the next turn; one whose connection broke later may have arrived, and is not sent twice. A provider with
another key than the client's configuration would take messages, and could not open them: they wait, new ones are
refused, and loops take their turns, so that nothing changes in the times.
"""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

import trio

from kpclientd.loopix.composer import Composer
from kpclientd.loopix.errors import ExchangeBroken, LoopixError, MessageTooLong, NotRunning, SendError, Unreachable
from kpclientd.loopix.failure_log import FailureLog
from kpclientd.loopix.logs import CLIENT
from kpclientd.loopix.loops import PlainLoops
from kpclientd.loopix.nodes import ClientConfig
from kpclientd.loopix.schedule import pause
from kpclientd.loopix.topology import Topology
from kpclientd.loopix.view import NetworkView
from sphinx.randomness import Randomness

log = logging.getLogger(CLIENT)

OTHER_KEY: Final = (
    "the directory lists the provider with another key than the client was made for, so it cannot open what is sent; "
    "if it is to stay so, init --force makes the client anew, with other keys of its own"
)

_SENDING_IS_OFF: Final = "sending is switched off by the configuration (message_sending_rate is negative)"


@dataclass(frozen=True, slots=True)
class Rates:
    """Turns per second of each stream, None for a stream that is off.

    Attributes:
        sending: of the out queue.
        loops: of the loops.
        covers: whether a loop takes a turn of the out queue for which no message waits.
    """

    sending: float | None
    loops: float | None
    covers: bool = True


@dataclass(slots=True)
class SendStatistics:
    """Counts since the start.

    Attributes:
        messages: packets of applications that were handed over.
        covers: loops handed over.
        repeated: turns in which a message did not reach the provider.
        uncertain: messages whose connection broke, so that nobody knows.
        idle: turns without a packet.
    """

    messages: int = 0
    covers: int = 0
    repeated: int = 0
    uncertain: int = 0
    idle: int = 0


@dataclass(frozen=True, slots=True)
class _Outgoing:
    message: bytes = field(repr=False)
    recipient: ClientConfig = field(repr=False)
    topology: Topology = field(repr=False)
    packet: bytes = field(repr=False)


class Sender:
    """Sends packets to the own provider.

    Args:
        composer: makes them.
        own: the client itself, to whom loops go.
        loops: what they carry.
        view: the network.
        hand_over: gives a packet to the provider; raises Unreachable or ExchangeBroken.
        rates: of the streams.
        randomness: for the pauses; each stream has its own, so that what happens in one does not move the other.
    """

    def __init__(
        self,
        composer: Composer,
        own: ClientConfig,
        loops: PlainLoops,
        view: NetworkView,
        hand_over: Callable[[bytes], Awaitable[object]],
        rates: Rates,
        randomness: Randomness,
    ) -> None:
        self.statistics = SendStatistics()
        self._composer = composer
        self._own = loops.recipient(own)
        self._contents = loops
        self._view = view
        self._hand_over = hand_over
        self._rates = rates
        self._pauses = (randomness.fork(), randomness.fork())
        self._entry, self._exit = trio.open_memory_channel[_Outgoing](0)
        self._held: _Outgoing | None = None
        self._sending = FailureLog(log, "sending to the provider")
        self._composing = FailureLog(log, "making cover traffic")

    async def send(self, message: bytes, recipient: ClientConfig) -> None:
        """Pack a message and wait until the out queue takes it. Cancelled, it was not taken.

        Raises:
            SendError: if it cannot be sent.
            NotRunning: if the streams have ended.
        """
        if self._rates.sending is None:
            raise SendError(_SENDING_IS_OFF)
        if self._is_provider_another():
            raise SendError(OTHER_KEY)
        outgoing = self._pack(message, recipient)
        self._contents.note_message(len(message))
        try:
            await self._entry.send(outgoing)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            raise NotRunning("the client has stopped") from None

    async def run(self) -> None:
        """Send until cancelled."""
        queue_pauses, loop_pauses = self._pauses
        try:
            async with trio.open_nursery() as nursery:
                if self._rates.sending is not None:
                    nursery.start_soon(self._queue, self._rates.sending, queue_pauses)
                if self._rates.loops is not None:
                    nursery.start_soon(self._loops, self._rates.loops, loop_pauses)
                await trio.sleep_forever()
        finally:
            self._exit.close()
            if self._held is not None:
                log.warning("a message that the provider never took is lost, as the client stops")

    async def _queue(self, rate: float, pauses: Randomness) -> None:
        tick = trio.current_time()
        while True:
            cover = self._cover() if self._rates.covers else None
            self._renew_held()
            await trio.sleep_until(tick)
            if not self._is_provider_another() and self._has_message():
                await self._send_held()
            else:
                await self._send_cover(cover)
            tick = trio.current_time() + pause(rate, pauses)

    async def _loops(self, rate: float, pauses: Randomness) -> None:
        tick = trio.current_time()
        while True:
            cover = self._cover()
            await trio.sleep_until(tick)
            await self._send_cover(cover)
            tick = trio.current_time() + pause(rate, pauses)

    def _is_provider_another(self) -> bool:
        return self._view.has_other_key(self._composer.provider)

    def _has_message(self) -> bool:
        if self._held is None:
            try:
                self._held = self._exit.receive_nowait()
            except trio.WouldBlock:
                return False
        return True

    async def _send_held(self) -> None:
        assert self._held is not None
        try:
            await self._hand_over(self._held.packet)
        except Unreachable as error:
            self.statistics.repeated += 1
            self._sending.failed(error)
            return
        except ExchangeBroken as error:
            self.statistics.uncertain += 1
            log.warning("a message may be lost: %s", error)
        else:
            self.statistics.messages += 1
            self._sending.worked()
        self._held = None

    async def _send_cover(self, cover: bytes | None) -> None:
        if cover is None:
            self.statistics.idle += 1
            return
        try:
            await self._hand_over(cover)
        except (Unreachable, ExchangeBroken) as error:
            self._sending.failed(error)
            return
        self.statistics.covers += 1
        self._sending.worked()

    def _cover(self) -> bytes | None:
        try:
            cover = self._loop()
        except LoopixError as error:
            self._composing.failed(error)
            return None
        self._composing.worked()
        return cover

    def _loop(self) -> bytes:
        topology, contents = self._view.topology, self._contents
        try:
            return self._composer.loop(topology, self._own, contents.content())
        except MessageTooLong as error:
            # As long as a message that fits, as its recipient was described with fewer bytes
            return self._composer.loop(topology, self._own, contents.content(error.limit))

    def _pack(self, message: bytes, recipient: ClientConfig) -> _Outgoing:
        topology = self._view.topology
        return _Outgoing(message, recipient, topology, self._composer.message(topology, recipient, message))

    def _renew_held(self) -> None:
        """Pack a held message again if the network has changed: the nodes of its path may be gone."""
        held = self._held
        if held is None or held.topology is self._view.topology:
            return
        try:
            self._held = self._pack(held.message, held.recipient)
        except LoopixError as error:
            log.debug("a message keeps its older path: %s", error)
