"""The directory authorities of a local network: a real document for every epoch, signed by those who are to sign.

The document of an epoch is a function of the network's keys and parameters, so it can be made when it is asked for;
it is the same each time. What changes while the network runs stands in the documents from a given epoch on; those
that clients may have already are never signed anew. (Katzenpost PKI, 'document' and 'certificate'.)
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import cbor2

from kpclientd.localnet.errors import LocalNetworkError
from kpclientd.localnet.keys import AuthorityKeys, KeyTree, NodeKeys
from kpclientd.localnet.service import ENDPOINTS
from kpclientd.localnet.storage.listed import ListedReplica
from pki.certificate import LIFETIME, Certificate, Verifier, issue, threshold
from pki.descriptor import MixDescriptor, ReplicaDescriptor
from pki.document import Document
from pki.epoch import EpochClock
from sphinx.geometry import Geometry

SHARED_RANDOM_LENGTH: Final = 32
PRIOR_SHARED_RANDOMS: Final = 2
KEPT_CERTIFICATES: Final = 8
KEPT_LISTINGS: Final = 64
TRANSPORT: Final = "tcp4"
UNDIALLED_URL: Final = "tcp://127.0.0.1:30000"
"""Address of the nodes that only other nodes would dial: here they are called, not dialled."""

GATEWAY_AUTHENTICATION: Final = "tofu"

Addresses = Mapping[str, tuple[str, ...]]
"""Transport -> URLs, as descriptors have them."""


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of the document that mean something here, events per ms."""

    mu: float
    lambda_p: float
    lambda_l: float


@dataclass(frozen=True, slots=True)
class ListedGateway:
    """A gateway as documents and configurations show it."""

    keys: NodeKeys
    addresses: Addresses

    @property
    def urls(self) -> tuple[str, ...]:
        """All its addresses."""
        return tuple(url for urls in self.addresses.values() for url in urls)


@dataclass(frozen=True, slots=True)
class Listing:
    """What documents say of the network.

    Attributes:
        gateways: those that are listed.
        layers: the mixes.
        service: the service node.
        genesis_epoch: the first epoch of the consensus, at least 1.
        replicas: all storage replicas that are configured.
        endpoints: what the service node offers: capability -> endpoint.
        extra: further fields of the document, by their names in it: `ClientNotice`, `MinClientVersion`.
    """

    gateways: tuple[ListedGateway, ...]
    layers: tuple[tuple[NodeKeys, ...], ...]
    service: NodeKeys
    genesis_epoch: int
    replicas: tuple[ListedReplica, ...] = ()
    endpoints: Mapping[str, str] = field(default_factory=lambda: ENDPOINTS)
    extra: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


class Authorities:
    """All authorities, always of one mind.

    Args:
        keys: theirs.
        signers: how many of them sign each document; None for all.
        geometry: whose digest the documents carry.
        rates: the clients' parameters; the network itself makes no decoys, so the others are zero.
        shared_randomness: from which every epoch's shared random value grows.
        clock: the network's epochs.

    Raises:
        LocalNetworkError: if a document with so few signatures would convince nobody, or there are not as many
            authorities.
    """

    def __init__(
        self,
        keys: tuple[AuthorityKeys, ...],
        *,
        signers: int | None,
        geometry: Geometry,
        rates: Rates,
        shared_randomness: KeyTree,
        clock: EpochClock,
    ) -> None:
        least = threshold(len(keys))
        if signers is not None and not least <= signers <= len(keys):
            raise LocalNetworkError(
                f"{signers} of {len(keys)} authorities cannot sign for all: at least {least} must, and all may"
            )
        self.keys = keys
        self._signing = tuple(authority.signing for authority in keys)
        self._signers = len(keys) if signers is None else signers
        self._geometry = geometry
        self._rates = rates
        self._tree = shared_randomness
        self._clock = clock
        self._listings: list[tuple[int, Listing]] = []
        self._certificates: dict[int, Certificate] = {}

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The authorities as a client's configuration names them."""
        return tuple(
            Verifier(authority.identifier, authority.signing.scheme, authority.signing.public_key)
            for authority in self.keys
        )

    def list_from(self, epoch: int, listing: Listing) -> None:
        """Let the documents of `epoch` and later ones say `listing`; those of earlier epochs stay what they are."""
        self._listings = [(since, said) for since, said in self._listings if since < epoch][-KEPT_LISTINGS:]
        self._listings.append((epoch, listing))
        self._certificates = {known: made for known, made in self._certificates.items() if known < epoch}

    def listing(self, epoch: int) -> Listing:
        """Return what the document of `epoch` says; for epochs before the first listing, that one."""
        known = [said for since, said in self._listings if since <= epoch]
        return known[-1] if known else self._listings[0][1]

    def certificate(self, epoch: int) -> Certificate:
        """Return the consensus of `epoch`, signed by as many authorities as are to sign."""
        if epoch not in self._certificates:
            while len(self._certificates) >= KEPT_CERTIFICATES:
                del self._certificates[min(self._certificates)]
            self._certificates[epoch] = self.sign(self.document(epoch), epoch + LIFETIME)
        return self._certificates[epoch]

    def sign(self, document: Document, expiration: int) -> Certificate:
        """Sign any document."""
        certified = document.encode()
        if extra := self.listing(document.epoch).extra:
            certified = cbor2.dumps(cbor2.loads(certified) | dict(extra), canonical=True)
        return issue(certified, expiration, self._signing[: self._signers])

    def document(self, epoch: int) -> Document:
        """Make the document of `epoch`, without its extra fields."""
        listing = self.listing(epoch)
        return Document(
            mu=self._rates.mu,
            epoch=epoch,
            lambda_p=self._rates.lambda_p,
            lambda_l=self._rates.lambda_l,
            topology=tuple(tuple(_descriptor(mix, epoch) for mix in layer) for layer in listing.layers),
            gateway_nodes=tuple(_gateway(gateway, epoch) for gateway in listing.gateways),
            genesis_epoch=min(listing.genesis_epoch, epoch),
            service_nodes=(_service(listing, epoch),),
            storage_replicas=tuple(self._replica(one, epoch) for one in listing.replicas if one.is_up),
            prior_shared_random=tuple(self._shared_random("prior", age) for age in range(PRIOR_SHARED_RANDOMS)),
            shared_random_value=self._shared_random("epoch", epoch),
            pki_signature_scheme=self._signing[0].scheme.name,
            sphinx_geometry_hash=self._geometry.digest(),
            configured_replica_ids=bytes(one.number for one in listing.replicas),
            configured_replica_identity_keys=tuple(one.identity.identity_key for one in listing.replicas),
        )

    def _replica(self, replica: ListedReplica, epoch: int) -> ReplicaDescriptor:
        return ReplicaDescriptor(
            name=replica.identity.name,
            epoch=epoch,
            link_key=replica.identity.link.public_key,
            addresses={TRANSPORT: (UNDIALLED_URL,)},
            replica_id=replica.number,
            identity_key=replica.identity.identity_key,
            envelope_keys=replica.published_keys(self._clock.replica_epoch(self._clock.start(epoch))),
        )

    def _shared_random(self, *label: str | int) -> bytes:
        return self._tree.randomness("shared-random", *label).bytes(SHARED_RANDOM_LENGTH)


def _gateway(gateway: ListedGateway, epoch: int) -> MixDescriptor:
    return replace(
        _descriptor(gateway.keys, epoch),
        addresses=gateway.addresses,
        is_gateway_node=True,
        authentication_type=GATEWAY_AUTHENTICATION,
    )


def _service(listing: Listing, epoch: int) -> MixDescriptor:
    return replace(
        _descriptor(listing.service, epoch),
        is_service_node=True,
        kaetzchen={capability: {"endpoint": endpoint} for capability, endpoint in listing.endpoints.items()},
        kaetzchen_advertized_data={},
    )


def _descriptor(node: NodeKeys, epoch: int) -> MixDescriptor:
    return MixDescriptor(
        name=node.name,
        epoch=epoch,
        link_key=node.link.public_key,
        mix_keys=node.mix.published(epoch),
        addresses={TRANSPORT: (UNDIALLED_URL,)},
        identity_key=node.identity_key,
    )
