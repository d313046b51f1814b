"""The proxy between this machine and the gateways, as a configuration names it."""

from dataclasses import dataclass, field
from typing import Final

NO_PROXY: Final = "none"
SOCKS5: Final = "socks5"
TOR: Final = "tor+socks5"


@dataclass(frozen=True, slots=True)
class UpstreamProxy:
    """The way to the gateways.

    Attributes:
        type: `NO_PROXY` for a direct one, `SOCKS5` or `TOR`.
        network: "tcp" or "unix", in lower case.
        address: `IP:port`, or the path of a socket.
        user, password: for a proxy that wants them; both or neither, and neither for Tor.
    """

    type: str = NO_PROXY
    network: str = ""
    address: str = ""
    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def is_used(self) -> bool:
        """Whether there is a proxy, which nothing may go around."""
        return self.type != NO_PROXY

    @property
    def is_tor(self) -> bool:
        """Whether the proxy knows onion names, and keeps the streams of different users apart."""
        return self.type == TOR
