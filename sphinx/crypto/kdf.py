"""From the secret shared with a hop to that hop's keys."""

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from sphinx.crypto.stream import HEADER_IV_LENGTH, HEADER_KEY_LENGTH
from sphinx.geometry import MAC_LENGTH, SPRP_KEY_LENGTH

_INFO: Final = b"katzenpost-kdf-v0-hkdf-sha256"
_SEED_LENGTH: Final = 32
_IV_AT: Final = MAC_LENGTH + HEADER_KEY_LENGTH
_SPRP_KEY_AT: Final = _IV_AT + HEADER_IV_LENGTH
_SEED_AT: Final = _SPRP_KEY_AT + SPRP_KEY_LENGTH
_LENGTH: Final = _SEED_AT + _SEED_LENGTH


@dataclass(frozen=True, slots=True)
class HopKeys:
    """All that one hop's secret yields; nothing of it is ever shown.

    Attributes:
        mac_key: of the header's HMAC (32 bytes).
        header_key: of the header's stream cipher (32 bytes).
        iv: the stream cipher's first counter block, and the payload cipher's nonce (16 bytes).
        sprp_key: of the payload cipher (48 bytes).
        blinding_seed: of the factor that blinds the group element for the next hop (32 bytes).
    """

    mac_key: bytes = field(repr=False)
    header_key: bytes = field(repr=False)
    iv: bytes = field(repr=False)
    sprp_key: bytes = field(repr=False)
    blinding_seed: bytes = field(repr=False)

    @property
    def payload_material(self) -> bytes:
        """Key and nonce of the payload cipher (64 bytes), as SURB keys hold them."""
        return self.sprp_key + self.iv


def hop_keys(shared_secret: bytes) -> HopKeys:
    """Derive a hop's keys: HKDF-Expand with SHA-256 (RFC 5869, 2.3), the secret as it is for its key.

    Args:
        shared_secret: of the scheme's natural length.
    """
    stream = HKDFExpand(SHA256(), _LENGTH, _INFO).derive(shared_secret)
    return HopKeys(
        mac_key=stream[:MAC_LENGTH],
        header_key=stream[MAC_LENGTH:_IV_AT],
        iv=stream[_IV_AT:_SPRP_KEY_AT],
        sprp_key=stream[_SPRP_KEY_AT:_SEED_AT],
        blinding_seed=stream[_SEED_AT:_LENGTH],
    )
