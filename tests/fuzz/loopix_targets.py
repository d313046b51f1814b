"""What applications, nodes, directories and web pages send to the client of 2019."""

from collections.abc import Callable

import h11

from kpclientd.loopix import upgrade as loopix_upgrade
from kpclientd.loopix.errors import FrameError, LoopixError
from kpclientd.loopix.framing import FrameReader
from kpclientd.loopix.inbox import read_pulled
from kpclientd.loopix.packet import parse_general, payload_of, process
from kpclientd.loopix.profile import PROFILES, Profile
from kpclientd.loopix.requests import (
    decode_json,
    decode_json_response,
    decode_request,
    decode_response,
    encode_json_request,
    encode_request,
)
from kpclientd.loopix.topology import Topology

PRIVATE_KEY = bytes(range(1, 33))


def framing(data: bytes) -> None:
    """A stream gives the same bodies, and the same end, whole and byte by byte, in either framing."""
    for profile in PROFILES.values():
        bytewise = [data[at : at + 1] for at in range(len(data))]
        assert bodies(profile, [data]) == bodies(profile, bytewise)


def bodies(profile: Profile, pieces: list[bytes]) -> list[bytes | str]:
    reader = FrameReader(profile)
    found: list[bytes | str] = []
    try:
        for piece in pieces:
            found += reader.feed(piece)
    except FrameError as error:
        found += [*error.bodies, "end"]
    return found


def request(data: bytes) -> None:
    """A request in protobuf, as the TCP socket takes it; what can be read can be written and read again."""
    attempt(lambda: decode_response(data))
    try:
        first = decode_request(data)
    except LoopixError:
        return
    assert decode_request(encode_request(first)) == first


def json_request(data: bytes) -> None:
    """A request in JSON, as the WebSocket takes it."""
    text = data.decode("utf-8", "replace")
    attempt(lambda: decode_json_response(text))
    try:
        first = decode_json(text)
    except LoopixError:
        return
    assert decode_json(encode_json_request(first)) == first


def topology(data: bytes) -> None:
    """What a directory answers."""
    attempt(lambda: Topology.parse(data))


def pulled(data: bytes) -> None:
    """What a provider answers to a pull, and what it stores."""
    attempt(lambda: read_pulled(data))
    attempt(lambda: payload_of(data))


def packet(data: bytes) -> None:
    """What a node reads from a connection."""
    attempt(lambda: process(PRIVATE_KEY, parse_general(data)[1]))
    attempt(lambda: process(PRIVATE_KEY, data))


def upgrade(data: bytes) -> None:
    """What may come to the WebSocket's port before any WebSocket is spoken."""
    connection = h11.Connection(h11.SERVER, loopix_upgrade.MAX_HEAD)
    try:
        connection.receive_data(data)
        event = connection.next_event()
    except h11.RemoteProtocolError:
        return
    if isinstance(event, h11.Request):
        answer = loopix_upgrade.check_upgrade(event, "127.0.0.1", ("https://chat.example",))
        assert answer is None or answer.encode().startswith(b"HTTP/1.1 ")


def attempt(action: Callable[[], object]) -> None:
    try:
        action()
    except LoopixError:
        pass
