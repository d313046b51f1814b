"""Sizes of Pigeonhole messages, all of which follow from how much one Sphinx packet carries."""

from dataclasses import dataclass
from typing import Final, Self

from kpclientd.errors import KpclientdError
from kpclientd.pigeonhole.courier_messages import DEK_LENGTH, SHARDS
from kpclientd.pigeonhole.replica_messages import BOX_ID_LENGTH, SIGNATURE_LENGTH
from kpclientd.pigeonhole.trunnel import LENGTH_PREFIX
from sphinx.geometry import Geometry

NIKE_NAME: Final = "CTIDH1024-X25519"
SIGNATURE_SCHEME_NAME: Final = "Ed25519"

NIKE_PUBLIC_KEY_LENGTH: Final = 160

_QUERY_TYPE_LENGTH: Final = 1
_ENVELOPE_OVERHEAD: Final = (
    SHARDS  # the replicas' numbers
    + SHARDS * DEK_LENGTH
    + 1  # reply index
    + 8  # replica epoch
    + 2  # length of the sender's public key
    + LENGTH_PREFIX  # length of the ciphertext
    + NIKE_PUBLIC_KEY_LENGTH
)
_MKEM_OVERHEAD: Final = 12 + 16  # nonce and tag
_MESSAGE_TYPE_LENGTH: Final = 1
_ERROR_CODE_LENGTH: Final = 1
_REPLICA_WRITE_OVERHEAD: Final = BOX_ID_LENGTH + SIGNATURE_LENGTH + LENGTH_PREFIX
_BACAP_OVERHEAD: Final = 16  # the tag; the nonce is derived
_OVERHEAD: Final = (
    _QUERY_TYPE_LENGTH
    + _ENVELOPE_OVERHEAD
    + _MKEM_OVERHEAD
    + _MESSAGE_TYPE_LENGTH
    + _REPLICA_WRITE_OVERHEAD
    + _BACAP_OVERHEAD
    + LENGTH_PREFIX  # of the box's padding
    + LENGTH_PREFIX  # of the envelope's padding
)

_REPLICA_READ_REPLY_OVERHEAD: Final = (
    _MESSAGE_TYPE_LENGTH
    + _ERROR_CODE_LENGTH
    + BOX_ID_LENGTH
    + SIGNATURE_LENGTH
    + LENGTH_PREFIX
    + _BACAP_OVERHEAD
    + LENGTH_PREFIX
)
_COURIER_REPLY_OVERHEAD: Final = (
    2  # the reference still counts an error code that left the wire format,
    + 1  # the reply index,
    + 8  # an epoch that left it too,
    + LENGTH_PREFIX
)
_REPORTED_REPLY_OVERHEAD: Final = (
    _COURIER_REPLY_OVERHEAD + _REPLICA_READ_REPLY_OVERHEAD + LENGTH_PREFIX + _MKEM_OVERHEAD
)


class PigeonholeGeometryError(KpclientdError):
    """A Sphinx packet is too small to carry a Pigeonhole query."""


@dataclass(frozen=True, slots=True)
class PigeonholeGeometry:
    """The lengths (bytes) and schemes that applications are told.

    The two reply lengths are the reference's own figures: they are 25 bytes short of a real reply on the wire, so
    they are for telling, never for slicing.
    """

    max_plaintext_payload_length: int
    courier_query_read_length: int
    courier_query_write_length: int
    courier_query_reply_read_length: int
    courier_query_reply_write_length: int
    nike_name: str = NIKE_NAME
    signature_scheme_name: str = SIGNATURE_SCHEME_NAME

    @classmethod
    def derive(cls, sphinx: Geometry) -> Self:
        """The one Pigeonhole geometry that fits a Sphinx geometry (Katzenpost Pigeonhole, 'geometry').

        Raises:
            PigeonholeGeometryError: no payload is left once the overhead is taken off.
        """
        room = sphinx.user_forward_payload_length
        plaintext = room - _OVERHEAD
        if plaintext <= 0:
            raise PigeonholeGeometryError(
                f"UserForwardPayloadLength is {room}, expected at least {_OVERHEAD + 1}, "
                f"since a query without content takes {_OVERHEAD}"
            )
        reply = plaintext + _REPORTED_REPLY_OVERHEAD
        return cls(plaintext, room, room, reply, reply)

    @property
    def box_plaintext_length(self) -> int:
        """Bytes of every box's plaintext, padded."""
        return self.max_plaintext_payload_length + LENGTH_PREFIX

    @property
    def box_payload_length(self) -> int:
        """Bytes of every box's ciphertext: replicas take no others."""
        return self.box_plaintext_length + _BACAP_OVERHEAD

    @property
    def request_length(self) -> int:
        """Bytes of every request inside an envelope, padded: those of a write."""
        return LENGTH_PREFIX + _MESSAGE_TYPE_LENGTH + _REPLICA_WRITE_OVERHEAD + self.box_payload_length

    @property
    def reply_length(self) -> int:
        """Bytes of every replica's reply before it is sealed, padded: those of a box that was found."""
        return self.request_length + _ERROR_CODE_LENGTH

    @property
    def sealed_reply_length(self) -> int:
        """Bytes of every replica's reply, sealed."""
        return self.reply_length + _MKEM_OVERHEAD

    def fields(self) -> dict[str, int | str]:
        """The seven fields by the names that thin clients demand, and no other."""
        return {
            "MaxPlaintextPayloadLength": self.max_plaintext_payload_length,
            "CourierQueryReadLength": self.courier_query_read_length,
            "CourierQueryWriteLength": self.courier_query_write_length,
            "CourierQueryReplyReadLength": self.courier_query_reply_read_length,
            "CourierQueryReplyWriteLength": self.courier_query_reply_write_length,
            "NIKEName": self.nike_name,
            "SignatureSchemeName": self.signature_scheme_name,
        }
