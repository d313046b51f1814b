"""What is generated from the declaration stands in the tree as it would be generated now; the examples are good."""

import re
from pathlib import Path

import pytest

from kpclientd.config.client_file import ClientFile
from kpclientd.config.declared import Table, declared_keys
from kpclientd.config.examples import NAMES, example
from kpclientd.config.load import examine, load_config
from kpclientd.config.reader import PLACEHOLDER
from pki.epoch import PERIOD_VARIABLE
from sphinx.native.engines import ENGINE_VARIABLE
from tests.config.samples import link_pem, written
from tests.config.test_authority_keys import identity_pem
from tests.support.configuration_page import COMMAND, ROOT, files, page

GENERATED = files()


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: path.name)
def test_the_generated_files_are_up_to_date(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == GENERATED[path], f"run: {COMMAND}"


def test_no_other_example_lies_about() -> None:
    assert sorted(path.stem for path in (ROOT / "configs").glob("*.toml")) == sorted(NAMES)


def filled(text: str) -> str:
    """An example after its owner has written something for each placeholder."""

    def value(match: re.Match[str]) -> str:
        asked = match["by"]
        owner = re.search(r"(gateway|auth)\d", asked)
        assert owner is not None
        if "URL" in asked:
            return asked.partition("such as ")[2]
        scheme = asked.split(", ")[1]
        return (identity_pem(scheme, owner[0]) if "identity" in asked else link_pem(owner[0], scheme)).replace(
            "\n", "\\n"
        )

    return PLACEHOLDER.sub(value, text)


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_good_once_its_placeholders_are_replaced(tmp_path: Path, name: str) -> None:
    config = load_config(written(tmp_path, filled(example(name))), strict=True)
    assert config.ignored_in_entries == ()
    assert config.warnings() == ()


@pytest.mark.parametrize("name", NAMES)
def test_the_check_of_an_example_names_each_placeholder_and_nothing_else(tmp_path: Path, name: str) -> None:
    text = example(name)
    examined = examine(written(tmp_path, text))
    assert [fault.fix for fault in examined.faults] == [f"write {match['by']}" for match in PLACEHOLDER.finditer(text)]
    assert all("still holds a placeholder" in fault.fault for fault in examined.faults)
    assert examined.config is None and examined.unknown is None


@pytest.mark.parametrize("name", NAMES)
def test_the_network_of_another_file_stands_in_place_of_the_placeholders(tmp_path: Path, name: str) -> None:
    network = load_config(written(tmp_path, filled(example("local"))))
    text = example(name, network.file)
    assert PLACEHOLDER.search(text) is None
    config = load_config(written(tmp_path, text), strict=True)
    assert config.pinned_gateways == network.pinned_gateways
    assert config.authorities == network.authorities
    assert config.geometry == network.geometry
    assert config.epoch_duration == network.epoch_duration
    assert (config.upstream_proxy.is_used, config.data_dir is not None) == (name == "proxy", name == "service")


def tables_of(table: type[Table]) -> list[type[Table]]:
    inner = [declared.table for declared in declared_keys(table) if declared.table is not None]
    return [table, *(deeper for one in inner for deeper in tables_of(one))]


def test_every_key_is_told_in_the_page_and_in_every_example() -> None:
    texts = [page(), *map(example, NAMES)]
    for table in tables_of(ClientFile):
        for declared in declared_keys(table):
            is_usable = declared.about.refusal is None
            assert all(re.search(rf"\b{declared.key}\b", text) for text in texts if is_usable or text is texts[0])


def test_the_page_names_the_environment() -> None:
    assert PERIOD_VARIABLE in page() and ENGINE_VARIABLE in page()


@pytest.mark.parametrize("table", tables_of(ClientFile), ids=lambda table: table.__name__)
def test_a_table_cannot_be_changed_and_shows_no_values(table: type[Table]) -> None:
    first = declared_keys(table)[0]
    with pytest.raises(AttributeError):
        setattr(table(), first.name, first.default)
    assert repr(table()) == f"<{table.__name__}>"
