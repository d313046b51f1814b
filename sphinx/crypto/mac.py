"""The header's MAC and the packet's replay tag."""

import hashlib
import hmac


def header_mac(key: bytes, *parts: bytes) -> bytes:
    """Return HMAC-SHA-256 (32 bytes) of the concatenated parts."""
    return hmac.digest(key, b"".join(parts), "sha256")


def constant_time_equal(left: bytes, right: bytes) -> bool:
    """Compare in time that depends on nothing but the lengths."""
    return hmac.compare_digest(left, right)


def replay_tag(element: bytes) -> bytes:
    """Return SHA-512/256 (32 bytes) of a packet's group element or KEM ciphertext, as received."""
    return hashlib.new("sha512_256", element).digest()
