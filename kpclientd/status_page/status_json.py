"""The daemon's state in JSON, as the page reads it."""

import msgspec

from kpclientd.status import DaemonStatus, as_map


def status_json(status: DaemonStatus) -> bytes:
    """All that `DaemonStatus` says, by the names of its attributes.

    Where a packet was a message's or a decoy's is told by sums since the start alone: what is told by time, in
    `traffic.departures`, knows no difference.
    """
    return msgspec.json.encode(as_map(status))
