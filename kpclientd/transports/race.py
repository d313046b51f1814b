"""Tries several ways side by side and takes the first that succeeds ("happy eyeballs", RFC 8305).

    first --250 ms, or as soon as one has failed--> second --...--> last
      |                                               |
      +--------------- the first stream wins: all others are cancelled, and closed -----------------

A way that does not answer costs the next one a quarter of a second, and one that is refused costs it nothing.
"""

from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final

import trio

from kpclientd.transports.errors import DialError

STAGGER_SECONDS: Final = 0.25
"""RFC 8305, section 5: the recommended delay between two attempts."""

Attempt = Callable[[], Awaitable[trio.abc.Stream]]
"""Opens a stream; raises DialError, whose text says only why. Cancelled, it leaves nothing open."""

_CANCELLED: Final = "no answer"
_NOT_TRIED: Final = "not tried"


class Race:
    """One race; to be run once.

    Args:
        attempts: by what they are called, in the order of preference.
        stagger: seconds by which the next attempt begins later, where none has failed.
    """

    def __init__(self, attempts: Mapping[str, Attempt], stagger: float = STAGGER_SECONDS) -> None:
        self._attempts = attempts
        self._stagger = stagger
        self._begun: set[str] = set()
        self._failures: dict[str, DialError] = {}
        self._streams: list[trio.abc.Stream] = []
        self._failed = trio.Event()
        self.winner = ""
        """The name of the attempt that succeeded."""

    async def run(self) -> trio.abc.Stream:
        """Return the first stream.

        Raises:
            DialError: if every attempt failed.
        """
        try:
            async with trio.open_nursery() as nursery:
                await self._begin_all(nursery)
        except BaseException:
            await _close(self._streams)
            raise
        if not self._streams:
            raise self.error()
        # Two may succeed before the first can cancel the other.
        await _close(self._streams[1:])
        return self._streams[0]

    def error(
        self,
        of_unanswered: str = _CANCELLED,
        waits_for: Mapping[str, str] = MappingProxyType({}),
        *,
        is_by_proxy: bool = False,
    ) -> DialError:
        """What came of the attempts: each by its name, with its reason; a reason that several share is told once.

        Args:
            of_unanswered: the reason for those that were begun and have neither succeeded nor failed.
            waits_for: of these, what each has waited for, where that is known.
            is_by_proxy: whether no attempt has come past the proxy; then their names do not matter.
        """
        names: dict[str, list[str]] = {}
        for name in self._attempts:
            unanswered = f"{of_unanswered}: {waits_for[name]}" if name in waits_for else of_unanswered
            names.setdefault(self._reason(name, unanswered), []).append(name)
        failures = [self._failures.get(name) for name in self._attempts]
        is_refused = bool(failures) and all(failure is not None and failure.is_refused for failure in failures)
        if is_by_proxy:
            return DialError("; ".join(r for r in names if r != _NOT_TRIED), is_refused=is_refused, is_by_proxy=True)
        return DialError(
            "; ".join(f"{', '.join(each)}: {reason}" for reason, each in names.items()), is_refused=is_refused
        )

    def _reason(self, name: str, of_unanswered: str) -> str:
        if name in self._failures:
            return str(self._failures[name])
        return of_unanswered if name in self._begun else _NOT_TRIED

    async def _begin_all(self, nursery: trio.Nursery) -> None:
        for name, attempt in self._attempts.items():
            self._failed = trio.Event()
            self._begun.add(name)
            nursery.start_soon(self._try, name, attempt, nursery.cancel_scope)
            with trio.move_on_after(self._stagger):
                await self._failed.wait()

    async def _try(self, name: str, attempt: Attempt, race: trio.CancelScope) -> None:
        try:
            stream = await attempt()
        except DialError as error:
            self._failures[name] = error
            self._failed.set()
        else:
            self._streams.append(stream)
            self.winner = self.winner or name
            race.cancel()


async def _close(streams: list[trio.abc.Stream]) -> None:
    for stream in streams:
        await trio.aclose_forcefully(stream)
