"""The list of ways to a gateway."""

import subprocess
import sys

import pytest

from kpclientd.addresses import scheme_of
from kpclientd.config.peers import require_ip_url
from kpclientd.transports import DIALLED_SCHEMES, PEER_SCHEMES, TCP_NETWORKS, TRANSPORTS


def test_what_this_version_knows_and_dials() -> None:
    assert list(TRANSPORTS) == ["tcp", "tcp4", "tcp6", "quic", "ws", "onion"]
    assert DIALLED_SCHEMES == ("tcp", "tcp4", "tcp6", "quic", "onion")
    assert PEER_SCHEMES == ("tcp", "tcp4", "tcp6", "quic", "onion")
    assert TCP_NETWORKS == ("tcp", "tcp4", "tcp6")
    assert all(scheme == transport.scheme for scheme, transport in TRANSPORTS.items())


def test_only_names_that_tor_resolves_are_no_literals() -> None:
    require_ip_url("onion://name.onion")
    assert [scheme for scheme, transport in TRANSPORTS.items() if transport.resolved_elsewhere] == ["onion"]


@pytest.mark.parametrize(
    ("url", "scheme"), [("tcp://a:1", "tcp"), ("TCP4://a:1", "tcp4"), ("nowhere", "nowhere"), ("", "")]
)
def test_a_scheme_is_what_stands_first_in_lower_case(url: str, scheme: str) -> None:
    assert scheme_of(url) == scheme


@pytest.mark.parametrize(
    ("module", "absent"),
    [("kpclientd.transports", ["trio", "aioquic"]), ("kpclientd.transports.dialler", ["aioquic", "OpenSSL"])],
)
def test_what_is_not_dialled_is_not_loaded(module: str, absent: list[str]) -> None:
    code = f"import sys, {module}; print([name for name in {absent!r} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
