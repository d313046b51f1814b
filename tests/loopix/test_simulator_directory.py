"""The local network's directory: what it lists, for how long, in which spelling, and how it speaks HTTP."""

import json
import socket
from contextlib import suppress
from typing import Any

import httpx
import pytest
import trio
import trio.testing
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.directory_client import DirectoryClient
from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.nodes import key_text
from kpclientd.loopix.simulator import Counted, DirectoryFault, DirectoryVersion, LoopixNetwork
from kpclientd.loopix.simulator.actions import Ending
from kpclientd.loopix.simulator.counters import Counters
from kpclientd.loopix.simulator.directory_server import MAX_BODY, TOPOLOGY_PATH, DirectoryServer, HttpReply, HttpRequest
from kpclientd.loopix.simulator.faults import Faults
from kpclientd.loopix.simulator.http import serve_http
from kpclientd.loopix.simulator.presence import MAX_ENTRIES
from kpclientd.loopix.topology import Topology
from sphinx.randomness import seeded

UNIX = 1_572_264_000.0
LAST_SEEN = 1_572_264_000_000_000_000
KEY = key_text(bytes(range(32)))
MIX = {"pubKey": KEY, "layer": 2, "host": "localhost:9980"}
PROVIDER = {"pubKey": KEY, "registeredClients": [{"pubKey": KEY}], "host": "localhost:9997"}
COCONODE = {"pubKey": KEY, "type": "validator", "host": "localhost:4000"}


def make_directory(version: DirectoryVersion = DirectoryVersion.V003) -> DirectoryServer:
    return DirectoryServer(version, Faults(seeded(b"faults")), Counters(), seeded(b"order"), lambda: UNIX)


def answer(
    directory: DirectoryServer, method: str, path: str, body: object = None, now: float = 0.0
) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    reply = directory.answer(HttpRequest(method, path, data, "10.9.9.1"), now)
    assert isinstance(reply, HttpReply)
    return reply.status, json.loads(reply.body) if "json" in reply.content_type else reply.body


def announce(directory: DirectoryServer, kind: str, body: object, now: float = 0.0) -> tuple[int, Any]:
    return answer(directory, "POST", f"/api/presence/{kind}", body, now)


def topology(directory: DirectoryServer, now: float = 0.0) -> Any:
    status, value = answer(directory, "GET", TOPOLOGY_PATH, now=now)
    assert status == 200
    return value


def test_an_older_directory_spells_in_capitals_and_says_null_for_nobody() -> None:
    directory = make_directory()
    assert topology(directory) == {"CocoNodes": None, "MixNodes": None, "MixProviderNodes": None}
    assert announce(directory, "mixnodes", MIX) == (201, {"ok": True})
    assert announce(directory, "mixproviders", PROVIDER) == (201, {"ok": True})
    assert announce(directory, "coconodes", COCONODE) == (201, {"ok": True})
    seen = {"lastSeen": LAST_SEEN}
    assert topology(directory) == {
        "CocoNodes": [COCONODE | seen],
        "MixNodes": [MIX | seen],
        "MixProviderNodes": [PROVIDER | seen],
    }


def test_a_newer_directory_begins_small_and_has_empty_lists() -> None:
    assert topology(make_directory(DirectoryVersion.V004)) == {"cocoNodes": [], "mixNodes": [], "mixProviderNodes": []}


def test_an_announcement_counts_for_five_seconds() -> None:
    directory = make_directory()
    announce(directory, "mixnodes", MIX, now=100.0)
    assert len(topology(directory, now=104.9)["MixNodes"]) == 1
    assert topology(directory, now=105.0)["MixNodes"] is None


def test_a_repeated_announcement_replaces_the_one_before() -> None:
    directory = make_directory()
    announce(directory, "mixnodes", MIX)
    announce(directory, "mixnodes", MIX | {"layer": 3}, now=4.0)
    (mix,) = topology(directory, now=8.0)["MixNodes"]
    assert mix["layer"] == 3


def test_names_count_in_any_letter_case() -> None:
    directory = make_directory()
    body = {"PUBKEY": KEY, "RegisteredClients": [{"PubKey": KEY}], "Host": "localhost:9997", "more": 1}
    assert announce(directory, "mixproviders", body)[0] == 201
    (provider,) = topology(directory)["MixProviderNodes"]
    assert provider["registeredClients"] == [{"pubKey": KEY}]


@pytest.mark.parametrize(
    ("version", "sent", "listed"),
    [
        (DirectoryVersion.V003, "localhost:9980", "localhost:9980"),
        (DirectoryVersion.V003, "127.0.0.1:9980", "127.0.0.1:9980"),
        (DirectoryVersion.V003, "[::1]:9980", "[::1]:9980"),
        (DirectoryVersion.V003, "192.0.2.1:9980", "10.9.9.1:1789"),
        (DirectoryVersion.V004, "192.0.2.1:9980", "10.9.9.1:9980"),
        (DirectoryVersion.V003, "localhost", "10.9.9.1:1789"),
        (DirectoryVersion.V004, "", "10.9.9.1:1789"),
    ],
)
def test_addresses_that_are_not_of_this_machine_become_the_senders(
    version: DirectoryVersion, sent: str, listed: str
) -> None:
    directory = make_directory(version)
    announce(directory, "mixnodes", MIX | {"host": sent})
    nodes = topology(directory)["MixNodes" if version is DirectoryVersion.V003 else "mixNodes"]
    assert [node["host"] for node in nodes] == [listed]


@pytest.mark.parametrize(
    ("kind", "body", "fault"),
    [
        ("mixnodes", {"layer": 1, "host": "localhost:1"}, "pubKey"),
        ("mixnodes", MIX | {"pubKey": ""}, "pubKey"),
        ("mixnodes", MIX | {"layer": 0}, "layer"),
        ("mixnodes", MIX | {"layer": -1}, "layer"),
        ("mixnodes", MIX | {"layer": "1"}, "layer"),
        ("mixnodes", MIX | {"layer": True}, "layer"),
        ("mixnodes", MIX | {"layer": 2**63}, "layer"),
        ("mixnodes", MIX | {"host": 7}, "host"),
        ("mixproviders", PROVIDER | {"registeredClients": None}, "registeredClients"),
        ("mixproviders", PROVIDER | {"registeredClients": ["x"]}, "registeredClients"),
        ("mixproviders", PROVIDER | {"registeredClients": [{}]}, "pubKey"),
        ("coconodes", {"pubKey": KEY}, "type"),
        ("mixnodes", b"{", "JSON"),
        ("mixnodes", b"[" * 100_000, "JSON"),
        ("mixnodes", [], "object"),
    ],
)
def test_a_malformed_announcement_is_refused_with_a_reason(kind: str, body: object, fault: str) -> None:
    directory = make_directory()
    status, value = announce(directory, kind, body)
    assert status == 400
    assert fault in value["error"]
    assert not any(topology(directory).values())


@given(st.binary(max_size=100))
def test_no_body_breaks_the_directory(body: bytes) -> None:
    for path in ("/api/presence/mixnodes", "/api/presence/mixproviders", "/api/metrics/mixes"):
        assert isinstance(make_directory().answer(HttpRequest("POST", path, body), 0.0), HttpReply)


def test_the_number_of_nodes_has_a_bound_and_the_known_ones_stay_welcome() -> None:
    directory = make_directory()
    bodies = [MIX | {"pubKey": str(number)} for number in range(MAX_ENTRIES + 1)]
    assert [announce(directory, "mixnodes", body)[0] for body in bodies] == [201] * MAX_ENTRIES + [400]
    assert announce(directory, "mixnodes", bodies[0])[0] == 201
    assert announce(directory, "mixnodes", bodies[-1], now=6.0)[0] == 201, "those who are gone make room"


def test_measurements_count_for_three_seconds() -> None:
    directory = make_directory()
    body = {"pubKey": KEY, "sent": {"localhost:9981": 3}, "received": 4}
    assert answer(directory, "POST", "/api/metrics/mixes", body) == (201, {"ok": True})
    _, metrics = answer(directory, "GET", "/api/metrics/mixes", now=2.9)
    assert metrics == [body | {"timestamp": LAST_SEEN}]
    assert answer(directory, "GET", "/api/metrics/mixes", now=3.0) == (200, [])


@pytest.mark.parametrize("body", [{"pubKey": KEY}, {"pubKey": KEY, "received": 1, "sent": {"a": "b"}}, {"received": 1}])
def test_a_malformed_measurement_is_refused(body: object) -> None:
    assert answer(make_directory(), "POST", "/api/metrics/mixes", body)[0] == 400


def test_what_does_not_exist_is_not_found_and_health_is_good() -> None:
    directory = make_directory()
    assert answer(directory, "GET", "/api/healthcheck") == (200, {"ok": True})
    for method, path in (
        ("GET", "/"),
        ("POST", TOPOLOGY_PATH),
        ("DELETE", TOPOLOGY_PATH),
        ("GET", TOPOLOGY_PATH + "x"),
    ):
        assert answer(directory, method, path)[0] == 404
    assert answer(directory, "GET", TOPOLOGY_PATH + "?fresh=1")[0] == 200


def test_lists_come_in_any_order() -> None:
    directory = make_directory()
    for number in range(10):
        announce(directory, "mixnodes", MIX | {"pubKey": str(number)})
    orders = {tuple(mix["pubKey"] for mix in topology(directory)["MixNodes"]) for _ in range(5)}
    assert len(orders) == 5
    assert {frozenset(order) for order in orders} == {frozenset("0123456789")}


@pytest.mark.parametrize("fault", DirectoryFault)
def test_under_every_fault_a_client_sees_that_there_is_no_path_or_only_the_good_nodes(fault: DirectoryFault) -> None:
    counters = Counters()
    faults = Faults(seeded(b"faults"), directory=fault)
    directory = DirectoryServer(DirectoryVersion.V003, faults, counters, seeded(b"order"), lambda: UNIX)
    faults.directory = None
    announce(directory, "mixnodes", MIX)
    announce(directory, "mixproviders", PROVIDER)
    good = Topology.parse(json.dumps(topology(directory)).encode())
    faults.directory = fault
    reply = directory.answer(HttpRequest("GET", TOPOLOGY_PATH), 0.0)
    if isinstance(reply, Ending) or reply.status != 200:
        assert fault in (DirectoryFault.OUTAGE, DirectoryFault.SILENCE, DirectoryFault.ERROR)
        assert counters[Counted.TOPOLOGIES_REFUSED] == 1
        return
    match fault:
        case DirectoryFault.GARBAGE | DirectoryFault.WRONG_TYPES:
            with pytest.raises(LoopixError):
                Topology.parse(reply.body)
        case DirectoryFault.BAD_ENTRIES:
            assert Topology.parse(reply.body) == good
        case _:
            seen = Topology.parse(reply.body)
            assert bool(seen.layers) is (fault is DirectoryFault.NO_PROVIDERS)
            assert bool(seen.providers) is (fault is DirectoryFault.NO_MIXES)


def test_nobody_can_announce_during_an_outage() -> None:
    directory = make_directory()
    directory.faults.directory = DirectoryFault.OUTAGE
    assert (
        directory.answer(HttpRequest("POST", "/api/presence/mixnodes", json.dumps(MIX).encode()), 0.0) is Ending.RESET
    )
    directory.faults.directory = None
    assert topology(directory)["MixNodes"] is None


async def _talk(sent: bytes, directory: DirectoryServer) -> bytes:
    """What comes back on one connection until its end."""
    ours, theirs = trio.testing.memory_stream_pair()
    received = bytearray()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, lambda request: directory.answer(request, 0.0))
        with suppress(trio.BrokenResourceError):  # it may have been refused before its end
            for place in range(len(sent)):
                await ours.send_all(sent[place : place + 1])
            await ours.send_eof()
        while data := await ours.receive_some():
            received += data
    return bytes(received)


async def test_one_connection_serves_several_requests_in_any_chunks() -> None:
    body = json.dumps(MIX).encode()
    post = b"POST /api/presence/mixnodes HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    get = b"GET /api/presence/topology HTTP/1.1\r\nHost: x\r\n\r\n"
    received = await _talk(post + get, make_directory())
    assert received.count(b"HTTP/1.1 ") == 2
    assert b"HTTP/1.1 201" in received
    assert KEY.encode() in received


async def test_the_head_of_an_answer_has_no_body() -> None:
    received = await _talk(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", make_directory())
    assert received.startswith(b"HTTP/1.1 404")
    assert received.endswith(b"\r\n\r\n")


async def test_what_is_not_http_is_a_bad_request() -> None:
    assert (await _talk(b"\x16\x03\x01 no http\r\n\r\n", make_directory())).startswith(b"HTTP/1.1 400")


async def test_a_body_without_end_is_cut_off() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    head = f"POST /api/presence/mixnodes HTTP/1.1\r\nHost: x\r\nContent-Length: {2 * MAX_BODY}\r\n\r\n".encode()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(serve_http, theirs, lambda _: pytest.fail("it was not refused"))
        await ours.send_all(head + bytes(MAX_BODY + 1))
        assert (await ours.receive_some()).startswith(b"HTTP/1.1 413")


async def test_an_idle_connection_is_closed(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await serve_http(theirs, lambda _: pytest.fail("nothing was asked"))
    assert await ours.receive_some() == b""
    assert trio.current_time() == pytest.approx(30.0)


async def test_real_http_clients_are_served() -> None:
    network = LoopixNetwork(mixes_per_layer=2, providers=2)
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        seen = Topology.parse(await DirectoryClient(network.topology_url).fetch())
        assert {layer: len(mixes) for layer, mixes in seen.layers.items()} == {1: 2, 2: 2, 3: 2}
        assert {provider.node for provider in seen.providers} == {member.config for member in network.providers}
        async with httpx.AsyncClient(trust_env=False) as client:
            base = network.topology_url.removesuffix(TOPOLOGY_PATH)
            for _ in range(2):
                reply = await client.post(base + "/api/presence/mixnodes", json=MIX | {"host": "192.0.2.1:1"})
                assert (reply.status_code, reply.json()) == (201, {"ok": True})
        hosts = [mix["host"] for mix in json.loads(await network.get_topology())["MixNodes"]]
        assert "127.0.0.1:1789" in hosts, "the sender's own address"
        nursery.cancel_scope.cancel()


async def test_on_tcp_an_outage_is_a_reset() -> None:
    network = LoopixNetwork()
    async with trio.open_nursery() as nursery:
        await nursery.start(network.run)
        network.faults.directory = DirectoryFault.OUTAGE
        port = httpx.URL(network.topology_url).port
        assert port is not None
        async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await stream.send_all(b"GET /api/presence/topology HTTP/1.1\r\nHost: x\r\n\r\n")
            with pytest.raises(trio.BrokenResourceError):
                await stream.receive_some()
        nursery.cancel_scope.cancel()
