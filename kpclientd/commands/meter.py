"""How far something has come, in one line of a terminal; nothing where there is none."""

import time
from collections.abc import Callable
from typing import Final, TextIO

from kpclientd.client import Progress

_BACK: Final = "\r\x1b[K"
_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024
_SECONDS: Final = 60


class Meter:
    """The line.

    Args:
        stream: where it goes; if it is no terminal, nowhere.
        total: bytes there will be, if that is known.
        now: seconds.
    """

    def __init__(self, stream: TextIO, total: int | None = None, now: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream if stream.isatty() else None
        self._total = total
        self._now = now
        self._began: tuple[float, int] | None = None

    def show(self, progress: Progress) -> None:
        """Show it in the place of what was shown before."""
        if self._stream is not None:
            self._stream.write(_BACK + self.line(progress))
            self._stream.flush()

    def line(self, progress: Progress) -> str:
        """Bytes and boxes, the rate since the first call, and what is left."""
        now, length = self._now(), progress.length
        if self._began is None:
            self._began = (now, length)
        parts = [f"{amount(length)} of {amount(self._total)}" if self._total else amount(length)]
        parts.append(f"{progress.boxes} box{'' if progress.boxes == 1 else 'es'}")
        elapsed = now - self._began[0]
        rate = (length - self._began[1]) / elapsed if elapsed > 0 else 0.0
        if rate:
            parts.append(f"{amount(rate)}/s")
            if self._total and length < self._total:
                minutes, seconds = divmod(round((self._total - length) / rate), _SECONDS)
                parts.append(f"{minutes}:{seconds:02} left")
        return ", ".join(parts)

    def end(self) -> None:
        """Leave the line to the terminal."""
        if self._stream is not None and self._began is not None:
            self._stream.write("\n")


def amount(length: float) -> str:
    """A number of bytes as people read it."""
    for unit in _UNITS:
        if length < _STEP or unit == _UNITS[-1]:
            break
        length /= _STEP
    return f"{length:.0f} {unit}" if unit == _UNITS[0] else f"{length:.1f} {unit}"
