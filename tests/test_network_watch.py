"""What the kernel says of this machine's addresses."""

import ipaddress
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.network_watch import NetworkChange, parse_messages

NEW_ADDRESS, GONE_ADDRESS, NEW_ROUTE, GONE_ROUTE = 20, 21, 24, 25
ADDRESS_ATTRIBUTE, LOCAL_ATTRIBUTE, LABEL_ATTRIBUTE = 1, 2, 3


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def message(kind: int, address: str | None = None) -> bytes:
    """As rtnetlink(7) has it."""
    body = b""
    if address is not None:
        ip = ipaddress.ip_address(address)
        family = socket.AF_INET if ip.version == 4 else socket.AF_INET6
        body = struct.pack("=BBBBI", family, 24, 0, 0, 2)
        body += attribute(LABEL_ATTRIBUTE, b"eth0\0") + attribute(ADDRESS_ATTRIBUTE, ip.packed)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body


@pytest.mark.parametrize("address", ["192.0.2.7", "2001:db8::7"])
def test_an_address_that_is_gone_is_named(address: str) -> None:
    assert parse_messages(message(GONE_ADDRESS, address)) == NetworkChange(frozenset([address]), False)


@pytest.mark.parametrize("kind", [NEW_ADDRESS, NEW_ROUTE])
def test_new_addresses_and_routes_are_something_new(kind: int) -> None:
    assert parse_messages(message(kind, "192.0.2.7")) == NetworkChange(frozenset(), True)


def test_several_messages_come_at_once() -> None:
    data = message(GONE_ROUTE) + message(GONE_ADDRESS, "192.0.2.7") + message(NEW_ADDRESS, "192.0.2.8")
    assert parse_messages(data) == NetworkChange(frozenset(["192.0.2.7"]), True)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(data: bytes) -> None:
    parse_messages(data)


@given(st.binary(max_size=60), st.integers(0, 30))
def test_no_body_does_harm(body: bytes, kind: int) -> None:
    parse_messages(struct.pack("=IHHII", 16 + len(body), kind, 0, 1, 0) + body)
