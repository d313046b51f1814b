"""A bad configuration is refused with file, table, key, fault and fix, in the reference's words and order."""

from pathlib import Path

import pytest

from kpclientd.config.load import load_config
from kpclientd.config.toml import MAX_FILE_LENGTH
from kpclientd.errors import ConfigError
from sphinx.geometry import Geometry
from tests.config.samples import authority, client_toml, gateway, link_pem, literal_toml, written

GEOMETRY = Geometry.nike("x25519", 5, 2000).toml()


def refusal(folder: Path, text: str) -> str:
    path = written(folder, text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


RULES_IN_ORDER: list[tuple[str, dict[str, str | None]]] = [
    ("WireKEMScheme is empty string", {"WireKEMScheme": None}),
    ("WireKEMScheme is nil", {"WireKEMScheme": 'WireKEMScheme = "rot13"'}),
    ("transport: no listen transport configured", {"Listen": None}),
    ("config: No PinnedGateways block was present", {"PinnedGateways": None}),
    ("config: No SphinxGeometry block was present", {"SphinxGeometry": None}),
    ("config: Logging: Level 'LOUD' is invalid", {"Logging": '[Logging]\nLevel = "LOUD"'}),
    ("proxy/config: Type 'http' is invalid", {"UpstreamProxy": '[UpstreamProxy]\nType = "HTTP"'}),
    ("config: Listen.Tcp.Address: ", {"AllowHostnameAddresses": None}),
]


@pytest.mark.parametrize(("text", "change"), RULES_IN_ORDER, ids=[text for text, _ in RULES_IN_ORDER])
def test_each_rule_has_the_references_text(tmp_path: Path, text: str, change: dict[str, str | None]) -> None:
    assert text in refusal(tmp_path, client_toml(**change))


@pytest.mark.parametrize("first", range(len(RULES_IN_ORDER)))
def test_the_first_broken_rule_is_the_one_that_is_told(tmp_path: Path, first: int) -> None:
    changes: dict[str, str | None] = {}
    for _, change in reversed(RULES_IN_ORDER[first:]):
        changes |= change
    assert RULES_IN_ORDER[first][0] in refusal(tmp_path, client_toml(**changes))


@pytest.mark.parametrize(
    ("section", "replacement", "expected"),
    [
        ("Listen", "[Listen]", "transport: no listen transport configured"),
        ("Listen", '[Listen.Ws]\nAddress = "ws://127.0.0.1"', "[Listen.Ws] Address: is 'ws://127.0.0.1'; write"),
        ("Listen", '[Listen.Ws]\nAddress = "http://127.0.0.1:1"', "[Listen.Ws] Address: is 'http://127.0.0.1:1'"),
        ("Listen", '[Listen.Ws]\nAddress = "localhost:1"', "[Listen.Ws] Address: "),
        ("Listen", '[Listen.Unix]\nAddress = "@"', "[Listen.Unix] Address: transport: empty unix socket address"),
        (
            "Listen",
            '[Listen.Unix]\nAddress = "@a"\nAddresses = [""]',
            "Addresses: transport: empty unix socket address",
        ),
        ("Listen", '[Listen.Unix]\nAddress = "@a"\nMode = "0060"', "Mode: is '0060'; write octal permissions"),
        ("Listen", '[Listen.Unix]\nAddress = "@a"\nMode = "rw"', "Mode: is 'rw'; write octal permissions"),
        (
            "top",
            'EpochDuration = "90s"',
            "EpochDuration: config: EpochDuration: epochtime: epoch duration 1m30s must be",
        ),
        ("top", 'EpochDuration = "soon"', 'EpochDuration: invalid duration: "soon"'),
        ("top", "EpochDuration = 20", "epoch duration 0.00000002s must be"),
        ("Listen", "[Listen.Tcp]", "[Listen.Tcp] Address: is missing"),
        ("Listen", '[Listen.Tcp]\nAddres = "a:1"', "[Listen.Tcp] Address: is missing; is Addres meant to be it?"),
        ("Listen", '[Listen.Tcp]\nAddress = "kpclientd"', 'Address: address "kpclientd" is not of the form host:port'),
        ("Listen", '[Listen.Tcp]\nAddress = "a:65536"', "has port 65536, expected at most 65535"),
        ("Listen", '[Listen.Tcp]\nAddress = "a:1"\nNetwork = "udp"', "[Listen.Tcp] Network: 'udp' is invalid"),
        ("Listen", '[Listen.Unix]\nAddress = ""', "[Listen.Unix] Address: is empty"),
        (
            "Listen",
            f'[Listen.Unix]\nAddress = "/{"a" * 107}"',
            "Address: is 108 bytes long; a Unix socket's address has",
        ),
        ("Listen", '[Listen.Unix]\nAddress = "/a\\u0000b"', "Address: holds a NUL byte"),
        ("SphinxGeometry", "[SphinxGeometry]", "[SphinxGeometry]: geometry NIKEName or KEMName must be set"),
        (
            "SphinxGeometry",
            GEOMETRY.replace('KEMName = ""', 'KEMName = "xwing"'),
            "geometry NIKEName and KEMName must not both be set",
        ),
        (
            "SphinxGeometry",
            GEOMETRY.replace('NIKEName = "x25519"', 'NIKEName = "rot13"'),
            "[SphinxGeometry] NIKEName: geometry has invalid NIKE Scheme rot13; known are ",
        ),
        (
            "SphinxGeometry",
            GEOMETRY.replace('NIKEName = "x25519"', "").replace('KEMName = ""', 'KEMName = "rot13"'),
            "geometry has invalid KEM Scheme rot13",
        ),
        (
            "SphinxGeometry",
            Geometry.kem("ctidh1024", 5, 2000).toml(),
            "[SphinxGeometry] KEMName: ctidh1024 is not supported by this version",
        ),
        (
            "SphinxGeometry",
            Geometry.nike("ctidh1024", 5, 2000).toml(),
            "[SphinxGeometry] NIKEName: ctidh1024 is not supported by this version",
        ),
        ("SphinxGeometry", GEOMETRY.replace("3082", "3083"), "PacketLength is 3083, expected 3082"),
        ("SphinxGeometry", GEOMETRY.replace("572", '"572"'), "SURBLength: is a string; expected an integer"),
        (
            "SphinxGeometry",
            Geometry.nike("x25519", 5, 451).toml(),
            "config: cannot derive a Pigeonhole geometry from the SphinxGeometry: UserForwardPayloadLength is 451, "
            "expected at least 452",
        ),
        ("Logging", "[Logging]\nDisable = 1", "[Logging] Disable: is an integer; expected a boolean"),
        ("Logging", '[Logging]\nFile = "here.log"', "[Logging] File: log file path must be absolute path"),
        ("Debug", "[Debug]\nPollingInterval = true", "[Debug] PollingInterval: is a boolean; expected an integer"),
        (
            "Debug",
            "[Debug]\nPollingInterval = -1",
            "[Debug] PollingInterval: is -1; expected at least 0 seconds; the default is 10",
        ),
        ("top", 'PreferedTransports = ["tcp", 6]', "PreferedTransports: element 2 is an integer; expected a string"),
        ("top", 'PreferedTransports = "tcp"', "PreferedTransports: is a string; expected an array"),
        ("top", "CachedDocument = {}", "[CachedDocument] is not supported"),
        ("top", "PigeonholeGeometry = {}", "config: [PigeonholeGeometry] must not be set; it is derived from"),
        ("WireKEMScheme", 'WireKEMScheme = "ctidh1024"', "WireKEMScheme: ctidh1024 is not supported by this version"),
        ("WireKEMScheme", "WireKEMScheme = 1979-05-27", "WireKEMScheme: is a date; expected a string"),
        ("SessionGracePeriod", 'SessionGracePeriod = "30x"', 'SessionGracePeriod: invalid duration: "30x"; write'),
        ("SessionGracePeriod", "SessionGracePeriod = 1.5", "is a float; expected a string or an integer"),
        ("SessionGracePeriod", "SessionGracePeriod = true", "is a boolean; expected a string or an integer"),
        ("VotingAuthority", None, "[VotingAuthority]: no directory authority is configured"),
        ("VotingAuthority", "[VotingAuthority]", "[VotingAuthority]: no directory authority is configured"),
        (
            "VotingAuthority",
            "[VotingAuthority]\nPeers = 3",
            "[VotingAuthority] Peers: is an integer; expected an array",
        ),
        ("PinnedGateways", "[PinnedGateways]\nGateways = [3]", "[PinnedGateways] Gateways: element 1 is an integer"),
    ],
)
def test_a_bad_section_is_named_with_its_fault(
    tmp_path: Path, section: str, replacement: str | None, expected: str
) -> None:
    assert expected in refusal(tmp_path, client_toml(**{section: replacement}))


def test_a_value_where_a_table_belongs_is_named(tmp_path: Path) -> None:
    assert "Debug: is an integer; expected a table" in refusal(tmp_path, client_toml(Debug=None, top="Debug = 3"))


@pytest.mark.parametrize(
    "name", ["PacketLength", "NrHops", "HeaderLength", "RoutingInfoLength", "PerHopRoutingInfoLength"]
)
def test_the_first_five_lengths_have_a_text_for_zero(tmp_path: Path, name: str) -> None:
    lines = [line for line in GEOMETRY.splitlines() if not line.strip().startswith(f"{name} ")]
    assert f"[SphinxGeometry]: geometry has {name} of 0" in refusal(
        tmp_path, client_toml(SphinxGeometry="\n".join(lines))
    )


def test_a_table_of_pigeonhole_sizes_is_refused_before_anything_else(tmp_path: Path) -> None:
    text = client_toml(WireKEMScheme=None, top="[PigeonholeGeometry]\nNIKEName = 'x'")
    assert refusal(tmp_path, text) == (
        "config: [PigeonholeGeometry] must not be set; it is derived from [SphinxGeometry]. "
        "Remove the [PigeonholeGeometry] table."
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Name": None}, "Name: is missing; add it"),
        ({"Name": '""'}, "Name: is empty"),
        ({"IdentityKey": None}, "IdentityKey: is missing"),
        ({"IdentityKey": None, "IdentiyKey": '"x"'}, "IdentityKey: is missing; is IdentiyKey meant to be it?"),
        ({"IdentityKey": '"nonsense"'}, "IdentityKey: no PEM block found"),
        ({"LinkKey": f'"""{link_pem("a", "x25519")}"""'}, "LinkKey: the PEM block is labelled 'X25519 PUBLIC KEY'"),
        ({"LinkKey": "3"}, "LinkKey: is an integer; expected a string"),
        ({"PKISignatureScheme": None}, "PKISignatureScheme: is missing"),
        ({"PKISignatureScheme": '"rot13"'}, "PKISignatureScheme: unknown signature scheme 'rot13'"),
        ({"PKISignatureScheme": '"Ed25519-Dilithium2"'}, "is built on round-3 Dilithium"),
        ({"WireKEMScheme": None}, "WireKEMScheme is empty string"),
        ({"WireKEMScheme": '"rot13"'}, "WireKEMScheme is nil; no KEM is called 'rot13'"),
        (
            {"WireKEMScheme": '"x25519"', "LinkKey": f'"""{link_pem("a", "x25519")}"""'},
            "WireKEMScheme: is x25519, and the daemon's own is XWING",
        ),
        ({"Addresses": None}, 'Addresses: No valid Addresses in gateway "gateway1"'),
        ({"Addresses": "[]"}, 'Addresses: No valid Addresses in gateway "gateway1"'),
        ({"Addresses": "[3]"}, "Addresses: element 1 is an integer; expected a string"),
        ({"Addresses": '["gateway1:30004"]'}, "Addresses: Address URL decode failure: "),
        ({"Addresses": '["tcp://gateway1:http"]'}, "Addresses: Address URL decode failure: "),
        ({"Addresses": '["tcp://:30004"]'}, "Addresses: Address URL decode failure: "),
        ({"Addresses": '["ws://gateway1:30004"]'}, "Addresses: Address Invalid Scheme: ws in ws://gateway1:30004"),
        ({"Addresses": '["tcp://gateway1"]'}, 'Addresses: address "tcp://gateway1" has no port'),
    ],
)
def test_a_bad_gateway_is_named_with_its_fault(tmp_path: Path, changes: dict[str, str | None], expected: str) -> None:
    tables = "[PinnedGateways]\n" + gateway("gateway0") + gateway("gateway1", **changes)
    message = refusal(tmp_path, client_toml(PinnedGateways=tables))
    assert message.startswith("[PinnedGateways.Gateways #2]")
    assert expected in message


def test_gateways_that_cannot_be_dialled_are_refused(tmp_path: Path) -> None:
    tables = "[PinnedGateways]\n" + gateway(Addresses='["onion://x.onion:1"]')
    assert (
        "no gateway has an address that this version can dial without a proxy; add one that begins with tcp://"
        in refusal(tmp_path, client_toml(PinnedGateways=tables))
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"Identifier": None}, "Identifier: is missing"),
        ({"IdentityPublicKey": None}, "IdentityPublicKey: is missing"),
        ({"IdentityPublicKey": '""'}, "IdentityPublicKey: is empty"),
        ({"LinkPublicKey": '"-"'}, "LinkPublicKey: no PEM block found"),
        ({"PKISignatureScheme": '"rot13"'}, "PKISignatureScheme: unknown signature scheme 'rot13'"),
        ({"WireKEMScheme": "[]"}, "WireKEMScheme: is an array; expected a string"),
        ({"WireKEMScheme": None}, "WireKEMScheme is empty string"),
        ({"Addresses": None}, "Addresses: is missing or has an empty element"),
        ({"Addresses": '[""]'}, "Addresses: is missing or has an empty element"),
    ],
)
def test_a_bad_authority_is_named_with_its_fault(tmp_path: Path, changes: dict[str, str | None], expected: str) -> None:
    tables = "[VotingAuthority]\n" + authority("auth1") + authority("auth2", **changes)
    message = refusal(tmp_path, client_toml(VotingAuthority=tables))
    assert message.startswith("[VotingAuthority.Peers #2]")
    assert expected in message


def test_an_all_zero_key_is_no_key(tmp_path: Path) -> None:
    pem = f'"""-----BEGIN ED25519 PUBLIC KEY-----\n{"A" * 43}=\n-----END ED25519 PUBLIC KEY-----\n"""'
    text = client_toml(VotingAuthority="[VotingAuthority]\n" + authority("auth1", IdentityPublicKey=pem))
    assert "[VotingAuthority.Peers #1] IdentityPublicKey: " in refusal(tmp_path, text)


@pytest.mark.parametrize(
    ("section", "replacement", "expected"),
    [
        (
            "Listen",
            '[Listen.Tcp]\nAddress = "localhost:64331"',
            '[Listen.Tcp] Address: config: Listen.Tcp.Address: address "localhost:64331" has hostname "localhost" '
            "which is not an IP literal; production deployments must not rely on DNS resolution (set "
            "AllowHostnameAddresses=true",
        ),
        ("Listen", '[Listen.Tcp]\nAddress = ":64331"', 'config: Listen.Tcp.Address: address ":64331" has hostname ""'),
        (
            "MetricsAddress",
            'MetricsAddress = "localhost:1"',
            'config: MetricsAddress: address "localhost:1" has hostname',
        ),
        (
            "top",
            'Status = {Address = "0.0.0.0:1"}',
            '[Status] Address: is "0.0.0.0:1", which is no address of this machine alone; write "127.0.0.1:30098"',
        ),
        ("top", 'Status = {Address = "localhost:1"}', '[Status] Address: is "localhost:1", which is no address of'),
        ("top", 'Status = {Address = "::1:1"}', '[Status] Address: address "::1:1" is not of the form host:port'),
        ("top", 'Status = {TokenFile = "/t"}', "[Status] TokenFile: guards a page that there is not; add Address"),
        (
            "top",
            'Status = {Address = "127.0.0.1:1", TokenFile = "t"}',
            '[Status] TokenFile: is "t"; write an absolute path',
        ),
        ("MetricsAddress", 'MetricsAddress = "127.0.0.1"', 'config: MetricsAddress: address "127.0.0.1" is not of the'),
        (
            "PinnedGateways",
            "[PinnedGateways]\n" + gateway(Addresses='["tcp://192.0.2.1:1", "tcp://localhost:30007"]'),
            '[PinnedGateways.Gateways] Addresses: config: PinnedGateway "gateway1": address "tcp://localhost:30007" '
            'has hostname "localhost" which is not an IP literal',
        ),
        (
            "VotingAuthority",
            "[VotingAuthority]\n" + authority("auth1", Addresses='["tcp://auth1:1"]'),
            'config: VotingAuthority peer "auth1": address "tcp://auth1:1" has hostname "auth1"',
        ),
        (
            "VotingAuthority",
            "[VotingAuthority]\n" + authority("auth1", Addresses='["http://192.0.2.1:1"]'),
            'config: VotingAuthority peer "auth1": address "http://192.0.2.1:1" has scheme "http"',
        ),
        (
            "VotingAuthority",
            "[VotingAuthority]\n" + authority("auth1", Addresses='["tcp://192.0.2.1"]'),
            'config: VotingAuthority peer "auth1": address "tcp://192.0.2.1" has no port',
        ),
        (
            "VotingAuthority",
            "[VotingAuthority]\n" + authority("auth1", Addresses='["nowhere"]'),
            'config: VotingAuthority peer "auth1": "nowhere" is not of the form scheme://host:port',
        ),
    ],
)
def test_nothing_may_need_dns_unless_that_is_allowed(
    tmp_path: Path, section: str, replacement: str, expected: str
) -> None:
    assert expected in refusal(tmp_path, literal_toml(**{section: replacement}))


def test_with_leave_an_authoritys_address_is_not_looked_at(tmp_path: Path) -> None:
    text = client_toml(VotingAuthority="[VotingAuthority]\n" + authority("auth1", Addresses='["nowhere"]'))
    assert load_config(written(tmp_path, text)).authorities[0].addresses == ("nowhere",)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file or directory"):
        load_config(tmp_path / "absent.toml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load_config(tmp_path)


def test_broken_toml_is_told_with_its_line(tmp_path: Path) -> None:
    assert "toml: " in (message := refusal(tmp_path, 'WireKEMScheme = "xwing"\n[Listen\n'))
    assert "line 2" in message


def test_an_empty_file_lacks_a_kem(tmp_path: Path) -> None:
    assert refusal(tmp_path, "").startswith("WireKEMScheme is empty string; name the network's KEM")


def test_bytes_that_are_not_utf8_are_told_by_their_place(tmp_path: Path) -> None:
    path = tmp_path / "client.toml"
    path.write_bytes(b"# \xff")
    with pytest.raises(ConfigError, match="byte 2 is not UTF-8"):
        load_config(path)


def test_a_file_of_absurd_length_is_not_parsed(tmp_path: Path) -> None:
    assert "is longer than" in refusal(tmp_path, "#" * (MAX_FILE_LENGTH + 1))


def test_absurd_nesting_ends_in_an_error_not_in_a_crash(tmp_path: Path) -> None:
    assert "toml: " in refusal(tmp_path, "a = " + "[" * 100_000)


def test_absurdly_long_dotted_keys_are_refused(tmp_path: Path) -> None:
    assert "nest deeper than 20 levels" in refusal(tmp_path, "a" + ".a" * 10_000 + " = 1")


def test_unknown_keys_without_number_are_told_without_a_search_for_each(tmp_path: Path) -> None:
    text = client_toml(top="\n".join(f"DataDir{number} = 1" for number in range(20_000)))
    config = load_config(written(tmp_path, text))
    assert len(config.ignored_keys) == 20_000
    assert len(config.hints) == 20


def test_no_fault_repeats_the_value_of_a_secret(tmp_path: Path) -> None:
    proxy = '[UpstreamProxy]\nType = "socks5"\nPassword = "sesame"'
    assert "sesame" not in refusal(tmp_path, client_toml(UpstreamProxy=proxy))
