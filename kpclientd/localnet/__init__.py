"""A whole mixnet in one process: for first steps, demonstrations and tests.

It stands on the real cores and implements none of them again; only the servers' own behaviour lives here.
"""

from kpclientd.localnet.counters import Counted, Counters, DropReason
from kpclientd.localnet.faults import DocumentFault, Faults
from kpclientd.localnet.files import Listen
from kpclientd.localnet.network import LocalNetwork

__all__ = ["Counted", "Counters", "DocumentFault", "DropReason", "Faults", "Listen", "LocalNetwork"]
