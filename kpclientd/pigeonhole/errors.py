"""What can go wrong in Pigeonhole, by what the caller can do; each kind carries the code that an application is told.

No message holds a key, a capability or a payload.
"""

from typing import ClassVar

from kpclientd.errors import KpclientdError
from kpclientd.pigeonhole.codes import ThinCode


class PigeonholeError(KpclientdError):
    """Root of this package's errors.

    Attributes:
        code: the `error_code` of the answer to the request that met it.
    """

    code: ClassVar[ThinCode] = ThinCode.INTERNAL_ERROR


class PigeonholeUnavailable(PigeonholeError):
    """The packages that Pigeonhole needs are not installed; the text says how to install them."""


class MessageError(PigeonholeError):
    """Bytes are no message of the protocol, or the parts of one do not fit its form."""


class InvalidArgument(PigeonholeError):
    """A capability, index, voucher, key or payload of a request is malformed: the application must send another."""

    code = ThinCode.INVALID_REQUEST


class CapabilityError(InvalidArgument):
    """A capability or box index has another length than it must have, or holds a key that cannot be one."""


class IndexNotOnStream(PigeonholeError):
    """A box index is none of the capability's stream: of another stream, or behind where the capability begins."""

    code = ThinCode.INDEX_NOT_ON_STREAM


class IndexTooFar(PigeonholeError):
    """A box index is too far ahead of its capability to be checked; a capability of a later index is needed."""

    code = ThinCode.INDEX_TOO_FAR


class StreamExhausted(PigeonholeError):
    """The last box of a stream has no next one, or an index was to move backwards."""


class ReplicasUnavailable(PigeonholeError):
    """The document lists no usable replicas, or not their keys of this week: try again with a newer one."""

    code = ThinCode.SERVICE_UNAVAILABLE


class NoCourier(PigeonholeError):
    """No service node of the document offers a courier."""


class UnusableKey(PigeonholeError):
    """A key of the key exchange is none of its scheme's: of another length, out of range, on no curve of the group."""


class UnusablePrivateKey(UnusableKey):
    """The private key is at fault, which is our own or an application's."""


class SealError(PigeonholeError):
    """An envelope, a reply or a sealed voucher does not open with this key: damaged, or made for another."""

    code = ThinCode.MKEM_DECRYPTION_FAILED


class BoxError(PigeonholeError):
    """A replica's box is not what the capability and the index demand: another box, a wrong signature, no plaintext."""

    code = ThinCode.BACAP_DECRYPTION_FAILED


class TombstoneError(BoxError):
    """A replica says that a box is deleted, and the signature does not prove it."""

    code = ThinCode.INVALID_TOMBSTONE_SIGNATURE


class VoucherHashMismatch(PigeonholeError):
    """A payload is not the one that the voucher names."""

    code = ThinCode.VOUCHER_HASH_MISMATCH


class VoucherSignatureInvalid(PigeonholeError):
    """The claim in a voucher's payload is not signed by the owner of the stream that it names."""

    code = ThinCode.VOUCHER_SIGNATURE_INVALID


class VoucherSealError(PigeonholeError):
    """The sealed answer to a voucher does not open with this key, or holds something else."""

    code = ThinCode.VOUCHER_SEAL_OPEN_FAILED
