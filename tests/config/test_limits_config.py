"""[Limits]: how much applications may take, a table that only this daemon has."""

from pathlib import Path

import pytest

from kpclientd.config.client_file import MEBIBYTE, Limits
from kpclientd.config.load import load_config
from kpclientd.errors import ConfigError, UnknownKeysError
from tests.config.samples import client_toml, written

KEYS = {
    "Connections": "connections",
    "UnfinishedFrameBytes": "unfinished_frame_bytes",
    "UnreadBytes": "unread_bytes",
    "AwaySessions": "away_sessions",
    "AwayBytes": "away_bytes",
    "MessagesPerApplication": "messages_per_application",
    "MessageBytesPerApplication": "message_bytes_per_application",
    "MessageBytes": "message_bytes",
}


def limits(folder: Path, *lines: str) -> Limits:
    return load_config(written(folder, client_toml(top="\n".join(["[Limits]", *lines]))), strict=True).limits


def test_every_limit_has_a_key() -> None:
    assert sorted(KEYS.values()) == sorted(Limits.__struct_fields__)


def test_an_empty_table_leaves_the_defaults(tmp_path: Path) -> None:
    assert limits(tmp_path) == Limits()


def test_every_limit_keeps_what_is_set_and_only_that(tmp_path: Path) -> None:
    lines = [f"{key} = {MEBIBYTE + number}" for number, key in enumerate(KEYS)]
    read = limits(tmp_path, *lines)
    assert {name: getattr(read, name) for name in KEYS.values()} == {
        name: MEBIBYTE + number for number, name in enumerate(KEYS.values())
    }


@pytest.mark.parametrize("key", KEYS)
def test_one_limit_alone_changes_no_other(tmp_path: Path, key: str) -> None:
    read, default = limits(tmp_path, f"{key} = {2 * MEBIBYTE}"), Limits()
    changed = [name for name in KEYS.values() if getattr(read, name) != getattr(default, name)]
    assert changed == [KEYS[key]]


@pytest.mark.parametrize("key", KEYS)
def test_the_least_of_each_limit_is_taken_and_one_less_refused(tmp_path: Path, key: str) -> None:
    least = MEBIBYTE if key.endswith(("Bytes", "BytesPerApplication")) else 1
    assert getattr(limits(tmp_path, f"{key} = {least}"), KEYS[key]) == least
    default = getattr(Limits(), KEYS[key])
    with pytest.raises(ConfigError, match=rf"{key}: is {least - 1}; expected at least {least}.*{default}"):
        limits(tmp_path, f"{key} = {least - 1}")


@pytest.mark.parametrize("value", ['"many"', "1.5", "true", "[1]"])
def test_a_limit_is_an_integer(tmp_path: Path, value: str) -> None:
    with pytest.raises(ConfigError, match="Connections: is a"):
        limits(tmp_path, f"Connections = {value}")


def test_a_limit_that_nobody_knows_is_named_by_a_strict_reading(tmp_path: Path) -> None:
    with pytest.raises(UnknownKeysError) as caught:
        limits(tmp_path, "Conections = 5")
    assert caught.value.keys == ("Limits.Conections",)
