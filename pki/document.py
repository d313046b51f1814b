"""The consensus: the whole network during one epoch (Katzenpost PKI, 'document')."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from pki.cbor import Allowance, Record, decode, encode
from pki.certificate import LONGEST_CERTIFICATE
from pki.descriptor import MixDescriptor, ReplicaDescriptor, endpoint_of
from pki.errors import EncodingError, UnknownNodeError
from sphinx.types import NodeId

DOCUMENT_VERSION: Final = "v1"
HASH_LENGTH: Final = 32
LONGEST_CLIENT_VERSION: Final = 32
LONGEST_CLIENT_NOTICE: Final = 512

FEW_ITEMS: Final = 50_000
BYTES_FOR_AN_ITEM: Final = 5
MOST_ITEMS: Final = 1 << 20
"""CBOR items of a document and all its descriptors together: some, more for a longer document, no more than so many. A
node with the shortest keys has some 40 items in 350 bytes; reading one takes a fifth of a microsecond."""

ITEMS_FOR_A_PART: Final = 40
"""What each descriptor and each layer counts for beside its own items, for the time that reading an empty one takes."""


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """Where one service is: what a client needs to address it.

    Attributes:
        node_id: the service node.
        endpoint: the recipient id there, not padded (1 to 32 bytes).
        descriptor: the service node's descriptor.
    """

    node_id: NodeId
    endpoint: bytes
    descriptor: MixDescriptor


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A consensus document. All rates are in events per millisecond.

    Attributes:
        mu: rate of the exponential delay at each hop.
        epoch: the one epoch that this document is for.
        lambda_g: rate of the gateways' decoys.
        lambda_l: rate of the clients' loop decoys.
        lambda_m: rate of the mixes' decoys.
        lambda_p: rate of the clients' messages, or decoys in their place.
        lambda_r: rate of the couriers' and replicas' decoys.
        version: `v1`.
        topology: the mix layers, the first one after the gateways first.
        gateway_nodes: where clients connect.
        genesis_epoch: the first epoch of this unbroken chain of documents.
        service_nodes: where services live.
        storage_replicas: those that are up.
        prior_shared_random: the newest weekly value and the one before (32 bytes each).
        shared_random_value: this epoch's shared random (32 bytes).
        pki_signature_scheme: name of the authorities' scheme.
        shared_random_commit: authority's key hash -> certificate; empty in a published consensus.
        shared_random_reveal: the same.
        sphinx_geometry_hash: digest of the geometry that all packets have (32 bytes).
        configured_replica_ids: one byte for each authorised replica, also those that are down.
        configured_replica_identity_keys: their identity keys, in the same order.
        min_client_version: the oldest version of the reference's client that the authorities recommend; empty if
            they recommend none.
        client_notice: what the authorities tell the clients' users; empty if nothing.
    """

    mu: float
    epoch: int
    lambda_g: float = 0.0
    lambda_l: float
    lambda_m: float = 0.0
    lambda_p: float
    lambda_r: float = 0.0
    version: str = DOCUMENT_VERSION
    topology: tuple[tuple[MixDescriptor, ...], ...] = field(repr=False)
    gateway_nodes: tuple[MixDescriptor, ...] = field(repr=False)
    genesis_epoch: int
    service_nodes: tuple[MixDescriptor, ...] = field(repr=False)
    storage_replicas: tuple[ReplicaDescriptor, ...] = field(default=(), repr=False)
    prior_shared_random: tuple[bytes, ...] = field(repr=False)
    shared_random_value: bytes = field(repr=False)
    pki_signature_scheme: str
    shared_random_commit: Mapping[bytes, bytes] | None = field(default=None, repr=False)
    shared_random_reveal: Mapping[bytes, bytes] | None = field(default=None, repr=False)
    sphinx_geometry_hash: bytes = field(repr=False)
    configured_replica_ids: bytes = field(default=b"", repr=False)
    configured_replica_identity_keys: tuple[bytes, ...] = field(default=(), repr=False)
    min_client_version: str = ""
    client_notice: str = field(default="", repr=False)

    @classmethod
    def parse(cls, certified: bytes) -> "Document":
        """Read a document from the bytes that a certificate certifies.

        Raises:
            EncodingError: if they are not the CBOR of a document.
        """
        allowance = Allowance(min(FEW_ITEMS + len(certified) // BYTES_FOR_AN_ITEM, MOST_ITEMS))
        record = decode(certified, "document", longest=LONGEST_CERTIFICATE, allowance=allowance)
        return cls(
            mu=record.number("Mu"),
            epoch=record.unsigned("Epoch"),
            lambda_g=record.number("LambdaG"),
            lambda_l=record.number("LambdaL"),
            lambda_m=record.number("LambdaM"),
            lambda_p=record.number("LambdaP"),
            lambda_r=record.number("LambdaR"),
            version=record.text("Version"),
            topology=tuple(_layers(record, allowance)),
            gateway_nodes=_descriptors(record.octet_strings("GatewayNodes"), allowance),
            genesis_epoch=record.unsigned("GenesisEpoch"),
            service_nodes=_descriptors(record.octet_strings("ServiceNodes"), allowance),
            storage_replicas=tuple(_replicas(record, allowance)),
            prior_shared_random=record.octet_strings("PriorSharedRandom", HASH_LENGTH),
            shared_random_value=record.octets("SharedRandomValue", HASH_LENGTH),
            pki_signature_scheme=record.text("PKISignatureScheme"),
            shared_random_commit=_signed_by_key(record, "SharedRandomCommit"),
            shared_random_reveal=_signed_by_key(record, "SharedRandomReveal"),
            sphinx_geometry_hash=record.octets("SphinxGeometryHash", HASH_LENGTH),
            configured_replica_ids=record.octets("ConfiguredReplicaIDs"),
            configured_replica_identity_keys=record.octet_strings("ConfiguredReplicaIdentityKeys"),
            min_client_version=record.note("MinClientVersion", LONGEST_CLIENT_VERSION),
            client_notice=record.note("ClientNotice", LONGEST_CLIENT_NOTICE),
        )

    def encode(self) -> bytes:
        """The canonical encoding, which the authorities sign; a parsed genuine document gives its own bytes again."""
        fields: dict[str, object] = {
            "Mu": float(self.mu),
            "Epoch": self.epoch,
            "LambdaG": float(self.lambda_g),
            "LambdaL": float(self.lambda_l),
            "LambdaM": float(self.lambda_m),
            "LambdaP": float(self.lambda_p),
            "LambdaR": float(self.lambda_r),
            "Version": self.version,
            "Topology": [[node.encode() for node in layer] for layer in self.topology],
            "GatewayNodes": [node.encode() for node in self.gateway_nodes],
            "GenesisEpoch": self.genesis_epoch,
            "ServiceNodes": [node.encode() for node in self.service_nodes],
            "StorageReplicas": [replica.value() for replica in self.storage_replicas],
            "PriorSharedRandom": self.prior_shared_random or None,
            "SharedRandomValue": self.shared_random_value,
            "PKISignatureScheme": self.pki_signature_scheme,
            "SharedRandomCommit": self.shared_random_commit,
            "SharedRandomReveal": self.shared_random_reveal,
            "SphinxGeometryHash": self.sphinx_geometry_hash,
        }
        # The reference leaves these out when they are empty, and no others.
        optional: dict[str, object] = {
            "ConfiguredReplicaIDs": self.configured_replica_ids,
            "ConfiguredReplicaIdentityKeys": self.configured_replica_identity_keys,
            "MinClientVersion": self.min_client_version,
            "ClientNotice": self.client_notice,
        }
        return encode(fields | {name: value for name, value in optional.items() if value})

    def mix_descriptors(self) -> Iterator[MixDescriptor]:
        """Every node that handles packets: mixes, gateways, service nodes."""
        for layer in self.topology:
            yield from layer
        yield from self.gateway_nodes
        yield from self.service_nodes

    def gateway(self, node_id: NodeId) -> MixDescriptor:
        """The gateway of that id.

        Raises:
            UnknownNodeError: if the document lists none.
        """
        return _find(self.gateway_nodes, node_id, "gateway")

    def service(self, node_id: NodeId) -> MixDescriptor:
        """The service node of that id.

        Raises:
            UnknownNodeError: if the document lists none.
        """
        return _find(self.service_nodes, node_id, "service node")

    def services(self, capability: str) -> tuple[ServiceEndpoint, ...]:
        """Every service node that offers exactly that capability, in the document's order; maybe none."""
        return tuple(
            ServiceEndpoint(node.node_id, endpoint_of(capability, node.kaetzchen[capability]), node)
            for node in self.service_nodes
            if node.kaetzchen is not None and capability in node.kaetzchen
        )


def _find(nodes: tuple[MixDescriptor, ...], node_id: NodeId, role: str) -> MixDescriptor:
    for node in nodes:
        if node.node_id == node_id:
            return node
    raise UnknownNodeError(f"the document lists no {role} {node_id.hex()}")


def _descriptors(blobs: tuple[bytes, ...], allowance: Allowance) -> tuple[MixDescriptor, ...]:
    allowance.take(ITEMS_FOR_A_PART * len(blobs), "document")
    return tuple([MixDescriptor.parse(blob, allowance) for blob in blobs])


def _layers(record: Record, allowance: Allowance) -> Iterator[tuple[MixDescriptor, ...]]:
    layers = record.array("Topology")
    allowance.take(ITEMS_FOR_A_PART * len(layers), "document")
    for layer in layers:
        nodes = [] if layer is None else layer
        if not isinstance(nodes, list) or not all(isinstance(node, bytes) for node in nodes):
            raise record.fault("Topology", "a layer that is no array of byte strings")
        yield _descriptors(tuple(nodes), allowance)


def _replicas(record: Record, allowance: Allowance) -> Iterator[ReplicaDescriptor]:
    replicas = record.array("StorageReplicas")
    allowance.take(ITEMS_FOR_A_PART * len(replicas), "document")
    return map(ReplicaDescriptor.from_value, replicas)


def _signed_by_key(record: Record, name: str) -> dict[bytes, bytes] | None:
    if record.mapping(name) is None:
        return None
    signed = {}
    for signer, certificate in record.by_octets(name, HASH_LENGTH):
        if not isinstance(certificate, bytes):
            raise EncodingError(f"document, {name}: a value that is no byte string")
        signed[signer] = certificate
    return signed
