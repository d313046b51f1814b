"""What `config show` says of a file is a file that says the same."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.config.client_file import ClientFile
from kpclientd.config.declared import Declared, Table, declared_keys
from kpclientd.config.load import examine, load_config
from kpclientd.config.reader import read_file
from kpclientd.config.toml import toml_value
from kpclientd.config.writer import HIDDEN, effective_toml
from tests.config.samples import authority, client_toml, gateway, written

LARGEST = 2**63 - 1
ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12) | st.text('a"\\\n\t\x7f', max_size=6)


def a_value(declared: Declared) -> st.SearchStrategy[Any]:
    """Any value of the types that the key may have."""
    least = -LARGEST if declared.least is None else int(declared.least)
    by_kind: dict[type, st.SearchStrategy[Any]] = {
        str: ANY_TEXT,
        bool: st.booleans(),
        int: st.integers(least, LARGEST),
        tuple: st.lists(ANY_TEXT, max_size=3),
    }
    return st.one_of(*(by_kind[kind] for kind in declared.kinds if kind in by_kind))


def a_table(table: type[Table]) -> st.SearchStrategy[dict[str, Any]]:
    """Any subset of a table's keys, with any values."""
    optional: dict[Any, st.SearchStrategy[Any]] = {}
    for declared in declared_keys(table):
        if declared.about.refusal is not None:
            continue
        if declared.table is None:
            optional[declared.key] = a_value(declared)
        else:
            inner = a_table(declared.table)
            optional[declared.key] = st.lists(inner, max_size=2) if declared.is_array else inner
    return st.fixed_dictionaries({}, optional=optional)


def as_toml(values: dict[str, Any], name: str = "") -> list[str]:
    """The values as the lines of a file."""
    lines = []
    for key, value in values.items():
        if not isinstance(value, dict) and not (isinstance(value, list) and value and isinstance(value[0], dict)):
            lines.append(f"{key} = {toml_value(value)}")
    for key, value in values.items():
        dotted = f"{name}.{key}" if name else key
        if isinstance(value, dict):
            lines += [f"[{dotted}]", *as_toml(value, dotted)]
        elif isinstance(value, list) and value and isinstance(value[0], dict):
            for entry in value:
                lines += [f"[[{dotted}]]", *as_toml(entry, dotted)]
    return lines


def without_secrets(file: ClientFile) -> ClientFile:
    proxy = file.upstream_proxy
    hidden = {name: HIDDEN for name in ("user", "password") if getattr(proxy, name)}
    return msgspec.structs.replace(file, upstream_proxy=msgspec.structs.replace(proxy, **hidden))


@settings(max_examples=150, deadline=None)
@given(values=a_table(ClientFile))
def test_every_value_is_shown_as_it_is_but_for_secrets(
    tmp_path_factory: pytest.TempPathFactory, values: dict[str, Any]
) -> None:
    folder = tmp_path_factory.mktemp("shown")
    first = read_file(written(folder, "\n".join(as_toml(values))), ClientFile)
    assert first.faults.found == []
    shown = effective_toml(first.values)
    second = read_file(written(folder, shown), ClientFile)
    assert second.faults.found == []
    assert second.values == without_secrets(first.values)
    assert second.place.unknown_keys() == first.place.unknown_keys() == ()
    assert effective_toml(second.values) == shown


SECTIONS: dict[str, list[str | None]] = {
    "PKISignatureScheme": [None, 'PKISignatureScheme = "ED25519"'],
    "MetricsAddress": [None, 'MetricsAddress = "[::1]:9"'],
    "SessionGracePeriod": [None, 'SessionGracePeriod = "-1s"', "SessionGracePeriod = 7_000_000_000"],
    "top": ["", 'EpochDuration = "3m"', 'PreferedTransports = ["quic"]', 'DataDir = "/d"', 'ARQ = {StateFile = "/s"}'],
    "Listen": [
        '[Listen.Unix]\nAddress = "@a"\nAddresses = ["/b"]\nMode = "0640"\nGroup = "g"',
        '[Listen.Tcp]\nAddress = "[::1]:0"\nNetwork = "tcp6"',
        '[listen.ws]\naddress = "ws://127.0.0.1:1"\norigins = ["https://a.example"]',
    ],
    "Logging": [None, '[Logging]\nLevel = "debug"\nFile = "/x.log"', "[Logging]\nDisable = true"],
    "UpstreamProxy": [
        None,
        '[UpstreamProxy]\nType = "Tor+SOCKS5"\nNetwork = "TCP"\nAddress = "127.0.0.1:9050"',
        '[UpstreamProxy]\nType = "socks5"\nNetwork = "tcp"\nAddress = "[::1]:1"',
    ],
    "Debug": [None, "[Debug]\nEnableTimeSync = true\nPollingInterval = 0", "[Limits]\nConnections = 3"],
    "PinnedGateways": ["[PinnedGateways]", "[PinnedGateways]\n" + gateway() + gateway("other")],
    "VotingAuthority": [
        f"[VotingAuthority]\n{authority('a')}{authority('b')}",
        f"[VotingAuthority]\nMaxConsensusSize = 5\n{authority('c')}",
    ],
}


@settings(max_examples=60, deadline=None)
@given(chosen=st.fixed_dictionaries({key: st.sampled_from(texts) for key, texts in SECTIONS.items()}))
def test_what_is_shown_means_the_same_to_the_daemon(
    tmp_path_factory: pytest.TempPathFactory, chosen: dict[str, str | None]
) -> None:
    path: Path = written(tmp_path_factory.mktemp("shown"), client_toml(**chosen))
    config = load_config(path, strict=True)
    path.write_text(effective_toml(config.file))
    assert replace(load_config(path, strict=True), file=config.file) == config


ODD_VALUES = ["1", "-1", "0", str(10**400), '""', '"x"', "true", "1.5", "1979-05-27", "07:32:00", "[]", "[1]", '["x"]']
ODD_TABLES = ["{}", "{ Odd = 1 }", "[{}]", "[{}, 1]", "[[1]]", "[{ Odd = {} }]"]


def paths_of(table: type[Table], path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The ways to all keys of a table and of those in it; an array's tables are entered by `[]`."""
    found = []
    for declared in declared_keys(table):
        here = (*path, declared.key)
        found.append(here)
        if declared.table is not None:
            found += paths_of(declared.table, (*here, "[]") if declared.is_array else here)
    return found


@pytest.mark.parametrize("path", paths_of(ClientFile), ids=".".join)
def test_a_value_of_any_type_at_any_key_is_taken_or_refused_with_its_place(
    tmp_path: Path, path: tuple[str, ...]
) -> None:
    for odd in ODD_VALUES + ODD_TABLES:
        text = odd
        for step in reversed(path[1:]):
            text = f"[{text}]" if step == "[]" else f"{{ {step} = {text} }}"
        file = written(tmp_path, client_toml(**{path[0]: None, "top": f"{path[0]} = {text}"}))
        examined = examine(file)
        assert examined.config is not None or examined.faults
        for fault in examined.faults:
            assert str(fault).startswith(f"{file}: ")
