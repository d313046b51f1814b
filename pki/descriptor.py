"""What a node says about itself: keys, addresses, services (Katzenpost PKI, 'mix descriptor', 'replica descriptor')."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from pki.cbor import Allowance, Record, decode, encode
from pki.certificate import key_hash
from pki.errors import IllFormedDocumentError
from sphinx.types import RECIPIENT_ID_LENGTH, NodeId

LONGEST_DESCRIPTOR: Final = 1024 * 1024
"""Bytes; genuine ones have 2 to 8 kB, most of it the link key."""

DESCRIPTOR_ITEMS: Final = 1 << 14
"""CBOR items of a descriptor that stands alone; a node without services has some 35, each service adds 4 or more."""

LONGEST_SOFTWARE_VERSION: Final = 128
LONGEST_CONTACT_INFO: Final = 256
QUIC_KEY_HASH_LENGTHS: Final = (32, 64)
"""One digest, or two in a row."""

REPLICA_IDS: Final = 256

Services = Mapping[str, Mapping[str, Any] | None]
"""Capability -> its parameters, which are free but for `endpoint`."""


def endpoint_of(capability: str, parameters: Mapping[str, Any] | None) -> bytes:
    """The recipient id under which a service is reached, not padded (1 to 32 bytes).

    Raises:
        IllFormedDocumentError: if the service's parameters hold no text of that length as `endpoint`.
    """
    if parameters is None:
        raise IllFormedDocumentError(f"service {capability!r} has no parameters")
    endpoint = parameters.get("endpoint")
    encoded = endpoint.encode() if isinstance(endpoint, str) else b""
    if not 0 < len(encoded) <= RECIPIENT_ID_LENGTH:
        raise IllFormedDocumentError(
            f"service {capability!r} has no endpoint that is a text of 1 to {RECIPIENT_ID_LENGTH} bytes"
        )
    return encoded


@dataclass(frozen=True, slots=True, kw_only=True)
class MixDescriptor:
    """A mix, a gateway or a service node.

    Attributes:
        name: 1 to 32 bytes; unique by convention only.
        epoch: the one it was published for.
        link_key: the node's public key of the wire protocol's KEM.
        mix_keys: epoch -> Sphinx public key; three of them as a rule, from `epoch` on.
        version: published empty; nobody reads it.
        addresses: transport -> URLs.
        kaetzchen: the services; None unless it is a service node.
        load_weight: unused.
        identity_key: signature public key.
        is_gateway_node: whether clients connect to it.
        is_service_node: whether it hosts services.
        authentication_type: how the gateway authenticates clients; `tofu` as a rule.
        kaetzchen_advertized_data: capability -> more of the operator's data.
        software_version: what the node runs, in the operator's words; empty if it does not say.
        contact_info: how its operator is reached; empty if it does not say.
        quic_key_hash: digests of the keys that its QUIC certificate may have (32 or 64 bytes); empty if there is none.
        node_id: the hash of `identity_key`.
    """

    name: str
    epoch: int
    link_key: bytes = field(repr=False)
    mix_keys: Mapping[int, bytes] = field(repr=False)
    version: str = ""
    addresses: Mapping[str, tuple[str, ...]]
    kaetzchen: Services | None = field(default=None, repr=False)
    load_weight: int = 0
    identity_key: bytes = field(repr=False)
    is_gateway_node: bool = False
    is_service_node: bool = False
    authentication_type: str = ""
    kaetzchen_advertized_data: Services | None = field(default=None, repr=False)
    software_version: str = ""
    contact_info: str = field(default="", repr=False)
    quic_key_hash: bytes = field(default=b"", repr=False)
    node_id: NodeId = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "node_id", NodeId(key_hash(self.identity_key)))

    @classmethod
    def parse(cls, blob: bytes, allowance: Allowance | None = None) -> "MixDescriptor":
        """Read a descriptor as it stands in a document: a byte string that holds CBOR.

        Args:
            blob: that byte string.
            allowance: what the document's parts may have together; `DESCRIPTOR_ITEMS` if the descriptor stands alone.

        Raises:
            EncodingError: if it is not the CBOR of a descriptor.
        """
        record = decode(
            blob,
            "mix descriptor",
            longest=LONGEST_DESCRIPTOR,
            allowance=Allowance(DESCRIPTOR_ITEMS) if allowance is None else allowance,
        )
        return cls(
            name=record.text("Name"),
            epoch=record.unsigned("Epoch"),
            link_key=record.octets("LinkKey"),
            mix_keys=record.octet_strings_by_epoch("MixKeys"),
            version=record.text("Version"),
            addresses=_addresses(record),
            kaetzchen=_services(record, "Kaetzchen"),
            load_weight=record.unsigned("LoadWeight"),
            identity_key=record.octets("IdentityKey"),
            is_gateway_node=record.boolean("IsGatewayNode"),
            is_service_node=record.boolean("IsServiceNode"),
            authentication_type=record.text("AuthenticationType"),
            kaetzchen_advertized_data=_services(record, "KaetzchenAdvertizedData"),
            software_version=record.note("SoftwareVersion", LONGEST_SOFTWARE_VERSION),
            contact_info=record.note("ContactInfo", LONGEST_CONTACT_INFO),
            quic_key_hash=record.octets_or_none("QUICKeyHash", QUIC_KEY_HASH_LENGTHS),
        )

    def encode(self) -> bytes:
        """The canonical encoding."""
        return encode(
            {
                "Name": self.name,
                "Epoch": self.epoch,
                "LinkKey": self.link_key,
                "MixKeys": self.mix_keys,
                "Version": self.version,
                "Addresses": self.addresses,
                "Kaetzchen": self.kaetzchen,
                "LoadWeight": self.load_weight,
                "IdentityKey": self.identity_key,
                "IsGatewayNode": self.is_gateway_node,
                "IsServiceNode": self.is_service_node,
                "AuthenticationType": self.authentication_type,
                "KaetzchenAdvertizedData": self.kaetzchen_advertized_data,
            }
            | _optional(self)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplicaDescriptor:
    """A storage replica.

    Attributes:
        name: 1 to 32 bytes.
        epoch: the (normal) one it was published for.
        link_key: public key of the wire protocol's KEM, for couriers.
        addresses: transport -> URLs.
        replica_id: the number that all authorities know it by, 0 to 255.
        identity_key: signature public key.
        envelope_keys: replica epoch (weekly) -> NIKE public key.
        software_version: as a mix descriptor's, as are the next two.
        contact_info: how its operator is reached.
        quic_key_hash: digests of the keys that its QUIC certificate may have (32 or 64 bytes).
        node_id: the hash of `identity_key`.
    """

    name: str
    epoch: int
    link_key: bytes = field(repr=False)
    addresses: Mapping[str, tuple[str, ...]]
    replica_id: int
    identity_key: bytes = field(repr=False)
    envelope_keys: Mapping[int, bytes] = field(repr=False)
    software_version: str = ""
    contact_info: str = field(default="", repr=False)
    quic_key_hash: bytes = field(default=b"", repr=False)
    node_id: NodeId = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "node_id", NodeId(key_hash(self.identity_key)))

    @classmethod
    def from_value(cls, value: object) -> "ReplicaDescriptor":
        """Read a descriptor as it stands in a document: a map.

        Raises:
            EncodingError: if it is no map, or a field of it has another type.
        """
        record = Record(value, "replica descriptor")
        return cls(
            name=record.text("Name"),
            epoch=record.unsigned("Epoch"),
            link_key=record.octets("LinkKey"),
            addresses=_addresses(record),
            replica_id=record.unsigned("ReplicaID", REPLICA_IDS),
            identity_key=record.octets("IdentityKey"),
            envelope_keys=record.octet_strings_by_epoch("EnvelopeKeys"),
            software_version=record.note("SoftwareVersion", LONGEST_SOFTWARE_VERSION),
            contact_info=record.note("ContactInfo", LONGEST_CONTACT_INFO),
            quic_key_hash=record.octets_or_none("QUICKeyHash", QUIC_KEY_HASH_LENGTHS),
        )

    @classmethod
    def parse(cls, blob: bytes) -> "ReplicaDescriptor":
        """Read a descriptor that stands alone.

        Raises:
            EncodingError: if it is not the CBOR of a descriptor.
        """
        allowance = Allowance(DESCRIPTOR_ITEMS)
        record = decode(blob, "replica descriptor", longest=LONGEST_DESCRIPTOR, allowance=allowance)
        return cls.from_value(record.value)

    def value(self) -> dict[str, object]:
        """The map that stands for it in a document."""
        return {
            "Name": self.name,
            "Epoch": self.epoch,
            "LinkKey": self.link_key,
            "Addresses": self.addresses,
            "ReplicaID": self.replica_id,
            "IdentityKey": self.identity_key,
            "EnvelopeKeys": self.envelope_keys,
            **_optional(self),
        }

    def encode(self) -> bytes:
        """The canonical encoding."""
        return encode(self.value())


def _optional(descriptor: MixDescriptor | ReplicaDescriptor) -> dict[str, object]:
    """The fields that the reference leaves out when they are empty."""
    fields: dict[str, object] = {
        "SoftwareVersion": descriptor.software_version,
        "ContactInfo": descriptor.contact_info,
        "QUICKeyHash": descriptor.quic_key_hash,
    }
    return {name: value for name, value in fields.items() if value}


def _are_texts(values: Iterable[object]) -> bool:
    return set(map(type, values)) <= {str}


def _addresses(record: Record) -> dict[str, tuple[str, ...]]:
    addresses = {}
    for transport, urls in record.by_text("Addresses"):
        if not isinstance(urls, list) or not _are_texts(urls):
            raise record.fault("Addresses", "a transport without a list of texts; expected its URLs")
        addresses[transport] = tuple(urls)
    return addresses


def _services(record: Record, name: str) -> Services | None:
    if record.mapping(name) is None:
        return None
    services: dict[str, Mapping[str, Any] | None] = {}
    for capability, parameters in record.by_text(name):
        if parameters is not None and (not isinstance(parameters, dict) or not _are_texts(parameters)):
            raise record.fault(name, "a service whose parameters are no map from texts")
        services[capability] = parameters
    return services
