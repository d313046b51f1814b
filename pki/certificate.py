"""Certificates: bytes that several authorities have signed (Katzenpost PKI, 'certificate').

The signed bytes are the version (u32 little-endian), the expiration (u64 little-endian), the name of the signature
scheme and the certified bytes as they are. Nothing is ever encoded anew before it is verified.
"""

import hashlib
import hmac
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from pki.cbor import Allowance, Record, decode, encode
from pki.errors import CertificateError, CertificateExpiredError, KeyLengthError, ThresholdError, WeakKeyError
from pki.signatures import SignatureScheme, SigningKey

VERSION: Final = 0
KEY_HASH_LENGTH: Final = 32

LONGEST_CERTIFICATE: Final = 64 * 1024 * 1024
"""Bytes; some thirty times what a network of a thousand nodes and six SPHINCS+ authorities needs."""

MOST_SIGNATURES: Final = 256
"""Of one certificate; the largest network known has nine authorities."""

_ITEMS: Final = 4096
"""CBOR items of a certificate: six for each signature, and what a later version may have beside them."""

LIFETIME: Final = 5
"""Epochs from a document's own to its certificate's expiration."""

_SIGNED_HEAD: Final = struct.Struct("<IQ")


def key_hash(public_key: bytes) -> bytes:
    """How certificates and nodes name a key: BLAKE2b-256 of its raw bytes (32 bytes)."""
    return hashlib.blake2b(public_key, digest_size=KEY_HASH_LENGTH).digest()


def threshold(authorities: int) -> int:
    """How many of so many configured authorities must have signed: more than half."""
    return authorities // 2 + 1


@dataclass(frozen=True, slots=True)
class Verifier:
    """One authority, as its users know it.

    Args:
        identifier: its name in the configuration, for messages only.
        scheme: the scheme of its key.
        public_key: `scheme.public_key_length` bytes.

    Raises:
        KeyLengthError: if the key has another length.
        WeakKeyError: if anybody could sign for it, or nobody.
    """

    identifier: str
    scheme: SignatureScheme
    public_key: bytes
    key_hash: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            self.scheme.check_public_key(self.public_key)
        except (KeyLengthError, WeakKeyError) as error:
            raise type(error)(f"authority {self.identifier!r}: {error}") from None
        object.__setattr__(self, "key_hash", key_hash(self.public_key))


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate, verified or not.

    Args:
        key_type: canonical name of the signature scheme.
        certified: the bytes that are vouched for.
        expiration: the first epoch in which it is no longer valid.
        signatures: the signer's key hash (32 bytes) -> its signature.
    """

    key_type: str
    certified: bytes = field(repr=False)
    expiration: int
    signatures: Mapping[bytes, bytes] = field(repr=False)

    @classmethod
    def parse(cls, blob: bytes) -> "Certificate":
        """Read a certificate; nothing of it is verified yet.

        Raises:
            EncodingError: if the bytes are not the CBOR of a certificate.
            CertificateError: if it is of another version, names no scheme, certifies nothing, or carries more than
                `MOST_SIGNATURES` signatures or one under a key hash that is not the signature's own.
        """
        record = decode(
            blob, "certificate", longest=LONGEST_CERTIFICATE, allowance=Allowance(_ITEMS), integer_keys=False
        )
        version = record.unsigned("Version")
        if version != VERSION:
            raise CertificateError(f"certificate version mismatch: {version}; expected {VERSION}")
        certificate = cls(
            key_type=record.text("KeyType"),
            certified=record.octets("Certified"),
            expiration=record.unsigned("Expiration"),
            signatures=dict(_signatures(record)),
        )
        if not certificate.key_type:
            raise CertificateError("invalid certificate key type: it is empty")
        if not certificate.certified:
            raise CertificateError("invalid certified field of certificate: it is empty")
        return certificate

    def encode(self) -> bytes:
        """The canonical encoding."""
        return encode(
            {
                "KeyType": self.key_type,
                "Version": VERSION,
                "Certified": self.certified,
                "Expiration": self.expiration,
                "Signatures": {
                    signer: {"Payload": signature, "PublicKeySum256": signer}
                    for signer, signature in self.signatures.items()
                },
            }
        )

    def signed_message(self) -> bytes:
        """What each signer has signed, the same bytes for all."""
        return _SIGNED_HEAD.pack(VERSION, self.expiration) + self.key_type.encode() + self.certified

    def verify_threshold(self, verifiers: Sequence[Verifier], threshold: int, epoch_now: int) -> None:
        """Believe the certificate, or say why not.

        Signatures that are missing, wrong or by others do no harm as long as enough are good. A key counts once,
        however often it is listed.

        Args:
            verifiers: whose signatures count.
            threshold: how many of them must have signed.
            epoch_now: the present epoch.

        Raises:
            CertificateExpiredError: if the certificate is not valid in `epoch_now` any more.
            ThresholdError: if too few have signed, or more signatures are asked for than there are verifiers.
        """
        if epoch_now >= self.expiration:
            raise CertificateExpiredError(
                f"certificate expired: valid before epoch {self.expiration}, and this is epoch {epoch_now}"
            )
        if not 0 < threshold <= len(verifiers):
            raise ThresholdError(f"a threshold of {threshold} with {len(verifiers)} authorities can never be met")
        message = self.signed_message()
        good: set[bytes] = set()
        for verifier in verifiers:
            signature = self.signatures.get(verifier.key_hash)
            if signature is None or verifier.key_hash in good:
                continue
            if verifier.scheme.verify(verifier.public_key, message, signature):
                good.add(verifier.key_hash)
            if len(good) == threshold:
                return
        raise ThresholdError(
            f"threshold failure: {len(good)} of {len(verifiers)} authorities have validly signed; "
            f"{threshold} are needed"
        )

    def with_signature(self, key: SigningKey) -> "Certificate":
        """The same certificate, also signed by `key`.

        Raises:
            CertificateError: if the key is of another scheme than the certificate.
        """
        if key.scheme.name != self.key_type:
            raise CertificateError(f"a {key.scheme.name!r} key cannot sign a {self.key_type!r} certificate")
        signature = key.sign(self.signed_message())
        return Certificate(
            self.key_type,
            self.certified,
            self.expiration,
            {**self.signatures, key_hash(key.public_key): signature},
        )


def issue(certified: bytes, expiration: int, keys: Sequence[SigningKey]) -> Certificate:
    """Certify bytes with every one of `keys` (at least one, all of one scheme): the authorities' side.

    Args:
        certified: the bytes to vouch for, not empty.
        expiration: the first epoch in which the certificate is no longer valid.
        keys: the signers.

    Raises:
        CertificateError: if there is nothing to certify, no key, or keys of several schemes.
    """
    if not certified or not keys:
        raise CertificateError(f"{len(certified)} bytes to certify and {len(keys)} keys; expected some of each")
    certificate = Certificate(keys[0].scheme.name, certified, expiration, {})
    for key in keys:
        certificate = certificate.with_signature(key)
    return certificate


def _signatures(record: Record) -> list[tuple[bytes, bytes]]:
    signatures = []
    if len(record.mapping("Signatures") or ()) > MOST_SIGNATURES:
        raise CertificateError(f"a certificate with more than {MOST_SIGNATURES} signatures")
    for signer, value in record.by_octets("Signatures", KEY_HASH_LENGTH):
        entry = Record(value, "certificate signature")
        if not hmac.compare_digest(entry.octets("PublicKeySum256", KEY_HASH_LENGTH), signer):
            raise CertificateError("a signature's own key hash is not the one that it is filed under")
        signatures.append((signer, entry.octets("Payload")))
    return signatures
