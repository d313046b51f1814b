"""Daemons that tell something by their traffic: what finds nothing at a good one has to find these."""

from collections import deque
from collections.abc import Callable
from typing import Final

import trio

from arq import Operation
from kpclientd.gateway.protocol import Delivered, LinkEvent
from kpclientd.traffic.schedule import Process
from tests.support.world import World

HANDLING_SECONDS: Final = 0.0003
"""What handing a reply to its application took before its acknowledgement, once."""


def sends_at_once(here: World) -> None:
    """A message has a tick made for it."""
    notifier, sender = here.daemon.notifier, here.daemon.sender
    put = notifier._put_in_queue

    def put_and_hurry(operation: Operation, again: bool) -> None:
        put(operation, again)
        if Process.P in sender._schedule._next:
            sender._schedule._next[Process.P] = trio.current_time()
            sender._sleep.cancel()

    notifier._put_in_queue = put_and_hurry  # type: ignore[method-assign]


def acknowledges_after_handling(here: World) -> None:
    """A reply is handed on before it is acknowledged, and nothing hides how long that takes."""
    _pause(here, lambda is_real, drawn: HANDLING_SECONDS * is_real)


def handles_within_the_pause(here: World) -> None:
    """The pause before an acknowledgement is longer where an application waits for the reply."""
    _pause(here, lambda is_real, drawn: drawn + 20 * HANDLING_SECONDS * is_real)


def _pause(here: World, pause: Callable[[bool, float], float]) -> None:
    link = here.daemon.connector.link
    assert link is not None
    protocol, surbs = link._protocol, here.daemon.engine.surbs
    draw = protocol.pause

    def spoiled() -> float:
        drawn = draw()
        return pause(_any_real(protocol._events), drawn) if drawn else 0.0

    def _any_real(events: deque[LinkEvent]) -> bool:
        delivered = (surbs.find(event.surb_id) for event in events if isinstance(event, Delivered))
        return any(surb is not None and not surb.holder.is_cover for surb in delivered)

    protocol.pause = spoiled  # type: ignore[method-assign]
