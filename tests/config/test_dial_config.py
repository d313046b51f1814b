"""An application's thinclient.toml: one place to dial and nothing else."""

from pathlib import Path

import pytest

from kpclientd.config.dial import find_daemon, load_dial
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.errors import ConfigError, UnknownKeysError
from tests.config.samples import client_toml, written


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('[Dial]\n[Dial.Tcp]\nAddress = "localhost:64331"\nNetwork = "tcp"', ListenTcp("localhost", 64331, "tcp")),
        ('[Dial.Tcp]\nAddress = "[::1]:64331"', ListenTcp("::1", 64331, "tcp")),
        (
            '[Dial.Tcp]\nAddress = "127.0.0.1:1"\nTokenFile = "/token"',
            ListenTcp("127.0.0.1", 1, "tcp", Path("/token")),
        ),
        ('[Dial.Unix]\nAddress = "/run/k.sock"', ListenUnix("/run/k.sock")),
        ('[dial.unix]\naddress = "@katzenpost"', ListenUnix("@katzenpost")),
    ],
)
def test_the_ways_to_a_daemon(tmp_path: Path, text: str, expected: ListenTcp | ListenUnix) -> None:
    assert load_dial(written(tmp_path, text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", r"no \[Dial\] transport is configured; write a \[Dial.Tcp\] table"),
        ('Network = "tcp"\nAddress = "localhost:64331"', r"no \[Dial\] transport is configured"),
        ('[Dial.Unix]\nAddress = "@a"\n[Dial.Tcp]\nAddress = "a:1"', "exactly one"),
        ('[Dial.Ws]\nAddress = "ws://127.0.0.1:1"', "WebSocket is not supported"),
        (
            '[Dial.Tcp]\nAddress = "a:1"\nTokenFile = "token"',
            r"\[Dial.Tcp\] TokenFile: is \"token\"; write an absolute",
        ),
        ("[Dial.Tcp]\nAddress = 3", r"\[Dial.Tcp\] Address: is an integer; expected a string"),
    ],
)
def test_what_is_wrong_is_told(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected):
        load_dial(written(tmp_path, text))


def test_any_other_key_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path, '[Dial.Unix]\nAddress = "@a"\nNetwork = "unix"\n[SphinxGeometry]\nNrHops = 5')
    with pytest.raises(UnknownKeysError) as caught:
        load_dial(path)
    assert caught.value.keys == ("Dial.Unix.Network", "SphinxGeometry", "SphinxGeometry.NrHops")


@pytest.mark.parametrize(
    ("listen", "expected"),
    [
        (
            '[Listen.Tcp]\nAddress = "127.0.0.1:1"\nTokenFile = "/token"',
            ListenTcp("127.0.0.1", 1, "tcp", Path("/token")),
        ),
        ('[Listen.Ws]\nAddress = "ws://127.0.0.1:2"\n[Listen.Unix]\nAddress = "@one"', ListenUnix("@one")),
    ],
)
def test_a_daemon_is_found_by_its_own_file_too(tmp_path: Path, listen: str, expected: ListenTcp | ListenUnix) -> None:
    assert find_daemon(written(tmp_path, client_toml(Listen=listen))) == expected
    assert find_daemon(written(tmp_path, '[Dial.Unix]\nAddress = "@katzenpost"')) == ListenUnix("@katzenpost")


@pytest.mark.parametrize(
    "listen", ['[Listen.Ws]\nAddress = "ws://127.0.0.1:2"', '[Listen.Tcp]\nAddress = "127.0.0.1:0"']
)
def test_a_daemon_that_cannot_be_dialled_by_its_file_is_told(tmp_path: Path, listen: str) -> None:
    with pytest.raises(ConfigError, match="neither a Unix socket nor a TCP port"):
        find_daemon(written(tmp_path, client_toml(Listen=listen)))
