"""What storage does wrong on command; tables of the kind of `kpclientd.localnet.faults`."""

from dataclasses import dataclass, field
from typing import Final

from kpclientd.localnet.arguments import OFF, ON_OFF, SECONDS, Argument, whole_number
from kpclientd.localnet.faults import Switches, row

_MOST_CODE: Final = 255
_MOST_WEEKS: Final = 1000


def _code(text: str) -> int | None:
    return None if text == OFF else whole_number(_MOST_CODE)(text)


CODE: Final = Argument(f"N|{OFF}", f"a code from 0 to {_MOST_CODE}, or {OFF}", _code)
WEEKS: Final = Argument(
    "[-]N", f"a number of weeks from -{_MOST_WEEKS} to {_MOST_WEEKS}", whole_number(_MOST_WEEKS, -_MOST_WEEKS)
)


@dataclass
class ReplicaFaults(Switches):
    """The switches of one replica. Times are in seconds."""

    down: bool = field(default=False, metadata=row(ON_OFF, "it answers nobody, neither couriers nor other replicas"))
    unlisted: bool = field(
        default=False, metadata=row(ON_OFF, "documents from the next one on lack it; it is still configured")
    )
    old_keys_listed: bool = field(
        default=False, metadata=row(ON_OFF, "documents from the next one on have its envelope key of last week only")
    )
    stale_keys: bool = field(
        default=False, metadata=row(ON_OFF, "it has the envelope keys of weeks ago only: nothing opens")
    )
    garbage: bool = field(default=False, metadata=row(ON_OFF, "its sealed replies are random bytes"))
    code: int | None = field(
        default=None,
        metadata=row(CODE, "it does nothing and answers every request with that code, sealed as it should be"),
    )
    full: bool = field(default=False, metadata=row(ON_OFF, "it has no room for further boxes"))
    slow: float = field(default=0.0, metadata=row(SECONDS, "a reply to a courier takes so much longer"))


@dataclass
class CourierFaults(Switches):
    """The switches of the courier, and of all storage."""

    silent: bool = field(default=False, metadata=row(ON_OFF, "it answers nothing"))
    code: int | None = field(
        default=None, metadata=row(CODE, "it answers every envelope with that courier code, and does nothing")
    )
    weeks_off: int = field(
        default=0,
        metadata=row(
            WEEKS,
            "courier and replicas believe that it is so many weeks later, or earlier: boxes expire, envelopes are "
            "refused for their replica epoch; documents follow the clock",
        ),
    )
