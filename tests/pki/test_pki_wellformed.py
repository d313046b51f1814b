import dataclasses
from collections.abc import Callable
from typing import Any

import pytest

from pki import shared_random
from pki.certificate import issue, key_hash
from pki.descriptor import MixDescriptor, Services
from pki.document import Document
from pki.errors import IllFormedDocumentError
from pki.wellformed import check_mix_descriptor, check_replica, check_well_formed
from tests.pki.network import FIRST_EPOCH, document, new_reveal, paper_network

E = FIRST_EPOCH
GOOD = document(E)
MIX = GOOD.topology[0][0]
GATEWAY = GOOD.gateway_nodes[0]
SERVICE = GOOD.service_nodes[0]
REPLICA = GOOD.storage_replicas[0]

change = dataclasses.replace


def test_the_paper_document_is_well_formed() -> None:
    check_well_formed(GOOD, E)


def test_the_first_document_of_a_chain_needs_no_prior_random() -> None:
    check_well_formed(change(GOOD, genesis_epoch=E, prior_shared_random=()), E)


def test_a_service_node_may_have_no_services_at_all() -> None:
    no_services: Services = {}
    for services in (None, no_services):
        check_mix_descriptor(change(SERVICE, kaetzchen=services), E)


@pytest.mark.parametrize(
    ("fault", "bend"),
    [
        ("version", lambda d: change(d, version="v0")),
        ("genesis", lambda d: change(d, genesis_epoch=0)),
        ("prior shared random", lambda d: change(d, prior_shared_random=())),
        ("mix layers", lambda d: change(d, topology=())),
        ("an empty one", lambda d: change(d, topology=(*d.topology, ()))),
        ("zero Gateways", lambda d: change(d, gateway_nodes=())),
        ("no service nodes", lambda d: change(d, service_nodes=())),
        ("gateways is none", lambda d: change(d, gateway_nodes=(*d.gateway_nodes, d.topology[0][0]))),
        ("service nodes is none", lambda d: change(d, service_nodes=d.gateway_nodes)),
        ("listed twice", lambda d: change(d, topology=(*d.topology, d.topology[0]))),
        (
            "listed twice",
            lambda d: change(
                d, gateway_nodes=(change(d.gateway_nodes[0], identity_key=d.topology[0][0].identity_key),)
            ),
        ),
        ("no mix key", lambda d: change(d, topology=((change(d.topology[0][0], mix_keys={}),),))),
        ("envelope", lambda d: change(d, storage_replicas=(change(d.storage_replicas[0], envelope_keys={}),))),
        ("revealed|reveals", lambda d: change(d, shared_random_reveal={bytes(32): b"x"})),
        ("unknown authority", lambda d: change(d, shared_random_commit={bytes(32): b"x"})),
    ],
)
def test_each_rule_of_a_document_is_checked(fault: str, bend: Callable[[Document], Document]) -> None:
    with pytest.raises(IllFormedDocumentError, match=fault):
        check_well_formed(bend(GOOD), E)


def test_a_document_of_another_epoch_lacks_keys() -> None:
    check_well_formed(GOOD, E)
    for other in (E - 1, E + 1):
        with pytest.raises(IllFormedDocumentError, match="mix key"):
            check_well_formed(GOOD, other)


@pytest.mark.parametrize(
    ("fault", "node", "changes"),
    [
        ("name", MIX, {"name": ""}),
        ("name", MIX, {"name": "é" * 17}),
        ("link key", MIX, {"link_key": b""}),
        ("identity key", MIX, {"identity_key": b""}),
        ("no mix key for epoch", MIX, {"mix_keys": {E + 1: b"x"}}),
        ("a mix key for epoch", MIX, {"mix_keys": {E: b"x", E - 1: b"x"}}),
        ("empty mix key", MIX, {"mix_keys": {E: b"x", E + 1: b""}}),
        ("gateway and a service node", GATEWAY, {"is_service_node": True}),
        ("a mix key for epoch", MIX, {"mix_keys": {E: b"x", E + 3: b"x"}}),
        ("no addresses", MIX, {"addresses": {}}),
        ("no address for", MIX, {"addresses": {"tcp4": ()}}),
        ("lists services", MIX, {"kaetzchen": {}}),
        ("lists services", GATEWAY, {"kaetzchen": {"echo": {"endpoint": "+echo"}}}),
        ("without a name", SERVICE, {"kaetzchen": {"": {"endpoint": "+echo"}}}),
        ("no parameters", SERVICE, {"kaetzchen": {"echo": None}}),
        ("no endpoint", SERVICE, {"kaetzchen": {"echo": {}}}),
        ("no endpoint", SERVICE, {"kaetzchen": {"echo": {"endpoint": b"+echo"}}}),
        ("no endpoint", SERVICE, {"kaetzchen": {"echo": {"endpoint": ""}}}),
        ("no endpoint", SERVICE, {"kaetzchen": {"echo": {"endpoint": "x" * 33}}}),
    ],
)
def test_each_rule_of_a_descriptor_is_checked(fault: str, node: MixDescriptor, changes: dict[str, Any]) -> None:
    with pytest.raises(IllFormedDocumentError, match=fault):
        check_mix_descriptor(change(node, **changes), E)


@pytest.mark.parametrize(
    "url",
    [
        "tcp://127.0.0.1:1",
        "tcp4://192.0.2.1:1",
        "tcp6://[2001:db8::1]:3219",
        "quic://h.example:1",
        "ws://[::1]:80",
        "TCP://h:65535",
        "tcp://[fe80::1%eth0]:1",
        "ws://user@h:1/path?query#part",
    ],
)
def test_an_address_of_a_known_scheme_with_host_and_port_is_taken(url: str) -> None:
    check_mix_descriptor(change(MIX, addresses={"tcp": (url,)}), E)
    check_replica(change(REPLICA, addresses={"tcp": (url,)}))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1:1",
        "http://127.0.0.1:1",
        "tcp://127.0.0.1",
        "tcp://:1",
        "tcp://h:x",
        "tcp://h:70000",
        "tcp://h:65536",
        "tcp://h:-1",
        "tcp://h:",
        "tcp://h:1 ",
        "tcp://h h:1",
        "tcp://h\n:1",
        "tcp://::1:1",
        "tcp://[]:1",
        "tcp5://h:1",
        "onions://h:1",
        "tcp://[::1:1",
    ],
)
def test_any_other_address_is_refused(url: str) -> None:
    with pytest.raises(IllFormedDocumentError, match="address that is none"):
        check_mix_descriptor(change(GATEWAY, addresses={"tcp": (url,)}), E)
    with pytest.raises(IllFormedDocumentError, match="address that is none"):
        check_replica(change(REPLICA, addresses={"tcp": (url,)}))


def test_an_onion_address_is_for_gateways_alone() -> None:
    onion = {"onion": ("onion://abcdefg.onion:64",)}
    check_mix_descriptor(change(GATEWAY, addresses=onion), E)
    for node in (MIX, SERVICE):
        with pytest.raises(IllFormedDocumentError, match="address that is none"):
            check_mix_descriptor(change(node, addresses=onion), E)


@pytest.mark.parametrize(
    "changes",
    [
        {"name": ""},
        {"link_key": b""},
        {"identity_key": b""},
        {"envelope_keys": {}},
        {"envelope_keys": {480: b"x", 481: b""}},
        {"addresses": {}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_each_rule_of_a_replica_is_checked(changes: dict[str, Any]) -> None:
    check_replica(REPLICA)
    with pytest.raises(IllFormedDocumentError):
        check_replica(change(REPLICA, **changes))


NETWORK = paper_network()
REVEALS = {key_hash(key.public_key): new_reveal(E, b"reveal %d" % n) for n, key in enumerate(NETWORK.authorities)}


def certified_by_each(values: dict[bytes, bytes], expiration: int = E) -> dict[bytes, bytes]:
    keys = {key_hash(key.public_key): key for key in NETWORK.authorities}
    return {signer: issue(value, expiration, (keys[signer],)).encode() for signer, value in values.items()}


COMMITS = certified_by_each({signer: shared_random.commit_to(reveal) for signer, reveal in REVEALS.items()})
SIGNED_REVEALS = certified_by_each(REVEALS)
VOTER = next(iter(COMMITS))


def check_commits(commits: dict[bytes, bytes] | None, reveals: dict[bytes, bytes] | None) -> None:
    voted = change(GOOD, shared_random_commit=commits, shared_random_reveal=reveals)
    check_well_formed(Document.parse(voted.encode()), E, NETWORK.verifiers)


def test_commits_and_reveals_that_open_them_are_well_formed() -> None:
    check_commits(COMMITS, SIGNED_REVEALS)
    check_commits({VOTER: COMMITS[VOTER]}, None)


def without(values: dict[bytes, bytes], signer: bytes) -> dict[bytes, bytes]:
    return {key: value for key, value in values.items() if key != signer}


@pytest.mark.parametrize(
    ("commits", "reveals", "fault"),
    [
        ({VOTER: COMMITS[VOTER]}, {VOTER: SIGNED_REVEALS[VOTER]}, "reveals"),
        (COMMITS, None, "same authorities"),
        (COMMITS, without(SIGNED_REVEALS, VOTER), "same authorities"),
        (COMMITS, SIGNED_REVEALS | certified_by_each({VOTER: new_reveal(E, b"x")}), "else than"),
        (COMMITS | certified_by_each({VOTER: bytes(40)}), SIGNED_REVEALS, "another epoch"),
        (COMMITS | certified_by_each({VOTER: bytes(39)}), SIGNED_REVEALS, "wrong length"),
        (COMMITS | {VOTER: b"\xa0"}, SIGNED_REVEALS, "not validly signed"),
        (COMMITS | {VOTER: next(reversed(COMMITS.values()))}, SIGNED_REVEALS, "not validly signed"),
        (certified_by_each({VOTER: bytes(40)}, E - 1), None, "not validly signed"),
    ],
)
def test_each_rule_of_commits_and_reveals_is_checked(
    commits: dict[bytes, bytes], reveals: dict[bytes, bytes] | None, fault: str
) -> None:
    with pytest.raises(IllFormedDocumentError, match=fault):
        check_commits(commits, reveals)
