"""The reference's client.toml is read as it is: values, defaults, any case of letters, and what is merely ignored."""

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kpclientd.config.client_file import Debug, Limits
from kpclientd.config.load import load_config
from kpclientd.config.model import (
    Authority,
    ClientConfig,
    Listen,
    ListenTcp,
    ListenUnix,
    ListenWebSocket,
    Logging,
    PinnedGateway,
    WebAddress,
)
from kpclientd.errors import ConfigError, UnknownKeysError
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.transports import UpstreamProxy
from sphinx.geometry import Geometry
from tests.config.samples import (
    authority,
    client_toml,
    gateway,
    identity_key,
    identity_pem,
    link_key,
    link_pem,
    literal_toml,
    written,
)


def load(folder: Path, text: str, *, strict: bool = False) -> ClientConfig:
    return load_config(written(folder, text), strict=strict)


def test_the_docker_networks_file_is_read_whole(tmp_path: Path) -> None:
    geometry = Geometry.nike("x25519", 5, 2000)
    assert load(tmp_path, client_toml(), strict=True) == ClientConfig(
        path=tmp_path / "client.toml",
        pki_signature_scheme="Ed25519",
        wire_kem_scheme="XWING",
        preferred_transports=("tcp", "tcp4", "tcp6", "quic", "ws", "onion"),
        metrics=None,
        allow_hostname_addresses=True,
        session_grace_period=30.0,
        listen=(ListenTcp("kpclientd", 64331, "tcp"),),
        tell_routes=False,
        logging=Logging(False, None, "DEBUG"),
        upstream_proxy=UpstreamProxy("none", "", "", "", ""),
        debug=Debug(True, False, 30, 30, 10),
        limits=Limits(),
        geometry=geometry,
        pigeonhole_geometry=PigeonholeGeometry.derive(geometry),
        pinned_gateways=(
            PinnedGateway("gateway1", identity_key("gateway1"), link_key("gateway1"), ("tcp://gateway1:30004",)),
        ),
        authorities=tuple(
            Authority(
                identifier=name,
                pki_signature_scheme="Ed25519",
                wire_kem_scheme="XWING",
                addresses=(f"tcp://{name}:30001",),
                identity_public_key=identity_key(name),
                link_public_key=link_key(name),
                identity_public_key_pem=identity_pem(name),
                link_public_key_pem=link_pem(name),
            )
            for name in ("auth1", "auth2", "auth3")
        ),
    )


def test_keys_are_found_in_any_case(tmp_path: Path) -> None:
    expected = load(tmp_path, literal_toml())
    text = literal_toml().replace("WireKEMScheme", "wirekemscheme").replace("[Listen", "[LISTEN")
    text = text.replace("Address =", "aDDRESS =").replace("NrHops", "nrhops").replace("Peers", "peers")
    assert load(tmp_path, text, strict=True) == expected


def test_a_key_in_two_spellings_is_refused_rather_than_one_of_them_chosen(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"WireKEMScheme: is given 2 times, as WireKEMScheme, wirekemscheme; keep"):
        load(tmp_path, client_toml(top='wirekemscheme = "x25519"'))


@pytest.mark.parametrize("section", ["Logging", "UpstreamProxy", "Debug", "PKISignatureScheme", "MetricsAddress"])
def test_optional_parts_may_be_left_out(tmp_path: Path, section: str) -> None:
    config = load(tmp_path, client_toml(**{section: None}), strict=True)
    defaults = {
        "Logging": (config.logging, Logging(False, None, "NOTICE")),
        "UpstreamProxy": (config.upstream_proxy, UpstreamProxy("none", "", "", "", "")),
        "Debug": (config.debug, Debug(False, False, 30, 30, 10)),
        "PKISignatureScheme": (config.pki_signature_scheme, ""),
        "MetricsAddress": (config.metrics, None),
    }
    value, default = defaults[section]
    assert value == default


def test_the_debug_times_keep_what_is_set(tmp_path: Path) -> None:
    debug = (
        "[Debug]\nSessionDialTimeout = 7\nInitialMaxPKIRetrievalDelay = 8\nPollingInterval = 9\nEnableTimeSync = true"
    )
    assert load(tmp_path, client_toml(Debug=debug)).debug == Debug(False, True, 7, 8, 9)


@pytest.mark.parametrize(
    ("written_as", "seconds"),
    [
        (None, 600.0),
        ('"10m0s"', 600.0),
        ('"30s"', 30.0),
        ("30_000_000_000", 30.0),
        ("0", 600.0),
        ('"0"', 600.0),
        ('"-1s"', 600.0),
        ("-5", 600.0),
        ('"250ms"', 0.25),
    ],
)
def test_the_grace_period_is_a_duration_or_nanoseconds(tmp_path: Path, written_as: str | None, seconds: float) -> None:
    line = None if written_as is None else f"SessionGracePeriod = {written_as}"
    assert load(tmp_path, client_toml(SessionGracePeriod=line)).session_grace_period == seconds


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        ('[Listen.Tcp]\nAddress = "127.0.0.1:0"', ListenTcp("127.0.0.1", 0, "tcp")),
        ('[Listen.Tcp]\nAddress = "[::1]:64331"\nNetwork = "tcp6"', ListenTcp("::1", 64331, "tcp6")),
        ('[Listen.Tcp]\nAddress = ":64331"\nNetwork = ""', ListenTcp("", 64331, "tcp")),
        ('[Listen.Unix]\nAddress = "/run/kpclientd.sock"', ListenUnix("/run/kpclientd.sock")),
        ('[Listen.Unix]\nAddress = "@katzenpost"', ListenUnix("@katzenpost")),
        ('[Listen.Unix]\nAddress = "/a"\nMode = "0660"\nGroup = "mix"', ListenUnix("/a", 0o660, "mix")),
        ('[Listen.Ws]\nAddress = "ws://127.0.0.1:64332"', ListenWebSocket("127.0.0.1", 64332)),
        (
            '[Listen.Ws]\nAddress = "WS://[::1]:0/"\nOrigins = ["https://a.example"]',
            ListenWebSocket("::1", 0, ("https://a.example",)),
        ),
    ],
)
def test_every_kind_of_listener(tmp_path: Path, listen: str, expected: Listen) -> None:
    assert load(tmp_path, client_toml(Listen=listen), strict=True).listen == (expected,)


def test_listeners_stand_side_by_side(tmp_path: Path) -> None:
    listen = (
        '[Listen.Tcp]\nAddress = "127.0.0.1:1"\n[Listen.Ws]\nAddress = "ws://127.0.0.1:2"\n'
        '[Listen.Unix]\nAddress = "@one"\nAddresses = ["/two", "@one", "@three"]\nMode = "0666"'
    )
    assert load(tmp_path, client_toml(Listen=listen), strict=True).listen == (
        ListenUnix("@one", 0o666),
        ListenUnix("/two", 0o666),
        ListenUnix("@three", 0o666),
        ListenTcp("127.0.0.1", 1, "tcp"),
        ListenWebSocket("127.0.0.1", 2),
    )


def test_a_listener_may_want_a_token(tmp_path: Path) -> None:
    listen = (
        '[Listen.Tcp]\nAddress = "192.0.2.1:1"\nTokenFile = "/one"\n'
        '[Listen.Ws]\nAddress = "ws://127.0.0.1:2"\nTokenFile = "/two"'
    )
    config = load(tmp_path, client_toml(Listen=listen), strict=True)
    assert config.listen == (
        ListenTcp("192.0.2.1", 1, "tcp", Path("/one")),
        ListenWebSocket("127.0.0.1", 2, token_file=Path("/two")),
    )
    (warning,) = config.warnings()
    assert "the token that applications show at port 1 of 192.0.2.1 is not encrypted" in warning


@pytest.mark.parametrize(
    ("address", "is_warned_of"),
    [("127.0.0.1:1", False), ("[::1]:1", False), ("0.0.0.0:1", True), (":1", True), ("192.0.2.1:1", True)],
)
def test_a_listener_that_others_may_reach_is_warned_of(tmp_path: Path, address: str, is_warned_of: bool) -> None:
    for listen in (f'[Listen.Tcp]\nAddress = "{address}"', f'[Listen.Ws]\nAddress = "ws://{address}"'):
        warnings = (
            load(tmp_path, literal_toml(Listen=listen)).warnings()
            if address[0] != ":"
            else load(tmp_path, client_toml(Listen=listen.replace("ws://:", "ws://0.0.0.0:"))).warnings()
        )
        assert any("can use this daemon" in warning for warning in warnings) == is_warned_of


@pytest.mark.parametrize(
    ("written_as", "seconds"),
    [(None, None), ('"20m0s"', 1200.0), ('"2m"', 120.0), ("180_000_000_000", 180.0), ('"168h"', 604_800.0)],
)
def test_the_epoch_duration_is_a_duration_or_nanoseconds_or_absent(
    tmp_path: Path, written_as: str | None, seconds: float | None
) -> None:
    top = "" if written_as is None else f"EpochDuration = {written_as}"
    assert load(tmp_path, client_toml(top=top), strict=True).epoch_duration == seconds


def test_an_abstract_socket_begins_with_a_nul_where_it_is_bound() -> None:
    assert ListenUnix("@katzenpost").is_abstract
    assert ListenUnix("@katzenpost").socket_address == "\0katzenpost"
    assert not ListenUnix("/run/@socket").is_abstract
    assert ListenUnix("/run/@socket").socket_address == "/run/@socket"


def test_preferred_transports_are_kept_in_their_order(tmp_path: Path) -> None:
    config = load(tmp_path, client_toml(top='PreferedTransports = ["onion", "tcp"]'), strict=True)
    assert config.preferred_transports == ("onion", "tcp")


def test_no_preferred_transports_are_the_default_ones(tmp_path: Path) -> None:
    config = load(tmp_path, client_toml(top="PreferedTransports = []"))
    assert config.preferred_transports == ("tcp", "tcp4", "tcp6", "quic", "ws", "onion")


def test_ip_literals_need_no_leave(tmp_path: Path) -> None:
    addresses = (
        '["tcp://192.0.2.1:1", "tcp4://192.0.2.1:2", "tcp6://[2001:db8::1]:3", "quic://[::1]:4", "onion://x.onion:5"]'
    )
    text = literal_toml(
        PinnedGateways="[PinnedGateways]\n" + gateway(Addresses=addresses),
        VotingAuthority="[VotingAuthority]\n" + authority("auth1", Addresses=addresses),
        MetricsAddress='MetricsAddress = "[::1]:0"',
    )
    config = load(tmp_path, text, strict=True)
    assert config.pinned_gateways[0].addresses == config.authorities[0].addresses
    assert len(config.authorities[0].addresses) == 5


def test_an_empty_list_of_gateways_passes(tmp_path: Path) -> None:
    assert load(tmp_path, client_toml(PinnedGateways="[PinnedGateways]"), strict=True).pinned_gateways == ()


def test_schemes_are_told_by_their_canonical_names(tmp_path: Path) -> None:
    text = (
        client_toml()
        .replace('"xwing"', '"XwInG"')
        .replace('PKISignatureScheme = "Ed25519"', 'PKISignatureScheme = "ED25519"')
    )
    config = load(tmp_path, text)
    assert config.wire_kem_scheme == "XWING"
    assert {peer.wire_kem_scheme for peer in config.authorities} == {"XWING"}
    assert {peer.pki_signature_scheme for peer in config.authorities} == {"Ed25519"}
    assert config.pki_signature_scheme == "ED25519"


def test_unknown_keys_are_ignored_and_remembered_for_a_warning(tmp_path: Path) -> None:
    plain = load(tmp_path, client_toml())
    config = load(tmp_path, client_toml(top="Colour = 3", Logging='[Logging]\nLevle = "INFO"\nLevel = "DEBUG"'))
    assert replace(config, ignored_keys=()) == plain
    assert config.ignored_keys == ("Colour", "Logging.Levle")
    assert any("ignored: Colour, Logging.Levle" in warning for warning in config.warnings())


def test_metrics_that_others_can_reach_are_warned_of(tmp_path: Path) -> None:
    config = load(tmp_path, client_toml(MetricsAddress='MetricsAddress = "kpclientd:30099"'))
    assert config.metrics == WebAddress("kpclientd", 30099)
    assert any("MetricsAddress: whoever reaches port 30099 of kpclientd" in said for said in config.warnings())
    everywhere = load(tmp_path, client_toml(MetricsAddress='MetricsAddress = ":1"'))
    assert any("port 1 of every interface" in said for said in everywhere.warnings())
    assert load(tmp_path, literal_toml(MetricsAddress='MetricsAddress = "[::1]:30099"')).warnings() == ()
    assert load(tmp_path, literal_toml()).metrics is None


def test_a_status_page_is_read(tmp_path: Path) -> None:
    text = literal_toml(top='Status = {Address = "[::1]:0", TokenFile = "/t"}')
    assert load(tmp_path, text, strict=True).status_page == WebAddress("::1", 0, Path("/t"))
    assert load(tmp_path, literal_toml()).status_page is None


def test_a_strict_reading_lists_every_unknown_key_once_and_sorted(tmp_path: Path) -> None:
    text = client_toml(
        top="Zebra = 1\nApple = [{Core = 1}, {Core = 2}]",
        Debug="[Debug]\nPolingInterval = 3\n[Debug.Inner]\nDeep = 1",
        PinnedGateways="[PinnedGateways]\n" + gateway(Colour="1"),
        VotingAuthority="[VotingAuthority]\n" + authority("auth1", BindAddresses='["tcp://0.0.0.0:1"]'),
    )
    with pytest.raises(UnknownKeysError) as caught:
        load(tmp_path, text, strict=True)
    first, *hints = str(caught.value).splitlines()
    assert first == (
        f"config file '{tmp_path / 'client.toml'}': unrecognised configuration keys: "
        "Apple, Apple.Core, Debug.Inner, Debug.Inner.Deep, Debug.PolingInterval, Zebra"
    )
    assert hints == ["did you mean Debug.PollingInterval by Debug.PolingInterval?"]


def test_a_strict_reading_finds_the_other_faults_first(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No PinnedGateways block"):
        load(tmp_path, client_toml(top="Zebra = 1", PinnedGateways=None), strict=True)


def test_passwords_and_users_are_in_no_repr() -> None:
    proxy = UpstreamProxy("socks5", "tcp", "127.0.0.1:9050", "alice", "sesame")
    assert "sesame" not in repr(proxy)
    assert "alice" not in repr(proxy)


def test_a_file_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.write_bytes(b"\xef\xbb\xbf" + client_toml().encode())
    assert load_config(path).wire_kem_scheme == "XWING"


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 4000), junk=st.binary(max_size=12))
def test_a_damaged_file_is_read_or_refused_with_its_name(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    path = tmp_path_factory.mktemp("damaged") / "client.toml"
    content = client_toml().encode()
    path.write_bytes(content[:cut] + junk + content[cut + len(junk) :])
    try:
        load_config(path)
    except ConfigError as error:
        assert str(error).startswith(str(path)) or str(path) in str(error)
