"""The proxy table: the reference's rules in its order, then a refusal, since no traffic may go around a proxy."""

import socket
from pathlib import Path

import pytest

from kpclientd.config.load import load_config
from kpclientd.errors import ConfigError
from tests.config.samples import client_toml, written


def refusal(folder: Path, **settings: str) -> str:
    lines = [f'{key} = "{value}"' for key, value in settings.items()]
    with pytest.raises(ConfigError) as caught:
        load_config(written(folder, client_toml(UpstreamProxy="\n".join(["[UpstreamProxy]", *lines]))))
    return str(caught.value)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"Type": "http"}, "[UpstreamProxy] Type: proxy/config: Type 'http' is invalid"),
        ({"Type": "socks5", "User": "u" * 256}, "User: proxy/config: User too long: 256 bytes"),
        ({"Type": "socks5", "User": "u", "Password": "é" * 128}, "Password too long: 256 bytes"),
        ({"Type": "socks5", "User": "u"}, "Both User and Password must be specified"),
        ({"Type": "socks5", "Password": "p"}, "Both User and Password must be specified"),
        (
            {"Type": "tor+socks5", "User": "u", "Password": "p"},
            "Tor SOCKS5 conflicts with setting User/Password",
        ),
        ({"Type": "socks5"}, "Network: proxy/config: Network '' is invalid"),
        ({"Type": "socks5", "Network": "udp"}, "Network: proxy/config: Network 'udp' is invalid"),
        ({"Type": "socks5", "Network": "tcp", "Address": "localhost:9050"}, 'has hostname "localhost"'),
        ({"Type": "socks5", "Network": "tcp", "Address": "9050"}, 'address "9050" is not of the form'),
        ({"Type": "socks5", "Network": "unix", "Address": "/nowhere/tor"}, "is not an existing socket"),
        ({"Type": "socks5", "Network": "unix", "Address": "/\\u0000"}, "is not an existing socket"),
    ],
)
def test_each_rule_has_the_references_text(tmp_path: Path, settings: dict[str, str], expected: str) -> None:
    assert expected in refusal(tmp_path, **settings)


@pytest.mark.parametrize("kind", ["socks5", "SOCKS5", "tor+socks5"])
def test_a_good_proxy_is_refused_because_it_would_not_be_used(tmp_path: Path, kind: str) -> None:
    message = refusal(tmp_path, Type=kind, Network="tcp", Address="127.0.0.1:9050")
    assert f'"{kind.lower()}" is not supported by this version' in message


def test_a_unix_proxy_has_to_be_a_socket(tmp_path: Path) -> None:
    path = tmp_path / "tor"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert "is not supported by this version" in refusal(tmp_path, Type="socks5", Network="unix", Address=str(path))


@pytest.mark.parametrize("kind", ["", "none", "NONE"])
def test_no_proxy_is_no_proxy_whatever_else_the_table_says(tmp_path: Path, kind: str) -> None:
    text = client_toml(UpstreamProxy=f'[UpstreamProxy]\nType = "{kind}"\nNetwork = "udp"\nUser = "u"')
    assert load_config(written(tmp_path, text)).upstream_proxy.type == "none"
