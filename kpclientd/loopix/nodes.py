"""How mixes, providers and clients are described to each other.

Source: the Nym 2019 Loopix client, "protobuf messages" and "encodings and keys".
"""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Final

from kpclientd.addresses import MAX_PORT, AddressError, split_host_port
from kpclientd.loopix.errors import LoopixError, PacketError
from kpclientd.loopix.messages_pb2 import ClientConfig as ClientMessage
from kpclientd.loopix.messages_pb2 import MixConfig as MixMessage
from kpclientd.loopix.protobuf import decode

KEY_LENGTH: Final = 32
PROVIDER_LAYER: Final = 1_000_000
"""The layer that providers are given, beyond all mixes."""

UNUSED_HOST: Final = "0.0.0.0"
UNUSED_PORT: Final = "42"
"""The address of every client in a topology; nothing listens there."""

MAX_LAYER: Final = 2**64 - 1


@dataclass(frozen=True, slots=True)
class MixConfig:
    """A mix or a provider.

    Attributes:
        id: a mix's key in base64url; a provider's `host:port`.
        host: name or address, IPv6 without brackets.
        port: decimal.
        public_key: 32 bytes X25519.
        layer: 1 to 3, or `PROVIDER_LAYER`.
    """

    id: str = ""
    host: str = ""
    port: str = ""
    public_key: bytes = b""
    layer: int = 0

    @property
    def address(self) -> str:
        """Where packets say the node is: IPv6 addresses stand without brackets, as the reference has it."""
        return f"{self.host}:{self.port}"

    def message(self) -> MixMessage:
        """The same in protobuf."""
        return MixMessage(Id=self.id, Host=self.host, Port=self.port, PubKey=self.public_key, Layer=self.layer)

    @classmethod
    def from_message(cls, message: MixMessage) -> "MixConfig":
        """Read from protobuf; nothing is checked."""
        return cls(message.Id, message.Host, message.Port, message.PubKey, message.Layer)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """A client: its inbox's name and the provider that keeps the inbox.

    Attributes:
        id: its key in base64url.
        host: of no use; empty, or `UNUSED_HOST` in topologies.
        port: of no use; empty, or `UNUSED_PORT` in topologies.
        public_key: 32 bytes X25519, or empty where the id suffices.
        provider: None where it was not given.
    """

    id: str = ""
    host: str = ""
    port: str = ""
    public_key: bytes = b""
    provider: MixConfig | None = None

    @property
    def address(self) -> str:
        """What the last hop of a packet is told; `:` for a client that described itself."""
        return f"{self.host}:{self.port}"

    def message(self) -> ClientMessage:
        """The same in protobuf."""
        provider = self.provider.message() if self.provider is not None else None
        return ClientMessage(Id=self.id, Host=self.host, Port=self.port, PubKey=self.public_key, Provider=provider)

    @classmethod
    def from_message(cls, message: ClientMessage) -> "ClientConfig":
        """Read from protobuf; nothing is checked."""
        provider = MixConfig.from_message(message.Provider) if message.HasField("Provider") else None
        return cls(message.Id, message.Host, message.Port, message.PubKey, provider)

    def encode(self) -> bytes:
        """The marshalled form, as a registration carries it."""
        return self.message().SerializeToString()

    @classmethod
    def decode(cls, data: bytes) -> "ClientConfig":
        """Read what `encode` wrote; nothing but its form is checked.

        Raises:
            PacketError: if the bytes are no client's description.
        """
        return cls.from_message(decode(ClientMessage, data, PacketError))


def key_text(public_key: bytes) -> str:
    """The id that belongs to a public key: base64 of the URL alphabet, with padding."""
    return base64.urlsafe_b64encode(public_key).decode("ascii")


def parse_key(text: str) -> bytes:
    """Return the public key (32 bytes) whose id `text` is.

    Raises:
        LoopixError: if it is not base64url with padding, not 32 bytes long, or all zero.
    """
    try:
        # Translating first makes the other alphabet's two characters invalid; the decoder is strict about the rest.
        key = base64.b64decode(text.translate(_FROM_URL_ALPHABET), validate=True)
    except (binascii.Error, ValueError):
        raise LoopixError(f"a key of {len(text)} characters is not base64url with padding") from None
    if len(key) != KEY_LENGTH:
        raise LoopixError(f"a key has {len(key)} bytes, expected {KEY_LENGTH}")
    if not any(key):
        raise LoopixError("a key is all zero")
    return key


def split_host(text: str) -> tuple[str, str]:
    """Return host and port of `host:port`; an IPv6 address stands in brackets, which are removed.

    Raises:
        LoopixError: if it has another form, or the port is not one of 1 to 65535.
    """
    try:
        host, number = split_host_port(text)
    except AddressError:
        host, number = "", 0
    if not (_HOST.fullmatch(host) and number):
        raise LoopixError(
            f"an address of {len(text)} characters is not host:port or [IPv6]:port with a port of 1 to {MAX_PORT}"
        )
    return host, text.rpartition(":")[2]


_HOST: Final = re.compile(r"[!-Z\\^-~]+")
"""Visible ASCII without brackets: whatever else a stranger writes here would end up in packets and log lines."""

_FROM_URL_ALPHABET: Final = str.maketrans("-_+/", "+/!!")
