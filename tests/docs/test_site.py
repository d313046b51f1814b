"""The site is built strictly: no dead link, no page without a place, nothing that is loaded from elsewhere."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.docs.blocks import ROOT
from tests.support.browser import CHROMIUM, tab

PATIENCE_SECONDS = 300
SMALL_SCREEN = 360
SEARCH = """() => {
  const field = document.querySelector('.md-search__input');
  field.focus();
  field.value = 'UpstreamProxy';
  field.dispatchEvent(new Event('keyup'));
  return [...document.querySelectorAll('a.md-search-result__link')].map(link => link.href).join(' ');
}"""
"""Types a word, and returns what is found so far."""

LOADING = {
    "script": "src",
    "img": "src",
    "link": "href",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "audio": "src",
    "object": "data",
}
"""What a browser fetches by itself, by tag and attribute."""


def build_site(tree: Path, site: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "mkdocs", "build", "--config-file", str(tree / "configs" / "mkdocs.yml")]
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [*command, "--strict", "--site-dir", str(site)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=PATIENCE_SECONDS,
    )


@pytest.fixture(scope="module", name="site")
def built_site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build_site(ROOT, folder)
    assert done.returncode == 0, done.stderr
    return folder


class Loaded(HTMLParser):
    """What a page loads by itself."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = dict(attributes)
        if address := given.get(LOADING.get(tag, "")):
            self.addresses.append(address)
        self.addresses += re.findall(r"url\(([^)]*)\)", given.get("style") or "")


def test_no_page_loads_anything_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 10
    for page in pages:
        loaded = Loaded()
        loaded.feed(page.read_text(encoding="utf-8"))
        assert loaded.addresses
        assert [address for address in loaded.addresses if re.match(r"(?i)\s*(https?:)?//", address)] == [], page.name


def test_no_style_loads_anything_from_elsewhere(site: Path) -> None:
    styles = list(site.rglob("*.css"))
    assert styles
    for style in styles:
        text = style.read_text(encoding="utf-8")
        assert re.findall(r"url\(\s*[\"']?(?:https?:)?//|@import", text) == [], style.name


def test_the_search_knows_every_page(site: Path) -> None:
    entries = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))["docs"]
    found = {entry["location"].partition("#")[0] for entry in entries}
    pages = {page.name for page in site.glob("*.html")} - {"404.html"}
    assert pages == found
    assert any("UpstreamProxy" in entry["text"] for entry in entries)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
async def test_a_browser_searches_finds_and_asks_nobody_else(site: Path) -> None:
    with served(site) as address:
        async with tab() as page:
            await page.show_as(width=1280)
            await page.open(f"{address}/index.html")
            await page.until(bool, "document.querySelector('.md-search__input') !== null")
            found = await page.until(bool, f"({SEARCH})()")
            assert "configuration.html" in found
            assert [url for url in page.requested if not url.startswith((address, "data:", "blob:", "about:"))] == []
            assert page.said == []


@pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine")
async def test_no_page_is_wider_than_a_small_screen(site: Path) -> None:
    with served(site) as address:
        async with tab() as page:
            await page.show_as(width=SMALL_SCREEN)
            for name in sorted(path.name for path in site.glob("*.html")):
                await page.open(f"{address}/{name}")
                await page.until(bool, f"location.pathname.endsWith({name!r}) && document.readyState === 'complete'")
                assert await page.value("document.documentElement.scrollWidth") <= SMALL_SCREEN, name


@contextmanager
def served(folder: Path) -> Iterator[str]:
    """The site's address as long as the block lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.mark.parametrize(
    ("added", "complaint"),
    [
        ("[dead](nowhere.md)", "nowhere.md"),
        ("[dead](status.md#no-such-place)", "no-such-place"),
        ("[dead](../NOWHERE)", "NOWHERE"),
    ],
)
def test_a_dead_link_is_an_error(tmp_path: Path, added: str, complaint: str) -> None:
    for name in ("configs", "docs"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("locks"))
    hook = tmp_path / "tests" / "support" / "site_files.py"
    hook.parent.mkdir(parents=True)
    for name in ("tests/support/site_files.py", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy(ROOT / name, tmp_path / name)
    page = tmp_path / "docs" / "index.md"
    page.write_text(page.read_text(encoding="utf-8") + f"\n{added}\n", encoding="utf-8")
    done = build_site(tmp_path, tmp_path / "site")
    assert done.returncode != 0
    assert complaint in done.stderr


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"])
def test_what_the_pages_at_the_top_level_link_to_is_there(name: str) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", (ROOT / name).read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
