# Part of kpclientd.
"""What is in flight, when to send it again, and when to give it up.

The layer between the packet core and the daemon: state machines without I/O. Time is a number handed in (monotonic
seconds), randomness an argument, and what happened comes back as one stream of events.
"""

from arq.engine import (
    Collected,
    Engine,
    Event,
    GaveUp,
    MessageRefused,
    MessageSent,
    PollFailed,
    ReplyDrop,
    ReplyReceived,
    ReplyToJudge,
    SlotWanted,
)
from arq.errors import ArqError, RecordError, SurbIdInUse, TooManyInFlight, TooMuchHeld
from arq.histogram import DOUBLING_SECONDS, Distribution, Histogram
from arq.operations import UNNAMED, AppId, Input, Kind, Message, Operation, Policy, RouteNames, State
from arq.records import OperationRecord
from arq.surbs import Surb, SurbEnd, SurbTable
from arq.timers import TimerQueue

__all__ = [
    "DOUBLING_SECONDS",
    "UNNAMED",
    "AppId",
    "ArqError",
    "Collected",
    "Distribution",
    "Engine",
    "Event",
    "GaveUp",
    "Histogram",
    "Input",
    "Kind",
    "Message",
    "MessageRefused",
    "MessageSent",
    "Operation",
    "OperationRecord",
    "Policy",
    "PollFailed",
    "RecordError",
    "ReplyDrop",
    "ReplyReceived",
    "ReplyToJudge",
    "RouteNames",
    "SlotWanted",
    "State",
    "Surb",
    "SurbEnd",
    "SurbIdInUse",
    "SurbTable",
    "TimerQueue",
    "TooManyInFlight",
    "TooMuchHeld",
]
