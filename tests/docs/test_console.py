"""What the guides tell a reader to type does what they show."""

import shutil

import pytest

from tests.docs.blocks import DOCS, Block, Typed, blocks, pattern, typed
from tests.docs.reader import Reader, a_reader
from tests.pigeonhole.installed import needs_libraries

FIRST_STEPS = "index.md"
WITH_A_DAEMON = ("status.md",)
WITH_STORAGE = ("pigeonhole.md",)
LETTER = b"Dear Bob"
ALONE = ("index.md", "joining.md")
ELSEWHERE = ("loopix.md",)
"""Its directory has a port of its own; tests/loopix has these commands."""

TERMINALS = 2
"""The blocks of the first steps that start a network and a daemon."""


@pytest.mark.parametrize("page", ALONE)
def test_what_a_page_has_for_a_console_works(page: str) -> None:
    with a_reader() as reader:
        assert reader.follow(page) > 1


@pytest.mark.parametrize("page", WITH_A_DAEMON)
def test_what_a_page_has_for_a_console_works_beside_a_daemon(page: str) -> None:
    with a_reader() as reader:
        beside_a_daemon(reader)
        assert reader.follow(page) > 1


@needs_libraries
@pytest.mark.parametrize("page", WITH_STORAGE)
def test_what_a_page_has_for_a_console_works_on_a_network_that_stores(page: str) -> None:
    with a_reader() as reader:
        beside_a_daemon(reader)
        letter = reader.folder / "letter.pdf"
        letter.write_bytes(LETTER)
        assert reader.follow(page) > 1
        assert (reader.folder / "received.pdf").read_bytes() == LETTER


def beside_a_daemon(reader: Reader) -> None:
    """Have the reader where the first steps lead to, with an application's file at hand."""
    for block in blocks(FIRST_STEPS, "console")[:TERMINALS]:
        for command in typed(block.text):
            reader.type(command)
    shutil.copy(reader.folder / "mynet" / "thinclient-unix.toml", reader.folder / "thinclient.toml")


def test_every_page_with_a_console_is_run() -> None:
    assert sorted(path.name for path in DOCS.glob("*.md") if blocks(path.name, "console")) == sorted(
        [*ALONE, *WITH_A_DAEMON, *WITH_STORAGE, *ELSEWHERE]
    )


def test_no_line_is_wider_than_a_terminal() -> None:
    for page in (*ALONE, *WITH_A_DAEMON, *WITH_STORAGE):
        for block in blocks(page, "console"):
            for command in typed(block.text):
                assert len(f"$ {command.command}") <= 80, command.command


def test_what_is_printed_is_compared_with_what_is_shown() -> None:
    shown = pattern("sent 3 packets\n...\nup 1 min 4 s, gateway ...\n")
    assert shown.fullmatch("sent 17 packets\nanything\nat all\nup 3 s, gateway none\n")
    assert shown.fullmatch("sent 17 packets\nup 3 s, gateway none\n")
    assert not shown.fullmatch("sent no packets\nup 3 s, gateway none\n")
    assert not shown.fullmatch("sent 17 packets\nup 3 s, gateway none\nand more\n")
    [first, second] = typed("$ one\nsays\n$ two\n")
    assert (first, second) == (Typed("one", "says\n"), Typed("two", ""))


def test_blocks_are_found_in_tabs_too() -> None:
    assert {block.language for block in blocks("first-application.md")} >= {"python", "rust", "go"}
    assert all(isinstance(block, Block) and not block.text.startswith(" ") for block in blocks("first-application.md"))
