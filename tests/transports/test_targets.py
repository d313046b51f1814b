"""Which addresses may be dialled: the rules, one by one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.addresses import AddressError
from kpclientd.transports import DIALLED_SCHEMES, UpstreamProxy, dialled_schemes, target_of

DIRECT = UpstreamProxy()
SOCKS = UpstreamProxy("socks5", "tcp", "127.0.0.1:1080")
TOR = UpstreamProxy("tor+socks5", "tcp", "127.0.0.1:9050")
PROXIES = (DIRECT, SOCKS, TOR)
ONION = "onion://" + "a" * 56 + ".onion:30004"


def reason(url: str, proxy: UpstreamProxy = DIRECT, *, hostnames_allowed: bool = False) -> str:
    with pytest.raises(AddressError) as caught:
        target_of(url, proxy, hostnames_allowed=hostnames_allowed)
    return str(caught.value)


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("tcp://192.0.2.1:30004", "192.0.2.1", 30004),
        ("tcp4://192.0.2.1:1", "192.0.2.1", 1),
        ("TCP6://[2001:DB8::1]:65535", "2001:db8::1", 65535),
        ("tcp://[2001:db8:0:0:0:0:0:1]:1/path", "2001:db8::1", 1),
    ],
)
def test_a_literal_needs_nobody_to_resolve_it(proxy: UpstreamProxy, url: str, host: str, port: int) -> None:
    target = target_of(url, proxy, hostnames_allowed=False)
    assert (target.host, target.port) == (host, port)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "tcp",
        "tcp://",
        "tcp://:1",
        "tcp://192.0.2.1",
        "tcp://192.0.2.1:",
        "tcp://192.0.2.1:0",
        "tcp://192.0.2.1:65536",
        "tcp://192.0.2.1:0x10",
        "tcp://192.0.2.1:1\n",
        "tcp://user@192.0.2.1:1",
        "tcp://2001:db8::1:1",
        "tcp://[fe80::1%eth0]:1",
        "tcp://a..b:1",
        "tcp://.:1",
        "tcp://-a.example:1",
        "tcp://a-.example:1",
        "tcp://a b:1",
        "tcp://a\0b.example:1",
        "tcp://" + "a" * 64 + ".example:1",
        "tcp://" + "a." * 127 + "ab:1",
        "tcp://xn--\N{SNOWMAN}..example:1",
        "tcp://\N{FULLWIDTH FULL STOP}a:1",
        "tcp://" + "\N{LATIN SMALL LETTER U WITH DIAERESIS}" * 70 + ":1",
        "tcp://127.1:1",
        "tcp://2130706433:1",
        "tcp://0x7f000001:1",
        "tcp://1.2.3.0x4:1",
    ],
)
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_malformed_address_is_none(proxy: UpstreamProxy, url: str) -> None:
    reason(url, proxy, hostnames_allowed=True)


@pytest.mark.parametrize("proxy", PROXIES)
@pytest.mark.parametrize("scheme", ["tcp", "tcp4", "tcp6", "quic"])
def test_a_name_is_dialled_only_where_names_are_allowed(proxy: UpstreamProxy, scheme: str) -> None:
    url = f"{scheme}://Gateway.Example.:30004"
    if scheme in dialled_schemes(proxy):
        assert target_of(url, proxy, hostnames_allowed=True).host == "gateway.example"
        assert "which is not an IP literal" in reason(url, proxy)
    else:
        reason(url, proxy, hostnames_allowed=True)


def test_a_name_of_any_script_is_looked_up_in_ascii() -> None:
    target = target_of("tcp://b\N{LATIN SMALL LETTER U WITH DIAERESIS}cher.example:1", DIRECT, hostnames_allowed=True)
    assert target.host == "xn--bcher-kva.example"


@pytest.mark.parametrize(
    ("proxy", "schemes"),
    [
        (DIRECT, ("tcp", "tcp4", "tcp6", "quic")),
        (SOCKS, ("tcp", "tcp4", "tcp6")),
        (TOR, ("tcp", "tcp4", "tcp6", "onion")),
    ],
)
def test_what_each_way_can_carry(proxy: UpstreamProxy, schemes: tuple[str, ...]) -> None:
    assert dialled_schemes(proxy) == schemes


def test_quic_would_go_around_any_proxy() -> None:
    for proxy in (SOCKS, TOR):
        assert "would go around the proxy" in reason("quic://192.0.2.1:1", proxy, hostnames_allowed=True)


@pytest.mark.parametrize("hostnames_allowed", [False, True])
def test_an_onion_name_goes_to_tor_or_nowhere(hostnames_allowed: bool) -> None:
    assert target_of(ONION, TOR, hostnames_allowed=hostnames_allowed).host == "a" * 56 + ".onion"
    for proxy in (DIRECT, SOCKS):
        assert "only be reached through Tor" in reason(ONION, proxy, hostnames_allowed=hostnames_allowed)


@pytest.mark.parametrize("url", ["tcp://name.onion:1", "tcp4://name.ONION.:1", "quic://name.onion:1"])
def test_no_scheme_smuggles_an_onion_name_past_tor(url: str) -> None:
    for proxy in (DIRECT, SOCKS):
        reason(url, proxy, hostnames_allowed=True)


@pytest.mark.parametrize("url", ["onion://example.com:1", "onion://192.0.2.1:1", "onion://onion:1", "onion://a.onion"])
def test_what_is_no_onion_name_is_not_asked_of_tor(url: str) -> None:
    reason(url, TOR, hostnames_allowed=True)


@pytest.mark.parametrize("url", ["tcp4://[2001:db8::1]:1", "tcp6://192.0.2.1:1", "tcp6://[192.0.2.1]:1"])
@pytest.mark.parametrize("proxy", PROXIES)
def test_a_literal_of_the_other_family_is_not_dialled(proxy: UpstreamProxy, url: str) -> None:
    assert "is not of IPv" in reason(url, proxy, hostnames_allowed=True)


@pytest.mark.parametrize("url", ["ws://192.0.2.1:1", "http://192.0.2.1:1", "x://192.0.2.1:1"])
def test_other_schemes_are_not_dialled(url: str) -> None:
    assert "a scheme that this version does not dial" in reason(url)


def test_a_message_holds_no_more_than_the_beginning_of_a_long_address() -> None:
    for long in (
        "tcp://" + "a" * 100_000 + ":1",
        "tcp://1:" + "1" * 100_000,
        "b" * 100_000,
        "tcp://a/" + "c" * 100_000,
    ):
        assert len(reason(long)) < 400


@given(
    st.one_of(
        st.text(max_size=80), st.builds("{}://{}".format, st.sampled_from(DIALLED_SCHEMES), st.text(max_size=80))
    ),
    st.sampled_from(PROXIES),
    st.booleans(),
)
def test_whatever_stands_in_a_document_is_dialled_by_the_rules_or_told(
    url: str, proxy: UpstreamProxy, hostnames_allowed: bool
) -> None:
    try:
        target = target_of(url, proxy, hostnames_allowed=hostnames_allowed)
    except AddressError:
        return
    assert target.host.isascii()
    assert 0 < target.port < 65536
