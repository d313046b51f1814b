"""The proxy table: the reference's rules in its order, and that none is missed by a slip of the pen."""

import socket
from pathlib import Path

import pytest

from kpclientd.config.load import load_config
from kpclientd.errors import ConfigError
from kpclientd.transports import UpstreamProxy
from tests.config.samples import client_toml, gateway, literal_toml, written


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


def accepted(folder: Path, **settings: str) -> UpstreamProxy:
    lines = [f'{key} = "{value}"' for key, value in settings.items()]
    text = client_toml(UpstreamProxy="\n".join(["[UpstreamProxy]", *lines]))
    return load_config(written(folder, text), strict=True).upstream_proxy


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"Type": "socks5"}, UpstreamProxy("socks5", "tcp", "127.0.0.1:9050")),
        ({"Type": "SOCKS5", "Network": "TCP"}, UpstreamProxy("socks5", "tcp", "127.0.0.1:9050")),
        (
            {"Type": "socks5", "Address": "[::1]:1080", "User": "alice", "Password": "sesame"},
            UpstreamProxy("socks5", "tcp", "[::1]:1080", "alice", "sesame"),
        ),
        ({"Type": "Tor+SOCKS5"}, UpstreamProxy("tor+socks5", "tcp", "127.0.0.1:9050")),
    ],
)
def test_a_good_proxy_is_taken(tmp_path: Path, settings: dict[str, str], expected: UpstreamProxy) -> None:
    assert accepted(tmp_path, **{"Network": "tcp", "Address": "127.0.0.1:9050", **settings}) == expected


@pytest.mark.parametrize("kind", ["socks5", "tor+socks5"])
def test_a_unix_proxy_has_to_be_a_socket(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "tor"
    path.touch()
    assert "is not an existing socket" in refusal(tmp_path, Type=kind, Network="unix", Address=str(path))
    path.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        taken = accepted(tmp_path, Type=kind, Network="unix", Address=str(path))
    assert taken == UpstreamProxy(kind, "unix", str(path))


@pytest.mark.parametrize(
    "text",
    [
        "[UpstreamProx]",
        "[UpstreamProxys]",
        "[Upstream_Proxy]",
        "[UpsteamPorxy]",
        "[Upstream]",
        "[Proxy]",
        "[Socks5]",
        "[Proxies]",
        "[Debug.UpstreamProxy]",
        "[Listen.Proxy]",
    ],
)
@pytest.mark.parametrize("strict", [False, True])
def test_a_table_that_may_have_been_meant_is_refused_however_leniently_the_file_is_read(
    tmp_path: Path, text: str, strict: bool
) -> None:
    proxy = f'{text}\nType = "tor+socks5"\nNetwork = "tcp"\nAddress = "127.0.0.1:9050"'
    with pytest.raises(ConfigError, match=r"may mean a proxy, which must not be missed; write \[UpstreamProxy\]"):
        load_config(written(tmp_path, client_toml(UpstreamProxy=proxy, Debug=None)), strict=strict)


def test_a_key_at_the_top_that_may_mean_a_proxy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="may mean a proxy"):
        load_config(written(tmp_path, client_toml(top='SocksAddress = "127.0.0.1:9050"')))


@pytest.mark.parametrize("line", ['Typ = "tor+socks5"', 'Kind = "socks5"', "TypeOfIt = 3"])
@pytest.mark.parametrize("strict", [False, True])
def test_a_key_of_the_table_that_nobody_knows_is_refused(tmp_path: Path, line: str, strict: bool) -> None:
    with pytest.raises(ConfigError, match="must not be missed by a misspelling"):
        load_config(written(tmp_path, client_toml(UpstreamProxy=f"[UpstreamProxy]\n{line}")), strict=strict)


def test_other_unknown_keys_are_still_only_told(tmp_path: Path) -> None:
    text = client_toml(top='Zebra = 1\nMirror = "x"') + "\n[Extras]\nStreams = 1\n"
    assert load_config(written(tmp_path, text)).ignored_keys == ("Extras", "Extras.Streams", "Mirror", "Zebra")


@pytest.mark.parametrize(
    ("kind", "address", "text"),
    [
        ("socks5", "quic://127.0.0.1:1", "through the socks5 proxy of .UpstreamProxy.; add .* tcp6://"),
        ("tor+socks5", "quic://127.0.0.1:1", "or onion://"),
        ("socks5", "onion://name.onion:1", "no gateway has an address that this version can dial"),
        ("none", "onion://name.onion:1", 'without a proxy; add .* or quic://, or reach onion addresses by .* "tor'),
    ],
)
def test_a_file_whose_gateways_the_proxy_cannot_reach_is_refused(
    tmp_path: Path, kind: str, address: str, text: str
) -> None:
    proxy = f'[UpstreamProxy]\nType = "{kind}"\nNetwork = "tcp"\nAddress = "127.0.0.1:9050"'
    gateways = "[PinnedGateways]\n" + gateway(Addresses=f'["{address}"]')
    with pytest.raises(ConfigError, match=text):
        load_config(written(tmp_path, client_toml(UpstreamProxy=proxy, PinnedGateways=gateways)))


def test_an_onion_name_in_another_scheme_is_refused_with_the_right_remedy(tmp_path: Path) -> None:
    proxy = '[UpstreamProxy]\nType = "tor+socks5"\nNetwork = "tcp"\nAddress = "127.0.0.1:9050"'
    gateways = "[PinnedGateways]\n" + gateway(Addresses='["tcp://name.onion:1"]')
    text = literal_toml(UpstreamProxy=proxy, PinnedGateways=gateways)
    with pytest.raises(ConfigError, match="has an onion name: write onion:// before it"):
        load_config(written(tmp_path, text))


def test_an_onion_gateway_is_good_enough_with_tor(tmp_path: Path) -> None:
    proxy = '[UpstreamProxy]\nType = "tor+socks5"\nNetwork = "tcp"\nAddress = "127.0.0.1:9050"'
    gateways = "[PinnedGateways]\n" + gateway(Addresses='["onion://name.onion:1"]')
    load_config(written(tmp_path, client_toml(UpstreamProxy=proxy, PinnedGateways=gateways)))


@pytest.mark.parametrize("kind", ["", "none", "NONE"])
def test_no_proxy_is_no_proxy_whatever_else_the_table_says(tmp_path: Path, kind: str) -> None:
    text = client_toml(UpstreamProxy=f'[UpstreamProxy]\nType = "{kind}"\nNetwork = "udp"\nUser = "u"')
    assert load_config(written(tmp_path, text)).upstream_proxy.type == "none"
