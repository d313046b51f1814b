"""Keeps a connection to some gateway for as long as the daemon runs: a state machine without I/O.

    state       event                                 next        and
    WAITING     a gateway may be dialled              DIALLING    one is drawn, its keys are made, `Dial`
    DIALLING    the stream is open                    HANDSHAKE
    DIALLING    it could not be opened; its deadline  WAITING     `Failed`: that gateway's back-off grows
    HANDSHAKE   the gateway is the one drawn          UP          `Up`
    HANDSHAKE   the protocol ended                    WAITING     `Failed`: that gateway's back-off grows
    UP          the link has proved good, by its age  UP          `Settled`: its gateway's back-off is forgotten
                and a document, or by its age alone
    UP          the protocol ended                    WAITING     `Down`; its back-off grows
    UP          the link is cut or given up, by no    WAITING     `Down`; its back-off stays as it was
                fault of the gateway's
    any         the way to the network has changed    the same    all may be dialled at once

Every state has a deadline: WAITING the end of the shortest back-off, or five seconds where there is no gateway at all;
DIALLING its own; HANDSHAKE and UP those of the `LinkProtocol`, which ends itself. A try is hurried while there is
another gateway to try that has failed no more often: silent ones do not keep it from us for long, and where all are
slow, the last of them has the time that it needs.

Source: the Katzenpost wire protocol, "lifecycle" and "choosing the gateway".
"""

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from kpclientd.gateway.choice import GatewayChoice, GatewayPool
from kpclientd.gateway.protocol import LinkProtocol

DIAL_SECONDS: Final = 35.0
"""Above every deadline that a transport has of its own."""

HURRIED_DIAL_SECONDS: Final = 4.0
"""While another gateway may be dialled: time for three of TCP's tries. The handshake then has as long, at most."""

OVERTIME_SECONDS: Final = 1.0
"""Who opens streams keeps to the time himself, and knows better how far he came."""

PROVED_SECONDS: Final = 5.0
"""A link by which a document came must have lived so long to be a good one."""

SETTLED_SECONDS: Final = 35.0
"""A link that lived this long is a good one, whatever came by it: longer than an unanswered request lets it live."""

BETWEEN_TRIES_SECONDS: Final = 0.25
"""From one gateway that failed to the next."""

LOOK_AGAIN_SECONDS: Final = 5.0
"""Where there is no gateway at all, a document may bring one."""


class ConnectionState(Enum):
    """Where the connection is; the values are what a status shows."""

    WAITING = "waiting"
    DIALLING = "dialling"
    HANDSHAKE = "handshake"
    UP = "up"


@dataclass(frozen=True, slots=True)
class Dial:
    """Open a stream to the gateway of `protocol`, within so many seconds; tell it by `opened` or `not_opened`."""

    protocol: LinkProtocol
    within: float


@dataclass(frozen=True, slots=True)
class HangUp:
    """Close the stream, or give up opening it."""


@dataclass(frozen=True, slots=True)
class Up:
    """The connection is established."""

    protocol: LinkProtocol


@dataclass(frozen=True, slots=True)
class Settled:
    """The established connection is a good one."""

    choice: GatewayChoice


@dataclass(frozen=True, slots=True)
class Down:
    """An established connection has ended.

    Attributes:
        choice: the gateway.
        reason: why.
        next_try: monotonic seconds.
        is_way_bad: whether too little came by the stream, or too late: another way there may do better.
    """

    choice: GatewayChoice
    reason: str
    next_try: float
    is_way_bad: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A try has failed, or there was nothing to try (then `choice` is None); otherwise as `Down`.

    Attributes:
        is_by_proxy: whether it failed before the gateway could, by the proxy that is on the way to all of them.
    """

    choice: GatewayChoice | None
    reason: str
    next_try: float
    is_way_bad: bool = False
    is_by_proxy: bool = False


ConnectionEvent = Dial | HangUp | Up | Settled | Down | Failed


class Connection:
    """The connection. Every `now` is in monotonic seconds.

    Args:
        pool: the gateways.
        new_protocol: makes the keys of one try.
        hurried: the deadline for opening a stream while another gateway may be dialled (seconds).

    Attributes:
        protocol: of the present try or link; None while waiting.
        since: when the present state began.
    """

    def __init__(
        self,
        pool: GatewayPool,
        new_protocol: Callable[[GatewayChoice], LinkProtocol],
        *,
        hurried: float = HURRIED_DIAL_SECONDS,
    ) -> None:
        self.protocol: LinkProtocol | None = None
        self.since = 0.0
        self._pool = pool
        self._new_protocol = new_protocol
        self._hurried = hurried
        self._dial_seconds = DIAL_SECONDS
        self._state = ConnectionState.WAITING
        self._not_before = 0.0
        self._dial_by = math.inf
        self._is_settled = self._is_proved = self._is_blameless = False
        self._events: deque[ConnectionEvent] = deque()

    @property
    def state(self) -> ConnectionState:
        """Where it is."""
        return self._state

    @property
    def is_up(self) -> bool:
        """Whether there is a link."""
        return self._state is ConnectionState.UP

    def opened(self, now: float) -> None:
        """The stream that `Dial` asked for is open."""
        assert self.protocol is not None and self._state is ConnectionState.DIALLING, self._state
        self._enter(ConnectionState.HANDSHAKE, now)
        self.protocol.connected(now, within=self._dial_seconds)

    def not_opened(self, reason: str, now: float, *, is_refused: bool, is_by_proxy: bool = False) -> None:
        """The stream that `Dial` asked for could not be opened; `is_by_proxy` if no gateway is to blame for it."""
        if self._state is ConnectionState.DIALLING:
            self._fail(reason, now, is_there=is_refused, is_by_proxy=is_by_proxy)

    def progressed(self, now: float) -> None:
        """The protocol was given something: see what it made of it. To be called each time."""
        protocol = self.protocol
        if protocol is None:
            return
        if self._state is ConnectionState.HANDSHAKE and protocol.was_up:
            self._enter(ConnectionState.UP, now)
            self._is_settled = self._is_proved = False
            self._events.append(Up(protocol))
        self._settle(now)
        if protocol.end is None:
            return
        if self._state is ConnectionState.HANDSHAKE:
            self._fail(str(protocol.end), now, is_there=protocol.was_closed_by_peer)
        elif self._state is ConnectionState.UP:
            self._end(str(protocol.end), now)

    def proved(self, now: float) -> None:
        """The gateway that is connected has given a document that is believed."""
        self._is_proved = True
        self._settle(now)

    def leave(self, reason: str, now: float) -> None:
        """End the link, if there is one; another gateway is drawn first, if there is one."""
        if self.protocol is not None and self._state is ConnectionState.UP:
            self.protocol.leave(reason)
            self.progressed(now)

    def route_changed(self, now: float, *, link_is_cut: bool) -> None:
        """Addresses of this machine came or went, or it slept; `link_is_cut` if the present link cannot live on."""
        self._pool.forget_failures()
        self._not_before = now
        if link_is_cut and self._state is not ConnectionState.WAITING:
            self.lose("the way to the network has changed", now)

    def lose(self, reason: str, now: float) -> None:
        """The link, or the try, is known to be lost through no fault of the gateway's."""
        if self.protocol is None:
            return
        self._is_blameless = True
        self.protocol.leave(reason)
        if self._state is ConnectionState.DIALLING:
            self._fail(reason, now, is_there=False)
        else:
            self.progressed(now)

    def next_timer(self) -> float:
        """When `handle_timers` has something to do: monotonic seconds, always finite."""
        match self._state:
            case ConnectionState.WAITING:
                return self._next_try()
            case ConnectionState.DIALLING:
                return self._dial_by
        assert self.protocol is not None, self._state
        return self.protocol.next_timer()

    def handle_timers(self, now: float) -> None:
        """Do what is due."""
        match self._state:
            case ConnectionState.WAITING:
                if now >= self._next_try():
                    self._try(now)
            case ConnectionState.DIALLING:
                if now >= self._dial_by:
                    self._fail(f"it was not reached in {self._dial_seconds:.0f} s", now, is_there=False)
            case _:
                assert self.protocol is not None, self._state
                self.protocol.handle_timers(now)
                self.progressed(now)

    def next_event(self) -> ConnectionEvent | None:
        """What to do, and what happened, in order."""
        return self._events.popleft() if self._events else None

    def _next_try(self) -> float:
        due = self._pool.next_due()
        return self._not_before if due is None else max(self._not_before, due)

    def _try(self, now: float) -> None:
        choice = self._pool.draw(now)
        if choice is None:
            self._not_before = now + LOOK_AGAIN_SECONDS
            self._events.append(Failed(None, self._pool.why_none(), self._not_before))
            return
        self.protocol = self._new_protocol(choice)
        self._is_blameless = False
        self._dial_seconds = self._hurried if self._pool.is_rival_due(choice, now) else DIAL_SECONDS
        self._dial_by = now + self._dial_seconds + OVERTIME_SECONDS
        self._enter(ConnectionState.DIALLING, now)
        self._events.append(Dial(self.protocol, self._dial_seconds))

    def _settle(self, now: float) -> None:
        good_after = PROVED_SECONDS if self._is_proved else SETTLED_SECONDS
        if self._state is ConnectionState.UP and not self._is_settled and now >= self.since + good_after:
            assert self.protocol is not None, self._state
            self._is_settled = True
            self._pool.settled(self.protocol.choice)
            self._events.append(Settled(self.protocol.choice))

    def _fail(self, reason: str, now: float, *, is_there: bool, is_by_proxy: bool = False) -> None:
        choice, is_way_bad = self._stop(now, is_there=is_there)
        self._events.append(Failed(choice, reason, self._next_try(), is_way_bad, is_by_proxy))

    def _end(self, reason: str, now: float) -> None:
        choice, is_way_bad = self._stop(now, is_there=False)
        self._events.append(Down(choice, reason, self._next_try(), is_way_bad))

    def _stop(self, now: float, *, is_there: bool) -> tuple[GatewayChoice, bool]:
        assert self.protocol is not None, self._state
        choice, protocol = self.protocol.choice, self.protocol
        is_way_bad = protocol.was_too_slow or (protocol.was_closed_by_peer and not protocol.was_up)
        if not self._is_blameless:
            self._pool.failed(choice, now, is_there=is_there)
        self._not_before = now + BETWEEN_TRIES_SECONDS
        self.protocol.leave("the try for it was given up")
        self.protocol = None
        self._enter(ConnectionState.WAITING, now)
        self._events.append(HangUp())
        return choice, is_way_bad

    def _enter(self, state: ConnectionState, now: float) -> None:
        self._state = state
        self.since = now
