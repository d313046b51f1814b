"""Figures that are made when somebody asks, and at most once a second."""

import math
from collections.abc import Callable
from typing import Final

import trio

from kpclientd.status import DaemonStatus

FRESH_SECONDS: Final = 1.0


class Snapshots:
    """The daemon's state, and the forms in which it was asked for.

    To ask the daemon takes a tenth of a millisecond of the event loop. What is then made of the answer takes some, and
    happens in a thread, from which the loop takes the interpreter back when a packet is due.

    Args:
        status: tells the present state.
    """

    def __init__(self, status: Callable[[], DaemonStatus]) -> None:
        self._status = status
        self._present: DaemonStatus | None = None
        self._made_at = -math.inf
        self._forms: dict[Callable[[DaemonStatus], bytes], bytes] = {}
        self._making = trio.Lock()

    async def as_bytes(self, form: Callable[[DaemonStatus], bytes]) -> bytes:
        """The state in a form, at most a second old; who asks while it is made gets the same."""
        async with self._making:
            now = trio.current_time()
            if self._present is None or now >= self._made_at + FRESH_SECONDS:
                self._present, self._made_at = self._status(), now
                self._forms.clear()
            if form not in self._forms:
                self._forms[form] = await trio.to_thread.run_sync(form, self._present)
            return self._forms[form]
