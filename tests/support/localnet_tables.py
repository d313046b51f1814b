"""The tables of docs/localnet.md, which are made from the local network's own table of commands.

`python -m tests.support.localnet_tables` writes them.
"""

from pathlib import Path

from kpclientd.localnet.control import command_table
from kpclientd.localnet.faults import DocumentFault

PAGE = Path(__file__).parents[2] / "docs" / "localnet.md"
BEGIN = "<!-- tables -->\n"
END = "<!-- end of the tables -->\n"


def tables() -> str:
    """All commands and all faults of documents, as Markdown."""
    lines = []
    for heading, rows in command_table():
        lines += [f"{heading[0].upper()}{heading[1:]}", "", "| command | what it does |", "|---|---|"]
        lines += [f"| `{usage}` | {text} |" for usage, text in map(_escaped, rows)]
        lines.append("")
    lines += ["`FAULT` is one of", "", "| name | what is wrong |", "|---|---|"]
    lines += [f"| `{fault}` | {fault.meaning} |" for fault in DocumentFault]
    return "\n".join([*lines, ""])


def written(page: str) -> str:
    """The page with its tables as they should be."""
    before, rest = page.split(BEGIN)
    _, after = rest.split(END)
    return f"{before}{BEGIN}{tables()}{END}{after}"


def _escaped(row: tuple[str, str]) -> tuple[str, str]:
    usage, text = row
    return usage.replace("|", "\\|"), text


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
