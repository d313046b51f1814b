"""No example of the documentation goes without a test: each language has its pages, and each page its test."""

import tomllib
from collections.abc import Iterator

import pytest

from kpclientd.config.client_file import ClientFile
from kpclientd.config.declared import Table, declared_keys
from kpclientd.config.dial import DialFile
from tests.docs.blocks import DOCS, blocks

TESTED = {
    "python": {
        "applications.md": "tests/interop/test_documented_example.py",
        "pigeonhole.md": "tests/interop/test_documented_example.py",
        "localnet.md": "tests/localnet/test_localnet_page.py",
        "loopix.md": "tests/loopix/test_loopix_library.py",
        "first-application.md": "tests/docs/test_programs.py",
    },
    "rust": {"first-application.md": "tests/docs/test_programs.py"},
    "go": {"first-application.md": "tests/docs/test_programs.py"},
}


@pytest.mark.parametrize("language", TESTED)
def test_every_program_has_a_test(language: str) -> None:
    assert {path.name for path in DOCS.glob("*.md") if blocks(path.name, language)} == {*TESTED[language]}
    for page, test in TESTED[language].items():
        assert page in (DOCS.parent / test).read_text(encoding="utf-8")


def known(table: type[Table], prefix: str = "") -> Iterator[str]:
    for declared in declared_keys(table):
        name = f"{prefix}{declared.key}"
        yield name
        if declared.table is not None:
            yield from known(declared.table, f"{name}.")


def keys(values: dict[str, object], prefix: str = "") -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


CONFIGURATIONS = ("joining.md", "status-page.md")
OF_ANOTHER_PROGRAM = ("loopix.md",)


@pytest.mark.parametrize("page", CONFIGURATIONS)
def test_examples_of_the_configuration_have_keys_that_there_are(page: str) -> None:
    for block in blocks(page, "toml"):
        values = tomllib.loads(block.text)
        assert {*keys(values)} <= {*known(DialFile if "Dial" in values else ClientFile)}


def test_every_page_with_a_configuration_is_looked_at() -> None:
    assert {path.name for path in DOCS.glob("*.md") if blocks(path.name, "toml")} == {
        *CONFIGURATIONS,
        *OF_ANOTHER_PROGRAM,
    }
