"""The page's own files: colours that can be told apart, and nothing from elsewhere."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from kpclientd.status_page import site

FOLDER = Path(site.__file__).parent
STYLE = (FOLDER / "page.css").read_text()
PAGE = (FOLDER / "page.html").read_text()
SCRIPT = (FOLDER / "page.js").read_text()

TEXT_CONTRAST = 4.5
GRAPHIC_CONTRAST = 3.0
"""WCAG 2.2, level AA: text, and what must be seen of a graphic."""

TEXT = [
    *((colour, ground) for colour in ("text", "quiet", "accent") for ground in ("ground", "card")),
    *((colour, f"{colour}-ground") for colour in ("good", "warn", "bad")),
    *(("text", "soft"), ("text", "band"), ("card", "accent"), ("bad", "card")),
]
GRAPHIC = [("accent", "card"), ("accent", "band"), ("bad", "card"), ("bad", "soft")]


def colours(style: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6});", style))


LIGHT = colours(STYLE[: STYLE.index("@media")])
DARK = LIGHT | colours(STYLE[STYLE.index("@media (prefers-color-scheme: dark)") :])


def luminance(colour: str) -> float:
    shares = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    red, green, blue = (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_told_apart(scheme: dict[str, str]) -> None:
    for pairs, least in ((TEXT, TEXT_CONTRAST), (GRAPHIC, GRAPHIC_CONTRAST)):
        for colour, ground in pairs:
            found = contrast(scheme[colour], scheme[ground])
            assert found >= least, f"{colour} on {ground}: {found:.2f}"


def test_both_schemes_have_all_colours() -> None:
    assert set(LIGHT) == set(DARK) and len(LIGHT) > 10
    assert set(re.findall(r"var\(--([a-z-]+)\)", STYLE)) == set(LIGHT)


def test_nothing_comes_from_elsewhere() -> None:
    for text in (PAGE, STYLE, SCRIPT):
        assert set(re.findall(r"(?:https?:)?//[a-z][^\s\"'`]*", text)) <= {"http://www.w3.org/2000/svg"}
    assert "url(" not in STYLE and "@import" not in STYLE
    assert not re.search(
        r"\b(eval|innerHTML|outerHTML|insertAdjacentHTML|localStorage|sessionStorage|cookie)\b", SCRIPT
    )
    assert not re.search(r"<[^>]* (style|on[a-z]+)=", PAGE)
    assert re.findall(r"<script[^>]*>(.*?)</script>", PAGE) == [""] and "<style" not in PAGE


def test_every_part_that_the_script_names_is_in_the_page() -> None:
    named = set(re.findall(r"(?:byId|say|rows|new Plot)\(\"([a-z-]+)\"", SCRIPT))
    named |= set(re.findall(r"plot\.show\(\"([a-z-]+)\"", SCRIPT))
    assert named == named & set(re.findall(r' id="([a-z-]+)"', PAGE))
    assert len(named) > 20


def test_the_icon_is_a_picture() -> None:
    assert ElementTree.parse(FOLDER / "page.svg").getroot().tag == "{http://www.w3.org/2000/svg}svg"
