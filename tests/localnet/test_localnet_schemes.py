"""Networks of every kind: link KEMs, signature schemes, numbers of authorities, and of nodes."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from kpclientd.config.load import load_config
from kpclientd.localnet import LocalNetwork
from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.localnet.node import Node
from kpclientd.wire.commands import Consensus2, GetConsensus2, server_to_client_length
from pki.certificate import Certificate
from pki.document import Document
from pki.wellformed import check_well_formed
from sphinx.crypto.kem import KEM_NAMES
from sphinx.geometry import Geometry
from sphinx.types import NodeId
from tests.localnet.conftest import make_network
from tests.support.localnet_client import connect

SIGNATURES = (
    "Ed25519",
    "Ed448",
    "ML-DSA-44",
    "ML-DSA-65",
    "ML-DSA-87",
    "ML-DSA-44-Ed25519",
    "ML-DSA-65-Ed25519",
    "ML-DSA-87-Ed25519",
    "Ed25519 Sphincs+",
    "Ed448-Sphincs+",
    "Falcon-padded-512-Ed25519",
)


async def joined_by_its_own_files(network: LocalNetwork, directory: Path, nursery: trio.Nursery) -> bool:
    """Whether a client that knows no more than the files gets its echo; what it verifies with is theirs too."""
    network.write_files(directory, 1)
    config = load_config(directory / "client.toml")
    assert (config.wire_kem_scheme, config.pki_signature_scheme) == (network.kem.name, network.signatures.name)
    assert [peer.identity_public_key for peer in config.authorities] == [one.public_key for one in network.verifiers]
    assert [pin.link_key for pin in config.pinned_gateways] == [one.keys.link.public_key for one in network.gateways]
    await nursery.start(network.run)
    client = await connect(network)
    document = (await client.document()).document
    return await client.ping(document, b"there and back") == b"there and back"


@pytest.mark.parametrize("name", KEM_NAMES)
async def test_links_of_any_kem(name: str, autojump_clock: MockClock, tmp_path: Path, nursery: trio.Nursery) -> None:
    assert await joined_by_its_own_files(make_network(wire_kem=name), tmp_path, nursery)


@pytest.mark.parametrize("name", SIGNATURES)
async def test_documents_signed_by_any_scheme(
    name: str, autojump_clock: MockClock, tmp_path: Path, nursery: trio.Nursery
) -> None:
    assert await joined_by_its_own_files(make_network(signatures=name), tmp_path, nursery)


@pytest.mark.parametrize(("authorities", "signers", "signatures"), [(1, None, 1), (2, 2, 2), (6, 4, 4), (9, None, 9)])
async def test_any_number_of_authorities_of_whom_enough_sign(
    authorities: int,
    signers: int | None,
    signatures: int,
    autojump_clock: MockClock,
    tmp_path: Path,
    nursery: trio.Nursery,
) -> None:
    network = make_network(authorities=authorities, signers=signers)
    assert len(network.authorities.certificate(network.epoch).signatures) == signatures
    assert await joined_by_its_own_files(network, tmp_path, nursery)


@pytest.mark.parametrize("signers", [0, 1, 4])
def test_too_few_or_too_many_signers_are_refused(signers: int) -> None:
    with pytest.raises(LocalNetworkError, match="at least 2 must"):
        LocalNetwork(authorities=3, signers=signers, port=None)


@pytest.mark.parametrize(("nodes", "sizes"), [(5, [1, 1, 1]), (6, [2, 1, 1]), (904, [301, 301, 300])])
def test_mixes_are_spread_over_the_layers(nodes: int, sizes: list[int]) -> None:
    network = LocalNetwork(nodes=nodes, port=None, seed=b"sized")
    assert [len(layer) for layer in network.authorities.document(network.epoch).topology] == sizes


def test_of_a_hybrid_identity_key_mixes_share_the_costly_half_and_are_told_apart_by_the_other() -> None:
    network = LocalNetwork(nodes=40, signatures="ML-DSA-44-Ed25519", port=None)
    document = network.authorities.document(network.epoch)
    check_well_formed(document, network.epoch)
    mixes = [mix.identity_key for layer in document.topology for mix in layer]
    assert len(set(mixes)) == len(mixes) == 38
    assert len({key[:1312] for key in mixes}) == 1
    assert {len(key) for key in mixes} == {network.signatures.public_key_length}
    assert document.gateway_nodes[0].identity_key[:1312] != mixes[0][:1312]


def test_too_few_nodes_for_the_layers_are_refused() -> None:
    with pytest.raises(LocalNetworkError, match="are 6"):
        LocalNetwork(nodes=5, gateways=2, port=None)
    LocalNetwork(nodes=6, gateways=2, port=None)


async def test_nine_hundred_nodes_have_keys_of_their_own_and_packets_pass_through_any_of_them(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = make_network(nodes=900, gateways=3, mu=1.0, epoch_period=1200.0)
    await nursery.start(network.run)
    client = await connect(network)
    document = (await client.document()).document
    check_well_formed(document, network.epoch)
    nodes = list(document.mix_descriptors())
    assert len(nodes) == 900
    for keys in ([node.identity_key for node in nodes], [node.link_key for node in nodes]):
        assert len(set(keys)) == 900
    assert len({key for node in nodes for key in node.mix_keys.values()}) == 3 * 900
    observed = network.transit.nodes = ObservedNodes(network.transit.nodes)
    for number in range(400):
        await client.ping(document, number.to_bytes(2, "big"))
    assert network.counters.drops == {}
    assert len(observed.passed) > 700, "six mixes of 896 each time: nearly all were passed"


class ObservedNodes(dict[NodeId, Node]):
    """Remembers where packets came by."""

    def __init__(self, nodes: Mapping[NodeId, Node]) -> None:
        super().__init__(nodes)
        self.passed: set[NodeId] = set()

    def get(self, name: NodeId, default: Any = None) -> Any:
        self.passed.add(name)
        return super().get(name, default)


async def test_a_large_document_comes_in_chunks_as_the_reference_cuts_them(
    autojump_clock: MockClock, nursery: trio.Nursery
) -> None:
    network = make_network(nodes=300, epoch_period=1200.0)
    await nursery.start(network.run)
    client = await connect(network)
    await client.send(GetConsensus2(network.epoch))
    chunks: list[Consensus2] = []
    while not chunks or chunks[-1].chunk + 1 < chunks[-1].total:
        chunk = await client.next_but_heartbeats()
        assert isinstance(chunk, Consensus2)
        chunks.append(chunk)
    length = server_to_client_length(network.geometry)
    assert [chunk.chunk for chunk in chunks] == list(range(len(chunks)))
    assert {len(chunk.data) for chunk in chunks[:-1]} == {length}
    assert 0 < len(chunks[-1].data) <= length
    assert len(chunks) > 100


@pytest.mark.parametrize("geometry", [Geometry.nike("x25519", 3, 500), Geometry.kem("XWING", 5, 500)])
def test_nodes_are_spread_over_as_many_layers_as_the_geometry_has(geometry: Geometry) -> None:
    network = LocalNetwork(nodes=20, geometry=geometry, port=None)
    topology = network.authorities.document(network.epoch).topology
    assert len(topology) == geometry.nr_hops - 2
    assert sum(map(len, topology)) == 18


def test_documents_have_further_fields_by_their_names() -> None:
    network = LocalNetwork(port=None, document_fields={"ClientNotice": "read this", "MinClientVersion": "1.2.3"})
    certified = certified_of(network, network.epoch)
    assert b"\x6cClientNotice\x69read this" in certified
    assert b"\x70MinClientVersion\x651.2.3" in certified
    assert Document.parse(certified).epoch == network.epoch
    network.set_document_fields(ClientNotice=None)
    assert b"ClientNotice" not in certified_of(network, network.epoch + 1)
    assert b"MinClientVersion" in certified_of(network, network.epoch + 1)
    bare = LocalNetwork(port=None)
    assert b"Client" not in certified_of(bare, bare.epoch)


def certified_of(network: LocalNetwork, epoch: int) -> bytes:
    return Certificate.parse(network.authorities.certificate(epoch).encode()).certified
