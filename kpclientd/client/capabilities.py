"""What a stream of boxes is written or read with, from a certain box on: bytes that the daemon understands.

A capability is a key and a place. Who is given one reads, or writes, that box and all after it, and none before. Its
text is a word, a dash, and base64url of its bytes and four more that tell a damaged text.

Source: Katzenpost Pigeonhole, 'BACAP', for the lengths and where the number stands.
"""

import binascii
import hashlib
import re
from base64 import b64decode, urlsafe_b64encode
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

from kpclientd.client.errors import CapabilityTextError

INDEX_LENGTH: Final = 104
PUBLIC_LENGTH: Final = 32
READ_LENGTH: Final = PUBLIC_LENGTH + INDEX_LENGTH
WRITE_LENGTH: Final = 64 + INDEX_LENGTH

_NUMBER_LENGTH: Final = 8
_CHECK_LENGTH: Final = 4
_LONGEST_TEXT: Final = 512
_TEXT: Final = re.compile(r"([a-z]{1,8})-([A-Za-z0-9_-]+)")


@dataclass(frozen=True, slots=True)
class _Capability:
    """A secret: neither shown nor logged by itself.

    Attributes:
        secret: the bytes that the daemon takes.
    """

    WORD: ClassVar[str]
    LENGTH: ClassVar[int]

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != self.LENGTH:
            raise CapabilityTextError(
                f"a capability to {self.WORD} has {self.LENGTH} bytes, and this has {len(self.secret)}"
            )

    @property
    def index(self) -> bytes:
        """The place: what the daemon calls a message box index (104 bytes). A secret, too."""
        return self.secret[-INDEX_LENGTH:]

    @property
    def number(self) -> int:
        """Of the box at which it begins. Streams begin anywhere; the next box has the next number."""
        return int.from_bytes(self.index[:_NUMBER_LENGTH], "little")

    def at(self, index: bytes) -> Self:
        """The same for another place of the stream (104 bytes)."""
        return type(self)(self.secret[:-INDEX_LENGTH] + index)

    def text(self) -> str:
        """In one word, to be given to somebody by a way that nobody listens on."""
        encoded = urlsafe_b64encode(self.secret + self._check(self.secret)).decode().rstrip("=")
        return f"{self.WORD}-{encoded}"

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `text()` made that text of; spaces around it do not matter.

        Raises:
            CapabilityTextError: it is no capability, damaged, or one of the other kind.
        """
        found = _TEXT.fullmatch(text.strip()) if len(text) <= _LONGEST_TEXT else None
        if found is None:
            raise CapabilityTextError(f"this is no capability: one begins with {cls.WORD}- and is a single word")
        word, encoded = found.groups()
        if word != cls.WORD:
            raise CapabilityTextError(f"this is a text that begins with {word}-, where one to {cls.WORD} is needed")
        try:
            data = b64decode(encoded + "=" * (-len(encoded) % 4), b"-_", validate=True)
        except binascii.Error:
            data = b""
        secret, check = data[:-_CHECK_LENGTH], data[-_CHECK_LENGTH:]
        if len(secret) != cls.LENGTH or check != cls._check(secret) or cls(secret).text() != f"{word}-{encoded}":
            raise CapabilityTextError(f"a capability to {cls.WORD} is damaged: a part is missing, or mistyped")
        return cls(secret)

    @classmethod
    def _check(cls, secret: bytes) -> bytes:
        return hashlib.blake2b(secret, digest_size=_CHECK_LENGTH, person=cls.WORD.encode()).digest()


@dataclass(frozen=True, slots=True)
class ReadCapability(_Capability):
    """Reads a stream from a box on (136 bytes)."""

    WORD: ClassVar[str] = "read"
    LENGTH: ClassVar[int] = READ_LENGTH


@dataclass(frozen=True, slots=True)
class WriteCapability(_Capability):
    """Writes, deletes and reads a stream from a box on (168 bytes)."""

    WORD: ClassVar[str] = "write"
    LENGTH: ClassVar[int] = WRITE_LENGTH

    @property
    def reader(self) -> ReadCapability:
        """What reads the stream from the same box on: for whoever it is written to."""
        return ReadCapability(self.secret[PUBLIC_LENGTH:])
