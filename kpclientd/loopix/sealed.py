"""Sealed boxes: messages that the recipient alone can read, between two clients of this project.

The network itself encrypts nothing from end to end, and checks no payload. A box hides and protects what it holds, not
who wrote it, and it costs 48 bytes of a packet. Source: libsodium's `crypto_box_seal`; the Nym 2019 Loopix client,
"weaknesses", "optional hardening".
"""

from typing import Final

from nacl.exceptions import CryptoError
from nacl.public import PrivateKey, PublicKey, SealedBox

from kpclientd.loopix.errors import SealedBoxError, UnknownRecipient
from kpclientd.loopix.identity import Identity
from kpclientd.loopix.nodes import KEY_LENGTH, ClientConfig

BOX_OVERHEAD: Final = 48
"""Bytes by which a box is longer than its message."""


def seal(message: bytes, recipient: ClientConfig) -> bytes:
    """Return the box of a message, to be sent in its place.

    Raises:
        UnknownRecipient: if the recipient's public key is not given, or is of no use.
    """
    if len(recipient.public_key) != KEY_LENGTH:
        raise UnknownRecipient(f"a key of {len(recipient.public_key)} bytes cannot seal, expected {KEY_LENGTH}")
    try:
        return bytes(SealedBox(PublicKey(recipient.public_key)).encrypt(message))
    except CryptoError:
        raise UnknownRecipient("the recipient's key is no point that can seal") from None


def open_box(identity: Identity, box: bytes) -> bytes:
    """Return the message that a box holds.

    Raises:
        SealedBoxError: if it is no box for this key pair, or was changed on its way.
    """
    if len(box) < BOX_OVERHEAD:
        raise SealedBoxError(f"{len(box)} bytes are no sealed box: it has at least {BOX_OVERHEAD}")
    try:
        return bytes(SealedBox(PrivateKey(identity.private_key)).decrypt(box))
    except CryptoError:
        raise SealedBoxError(f"{len(box)} bytes are no sealed box for this client") from None
