"""A local Loopix network: directory, mixes and providers in one process, for first steps, demonstrations and tests.

It stands on the client's own cores and implements none of them again; only the servers' own behaviour lives here.
"""

from kpclientd.loopix.simulator.counters import Counted, Counters, DropReason
from kpclientd.loopix.simulator.faults import DirectoryFault, Faults, ReplyFault
from kpclientd.loopix.simulator.network import LoopixNetwork
from kpclientd.loopix.simulator.presence import DirectoryVersion

__all__ = [
    "Counted",
    "Counters",
    "DirectoryFault",
    "DirectoryVersion",
    "DropReason",
    "Faults",
    "LoopixNetwork",
    "ReplyFault",
]
