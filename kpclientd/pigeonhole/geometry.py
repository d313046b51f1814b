"""Sizes of Pigeonhole messages, all of which follow from how much one Sphinx packet carries."""

from dataclasses import dataclass
from typing import Final, Self

from kpclientd.errors import KpclientdError
from sphinx.geometry import Geometry

NIKE_NAME: Final = "CTIDH1024-X25519"
SIGNATURE_SCHEME_NAME: Final = "Ed25519"

NIKE_PUBLIC_KEY_LENGTH: Final = 160
_LENGTH_PREFIX: Final = 4  # u32 before the padded part, in the box and in the envelope alike

_QUERY_TYPE_LENGTH: Final = 1
_SHARDS: Final = 2  # K: every box lives on two replicas
_DEK_CIPHERTEXT_LENGTH: Final = 60
_ENVELOPE_OVERHEAD: Final = (
    _SHARDS  # the replicas' numbers
    + _SHARDS * _DEK_CIPHERTEXT_LENGTH
    + 1  # reply index
    + 8  # replica epoch
    + 2  # length of the sender's public key
    + _LENGTH_PREFIX  # length of the ciphertext
    + NIKE_PUBLIC_KEY_LENGTH
)
_MKEM_OVERHEAD: Final = 12 + 16  # nonce and tag
_MESSAGE_TYPE_LENGTH: Final = 1
_BOX_ID_LENGTH: Final = 32
_SIGNATURE_LENGTH: Final = 64
_REPLICA_WRITE_OVERHEAD: Final = _BOX_ID_LENGTH + _SIGNATURE_LENGTH + _LENGTH_PREFIX
_BACAP_OVERHEAD: Final = 16  # the tag; the nonce is derived
_OVERHEAD: Final = (
    _QUERY_TYPE_LENGTH
    + _ENVELOPE_OVERHEAD
    + _MKEM_OVERHEAD
    + _MESSAGE_TYPE_LENGTH
    + _REPLICA_WRITE_OVERHEAD
    + _BACAP_OVERHEAD
    + _LENGTH_PREFIX  # of the box's padding
    + _LENGTH_PREFIX  # of the envelope's padding
)

_REPLICA_READ_REPLY_OVERHEAD: Final = (
    _MESSAGE_TYPE_LENGTH
    + 1  # error code
    + _BOX_ID_LENGTH
    + _SIGNATURE_LENGTH
    + _LENGTH_PREFIX
    + _BACAP_OVERHEAD
    + _LENGTH_PREFIX
)
_COURIER_REPLY_OVERHEAD: Final = (
    2  # the reference still counts an error code that left the wire format,
    + 1  # the reply index,
    + 8  # an epoch that left it too,
    + _LENGTH_PREFIX
)
_REPORTED_REPLY_OVERHEAD: Final = (
    _COURIER_REPLY_OVERHEAD + _REPLICA_READ_REPLY_OVERHEAD + _LENGTH_PREFIX + _MKEM_OVERHEAD
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
