"""The numbers that say how something went: a replica's, a courier's, and those that an application is told.

Source: Katzenpost Pigeonhole, 'error codes', and the thin client protocol's table. Replies carry whatever byte their
sender put there, so that messages hold plain integers; compare them with these.
"""

from collections.abc import Mapping
from enum import IntEnum
from typing import Final


class ReplicaCode(IntEnum):
    """What a replica says about a read or a write. Not found, exists already and tombstone are normal outcomes."""

    SUCCESS = 0
    BOX_NOT_FOUND = 1
    INVALID_BOX_ID = 2
    INVALID_SIGNATURE = 3
    DATABASE_FAILURE = 4
    INVALID_PAYLOAD = 5
    STORAGE_FULL = 6
    INTERNAL_ERROR = 7
    INVALID_EPOCH = 8
    REPLICATION_FAILED = 9
    BOX_ALREADY_EXISTS = 10
    TOMBSTONE = 11


class CourierCode(IntEnum):
    """What a courier says about an envelope."""

    SUCCESS = 0
    INVALID_ENVELOPE = 1
    CACHE_CORRUPTION = 2
    PROPAGATION_ERROR = 3
    INVALID_EPOCH = 4


class CopyStatus(IntEnum):
    """How a courier's copy job stands."""

    SUCCEEDED = 0
    IN_PROGRESS = 1
    FAILED = 2


class ThinCode(IntEnum):
    """The `error_code` of an answer to an application, as far as Pigeonhole gives it.

    In `start_resending_encrypted_message_reply` the numbers 1 to 11 are replica codes instead; 3 and 4 have both
    meanings there, which is the protocol's.
    """

    SUCCESS = 0
    INVALID_REQUEST = 3
    INTERNAL_ERROR = 4
    SERVICE_UNAVAILABLE = 10
    COURIER_CACHE_CORRUPTION = 12
    PROPAGATION_ERROR = 13
    MKEM_DECRYPTION_FAILED = 22
    BACAP_DECRYPTION_FAILED = 23
    START_RESENDING_CANCELLED = 24
    INVALID_TOMBSTONE_SIGNATURE = 25
    COPY_COMMAND_FAILED = 26
    VOUCHER_HASH_MISMATCH = 28
    VOUCHER_SIGNATURE_INVALID = 29
    VOUCHER_SEAL_OPEN_FAILED = 30
    COURIER_INVALID_ENVELOPE = 31
    COURIER_INVALID_EPOCH = 32
    INDEX_NOT_ON_STREAM = 33
    INDEX_TOO_FAR = 34


_THIN_OF_COURIER: Final[Mapping[int, ThinCode]] = {
    CourierCode.SUCCESS: ThinCode.SUCCESS,
    CourierCode.INVALID_ENVELOPE: ThinCode.COURIER_INVALID_ENVELOPE,
    CourierCode.CACHE_CORRUPTION: ThinCode.COURIER_CACHE_CORRUPTION,
    CourierCode.PROPAGATION_ERROR: ThinCode.PROPAGATION_ERROR,
    CourierCode.INVALID_EPOCH: ThinCode.COURIER_INVALID_EPOCH,
}


def thin_code_of(courier_code: int) -> ThinCode:
    """What an application is told where a courier said `courier_code`: unknown ones mean an invalid envelope.

    A courier's numbers overlap a replica's: translate them before anything else looks at them.
    """
    return _THIN_OF_COURIER.get(courier_code, ThinCode.COURIER_INVALID_ENVELOPE)
