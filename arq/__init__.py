"""What is in flight, when to send it again, and when to give it up.

The floor between the packet core and the daemon: pure state machines. Time is a number handed in (monotonic
seconds), randomness an argument, and what happened comes back as events.
"""

from arq.engine import Engine, Policy, Statistics
from arq.entry import Entry, Kind, State
from arq.errors import ArqError, SurbIdInUse, TooManyInFlight
from arq.events import Answered, Collected, Due, Event, Exhausted
from arq.message import AppId, Message
from arq.timers import TimerQueue

__all__ = [
    "Answered",
    "AppId",
    "ArqError",
    "Collected",
    "Due",
    "Engine",
    "Entry",
    "Event",
    "Exhausted",
    "Kind",
    "Message",
    "Policy",
    "State",
    "Statistics",
    "SurbIdInUse",
    "TimerQueue",
    "TooManyInFlight",
]
