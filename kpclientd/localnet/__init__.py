"""A whole mixnet in one process: for first steps, demonstrations and tests.

It stands on the real cores and implements none of them again; only the servers' own behaviour lives here.
"""

from kpclientd.localnet.counters import Counters, DropReason, Event
from kpclientd.localnet.faults import DocumentFault, Faults
from kpclientd.localnet.files import Listen
from kpclientd.localnet.network import LocalNetwork

__all__ = ["Counters", "DocumentFault", "DropReason", "Event", "Faults", "Listen", "LocalNetwork"]
