"""The key pair of a client, and the two files that hold it.

The private key only makes the id: nothing is ever decrypted with it. Source: the Nym 2019 Loopix client, "encodings
and keys" and "PEM".
"""

import hmac
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from kpclientd.loopix.errors import KeyFileError
from kpclientd.loopix.nodes import KEY_LENGTH, key_text
from pki.pem import encode_block, find_block
from sphinx.crypto.nike import X25519
from sphinx.randomness import Randomness

PRIVATE_KEY_TYPE: Final = "SPHINX CURVE25519 PRIVATE KEY"
PUBLIC_KEY_TYPE: Final = "SPHINX CURVE25519 PUBLIC KEY"

KEY_FILE_MODE: Final = 0o600
MAX_KEY_FILE: Final = 64 * 1024
"""Longest key file to read (bytes); one that was written here has some 130."""

_LONGEST_TYPE: Final = 80
"""Characters of a wrong type that an error shows."""

_X25519: Final = X25519()


@dataclass(frozen=True, slots=True)
class Identity:
    """A key pair.

    Attributes:
        private_key: 32 bytes, unclamped.
        public_key: 32 bytes.
    """

    private_key: bytes = field(repr=False)
    public_key: bytes

    @property
    def client_id(self) -> str:
        """The public key in base64url."""
        return client_id(self.public_key)


def generate(randomness: Randomness) -> Identity:
    """Make a new key pair."""
    return _identity(randomness.bytes(KEY_LENGTH))


def client_id(public_key: bytes) -> str:
    """The id of the client with this key: base64 of the URL alphabet, with padding."""
    return key_text(public_key)


def decode_key(key_type: str, text: str) -> bytes:
    """Return the key (32 bytes) in a PEM text; what stands before the block is ignored, as in the reference.

    Raises:
        KeyFileError: if there is no block, something follows it, it is of another type, or it holds no key.
    """
    block = find_block(text)
    if block is None or block.label != block.end_label:
        raise KeyFileError(f"no PEM block; expected one of type '{key_type}'")
    if text[block.end :] not in ("", "\n"):
        raise KeyFileError("trailing garbage after PEM encoded key")
    if block.label != key_type:
        raise KeyFileError(f"invalid PEM Type: '{block.label[:_LONGEST_TYPE]}'; expected '{key_type}'")
    try:
        key = block.raw()
    except ValueError:
        raise KeyFileError("failed to read key from PEM file: damaged base64") from None
    if len(key) != KEY_LENGTH:
        raise KeyFileError(f"failed to read key from PEM file: {len(key)} bytes, expected {KEY_LENGTH}")
    return key


def load_identity(private_path: Path, public_path: Path) -> Identity:
    """Read a key pair.

    Raises:
        KeyFileError: if a file cannot be read or holds no key of its kind, or the two are not of one pair.
    """
    identity = _identity(_read(private_path, PRIVATE_KEY_TYPE))
    if not hmac.compare_digest(identity.public_key, _read(public_path, PUBLIC_KEY_TYPE)):
        raise KeyFileError(f"{public_path} is not the public key of {private_path}")
    return identity


def save_key(path: Path, key_type: str, key: bytes, *, overwrite: bool = False) -> None:
    """Write one key, readable by its owner alone.

    Raises:
        KeyFileError: if the file exists and may not be overwritten, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        with os.fdopen(os.open(path, flags, KEY_FILE_MODE), "w", encoding="ascii") as file:
            os.fchmod(file.fileno(), KEY_FILE_MODE)  # it may have existed with another
            file.write(encode_block(key_type, key))
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be written: {error.strerror}") from error


def _identity(private_key: bytes) -> Identity:
    return Identity(private_key, _X25519.public_key(private_key))


def _read(path: Path, key_type: str) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_KEY_FILE + 1)
    except OSError as error:
        raise KeyFileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > MAX_KEY_FILE:
        raise KeyFileError(f"{path}: is longer than {MAX_KEY_FILE} bytes, so it is no key")
    try:
        return decode_key(key_type, content.decode("ascii", "replace"))
    except KeyFileError as fault:
        raise KeyFileError(f"{path}: {fault}") from None
