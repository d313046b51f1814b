"""What is generated from the commands' parsers stands in the tree as it would be generated now, and is readable."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from kpclientd.command_parser import flags_of
from kpclientd.commands.table import COMMANDS
from kpclientd.config.client_file import ClientFile
from kpclientd.config.declared import Table, declared_keys
from kpclientd.whole_parser import command_parsers, whole_parser
from tests.support.manual_pages import COMMAND, COMPLETIONS, MANUAL, files
from tests.support.roff import literal

GENERATED = files()
PAGES = [path for path in GENERATED if path.parent == MANUAL]


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_the_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path], f"run: {COMMAND}"


def test_no_other_page_or_script_lies_about() -> None:
    assert {*MANUAL.iterdir(), *COMPLETIONS.glob("*/*")} == {path for path in GENERATED if path.suffix != ".md"}


def test_every_option_of_every_command_is_told() -> None:
    markdown = next(text for path, text in GENERATED.items() if path.suffix == ".md")
    for name, _, parser in command_parsers():
        page = GENERATED[MANUAL / ("loopix-client.1" if name == "loopix" else f"kpclientd-{name}.1")]
        for flag in set(flags_of(parser)) - {"-h", "--help"}:
            assert literal(flag) in page and flag in markdown
    for flag in flags_of(whole_parser("kpclientd")):
        assert flag in markdown or flag in ("-h", "--help")
    assert all(f"kpclientd {command.name}" in GENERATED[MANUAL / "kpclientd.1"] for command in COMMANDS)


def keys_of(table: type[Table]) -> set[str]:
    inner = [declared.table for declared in declared_keys(table) if declared.table is not None]
    return {declared.key for declared in declared_keys(table)}.union(*map(keys_of, inner))


def test_every_key_of_the_configuration_is_told() -> None:
    page = GENERATED[MANUAL / "client.toml.5"]
    assert all(re.search(rf"\b{key}\b", page) for key in keys_of(ClientFile))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_and_groff_have_nothing_to_complain_of(page: Path) -> None:
    checks = [["man", "--warnings", "-l"], ["groff", "-ww", "-mandoc", "-Tutf8"]]
    usable = [command for command in checks if shutil.which(command[0])]
    if not usable:
        pytest.skip("neither man nor groff is here")
    for command in usable:
        shown = subprocess.run(
            [*command, page],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8", "MANWIDTH": "80"},
            capture_output=True,
            text=True,
            check=True,
        )
        assert shown.stderr == "" and "SYNOPSIS" in re.sub("\x1b.*?m|.\b", "", shown.stdout)


def test_what_begins_like_a_request_of_roff_is_text() -> None:
    assert literal(".so /etc/passwd") == "\\&.so /etc/passwd"
    assert literal("'x' \\n") == "\\&\\(aqx\\(aq \\en"
