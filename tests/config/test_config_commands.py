"""`kpclientd config`: what it says, what it writes, and with what status it ends."""

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kpclientd.cli import main
from kpclientd.config.client_file import ClientFile
from kpclientd.config.dial import load_dial
from kpclientd.config.examples import NAMES
from kpclientd.config.load import examine, load_config
from kpclientd.config.reader import read_file
from kpclientd.errors import ConfigError
from tests.config.samples import authority, client_toml, gateway, identity_pem, link_pem, literal_toml, written

Capture = pytest.CaptureFixture[str]

PROXY = (
    '[UpstreamProxy]\nType = "socks5"\nNetwork = "tcp"\nAddress = "127.0.0.1:1080"\nUser = "alice"\nPassword = "sesame"'
)


def test_a_good_file_is_valid(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, literal_toml())
    assert main(["config", "check", str(path)]) == 0
    assert capsys.readouterr() == (f"configuration file '{path}' is valid\n", "")


def test_warnings_are_told_of_a_good_file(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, literal_toml(MetricsAddress='MetricsAddress = "192.0.2.1:1"'))
    assert main(["config", "check", str(path)]) == 0
    assert "MetricsAddress: whoever reaches port 1 of 192.0.2.1" in capsys.readouterr().err


def check(folder: Path, text: str, capsys: Capture) -> list[str]:
    path = written(folder, text)
    assert main(["config", "check", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    return [line.removeprefix(f"{path}: ") for line in captured.err.splitlines()]


def test_all_values_of_wrong_types_are_told_at_once(tmp_path: Path, capsys: Capture) -> None:
    text = client_toml(
        WireKEMScheme="WireKEMScheme = 3\nwirekemscheme = 4",
        Logging='[Logging]\nDisable = "no"\nLevle = "INFO"',
        Debug="[Debug]\nPollingInterval = -1",
        PinnedGateways="[PinnedGateways]\n" + gateway() + gateway(Name="7", Addresses='["tcp://a:1", 8]'),
        top="[Limits]\nConnections = 0\nUnreadBytes = 1.5",
    )
    assert sorted(check(tmp_path, text, capsys)) == sorted(
        [
            "WireKEMScheme: is given 2 times, as WireKEMScheme, wirekemscheme; keep one",
            "WireKEMScheme: is an integer; expected a string",
            "[Logging] Disable: is a string; expected a boolean",
            "[Debug] PollingInterval: is -1; expected at least 0 seconds; the default is 10",
            "[Limits] Connections: is 0; expected at least 1 connections; the default is 512",
            "[Limits] UnreadBytes: is a float; expected an integer",
            "[PinnedGateways.Gateways #2] Name: is an integer; expected a string",
            "[PinnedGateways.Gateways #2] Addresses: element 2 is an integer; expected a string",
            f"config file '{tmp_path}/client.toml': unrecognised configuration keys: Logging.Levle",
            "did you mean Logging.Level by Logging.Levle?",
        ]
    )


def test_all_that_makes_no_sense_is_told_at_once(tmp_path: Path, capsys: Capture) -> None:
    text = client_toml(
        WireKEMScheme=None,
        Listen=None,
        Logging='[Logging]\nLevel = "LOUD"',
        UpstreamProxy='[UpstreamProxy]\nType = "http"',
        PinnedGateways="[PinnedGateways]\n" + gateway(Name=None) + gateway() + gateway(IdentityKey='"x"'),
        VotingAuthority="[VotingAuthority]\nMaxConsensusSize = -1\n" + authority("a", WireKEMScheme=None),
        top='EpochDuration = "1s"\nDataDir = "here"\nProxies = 1\n[ARQ]\nStateFile = "there"',
    )
    told = check(tmp_path, text, capsys)
    for expected in (
        "EpochDuration: config: EpochDuration",
        "[PinnedGateways.Gateways #1] Name: is missing",
        "[PinnedGateways.Gateways #3] IdentityKey: no PEM block",
        "[VotingAuthority.Peers #1]: WireKEMScheme is empty string",
        'DataDir: is "here"; write an absolute path',
        '[ARQ] StateFile: is "there"; write an absolute path, such as /var/lib/kpclientd/state',
        "WireKEMScheme is empty string",
        "transport: no listen transport configured",
        "[Logging]: config: Logging: Level 'LOUD' is invalid",
        "[UpstreamProxy] Type: proxy/config: Type 'http' is invalid",
        "[VotingAuthority]: config: VotingAuthority.MaxConsensusSize must not be negative",
        "Proxies: is unknown, and may mean a proxy",
        f"config file '{tmp_path}/client.toml': unrecognised configuration keys: Proxies",
    ):
        assert sum(line.startswith(expected) for line in told) == 1, expected
    assert len(told) == 13


def test_an_environment_that_contradicts_the_file_is_a_fault(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KATZENPOST_EPOCH_DURATION", "3m")
    (told,) = check(tmp_path, literal_toml(top='EpochDuration = "2m"'), capsys)
    assert "contradicts KATZENPOST_EPOCH_DURATION" in told
    assert main(["config", "show", str(tmp_path / "client.toml")]) == 1


@pytest.mark.parametrize(
    ("change", "hint"),
    [
        ({"top": 'PreferredTransports = ["tcp"]'}, "did you mean PreferedTransports by PreferredTransports?"),
        ({"top": "[limit]\nConnections = 1"}, "did you mean Limits by limit?"),
        ({"top": "[Limits]\nConections = 1"}, "did you mean Limits.Connections by Limits.Conections?"),
        ({"top": 'StateFile = "/x"'}, "did you mean ARQ.StateFile by StateFile?"),
        ({"Debug": '[Debug]\nlevel = "INFO"'}, "did you mean Logging.Level by Debug.level?"),
    ],
)
def test_the_nearest_key_is_named(tmp_path: Path, capsys: Capture, change: dict[str, str], hint: str) -> None:
    assert check(tmp_path, literal_toml(**change), capsys)[-1] == hint
    config = load_config(tmp_path / "client.toml")
    assert any(warning.endswith(f"; {hint}") for warning in config.warnings())


def test_a_key_that_resembles_none_brings_no_hint(tmp_path: Path, capsys: Capture) -> None:
    (told,) = check(tmp_path, literal_toml(top="Zebra = 1"), capsys)
    assert "unrecognised configuration keys: Zebra" in told


@pytest.mark.parametrize("verb", ["check", "show"])
def test_a_file_that_is_not_there_is_a_fault(tmp_path: Path, capsys: Capture, verb: str) -> None:
    assert main(["config", verb, str(tmp_path / "absent.toml")]) == 1
    assert capsys.readouterr().err == (
        f"kpclientd config: {tmp_path}/absent.toml: cannot be read: No such file or directory\n"
    )


def test_an_integer_of_too_many_digits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="toml: Exceeds the limit"):
        load_config(written(tmp_path, "A = " + "1" * 5000))


def test_a_file_full_of_faults_is_given_up_soon(tmp_path: Path) -> None:
    entries = "[[PinnedGateways.Gateways]]\nName = 1\n" * 2000
    examined = examine(written(tmp_path, entries))
    assert examined.config is None and len(examined.faults) == 50


def test_the_values_in_effect_are_shown_with_their_defaults_and_without_secrets(
    tmp_path: Path, capsys: Capture
) -> None:
    path = written(tmp_path, literal_toml(UpstreamProxy=PROXY, top='EpochDuration = "3m"'))
    assert main(["config", "show", str(path)]) == 0
    out = capsys.readouterr().out
    assert "# EpochDuration: 3m0s, by EpochDuration\n" in out
    assert '    Address = "127.0.0.1:64331"\n    Network = "tcp"  # default\n' in out
    assert '  Password = "(hidden)"  # a secret\n' in out
    assert "sesame" not in out and "alice" not in out
    assert read_file(written(tmp_path, out, "shown.toml"), ClientFile).faults.found == []


def test_json_has_the_same_values(tmp_path: Path, capsys: Capture) -> None:
    path = written(tmp_path, literal_toml(UpstreamProxy=PROXY))
    assert main(["config", "show", "--json", str(path)]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["UpstreamProxy"]["Password"] == values["UpstreamProxy"]["User"] == "(hidden)"
    assert values["Limits"]["Connections"] == 512
    assert values["EpochDuration"] is None
    assert values["PinnedGateways"]["Gateways"][0]["Name"] == "gateway1"
    assert "PigeonholeGeometry" not in values


def test_a_file_with_unknown_keys_is_shown_without_them(tmp_path: Path, capsys: Capture) -> None:
    assert main(["config", "show", str(written(tmp_path, literal_toml(top="Zebra = 1")))]) == 0
    assert "Zebra" not in capsys.readouterr().out


def test_a_file_with_a_fault_is_not_shown(tmp_path: Path, capsys: Capture) -> None:
    assert main(["config", "show", str(written(tmp_path, literal_toml(Listen=None)))]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert "transport: no listen transport configured" in captured.err


@pytest.mark.parametrize("name", NAMES)
def test_an_example_is_written_for_its_owner_alone_and_never_over_another_file(
    tmp_path: Path, capsys: Capture, name: str
) -> None:
    path = tmp_path / "new.toml"
    assert main(["config", "init", "--network", name, str(path)]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"{path} is written; replace its ")
    assert out.endswith(f" placeholders, and then run: kpclientd config check {path}\n")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    before = path.read_text()
    assert main(["config", "init", str(path)]) == 1
    assert capsys.readouterr().err == (
        f"kpclientd config: {path} is there already, and is not overwritten; name another file\n"
    )
    assert path.read_text() == before
    assert main(["config", "init", "--network", name, "-"]) == 0
    assert capsys.readouterr().out == before


def test_an_example_with_the_keys_of_a_network_is_ready(
    tmp_path: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    theirs = written(tmp_path, literal_toml(), "theirs.toml")
    assert main(["config", "init", "--network", "service", "--from", str(theirs)]) == 0
    assert capsys.readouterr().out == "client.toml is written; run: kpclientd config check client.toml\n"
    assert main(["config", "check", "client.toml"]) == 0
    assert main(["config", "init", "--from", "client.toml", "nowhere/client.toml"]) == 1
    assert "nowhere/client.toml cannot be written: No such file" in capsys.readouterr().err
    assert main(["config", "init", "--from", "absent.toml", "other.toml"]) == 1
    assert not (tmp_path / "other.toml").exists()


def test_without_a_verb_it_explains_itself(capsys: Capture) -> None:
    assert main(["config"]) == 2
    told = capsys.readouterr().err
    assert all(verb in told for verb in ("check", "show", "init", "exit status:"))


@pytest.mark.parametrize(
    "arguments",
    [["sow"], ["check"], ["show"], ["check", "a", "b"], ["init", "--network", "mars"], ["show", "--jso", "a"]],
)
def test_wrong_usage_ends_with_2(arguments: list[str], capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config", *arguments])
    assert ended.value.code == 2
    assert "usage: kpclientd config" in capsys.readouterr().err


@pytest.mark.parametrize("verb", ["check", "show", "init"])
def test_every_verb_has_help_with_its_statuses(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["config", verb, "--help"])
    assert not ended.value.code
    assert "exit status:" in capsys.readouterr().out


def test_the_daemons_help_lists_it(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "config      check, show or begin a configuration file" in capsys.readouterr().out


def test_a_reader_that_goes_away_is_no_fault() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as output:
        command = (sys.executable, "-m", "kpclientd.cli", "config", "init", "-")
        done = subprocess.run(command, stdout=output, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def test_an_older_file_is_explained(tmp_path: Path, capsys: Capture) -> None:
    old = client_toml(Listen=None, top='ListenNetwork = "tcp"\nListenAddress = "localhost:64331"')
    hints = [
        "ListenAddress is of an older file: write it as Address of a [Listen.Tcp] table",
        "ListenNetwork is of an older file: [Listen.Tcp] and [Listen.Unix] took its place",
    ]
    first, *rest, unknown = check(tmp_path, old, capsys)
    assert first.startswith("transport: no listen transport configured; ")
    assert rest == hints
    assert unknown.endswith("unrecognised configuration keys: ListenAddress, ListenNetwork")
    with pytest.raises(ConfigError) as caught:
        load_config(tmp_path / "client.toml")
    assert str(caught.value).splitlines()[1:] == hints


def test_an_application_s_file_is_told_from_the_daemon_s(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"\n\[Dial\] is of an application's thinclient.toml; the daemon wants"):
        load_config(written(tmp_path, '[Dial.Tcp]\nAddress = "127.0.0.1:1"'))
    with pytest.raises(ConfigError, match=r"\nAddress at the top is of an application's older thinclient.toml"):
        load_config(written(tmp_path, 'Network = "tcp"\nAddress = "127.0.0.1:1"'))
    with pytest.raises(ConfigError, match=r"\n\[Listen\] is of the daemon's client.toml; an application wants"):
        load_dial(written(tmp_path, literal_toml()))
    with pytest.raises(ConfigError, match=r"\nAddress is of an older file: it belongs into a \[Dial.Tcp\]"):
        load_dial(written(tmp_path, 'Network = "tcp"\nAddress = "127.0.0.1:1"'))


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
def test_a_file_in_utf16_is_named_as_one(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "client.toml"
    path.write_bytes(("\ufeff" + client_toml()).encode(encoding))
    with pytest.raises(ConfigError, match="is not UTF-8; it is UTF-16, save it as UTF-8"):
        load_config(path)


def test_one_authority_or_gateway_twice_is_refused(tmp_path: Path) -> None:
    same_key = {"IdentityPublicKey": f'"""{identity_pem("a")}"""'}
    text = literal_toml(
        PinnedGateways="[PinnedGateways]\n" + gateway() + gateway(),
        VotingAuthority="[VotingAuthority]\n" + authority("a") + authority("b") + authority("c", **same_key),
    )
    faults = examine(written(tmp_path, text)).faults
    assert [str(fault).partition("toml: ")[2] for fault in faults[:2]] == [
        "[PinnedGateways.Gateways #2] IdentityKey: is that of gateway1, which stands before it; remove one of the two",
        "[VotingAuthority.Peers #3] IdentityPublicKey: is that of a, which stands before it; remove one of the two",
    ]


def test_keys_that_are_swapped_are_told_as_such(tmp_path: Path) -> None:
    swapped = {"IdentityKey": f'"""{link_pem("a")}"""', "LinkKey": f'"""{identity_pem("a")}"""'}
    text = literal_toml(PinnedGateways="[PinnedGateways]\n" + gateway("a", **swapped))
    (fault,) = examine(written(tmp_path, text)).faults
    assert fault.key == "IdentityKey"
    assert fault.fix == "the two keys of this entry are swapped"
