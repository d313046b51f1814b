"""What mkdocs calls while it builds the site: it brings in what lies outside of docs, so that its links lead somewhere.

Pages link as a reader of the tree needs it, such as `../CHANGELOG.md`; in the site such a file lies beside the pages.
"""

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[2]

PAGES: Final = ("CHANGELOG.md", "CONTRIBUTING.md")
"""Pages at the top level of the tree."""

DOWNLOADS: Final = (*sorted(f"configs/{path.name}" for path in (ROOT / "configs").glob("*.toml")), "LICENSE")
"""What pages refer to and is no page."""

_OUTWARD: Final = re.compile(r"\]\(\.\./(" + "|".join(map(re.escape, (*PAGES, *DOWNLOADS))) + r")(#[^)]*)?\)")
_INWARD: Final = re.compile(r"\]\(docs/([^)]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the files from outside of docs."""
    for name in (*PAGES, *DOWNLOADS):
        files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Make links to those files, and theirs into docs, links within the site."""
    return _INWARD.sub(r"](\1)", _OUTWARD.sub(r"](\1\2)", markdown))
