"""A whole mixnet in one process: for first steps, demonstrations and tests.

It stands on the real cores and implements none of them again; only the servers' own behaviour lives here.
"""

from kpclientd.localnet.counters import Counted, Counters, DropReason
from kpclientd.localnet.faults import Direction, DocumentFault, Faults, GatewayFaults
from kpclientd.localnet.files import Listen
from kpclientd.localnet.gateway import Gateway
from kpclientd.localnet.network import LocalNetwork

__all__ = [
    "Counted",
    "Counters",
    "Direction",
    "DocumentFault",
    "DropReason",
    "Faults",
    "Gateway",
    "GatewayFaults",
    "Listen",
    "LocalNetwork",
]
