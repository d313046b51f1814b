import json
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.errors import LoopixError, NoPath, TopologyError
from kpclientd.loopix.nodes import PROVIDER_LAYER, ClientConfig, MixConfig, key_text, parse_key, split_host
from kpclientd.loopix.topology import MAX_TOPOLOGY, MIX_LAYERS, Topology
from sphinx.randomness import seeded
from tests.loopix.descriptions import clients, key, mixes, topology_json

PROVIDER = MixConfig("localhost:9901", "localhost", "9901", key(101), PROVIDER_LAYER)
SMALL = Topology.parse(topology_json())
GOOD_MIX = {"host": "10.1.1.1:5", "pubKey": key_text(key(77)), "layer": 3}


def test_mixes_stand_in_their_layers_and_clients_with_their_providers() -> None:
    assert sorted(SMALL.layers) == [1, 2, 3]
    assert SMALL.layers[2] == (
        MixConfig(key_text(key(2)), "10.0.0.2", "1789", key(2), 2),
        MixConfig(key_text(key(5)), "10.0.0.5", "1789", key(5), 2),
    )
    assert SMALL.providers[0].node == PROVIDER
    assert SMALL.clients[0] == ClientConfig(key_text(key(201)), "0.0.0.0", "42", key(201), PROVIDER)
    assert SMALL.clients == tuple(client for provider in SMALL.providers for client in provider.clients)


@pytest.mark.parametrize("spell", [str.lower, str.upper, lambda name: name[0].lower() + name[1:], str.title])
def test_names_are_matched_in_any_case(spell: Any) -> None:
    assert Topology.parse(topology_json(spell=spell)) == SMALL


@pytest.mark.parametrize("empty", [{}, {"MixNodes": None}, {"mixNodes": [], "mixProviderNodes": []}])
def test_an_empty_network_is_a_network(empty: dict[str, object]) -> None:
    topology = Topology.parse(json.dumps(empty).encode())
    assert (dict(topology.layers), topology.providers, topology.clients) == ({}, (), ())


@pytest.mark.parametrize(
    "change",
    [
        {"pubKey": "no base64!"},
        {"pubKey": key_text(key(77)).rstrip("=")},
        {"pubKey": key_text(key(77)).replace("-", "+").replace("_", "/") + "+"},
        {"pubKey": key_text(bytes(31))},
        {"pubKey": key_text(bytes(32))},
        {"pubKey": None},
        {"pubKey": 7},
        {"host": "10.1.1.1"},
        {"host": ":5"},
        {"host": "fe80::1:5"},
        {"host": "10.1.1.1:0"},
        {"host": "10.1.1.1:65536"},
        {"host": "10.1.1.1:٥"},
        {"host": "10.1.1.1:5\n"},
        {"host": "a b:5"},
        {"host": "\ud800:5"},
        {"host": "ho\x1bst:5"},
        {"host": None},
        {"layer": -1},
        {"layer": 2**64},
        {"layer": "1"},
        {"layer": True},
        {"layer": 1.5},
        {"layer": None},
    ],
)
def test_an_entry_that_cannot_be_used_is_left_out_and_the_others_stay(change: dict[str, object]) -> None:
    assert Topology.parse(topology_json(extra_mixes=[GOOD_MIX | change])) == SMALL
    assert len(Topology.parse(topology_json(extra_mixes=[GOOD_MIX])).layers[3]) == 3


@pytest.mark.parametrize("entry", [None, 5, "mix", [], {}])
def test_an_entry_that_is_no_description_is_left_out(entry: object) -> None:
    assert Topology.parse(topology_json(extra_mixes=[entry])) == SMALL


@pytest.mark.parametrize("registered", [None, [], 5, [None], [{"pubKey": "x"}], [{"pubkey": None}]])
def test_a_provider_whose_clients_cannot_be_read_has_none(registered: object) -> None:
    provider = {"host": "localhost:9901", "pubKey": key_text(key(101)), "registeredClients": registered}
    topology = Topology.parse(json.dumps({"MixProviderNodes": [provider]}).encode())
    assert [(provider.node, provider.clients) for provider in topology.providers] == [(PROVIDER, ())]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff",
        b'{"MixNodes": 5}',
        b'{"mixNodes": {}}',
        b'{"a":' * 100_000,
        b'{"lastSeen": ' + b"9" * 5000 + b"}",
        b" " * (MAX_TOPOLOGY + 1),
    ],
    ids=range(10),
)
def test_what_is_no_topology_is_refused(data: bytes) -> None:
    with pytest.raises(TopologyError):
        Topology.parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.just(key_text(key(1))),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["MixNodes", "mixprovidernodes", "host", "pubKey", "layer", "registeredClients", "x"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@given(json_values | st.builds(lambda inner: {"MixNodes": inner, "MixProviderNodes": inner}, json_values))
def test_any_json_is_a_topology_or_refused(value: object) -> None:
    try:
        Topology.parse(json.dumps(value).encode())
    except TopologyError:
        pass


@given(st.data())
def test_a_mutated_topology_is_a_topology_or_refused(data: st.DataObject) -> None:
    octets = bytearray(topology_json())
    for _ in range(data.draw(st.integers(1, 5))):
        octets[data.draw(st.integers(0, len(octets) - 1))] = data.draw(st.integers(0, 255))
    try:
        Topology.parse(bytes(octets))
    except TopologyError:
        pass


def test_a_provider_is_found_by_its_key() -> None:
    assert SMALL.provider(key_text(key(101))).node == PROVIDER
    for absent in (key_text(key(1)), "", "localhost:9901"):
        with pytest.raises(TopologyError, match=r"^specified provider does not seem to be online: "):
            SMALL.provider(absent)


def test_a_path_leads_from_our_provider_through_one_mix_of_each_layer_to_the_recipient_s() -> None:
    recipient = SMALL.clients[1]
    randomness = seeded(b"path")
    drawn: Counter[MixConfig] = Counter()
    for _ in range(600):
        path = SMALL.path(PROVIDER, recipient, randomness)
        assert (path[0], path[-1]) == (PROVIDER, recipient.provider)
        assert tuple(mix.layer for mix in path[1:-1]) == MIX_LAYERS
        drawn.update(path[1:-1])
    assert len(drawn) == 6
    assert all(240 < count < 360 for count in drawn.values())


def test_own_and_recipient_s_provider_may_be_one() -> None:
    path = SMALL.path(PROVIDER, SMALL.clients[0], seeded(b""))
    assert path[0] == path[-1]


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ((), "insufficient number of mixes provided"),
        ((1, 2), "insufficient number of mixes provided"),
        ((2, 3, 4), "no valid mixes for layer: 1"),
        ((0, 1, 2, 4), "no valid mixes for layer: 3"),
    ],
)
def test_a_missing_layer_is_named_in_the_reference_s_words(layers: tuple[int, ...], message: str) -> None:
    topology = replace(SMALL, layers=dict.fromkeys(layers, SMALL.layers[1]))
    with pytest.raises(NoPath, match=f"^{message}$"):
        topology.path(PROVIDER, SMALL.clients[0], seeded(b""))


@pytest.mark.parametrize("provider", [None, MixConfig(), replace(PROVIDER, public_key=bytes(31))])
def test_a_recipient_without_a_usable_provider_is_refused(provider: MixConfig | None) -> None:
    with pytest.raises(NoPath, match="the EgressProvider has invalid configuration"):
        SMALL.path(PROVIDER, replace(SMALL.clients[0], provider=provider), seeded(b""))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("localhost:9997", "localhost", "9997"),
        ("[::1]:80", "::1", "80"),
        ("[127.0.0.1]:80", "127.0.0.1", "80"),
        ("35.178.212.193:1789", "35.178.212.193", "1789"),
    ],
)
def test_host_and_port_are_split_at_the_last_colon(text: str, host: str, port: str) -> None:
    assert split_host(text) == (host, port)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "host",
        "::1:80",
        "[::1:80",
        "::1]:80",
        "[]:80",
        "[a]b:80",
        "h:",
        "h:-1",
        "h:1x",
        "h:0",
        "h:65536",
        "h h:1",
    ],
)
def test_an_address_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(LoopixError):
        split_host(text)


@given(st.binary(min_size=32, max_size=32).filter(any))
def test_an_id_is_the_key_in_base64_of_the_url_alphabet(public_key: bytes) -> None:
    text = key_text(public_key)
    assert parse_key(text) == public_key
    assert len(text) == 44
    assert text.endswith("=")
    assert not set("+/") & set(text)


@given(mixes, clients)
def test_descriptions_survive_protobuf(mix: MixConfig, client: ClientConfig) -> None:
    assert MixConfig.from_message(mix.message()) == mix
    assert ClientConfig.decode(client.encode()) == client


@given(st.binary(max_size=100))
def test_random_bytes_are_a_description_or_refused(data: bytes) -> None:
    try:
        ClientConfig.decode(data)
    except LoopixError:
        pass
