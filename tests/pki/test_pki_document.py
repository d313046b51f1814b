import dataclasses
import hashlib
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pki.cbor import encode
from pki.certificate import Certificate, Verifier, threshold
from pki.descriptor import MixDescriptor, ReplicaDescriptor, Services
from pki.document import Document
from pki.errors import DocumentRejected, EncodingError, ThresholdError, UnknownNodeError
from pki.signatures import signature_scheme
from pki.wellformed import check_well_formed
from sphinx.geometry import Geometry
from sphinx.types import NodeId
from tests.pki.network import FIRST_EPOCH, document
from tests.support.vectors import recorded

GENUINE: dict[str, Any] = recorded("pki_documents.json")
DOCUMENTS: list[dict[str, Any]] = GENUINE["documents"]
VERIFIERS = tuple(
    Verifier(authority["name"], signature_scheme("Ed25519"), bytes.fromhex(authority["identity_public"]))
    for authority in GENUINE["authorities"]
)
PAPER = document(FIRST_EPOCH)

each_document = pytest.mark.parametrize("recording", DOCUMENTS, ids=lambda recording: str(recording["epoch"]))


def certificate_of(recording: dict[str, Any]) -> Certificate:
    return Certificate.parse(bytes.fromhex(recording["certificate"]))


@each_document
def test_a_genuine_document_is_signed_by_all_authorities(recording: dict[str, Any]) -> None:
    certificate = certificate_of(recording)
    assert threshold(len(VERIFIERS)) == GENUINE["threshold"]
    certificate.verify_threshold(VERIFIERS, len(VERIFIERS), recording["verify_at_epoch"])
    assert certificate.expiration == recording["facts"]["Expiration"]
    assert {verifier.key_hash.hex() for verifier in VERIFIERS} == set(recording["facts"]["signers"])
    assert sorted(a["key_hash"] for a in GENUINE["authorities"]) == sorted(recording["facts"]["signers"])


@each_document
def test_a_genuine_document_is_encoded_to_its_own_bytes(recording: dict[str, Any]) -> None:
    certificate = certificate_of(recording)
    assert certificate.encode().hex() == recording["certificate"]
    assert Document.parse(certificate.certified).encode() == certificate.certified
    digest = hashlib.blake2b(certificate.certified, digest_size=32).hexdigest()
    assert digest == recording["facts"]["certified_blake2b_256"]


def test_a_genuine_document_without_replicas_is_encoded_to_its_own_bytes() -> None:
    certified = bytes.fromhex(GENUINE["without_replicas"])
    parsed = Document.parse(certified)
    assert parsed.storage_replicas == ()
    assert parsed.encode() == certified
    check_well_formed(parsed, parsed.epoch)


@each_document
def test_a_genuine_document_says_what_was_recorded(recording: dict[str, Any]) -> None:
    facts = recording["facts"]
    parsed = Document.parse(certificate_of(recording).certified)
    assert (parsed.mu, parsed.lambda_p, parsed.lambda_l) == (facts["Mu"], facts["LambdaP"], facts["LambdaL"])
    assert (parsed.lambda_m, parsed.lambda_g) == (facts["LambdaM"], facts["LambdaG"])
    assert parsed.lambda_r == facts["LambdaR"]
    assert (parsed.epoch, parsed.genesis_epoch) == (facts["Epoch"], facts["GenesisEpoch"])
    assert (parsed.version, parsed.pki_signature_scheme) == ("v1", "Ed25519")
    assert parsed.sphinx_geometry_hash.hex() == facts["SphinxGeometryHash"]
    assert parsed.shared_random_value.hex() == facts["SharedRandomValue"]
    assert [value.hex() for value in parsed.prior_shared_random] == facts["PriorSharedRandom"]
    assert parsed.shared_random_commit is parsed.shared_random_reveal is None
    assert parsed.configured_replica_ids.hex() == facts["ConfiguredReplicaIDs"]
    assert [key.hex() for key in parsed.configured_replica_identity_keys] == (facts["ConfiguredReplicaIdentityKeys"])
    listed = [node for layer in facts["Topology"] for node in layer]
    listed += facts["GatewayNodes"] + facts["ServiceNodes"]
    for node, fact in zip(parsed.mix_descriptors(), listed, strict=True):
        assert (node.name, node.epoch, node.node_id.hex()) == (fact["Name"], fact["Epoch"], fact["node_id"])
        assert node.identity_key.hex() == fact["IdentityKey"]
        assert {str(e): key.hex() for e, key in node.mix_keys.items()} == fact["MixKeys"]
        assert {t: list(urls) for t, urls in node.addresses.items()} == fact["Addresses"]
        assert node.kaetzchen == fact["Kaetzchen"]
        assert (node.is_gateway_node, node.is_service_node) == (fact["IsGatewayNode"], fact["IsServiceNode"])
        assert node.authentication_type == fact["AuthenticationType"]
        link_hash = hashlib.blake2b(node.link_key, digest_size=32).hexdigest()
        assert link_hash == fact["link_key_blake2b_256"]
    for replica, fact in zip(parsed.storage_replicas, facts["StorageReplicas"], strict=True):
        assert (replica.name, replica.replica_id) == (fact["Name"], fact["ReplicaID"])
        assert replica.node_id.hex() == fact["node_id"]
        assert {str(e): key.hex() for e, key in replica.envelope_keys.items()} == fact["EnvelopeKeys"]
        assert ReplicaDescriptor.parse(replica.encode()) == replica


@each_document
def test_a_genuine_document_is_well_formed_for_its_epoch(recording: dict[str, Any]) -> None:
    parsed = Document.parse(certificate_of(recording).certified)
    check_well_formed(parsed, recording["epoch"])


@each_document
def test_a_genuine_document_names_our_geometry(recording: dict[str, Any]) -> None:
    geometry = Geometry.from_fields(GENUINE["sphinx_geometry"])
    assert geometry.digest().hex() == GENUINE["sphinx_geometry_hash"]
    assert Document.parse(certificate_of(recording).certified).sphinx_geometry_hash == geometry.digest()


def test_a_flipped_bit_in_a_genuine_document_is_noticed() -> None:
    recording = DOCUMENTS[0]
    blob = bytearray(bytes.fromhex(recording["certificate"]))
    blob[len(blob) // 2] ^= 1
    with pytest.raises(ThresholdError):
        Certificate.parse(bytes(blob)).verify_threshold(VERIFIERS, 2, recording["verify_at_epoch"])


def test_services_are_found_by_their_exact_capability() -> None:
    parsed = Document.parse(certificate_of(DOCUMENTS[0]).certified)
    (echo,) = parsed.services("echo")
    assert echo.endpoint == b"+echo"
    assert echo.node_id == parsed.service_nodes[0].node_id == echo.descriptor.node_id
    assert parsed.services("courier")[0].endpoint == b"courier"
    assert parsed.services("Echo") == ()


def test_nodes_are_found_by_id_in_their_role_alone() -> None:
    gateway, service = PAPER.gateway_nodes[0], PAPER.service_nodes[0]
    assert PAPER.gateway(gateway.node_id) is gateway
    assert PAPER.service(service.node_id) is service
    with pytest.raises(UnknownNodeError, match="no gateway " + service.node_id.hex()):
        PAPER.gateway(service.node_id)
    with pytest.raises(UnknownNodeError, match="no service node"):
        PAPER.service(NodeId(bytes(32)))


def test_a_built_document_is_read_back() -> None:
    assert Document.parse(PAPER.encode()) == PAPER


def test_rates_are_always_encoded_as_floats() -> None:
    fields = cbor2.loads(dataclasses.replace(PAPER, mu=1, lambda_p=2).encode())
    assert isinstance(fields["Mu"], float)
    assert isinstance(fields["LambdaP"], float)


def test_the_two_fields_of_configured_replicas_are_absent_when_empty() -> None:
    bare = dataclasses.replace(PAPER, configured_replica_ids=b"", configured_replica_identity_keys=())
    assert len(cbor2.loads(bare.encode())) == 19
    assert len(cbor2.loads(PAPER.encode())) == 21
    assert Document.parse(bare.encode()) == bare


def test_what_the_authorities_tell_users_is_kept() -> None:
    telling = dataclasses.replace(PAPER, min_client_version="0.0.90", client_notice="Update, please.")
    fields = cbor2.loads(telling.encode())
    assert (fields["MinClientVersion"], fields["ClientNotice"]) == ("0.0.90", "Update, please.")
    assert Document.parse(telling.encode()) == telling
    assert not {"MinClientVersion", "ClientNotice"} & cbor2.loads(PAPER.encode()).keys()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MinClientVersion", "1" * 33),
        ("MinClientVersion", "1.0\n"),
        ("MinClientVersion", 1),
        ("ClientNotice", "x" * 513),
        ("ClientNotice", "\x1b[2J"),
        ("ClientNotice", "größer"),
        ("ClientNotice", b"x"),
        ("ClientNotice", {}),
    ],
)
def test_a_notice_out_of_bounds_is_left_out_and_refuses_nothing(field: str, value: object) -> None:
    assert Document.parse(encode(cbor2.loads(PAPER.encode()) | {field: value})) == PAPER


@pytest.mark.parametrize("hash_length", [32, 64])
def test_what_nodes_say_about_themselves_is_kept(hash_length: int) -> None:
    node, replica = PAPER.topology[0][0], PAPER.storage_replicas[0]
    said = {"software_version": "v" * 128, "contact_info": "c" * 256, "quic_key_hash": bytes(range(hash_length))}
    for descriptor in (node, replica):
        telling: Any = dataclasses.replace(descriptor, **said)  # type: ignore[arg-type]
        assert type(descriptor).parse(telling.encode()) == telling
        assert cbor2.loads(telling.encode())["QUICKeyHash"] == said["quic_key_hash"]
        assert not {"SoftwareVersion", "ContactInfo", "QUICKeyHash"} & cbor2.loads(descriptor.encode()).keys()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("SoftwareVersion", "v" * 129),
        ("SoftwareVersion", b"v"),
        ("ContactInfo", "c" * 257),
        ("ContactInfo", "\0"),
        ("QUICKeyHash", bytes(31)),
        ("QUICKeyHash", bytes(48)),
        ("QUICKeyHash", "q" * 32),
    ],
)
def test_what_nodes_say_out_of_bounds_is_left_out(field: str, value: object) -> None:
    for descriptor in (PAPER.topology[0][0], PAPER.storage_replicas[0]):
        reader: Any = type(descriptor)
        assert reader.parse(encode(cbor2.loads(descriptor.encode()) | {field: value})) == descriptor


def colliding_epochs(count: int) -> dict[int, bytes]:
    """Numbers that fall into one chain of a hash table."""
    return {number << 40: b"x" * 32 for number in range(count)}


def test_a_node_with_keys_for_very_many_epochs_is_refused() -> None:
    node, replica = PAPER.topology[0][0], PAPER.storage_replicas[0]
    for count, refused in ((32, False), (33, True), (5_000, True)):
        keys = colliding_epochs(count)
        bent: tuple[tuple[Any, bytes], ...] = (
            (MixDescriptor.parse, encode(cbor2.loads(node.encode()) | {"MixKeys": keys})),
            (ReplicaDescriptor.parse, encode(replica.value() | {"EnvelopeKeys": keys})),
            (
                Document.parse,
                dataclasses.replace(PAPER, topology=((dataclasses.replace(node, mix_keys=keys),),)).encode(),
            ),
        )
        for reader, blob in bent:
            if refused:
                with pytest.raises(EncodingError, match="keys are no strings"):
                    reader(blob)
            else:
                reader(blob)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Topology", [[]] * 10_000),
        ("Topology", [[b"\xa0"] * 10_000]),
        ("GatewayNodes", [b"\xa0"] * 10_000),
        ("ServiceNodes", [b"\xa0"] * 10_000),
        ("StorageReplicas", [{}] * 10_000),
    ],
)
def test_very_many_empty_descriptors_are_refused_before_they_are_read(field: str, value: object) -> None:
    with pytest.raises(EncodingError, match="document: more CBOR items"):
        Document.parse(encode(cbor2.loads(PAPER.encode()) | {field: value}))


def test_three_thousand_nodes_are_read() -> None:
    node = PAPER.topology[0][0]
    nodes = tuple(dataclasses.replace(node, identity_key=number.to_bytes(32)) for number in range(1, 3001))
    large = dataclasses.replace(PAPER, topology=(nodes[:1000], nodes[1000:]))
    certified = large.encode()
    assert len(certified) < 3000 * 400
    assert Document.parse(certified) == large
    check_well_formed(large, FIRST_EPOCH)


def test_null_and_empty_services_are_told_apart() -> None:
    node = PAPER.service_nodes[0]
    no_services: Services = {}
    for services in (None, no_services):
        changed = dataclasses.replace(node, kaetzchen=services)
        assert MixDescriptor.parse(changed.encode()).kaetzchen == services


def test_unknown_keys_are_ignored_and_missing_or_null_ones_are_zero() -> None:
    fields = cbor2.loads(PAPER.encode())
    assert Document.parse(encode(fields | {"LambdaD": 0.5, "MuMaxDelay": 7})) == PAPER
    fields["StorageReplicas"] = None
    del fields["LambdaG"]
    parsed = Document.parse(encode(fields))
    assert parsed.storage_replicas == ()
    assert parsed.lambda_g == 0.0
    assert parsed == dataclasses.replace(PAPER, storage_replicas=())


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("Mu", "fast"),
        ("Epoch", -1),
        ("Version", b"v1"),
        ("Topology", [b"x"]),
        ("Topology", [[{}]]),
        ("Topology", {}),
        ("GatewayNodes", [{}]),
        ("GatewayNodes", [b""]),
        ("GatewayNodes", [b"\x80"]),
        ("StorageReplicas", [b"\xa0"]),
        ("StorageReplicas", [{"ReplicaID": 256}]),
        ("StorageReplicas", [{"Addresses": {"tcp": "tcp://127.0.0.1:1"}}]),
        ("StorageReplicas", [{"Addresses": {1: []}}]),
        ("PriorSharedRandom", [bytes(31)]),
        ("SharedRandomValue", bytes(31)),
        ("SphinxGeometryHash", bytes(33)),
        ("SharedRandomCommit", {bytes(31): b""}),
        ("SharedRandomCommit", {bytes(32): "text"}),
        ("ConfiguredReplicaIDs", [0, 1]),
    ],
)
def test_a_document_with_a_field_of_another_shape_is_rejected(field: str, value: object) -> None:
    with pytest.raises(EncodingError):
        Document.parse(encode(cbor2.loads(PAPER.encode()) | {field: value}))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("MixKeys", {"1": b"x"}),
        ("MixKeys", {1: "x"}),
        ("Addresses", {"tcp4": [1]}),
        ("Kaetzchen", {"echo": "+echo"}),
        ("Kaetzchen", {"echo": {1: "+echo"}}),
        ("Kaetzchen", {1: {}}),
        ("LoadWeight", 1.5),
        ("IsGatewayNode", 1),
    ],
)
def test_a_descriptor_with_a_field_of_another_shape_is_rejected(field: str, value: object) -> None:
    node = PAPER.service_nodes[0]
    with pytest.raises(EncodingError, match=f"mix descriptor, {field}"):
        MixDescriptor.parse(encode(cbor2.loads(node.encode()) | {field: value}))


@given(st.binary(max_size=300))
def test_any_bytes_are_a_document_or_rejected(blob: bytes) -> None:
    for read in (Document.parse, MixDescriptor.parse, ReplicaDescriptor.parse):
        try:
            read(blob)
        except DocumentRejected:
            pass


def test_a_document_s_repr_is_short_and_without_keys() -> None:
    assert len(repr(PAPER)) < 400
    assert repr(PAPER.gateway_nodes[0].link_key) not in repr(PAPER.gateway_nodes[0])
