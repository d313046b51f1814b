"""What a storage replica does wrong on command; a table of the kind of `kpclientd.localnet.faults`."""

from dataclasses import dataclass, field

from kpclientd.localnet.arguments import ON_OFF, SECONDS
from kpclientd.localnet.faults import Switches, row


@dataclass
class ReplicaFaults(Switches):
    """The switches of one replica. Times are in seconds."""

    down: bool = field(default=False, metadata=row(ON_OFF, "it answers nobody, neither couriers nor other replicas"))
    unlisted: bool = field(
        default=False, metadata=row(ON_OFF, "documents from the next one on lack it; it is still configured")
    )
    stale_keys: bool = field(
        default=False, metadata=row(ON_OFF, "it has the envelope keys of weeks ago only: nothing opens")
    )
    garbage: bool = field(default=False, metadata=row(ON_OFF, "its sealed replies are random bytes"))
    full: bool = field(default=False, metadata=row(ON_OFF, "it has no room for further boxes"))
    slow: float = field(default=0.0, metadata=row(SECONDS, "a reply to a courier takes so much longer"))
