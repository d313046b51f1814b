"""The rules that every genuine document keeps (Katzenpost PKI, 'well-formedness').

The reference's nodes check them and its client does not. They cost nothing beside a signature, and whoever keeps them
out of the cache need not think of them anywhere else.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Final

from pki import shared_random
from pki.certificate import Certificate, Verifier
from pki.descriptor import MixDescriptor, ReplicaDescriptor, endpoint_of
from pki.document import DOCUMENT_VERSION, Document
from pki.errors import DocumentRejected, IllFormedDocumentError

LONGEST_NAME: Final = 32
"""Bytes of a node's name."""

KEY_EPOCHS: Final = 3
"""A document of epoch e has mix keys of no other epochs than e, e + 1 and e + 2."""

_ADDRESS: Final = re.compile(
    r"(?:ws|tcp[46]?|quic)://(?:[^/?#@]*@)?(?:\[[0-9a-f:.]+(?:%[^\]\s]+)?\]|[^/?#@:\[\]\x00-\x20\x7f]+):(?P<port>[0-9]{1,5})(?:[/?#].*)?",
    re.IGNORECASE | re.ASCII | re.DOTALL,
)
_ONION_ADDRESS: Final = re.compile(r"onion:", re.IGNORECASE)
_PORTS: Final = 65_536


def check_well_formed(document: Document, epoch: int, authorities: Sequence[Verifier] = ()) -> None:
    """Check every rule for a document of `epoch`.

    Args:
        document: the document.
        epoch: the one that its descriptors must have keys for.
        authorities: who may have signed commits and reveals. A published consensus holds none of these; only the
            authorities' own votes do.

    Raises:
        IllFormedDocumentError: naming the rule that is broken.
    """
    if document.version != DOCUMENT_VERSION:
        raise IllFormedDocumentError(f"document version {document.version[:32]!r}; expected {DOCUMENT_VERSION!r}")
    if document.genesis_epoch == 0:
        raise IllFormedDocumentError("the document has no genesis epoch")
    if not document.prior_shared_random and document.genesis_epoch != document.epoch:
        raise IllFormedDocumentError("the document has no prior shared random, and is not the first one")
    _check_shared_random(document, epoch, authorities)
    _check_nodes(document, epoch)
    for replica in document.storage_replicas:
        check_replica(replica)


def check_mix_descriptor(descriptor: MixDescriptor, epoch: int) -> None:
    """Check a mix's, gateway's or service node's descriptor for a document of `epoch`.

    Raises:
        IllFormedDocumentError: naming the node and the rule.
    """
    who = f"node {descriptor.name[:LONGEST_NAME]!r}"
    _check_identity(who, descriptor.name, descriptor.link_key, descriptor.identity_key)
    if descriptor.is_gateway_node and descriptor.is_service_node:
        raise IllFormedDocumentError(f"{who} is a gateway and a service node at once")
    _check_keys(who, "mix", descriptor.mix_keys)
    if epoch not in descriptor.mix_keys:
        raise IllFormedDocumentError(f"{who} has no mix key for epoch {epoch}")
    for key_epoch in descriptor.mix_keys:
        if not epoch <= key_epoch < epoch + KEY_EPOCHS:
            raise IllFormedDocumentError(f"{who} has a mix key for epoch {key_epoch} in epoch {epoch}")
    _check_addresses(who, descriptor.addresses, onion=descriptor.is_gateway_node)
    if descriptor.is_service_node:
        for capability, parameters in (descriptor.kaetzchen or {}).items():
            if not capability:
                raise IllFormedDocumentError(f"{who} has a service without a name")
            endpoint_of(capability, parameters)
    elif descriptor.kaetzchen is not None:
        raise IllFormedDocumentError(f"{who} lists services and is no service node")


def check_replica(replica: ReplicaDescriptor) -> None:
    """Check a storage replica's descriptor.

    Raises:
        IllFormedDocumentError: naming the replica and the rule.
    """
    who = f"replica {replica.name[:LONGEST_NAME]!r}"
    _check_identity(who, replica.name, replica.link_key, replica.identity_key)
    if not replica.envelope_keys:
        raise IllFormedDocumentError(f"{who} has no envelope keys")
    _check_keys(who, "envelope", replica.envelope_keys)
    _check_addresses(who, replica.addresses, onion=False)


def _check_nodes(document: Document, epoch: int) -> None:
    if not document.topology or not all(document.topology):
        raise IllFormedDocumentError("the document has no mix layers, or an empty one")
    if not document.gateway_nodes:
        raise IllFormedDocumentError("invalid PKI doc, zero Gateways")
    if not document.service_nodes:
        raise IllFormedDocumentError("the document has no service nodes")
    if not all(gateway.is_gateway_node for gateway in document.gateway_nodes):
        raise IllFormedDocumentError("a node among the gateways is none")
    if not all(node.is_service_node for node in document.service_nodes):
        raise IllFormedDocumentError("a node among the service nodes is none")
    seen: set[bytes] = set()
    for descriptor in document.mix_descriptors():
        check_mix_descriptor(descriptor, epoch)
        if descriptor.identity_key in seen:
            raise IllFormedDocumentError(f"node {descriptor.name!r} is listed twice")
        seen.add(descriptor.identity_key)


def _check_identity(who: str, name: str, link_key: bytes, identity_key: bytes) -> None:
    if not 0 < len(name.encode()) <= LONGEST_NAME:
        raise IllFormedDocumentError(f"{who} has a name that is not of 1 to {LONGEST_NAME} bytes")
    if not link_key:
        raise IllFormedDocumentError(f"{who} has no link key")
    if not identity_key:
        raise IllFormedDocumentError(f"{who} has no identity key")


def _check_keys(who: str, kind: str, keys: Mapping[int, bytes]) -> None:
    for epoch, key in keys.items():
        if not key:
            raise IllFormedDocumentError(f"{who} has an empty {kind} key for epoch {epoch}")


def _check_addresses(who: str, addresses: Mapping[str, tuple[str, ...]], *, onion: bool) -> None:
    if not addresses:
        raise IllFormedDocumentError(f"{who} has no addresses")
    for transport, urls in addresses.items():
        if not urls:
            raise IllFormedDocumentError(f"{who} has no address for the transport {transport[:32]!r}")
        for url in urls:
            if not _is_address(url, onion=onion):
                raise IllFormedDocumentError(f"{who} has an address that is none: {url[:80]!r}")


def _is_address(url: str, *, onion: bool) -> bool:
    found = _ADDRESS.fullmatch(url)
    if found is not None:
        return int(found["port"]) < _PORTS
    return onion and _ONION_ADDRESS.match(url) is not None


def _check_shared_random(document: Document, epoch: int, authorities: Sequence[Verifier]) -> None:
    commits = document.shared_random_commit or {}
    reveals = document.shared_random_reveal or {}
    opened = {signer: _certified(signer, blob, epoch, authorities) for signer, blob in commits.items()}
    if len(commits) <= 1:
        if reveals:
            raise IllFormedDocumentError("the document reveals what nobody, or its voter alone, committed to")
        return
    if set(commits) != set(reveals):
        raise IllFormedDocumentError("the document's commits and reveals are not by the same authorities")
    for signer, blob in reveals.items():
        if not shared_random.opens(_certified(signer, blob, epoch, authorities), opened[signer]):
            raise IllFormedDocumentError("an authority revealed something else than it committed to")


def _certified(signer: bytes, blob: bytes, epoch: int, authorities: Sequence[Verifier]) -> bytes:
    """The commit or reveal inside a certificate by `signer`."""
    verifiers = [verifier for verifier in authorities if verifier.key_hash == signer][:1]
    if not verifiers:
        raise IllFormedDocumentError("a commit or reveal is by an unknown authority")
    try:
        certificate = Certificate.parse(blob)
        # It expires with the epoch that is being voted on, so it is checked in the epoch of the vote.
        certificate.verify_threshold(verifiers, len(verifiers), epoch - 1)
    except DocumentRejected as error:
        raise IllFormedDocumentError(f"a commit or reveal is not validly signed: {error}") from None
    if shared_random.epoch_of(certificate.certified) != epoch:
        raise IllFormedDocumentError("a commit or reveal is of a wrong length or for another epoch")
    return certificate.certified
