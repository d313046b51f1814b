"""The client's half of SOCKS5 (RFC 1928) with user and password (RFC 1929), without I/O.

                  2 bytes              2 bytes                      5 bytes              the rest
    start --> METHOD --anonymous--------------------> REPLY_HEAD --granted--> REPLY_REST ---------> OPEN
                |                                        ^  |
                +--user and password--> AUTHENTICATION --+  +--anything else, at any time: SocksError
                                            granted

`wanted` says how many bytes the next step lacks. Whoever reads no more than that leaves everything that follows the
proxy's answer to the stream behind it, and keeps nothing of a hostile proxy's but one answer of 262 bytes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final

from kpclientd.addresses import ip_literal
from kpclientd.transports.errors import DialError

VERSION: Final = 5
AUTHENTICATION_VERSION: Final = 1
ANONYMOUS: Final = 0
USER_AND_PASSWORD: Final = 2
NO_ACCEPTABLE_METHOD: Final = 0xFF
CONNECT: Final = 1
IPV4: Final = 1
NAME: Final = 3
IPV6: Final = 4
GRANTED: Final = 0
GENERAL_FAILURE: Final = 1
REFUSED: Final = 5

LONGEST_FIELD: Final = 255
"""Bytes of a user, a password or a name: each has one byte of length."""

_HEAD_LENGTH: Final = 5
_PORT_LENGTH: Final = 2
_METHOD_LENGTH: Final = 2
_REST_LENGTHS: Final[Mapping[int, int]] = {IPV4: 3 + _PORT_LENGTH, IPV6: 15 + _PORT_LENGTH}
"""Of an answer, what follows its head, whose last byte is the address's first; that of a name is its length."""

REPLIES: Final[Mapping[int, str]] = {
    GENERAL_FAILURE: "general failure, as Tor says where nobody listens",
    2: "not allowed by its rules",
    3: "network unreachable",
    4: "host unreachable",
    REFUSED: "connection refused",
    6: "TTL expired",
    7: "command not supported",
    8: "address type not supported",
    # Tor's own, for onion services (proposal 304).
    0xF0: "the onion service's descriptor was not found",
    0xF1: "the onion service's descriptor is invalid",
    0xF2: "the onion service could not be introduced to",
    0xF3: "no rendezvous with the onion service",
    0xF4: "the onion service wants a client's authorization",
    0xF5: "the onion service refused the client's authorization",
    0xF6: "the onion address is invalid",
    0xF7: "the introduction to the onion service timed out",
}
"""What a proxy says of a request that it did not grant."""


class SocksError(DialError):
    """The proxy did not open the stream, or does not speak SOCKS5."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """User and password for a proxy, at most 255 bytes each."""

    user: bytes = field(repr=False)
    password: bytes = field(repr=False)


class _State(Enum):
    METHOD = auto()
    AUTHENTICATION = auto()
    REPLY_HEAD = auto()
    REPLY_REST = auto()
    OPEN = auto()


class Socks5Client:
    """Asks a proxy for one stream.

    Args:
        host: a literal, or a name in ASCII of at most 255 characters; the proxy resolves it.
        port: above 0.
        credentials: shown where the proxy asks for them; None for none.
        is_anonymous_allowed: whether the proxy may go without the credentials. Not where they keep streams apart.
    """

    def __init__(
        self, host: str, port: int, credentials: Credentials | None = None, *, is_anonymous_allowed: bool = True
    ) -> None:
        self._request = bytes([VERSION, CONNECT, 0]) + _address(host) + port.to_bytes(_PORT_LENGTH)
        self._credentials = credentials
        self._methods = bytes([ANONYMOUS]) if credentials is None or is_anonymous_allowed else b""
        if credentials is not None:
            self._methods += bytes([USER_AND_PASSWORD])
        self._state = _State.METHOD
        self._received = b""
        self._length = _METHOD_LENGTH

    @property
    def wanted(self) -> int:
        """How many bytes the next step lacks; 0 once the stream is open."""
        return self._length - len(self._received)

    @property
    def is_open(self) -> bool:
        """Whether the proxy has granted the request, so that all further bytes are the stream's."""
        return self._state is _State.OPEN

    @property
    def has_asked(self) -> bool:
        """Whether the proxy has the request for the stream."""
        return self._state in (_State.REPLY_HEAD, _State.REPLY_REST, _State.OPEN)

    def start(self) -> bytes:
        """What to send first."""
        return bytes([VERSION, len(self._methods)]) + self._methods

    def receive(self, data: bytes) -> bytes:
        """Take at most `wanted` bytes from the proxy, and return what to send.

        Raises:
            SocksError: it refuses, or breaks the protocol; nothing may be received after that.
        """
        if len(data) > self.wanted:
            raise SocksError("the proxy sent more than was asked of it")
        self._received += data
        if self.wanted or self.is_open:
            return b""
        received, self._received = self._received, b""
        match self._state:
            case _State.METHOD:
                return self._take_method(received)
            case _State.AUTHENTICATION:
                return self._take_authentication(received)
            case _State.REPLY_HEAD:
                self._take_head(received)
            case _:
                self._enter(_State.OPEN, 0)
        return b""

    def _take_method(self, received: bytes) -> bytes:
        version, method = received
        if version != VERSION:
            raise SocksError("the proxy does not speak SOCKS5")
        if method == NO_ACCEPTABLE_METHOD:
            wants = "other credentials" if self._credentials else "credentials, and the configuration has none"
            raise SocksError(f"the proxy wants {wants}")
        if method not in self._methods:
            raise SocksError("the proxy chose an authentication that was not offered")
        if method == ANONYMOUS:
            return self._ask()
        assert self._credentials is not None
        self._enter(_State.AUTHENTICATION, _METHOD_LENGTH)
        user, password = self._credentials.user, self._credentials.password
        return bytes([AUTHENTICATION_VERSION, len(user)]) + user + bytes([len(password)]) + password

    def _take_authentication(self, received: bytes) -> bytes:
        version, status = received
        if version != AUTHENTICATION_VERSION:
            raise SocksError("the proxy's answer to the credentials is malformed")
        if status != GRANTED:
            raise SocksError("the proxy did not accept the credentials")
        return self._ask()

    def _ask(self) -> bytes:
        self._enter(_State.REPLY_HEAD, _HEAD_LENGTH)
        return self._request

    def _take_head(self, received: bytes) -> None:
        version, reply, reserved, kind, first = received
        if version != VERSION or reserved:
            raise SocksError("the proxy's answer is malformed")
        if reply != GRANTED:
            text = REPLIES.get(reply, f"failure {reply}")
            raise SocksError(f"the proxy says: {text}", is_refused=reply in (REFUSED, GENERAL_FAILURE))
        rest = first + _PORT_LENGTH if kind == NAME else _REST_LENGTHS.get(kind)
        if rest is None:
            raise SocksError("the proxy's answer has an address of an unknown kind")
        self._enter(_State.REPLY_REST, rest)

    def _enter(self, state: _State, length: int) -> None:
        self._state, self._length = state, length


def _address(host: str) -> bytes:
    literal = ip_literal(host)
    if literal is not None:
        return bytes([IPV4 if literal.version == 4 else IPV6]) + literal.packed
    name = host.encode("ascii")
    return bytes([NAME, len(name)]) + name
