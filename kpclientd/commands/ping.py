"""`kpclientd ping`: sends messages to a service that answers with the same bytes, and times the answers."""

import argparse
import itertools
import math
import os
import signal
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trio

from kpclientd.client.client import find_service
from kpclientd.client.connection import (
    SILENCE_SECONDS,
    TOKEN_LENGTH,
    DaemonGoneError,
    ThinClient,
    connected_to,
    display,
)
from kpclientd.client.errors import UnknownServiceError
from kpclientd.command_parser import MISUSED, CommandParser
from kpclientd.commands.ping_statistics import PingStatistics
from kpclientd.commands.running import add_config, daemon_of
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.errors import ConfigError, KpclientdError
from kpclientd.thin.errors import ThinError
from pki.document import Document, ServiceEndpoint
from pki.epoch import MILLISECONDS_PER_SECOND
from sphinx.errors import MixnetError
from sphinx.randomness import Randomness
from sphinx.types import SURB_ID_LENGTH, SurbId

ANSWERED: Final = 0
UNANSWERED: Final = 1

DEFAULT_SERVICE: Final = "echo"
DEFAULT_COUNT: Final = 5
DEFAULT_INTERVAL: Final = 1.0
DEFAULT_TIMEOUT: Final = 30.0
PAYLOAD_LENGTH: Final = 32
LEAST_PAYLOAD: Final = 8
"""Enough that no answer to another message is taken for this one's."""

MOST_PAYLOAD: Final = 60_000
"""More than any network's message carries."""

ONLINE_SECONDS: Final = 5.0
"""How long to wait for a daemon without gateway or document: it has waited for both before it greeted us."""

SEND_SECONDS: Final = 30.0
"""How long the daemon may leave a request unread before it counts as stuck."""

_SHORT_ID: Final = 8

_STATUSES: Final = """\
exit status:
  0  something answered
  1  nothing answered
  2  wrong usage, configuration, service or size
"""

Print = Callable[[str], None]


class OfflineError(KpclientdError):
    """The daemon runs and has no way into the network."""


class SizeError(KpclientdError):
    """The network's messages are shorter."""


@dataclass(frozen=True, slots=True)
class Options:
    """What to ping and how.

    Attributes:
        service: by the name of its capability.
        count: messages; None: until a signal.
        interval: between two sends (seconds).
        timeout: for each answer (seconds).
        size: of a message (bytes), which must not be too long for the network; None: short enough for any.
        is_quiet: whether nothing is shown between the first line and the summary.
        is_verbose: whether the nodes on each message's way are shown, as far as the daemon tells.
    """

    service: str = DEFAULT_SERVICE
    count: int | None = DEFAULT_COUNT
    interval: float = DEFAULT_INTERVAL
    timeout: float = DEFAULT_TIMEOUT
    size: int | None = None
    is_quiet: bool = False
    is_verbose: bool = False


@dataclass(slots=True)
class _Pending:
    """One message on its way.

    Attributes:
        payload: what was sent.
        ended: set once there is a result.
        result: the answer's payload, or the reason why there will be none.
        forward, back: the nodes on its way; empty where they are not known.
    """

    payload: bytes = field(repr=False)
    ended: trio.Event = field(default_factory=trio.Event)
    result: bytes | str = field(default="", repr=False)
    forward: list[str] = field(default_factory=list)
    back: list[str] = field(default_factory=list)

    def end(self, result: bytes | str) -> None:
        self.result = result
        self.ended.set()


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status: 0 if anything answered, 1 if nothing did, 2 if it was misused."""
    parsed = build_parser().parse_args(arguments)
    options = Options(
        parsed.service,
        parsed.count or None,
        parsed.interval,
        parsed.timeout,
        parsed.size,
        is_quiet=parsed.quiet,
        is_verbose=parsed.verbose,
    )
    try:
        address = daemon_of(parsed)
    except ConfigError as error:
        return _report(error, MISUSED)
    try:
        return trio.run(_until_interrupted, address, options)
    except (UnknownServiceError, SizeError) as error:
        return _report(error, MISUSED)
    except MixnetError as error:
        return _report(error, UNANSWERED)


async def ping(
    address: ListenTcp | ListenUnix, options: Options, randomness: Randomness, statistics: PingStatistics, show: Print
) -> None:
    """Ping a service through the daemon at `address` and show a line for each answer, each loss and at the end.

    Cancelled in the middle, it still shows the statistics, which it keeps in the `statistics` that it is given.

    Raises:
        OfflineError: the daemon has no gateway or no document.
        UnknownServiceError: the document lists no such service.
        DaemonUnreachableError: there is no daemon.
        ThinError: the daemon does not speak the protocol.
    """

    def on_silence() -> None:
        show(
            f"waiting: the daemon at {display(address)} has no document of the network yet; its log says what it awaits"
        )

    async with connected_to(address, randomness.bytes(TOKEN_LENGTH), on_silence=on_silence) as client:
        document = await _online(client, show)
        service = find_service(document, options.service, randomness)
        node = service.node_id.hex()[:_SHORT_ID]
        show(f"PING {options.service} at {service.descriptor.name} ({node}) through {display(address)}")
        size = _size_for(options.size, client.geometry)
        run = _Run(client, service, options, size, randomness, statistics, _nothing if options.is_quiet else show)
        try:
            await run.send_all()
        finally:
            show(f"--- {options.service} ping statistics ---")
            for line in statistics.summary():
                show(line)
            if suspects := statistics.suspects():
                show(suspects)


class _Run:
    """The messages of one command, several of which may be on their way at once."""

    def __init__(
        self,
        client: ThinClient,
        service: ServiceEndpoint,
        options: Options,
        size: int,
        randomness: Randomness,
        statistics: PingStatistics,
        show: Print,
    ) -> None:
        self._statistics = statistics
        self._client = client
        self._service = service
        self._options = options
        self._size = size
        self._randomness = randomness
        self._show = show
        self._pending: dict[bytes, _Pending] = {}
        self._scope = trio.CancelScope()

    async def send_all(self) -> None:
        """Send all and wait until each is answered or given up, or until the daemon goes away."""
        with self._scope:
            async with trio.open_nursery() as listening:
                listening.start_soon(self._listen)
                async with trio.open_nursery() as waiting:
                    for sequence in self._sequence():
                        if sequence > 1:
                            await trio.sleep(self._options.interval)
                        await self._send(sequence, waiting)
                self._scope.cancel()

    def _sequence(self) -> Iterable[int]:
        return itertools.count(1) if self._options.count is None else range(1, self._options.count + 1)

    async def _send(self, sequence: int, waiting: trio.Nursery) -> None:
        surb_id = SurbId(self._randomness.bytes(SURB_ID_LENGTH))
        pending = _Pending(self._randomness.bytes(self._size))
        self._pending[surb_id] = pending
        self._statistics.sent += 1
        start = trio.current_time()
        waiting.start_soon(self._await_answer, sequence, surb_id, pending, start)
        service = self._service
        try:
            with trio.fail_after(SEND_SECONDS):
                await self._client.send_message(service.node_id, service.endpoint, pending.payload, surb_id)
        except DaemonGoneError as error:
            self._stop(str(error))
        except trio.TooSlowError:
            self._stop("the daemon takes no more requests")

    async def _await_answer(self, sequence: int, surb_id: SurbId, pending: _Pending, start: float) -> None:
        with trio.move_on_at(start + self._options.timeout):
            await pending.ended.wait()
        del self._pending[surb_id]
        elapsed = trio.current_time() - start
        is_answered = isinstance(pending.result, bytes) and pending.result.startswith(pending.payload)
        if is_answered:
            self._statistics.round_trips.append(elapsed)
            self._show(
                f"{len(pending.payload)} bytes from {self._service.descriptor.name}: "
                f"seq={sequence} time={elapsed * MILLISECONDS_PER_SECOND:.1f} ms"
            )
        elif isinstance(pending.result, bytes):
            self._show(f"seq={sequence} lost: the answer is not what was sent")
        else:
            reason = pending.result or f"no answer within {self._options.timeout:g} s"
            self._show(f"seq={sequence} lost: {reason}")
        self._statistics.note_route((*pending.forward, *pending.back), answered=is_answered)
        if self._options.is_verbose and pending.forward:
            self._show(f"    by {' '.join(pending.forward)}; back by {' '.join(pending.back) or '?'}")

    async def _listen(self) -> None:
        try:
            while True:
                message = await self._client.receive()
                if "shutdown_event" in message:
                    self._show("the daemon is shutting down")
                for name in ("message_sent_event", "message_reply_event"):
                    if isinstance(event := message.get(name), dict):
                        self._match(event)
        except ThinError as error:
            self._stop(str(error))

    def _stop(self, reason: str) -> None:
        if not self._scope.cancel_called:
            self._show(f"no more answers can come: {reason}")
            self._scope.cancel()

    def _match(self, event: dict[str, Any]) -> None:
        surb_id = event.get("surbid")
        pending = self._pending.get(surb_id) if isinstance(surb_id, bytes) else None
        if pending is None:
            return
        pending.forward = _names(event.get("forward_route")) or pending.forward
        pending.back = _names(event.get("return_route")) or pending.back
        if reason := event.get("err"):
            pending.end(f"not sent: {reason}")
        elif code := event.get("error_code"):
            pending.end(f"the daemon gave up with code {code}")
        elif isinstance(payload := event.get("payload"), bytes):
            pending.end(payload)


def _size_for(size: int | None, geometry: Mapping[str, Any]) -> int:
    told = geometry.get("UserForwardPayloadLength")
    limit = told if isinstance(told, int) else MOST_PAYLOAD
    if size is None:
        return max(0, min(PAYLOAD_LENGTH, limit))
    if size > limit:
        raise SizeError(f"a message of {size} bytes is too long: this network's carry {limit}")
    return size


def _nothing(line: str) -> None:
    """What is quiet shows no line."""


async def _until_interrupted(address: ListenTcp | ListenUnix, options: Options) -> int:
    """Ping until all is done or a signal ends it."""
    statistics = PingStatistics()
    failure: list[Exception] = []

    async def run(scope: trio.CancelScope) -> None:
        try:
            await ping(address, options, Randomness(os.urandom), statistics, _show)
        except MixnetError as error:
            failure.append(error)
        scope.cancel()

    with trio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, nursery.cancel_scope)
            async for _ in signals:
                nursery.cancel_scope.cancel()
    if failure:
        raise failure[0]
    return ANSWERED if statistics.round_trips else UNANSWERED


async def _online(client: ThinClient, show: Print) -> Document:
    """Wait for a while until the daemon is online, and show what it lacks, whenever that is something else."""
    shown = ""
    with trio.move_on_after(ONLINE_SECONDS):
        while lacking := _lacking(client):
            with trio.move_on_after(SILENCE_SECONDS if lacking != shown else math.inf) as patience:
                await client.receive()
            if patience.cancelled_caught:
                show(f"waiting: the daemon is offline: {lacking}")
                shown = lacking
    document = client.document
    if document is None or not client.connected:
        raise OfflineError(f"the daemon is offline: {_lacking(client)}; its log says why")
    return document


def _lacking(client: ThinClient) -> str:
    """What the daemon lacks to be online, or nothing."""
    if not client.connected:
        return "it has no connection to its gateway"
    return "it has no document of the network" if client.document_payload is None else ""


def _names(route: object) -> list[str]:
    """The nodes of a route as an event tells it; daemons of today only do."""
    return [name for name in route if isinstance(name, str)] if isinstance(route, list) else []


def build_parser() -> argparse.ArgumentParser:
    """What reads its line: the letters are those of other pings."""
    parser = CommandParser(
        prog="kpclientd ping",
        description="Time the way to a service and back.",
        epilog=_STATUSES,
    )
    parser.add_argument("service", nargs="?", default=DEFAULT_SERVICE, metavar="SERVICE", help="default: %(default)s")
    add_config(parser, "--config")
    add = parser.add_argument
    add(
        "-c",
        "-n",
        "--count",
        type=_count,
        default=DEFAULT_COUNT,
        help="messages, default: %(default)s; 0: until Ctrl-C",
    )
    add(
        "-i", "--interval", type=_seconds, default=DEFAULT_INTERVAL, metavar="S", help="seconds between two, default: 1"
    )
    add(
        "-W",
        "--timeout",
        type=_seconds,
        default=DEFAULT_TIMEOUT,
        metavar="S",
        help="seconds for an answer, default: 30",
    )
    add("-s", "--size", type=_size, metavar="BYTES", help=f"of a message, default: {PAYLOAD_LENGTH}")
    add("-q", "--quiet", action="store_true", help="show nothing between the first line and the summary")
    add("-v", "--verbose", action="store_true", help="show the nodes on each message's way, as far as the daemon tells")
    return parser


def _count(text: str) -> int:
    if not text.isascii() or not text.isdecimal():
        where = f"; a file is given by --config {text}" if Path(text).suffix else ""
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of messages{where}")
    return int(text)


def _size(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or not LEAST_PAYLOAD <= int(text) <= MOST_PAYLOAD:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of bytes from {LEAST_PAYLOAD} to {MOST_PAYLOAD}")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 <= value < math.inf:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds")
    return value


def _show(line: str) -> None:
    print(line, flush=True)


def _report(error: Exception, status: int) -> int:
    sys.stderr.write(f"kpclientd ping: {error}\n")
    return status
