"""What mkdocs calls while it builds the site: it brings in what lies outside of docs, so that its links lead somewhere.

Pages link as a reader of the tree needs it, such as `../CHANGELOG.md`; in the site such a file lies beside the pages.
A link to a folder is a name in the site, since no page shows what is in it.
"""

import re
from pathlib import Path
from typing import Any, Final

from mkdocs.structure.files import File, Files

ROOT: Final = Path(__file__).resolve().parents[2]
DOCS: Final = ROOT / "docs"

PAGES: Final = ("CHANGELOG.md", "CONTRIBUTING.md")
"""Pages at the top level of the tree."""

_OUTWARD: Final = re.compile(r"\[([^\]]*)\]\(\.\./([^)#]+)(#[^)]*)?\)")
_FOLDER: Final = re.compile(r"\[([^\]]*)\]\(([\w/-]+)\)")
_INWARD: Final = re.compile(r"\]\(docs/([^)]+)\)")


def on_files(files: Files, config: Any) -> Files:
    """Add the pages at the top level, and the files outside of docs that pages link to."""
    linked = {found[2] for page in DOCS.glob("*.md") for found in _OUTWARD.finditer(page.read_text(encoding="utf-8"))}
    for name in sorted({*PAGES, *linked}):
        if (ROOT / name).is_file():
            files.append(File.generated(config, name, abs_src_path=str(ROOT / name)))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Make links to those files, and theirs into docs, links within the site."""
    return _FOLDER.sub(_name, _INWARD.sub(r"](\1)", _OUTWARD.sub(_inside, markdown)))


def _inside(found: re.Match[str]) -> str:
    text, target, anchor = found.groups()
    return _as_name(text, target) if (ROOT / target).is_dir() else f"[{text}]({target}{anchor or ''})"


def _name(found: re.Match[str]) -> str:
    text, target = found.groups()
    return _as_name(text, target) if (DOCS / target).is_dir() else found[0]


def _as_name(text: str, folder: str) -> str:
    return f"`{folder}`" if text in (folder, folder.rpartition("/")[2]) else text
