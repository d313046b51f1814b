"""The directory authorities of a local network: a real document for every epoch, signed by all of them.

The document of an epoch is a function of the network's keys and parameters, so it can be made when it is asked for;
it is the same each time. (Katzenpost PKI, 'document' and 'certificate'.)
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from kpclientd.localnet.keys import KeyTree, NodeKeys
from kpclientd.localnet.service import ENDPOINTS
from kpclientd.localnet.topology import Topology
from pki.certificate import LIFETIME, Certificate, Verifier, issue
from pki.descriptor import MixDescriptor
from pki.document import Document
from sphinx.geometry import Geometry

SHARED_RANDOM_LENGTH: Final = 32
PRIOR_SHARED_RANDOMS: Final = 2
KEPT_CERTIFICATES: Final = 8
TRANSPORT: Final = "tcp4"
UNDIALLED_URL: Final = "tcp://127.0.0.1:30000"
"""Address of the nodes that only other nodes would dial: here they are called, not dialled."""

GATEWAY_AUTHENTICATION: Final = "tofu"


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates of the document that mean something here, events per ms."""

    mu: float
    lambda_p: float
    lambda_l: float


class Authorities:
    """All authorities, always of one mind.

    Args:
        topology: the nodes and the authorities' keys.
        geometry: whose digest the documents carry.
        rates: the clients' parameters; the network itself makes no decoys, so the others are zero.
        genesis_epoch: the first epoch of the consensus, at least 1.
        gateway_url: returns the gateway's present address.
        shared_randomness: from which every epoch's shared random value grows.
    """

    def __init__(
        self,
        *,
        topology: Topology,
        geometry: Geometry,
        rates: Rates,
        genesis_epoch: int,
        gateway_url: Callable[[], str],
        shared_randomness: KeyTree,
    ) -> None:
        self.topology = topology
        self._geometry = geometry
        self._rates = rates
        self._genesis_epoch = genesis_epoch
        self._gateway_url = gateway_url
        self._tree = shared_randomness
        self._keys = tuple(authority.signing for authority in topology.authorities)
        self._certificates: dict[int, Certificate] = {}

    @property
    def verifiers(self) -> tuple[Verifier, ...]:
        """The authorities as a client's configuration names them."""
        return tuple(
            Verifier(authority.identifier, authority.signing.scheme, authority.signing.public_key)
            for authority in self.topology.authorities
        )

    def certificate(self, epoch: int) -> Certificate:
        """Return the consensus of `epoch`, signed by all authorities."""
        if epoch not in self._certificates:
            while len(self._certificates) >= KEPT_CERTIFICATES:
                del self._certificates[min(self._certificates)]
            self._certificates[epoch] = self.sign(self.document(epoch), epoch + LIFETIME)
        return self._certificates[epoch]

    def sign(self, document: Document, expiration: int) -> Certificate:
        """Sign any document with every authority's key."""
        return issue(document.encode(), expiration, self._keys)

    def republish(self) -> None:
        """Forget what was made: the gateway's address has changed."""
        self._certificates.clear()

    def document(self, epoch: int) -> Document:
        """Make the document of `epoch`."""
        topology = self.topology
        return Document(
            mu=self._rates.mu,
            epoch=epoch,
            lambda_p=self._rates.lambda_p,
            lambda_l=self._rates.lambda_l,
            topology=tuple(tuple(self._descriptor(mix, epoch) for mix in layer) for layer in topology.layers),
            gateway_nodes=(self._gateway(epoch),),
            genesis_epoch=min(self._genesis_epoch, epoch),
            service_nodes=(self._service(epoch),),
            prior_shared_random=tuple(self._shared_random("prior", age) for age in range(PRIOR_SHARED_RANDOMS)),
            shared_random_value=self._shared_random("epoch", epoch),
            pki_signature_scheme=self._keys[0].scheme.name,
            sphinx_geometry_hash=self._geometry.digest(),
        )

    def _gateway(self, epoch: int) -> MixDescriptor:
        return replace(
            self._descriptor(self.topology.gateway, epoch),
            addresses={TRANSPORT: (self._gateway_url(),)},
            is_gateway_node=True,
            authentication_type=GATEWAY_AUTHENTICATION,
        )

    def _service(self, epoch: int) -> MixDescriptor:
        return replace(
            self._descriptor(self.topology.service, epoch),
            is_service_node=True,
            kaetzchen={capability: {"endpoint": endpoint} for capability, endpoint in ENDPOINTS.items()},
            kaetzchen_advertized_data={},
        )

    def _descriptor(self, node: NodeKeys, epoch: int) -> MixDescriptor:
        return MixDescriptor(
            name=node.name,
            epoch=epoch,
            link_key=node.link.public_key,
            mix_keys=node.mix.published(epoch),
            addresses={TRANSPORT: (UNDIALLED_URL,)},
            identity_key=node.identity_key,
        )

    def _shared_random(self, *label: str | int) -> bytes:
        return self._tree.randomness("shared-random", *label).bytes(SHARED_RANDOM_LENGTH)
