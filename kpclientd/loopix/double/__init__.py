"""A local Loopix network: directory, mixes and providers in one process, for first steps, demonstrations and tests.

It stands on the client's own cores and implements none of them again; only the servers' own behaviour lives here.
"""

from kpclientd.loopix.double.counters import Counters, DropReason, Event
from kpclientd.loopix.double.faults import DirectoryFault, Faults, ReplyFault
from kpclientd.loopix.double.network import LoopixNetwork
from kpclientd.loopix.double.presence import DirectoryVersion

__all__ = [
    "Counters",
    "DirectoryFault",
    "DirectoryVersion",
    "DropReason",
    "Event",
    "Faults",
    "LoopixNetwork",
    "ReplyFault",
]
