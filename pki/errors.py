"""What can go wrong with what the directory authorities say, and with what is derived from it."""

from sphinx.errors import MixnetError


class PkiError(MixnetError):
    """Root of this package's errors."""


class EpochError(PkiError):
    """The clock stands before epoch 0, or the epoch period is not one that a network could have."""


class PemError(PkiError):
    """A key's PEM text is not what the scheme named beside it demands."""


class UnsupportedSignatureSchemeError(PkiError):
    """No such signature scheme is known, or it is known and cannot be verified here."""


class KeyLengthError(PkiError):
    """A key has not the length of its scheme."""


class WeakKeyError(PkiError):
    """Anybody could sign for this public key, or nobody at all: no authority has such a one."""


class SigningUnavailableError(PkiError):
    """Signatures of this scheme can be verified here but not made; the message says what is missing."""


class UnknownNodeError(PkiError):
    """The document lists no node of that role under that id."""


class RouteError(PkiError):
    """No route could be drawn through the document's topology."""


class DocumentRejected(PkiError):
    """A document, or a part of one, is not to be believed or not to be used; nothing cached has changed."""


class EncodingError(DocumentRejected):
    """Bytes are not the CBOR that they should be: out of bounds, or of another shape or type."""


class CertificateError(DocumentRejected):
    """A certificate is of another version, empty, or carries a signature under a name that is not its own."""


class CertificateExpiredError(CertificateError):
    """The certificate's last epoch has passed."""


class ThresholdError(CertificateError):
    """Fewer authorities than the threshold have signed."""


class EpochMismatch(DocumentRejected):
    """The document is not for the epoch that was asked for, or no epoch near the clock's was asked for."""


class GeometryMismatch(DocumentRejected):
    """The network uses another Sphinx geometry than ours: no packet of ours could ever be valid there."""


class IllFormedDocumentError(DocumentRejected):
    """A document breaks a rule of well-formedness that a genuine consensus always keeps."""


class UnusableDocumentError(DocumentRejected):
    """A well-formed document with which a client of our geometry could not compose a packet."""
