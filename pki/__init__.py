# Part of kpclientd.
"""The PKI of a Katzenpost network: epochs, documents, certificates, what may be believed, and routes through it."""

from pki.certificate import Certificate, Verifier, issue, key_hash, threshold
from pki.descriptor import MixDescriptor, ReplicaDescriptor
from pki.document import Document, ServiceEndpoint
from pki.epoch import EpochClock, EpochPeriod, epoch_period, parse_duration
from pki.errors import (
    CertificateError,
    CertificateExpiredError,
    DocumentRejected,
    EncodingError,
    EpochError,
    EpochMismatch,
    GeometryMismatch,
    IllFormedDocumentError,
    KeyLengthError,
    PemError,
    PkiError,
    RouteError,
    SigningUnavailableError,
    ThresholdError,
    UnknownNodeError,
    UnsupportedSignatureSchemeError,
    UnusableDocumentError,
    WeakKeyError,
)
from pki.path import Route, delay_cap_ms, forward_route, keys_on_routes, reply_route
from pki.pem import decode_pem, encode_pem
from pki.signatures import SignatureScheme, SigningKey, signature_scheme
from pki.trust import TrustedDocuments, VerifiedDocument
from pki.wellformed import check_well_formed

__all__ = [
    "Certificate",
    "CertificateError",
    "CertificateExpiredError",
    "Document",
    "DocumentRejected",
    "EncodingError",
    "EpochClock",
    "EpochError",
    "EpochMismatch",
    "EpochPeriod",
    "GeometryMismatch",
    "IllFormedDocumentError",
    "KeyLengthError",
    "MixDescriptor",
    "PemError",
    "PkiError",
    "ReplicaDescriptor",
    "Route",
    "RouteError",
    "ServiceEndpoint",
    "SignatureScheme",
    "SigningKey",
    "SigningUnavailableError",
    "ThresholdError",
    "TrustedDocuments",
    "UnknownNodeError",
    "UnsupportedSignatureSchemeError",
    "UnusableDocumentError",
    "VerifiedDocument",
    "Verifier",
    "WeakKeyError",
    "check_well_formed",
    "decode_pem",
    "delay_cap_ms",
    "encode_pem",
    "epoch_period",
    "forward_route",
    "issue",
    "key_hash",
    "keys_on_routes",
    "parse_duration",
    "reply_route",
    "signature_scheme",
    "threshold",
]
