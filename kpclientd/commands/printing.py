"""What is drawn for terminals, printed: with colours on a terminal alone, and without blanks at the ends of lines."""

from rich.console import Console, RenderableType


def print_plainly(console: Console, drawn: RenderableType) -> None:
    """Print it, or, where there is no terminal, its bare lines."""
    if console.is_terminal:
        console.print(drawn)
        return
    with console.capture() as captured:
        console.print(drawn)
    print("\n".join(line.rstrip() for line in captured.get().splitlines()), flush=True)
