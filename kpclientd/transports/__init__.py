r"""The ways to a gateway: which there are, and how each is dialled. docs/transports.md tells the whole.

    dialler --> race, targets --> registry --> tcp, quic --> quic_session
        \--> proxy --> socks5, isolation

Reading a configuration needs only the names below; what opens sockets is in `kpclientd.transports.dialler`.
"""

from kpclientd.transports.errors import DialError
from kpclientd.transports.registry import DIALLED_SCHEMES, PEER_SCHEMES, TCP_NETWORKS, TRANSPORTS, Transport
from kpclientd.transports.targets import Target, dialled_schemes, target_of
from kpclientd.transports.upstream import UpstreamProxy

__all__ = [
    "DIALLED_SCHEMES",
    "PEER_SCHEMES",
    "TCP_NETWORKS",
    "TRANSPORTS",
    "DialError",
    "Target",
    "Transport",
    "UpstreamProxy",
    "dialled_schemes",
    "target_of",
]
