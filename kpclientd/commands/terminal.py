"""For people at a terminal: time spans in words, and what is drawn."""

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))
_MOST_UNITS: Final = 2


def duration(seconds: float) -> str:
    """A time span in its two largest units: `3 h 5 min`."""
    left = max(0, round(seconds))
    parts: list[str] = []
    for size, unit in _UNITS:
        count, left = divmod(left, size)
        if count or parts:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:_MOST_UNITS]) or "0 s"


def print_plainly(console: "Console", drawn: "RenderableType") -> None:
    """Print it in colours on a terminal, or else its bare lines, without blanks at their ends."""
    if console.is_terminal:
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)
