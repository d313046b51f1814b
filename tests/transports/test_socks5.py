"""The client's half of SOCKS5, byte by byte."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.transports.socks5 import REPLIES, Credentials, Socks5Client, SocksError

ALICE = Credentials(b"alice", b"sesame")
GRANTED = b"\5\0\0\1\x7f\0\0\1\x1f\x90"


def fed(client: Socks5Client, data: bytes, size: int = 1) -> bytes:
    """What the client sends when it is given `data` in pieces of at most `size`, and of at most what it wants."""
    sent = b""
    while data:
        taken = min(size, client.wanted, len(data))
        assert taken, "the client wants no more"
        sent += client.receive(data[:taken])
        data = data[taken:]
    return sent


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", b"\1\xc0\0\2\1"),
        ("2001:db8::1", b"\4\x20\1\x0d\xb8" + bytes(11) + b"\1"),
        ("gateway.example", b"\3\x0fgateway.example"),
        ("a" * 56 + ".onion", b"\3\x3e" + b"a" * 56 + b".onion"),
        ("a" * 253, b"\3\xfd" + b"a" * 253),
    ],
)
def test_the_bytes_of_an_anonymous_request(host: str, address: bytes) -> None:
    client = Socks5Client(host, 30004)
    assert client.start() == b"\5\1\0"
    assert fed(client, b"\5\0") == b"\5\1\0" + address + b"\x75\x34"
    assert not client.is_open
    assert fed(client, GRANTED) == b""
    assert (client.is_open, client.wanted) == (True, 0)


def test_the_bytes_of_a_request_with_credentials() -> None:
    client = Socks5Client("192.0.2.1", 1, ALICE)
    assert client.start() == b"\5\2\0\2"
    assert fed(client, b"\5\2") == b"\1\5alice\6sesame"
    assert fed(client, b"\1\0") == b"\5\1\0\1\xc0\0\2\1\0\1"
    fed(client, GRANTED)
    assert client.is_open


def test_a_proxy_may_go_without_credentials_only_where_nothing_depends_on_them() -> None:
    assert fed(Socks5Client("192.0.2.1", 1, ALICE), b"\5\0")[:3] == b"\5\1\0"
    isolated = Socks5Client("192.0.2.1", 1, ALICE, is_anonymous_allowed=False)
    assert isolated.start() == b"\5\1\2"
    with pytest.raises(SocksError, match="was not offered"):
        fed(isolated, b"\5\0")


def test_the_longest_credentials_fit() -> None:
    client = Socks5Client("192.0.2.1", 1, Credentials(b"u" * 255, b"p" * 255))
    assert fed(client, b"\5\2") == b"\1\xff" + b"u" * 255 + b"\xff" + b"p" * 255


@pytest.mark.parametrize(
    "answer", [GRANTED, b"\5\0\0\4" + bytes(18), b"\5\0\0\3\0\0\0", b"\5\0\0\3\xff" + b"\xfe" * 255 + b"\0\0"]
)
@pytest.mark.parametrize("size", [1, 2, 3, 5, 300])
def test_an_answer_is_read_to_its_end_and_no_further(answer: bytes, size: int) -> None:
    client = Socks5Client("192.0.2.1", 1)
    fed(client, b"\5\0")
    fed(client, answer, size)
    assert client.is_open


@pytest.mark.parametrize(
    ("answers", "text"),
    [
        ([b"\4\0"], "does not speak SOCKS5"),
        ([b"HT"], "does not speak SOCKS5"),
        ([b"\5\1"], "was not offered"),
        ([b"\5\xff"], "wants other credentials"),
        ([b"\5\2", b"\1\1"], "did not accept the credentials"),
        ([b"\5\2", b"\5\0"], "is malformed"),
        ([b"\5\2", b"\1\0", b"\4\0\0\1\0"], "is malformed"),
        ([b"\5\2", b"\1\0", b"\5\0\1\1\0"], "is malformed"),
        ([b"\5\2", b"\1\0", b"\5\0\0\2\0"], "of an unknown kind"),
        ([b"\5\2", b"\1\0", b"\5\xee\0\1\0"], "failure 238"),
    ],
)
def test_what_is_wrong_with_a_proxy_is_told(answers: list[bytes], text: str) -> None:
    client = Socks5Client("192.0.2.1", 1, ALICE)
    *good, bad = answers
    for answer in good:
        fed(client, answer)
    with pytest.raises(SocksError, match=text):
        fed(client, bad)


def test_a_proxy_that_wants_what_the_configuration_has_not() -> None:
    with pytest.raises(SocksError, match="credentials, and the configuration has none"):
        fed(Socks5Client("192.0.2.1", 1), b"\5\xff")


@pytest.mark.parametrize("reply", REPLIES)
def test_a_refusal_is_told_from_other_failures(reply: int) -> None:
    client = Socks5Client("192.0.2.1", 1)
    fed(client, b"\5\0")
    with pytest.raises(SocksError) as caught:
        fed(client, bytes([5, reply, 0, 1, 0]))
    assert REPLIES[reply] in str(caught.value)
    assert caught.value.is_refused == (reply in (1, 5)), "Tor has one word for both"


def test_more_than_was_wanted_is_a_mistake() -> None:
    client = Socks5Client("192.0.2.1", 1)
    with pytest.raises(SocksError):
        client.receive(b"\5\0\5")


def test_credentials_are_in_no_repr() -> None:
    assert "alice" not in repr(ALICE)
    assert "sesame" not in repr(ALICE)


@given(st.binary(max_size=600), st.integers(1, 300), st.sampled_from([None, ALICE]))
def test_whatever_a_proxy_sends_opens_the_stream_or_is_told(
    data: bytes, size: int, account: Credentials | None
) -> None:
    client = Socks5Client("gateway.example", 1, account)
    while data and client.wanted:
        taken = min(size, client.wanted)
        try:
            client.receive(data[:taken])
        except SocksError:
            assert not client.is_open
            return
        data = data[taken:]
        assert client.wanted <= 257
    assert client.is_open == (client.wanted == 0)
