"""What is kept in mind of what was written to whom, for the daemon that comes after this one.

An application that comes back to it, and is still the same process, has read all that was written to it; any other has
read what is known to be read. Who keeps that, and where, is `kpclientd.state`'s.
"""

from dataclasses import dataclass
from typing import Protocol

from arq import AppId


@dataclass(frozen=True, slots=True)
class PeerProcess:
    """An application's process: its id, and its start in clock ticks since the machine's, for ids are used again."""

    process: int
    started: int


class WrittenMarks(Protocol):
    """Keeps in mind what was written to whom, for a process that comes after this one."""

    def connected(self, app_id: AppId, peer: PeerProcess | None) -> None:
        """The application has another connection, to which no answer was written, or none."""

    def written(self, app_id: AppId, number: int) -> None:
        """The answers up to that number were written to its connection."""

    def read(self, app_id: AppId, number: int) -> None:
        """The answers up to that number were read from it."""

    def forget(self, app_id: AppId) -> None:
        """The application is gone for good."""


class NoMarks:
    """Where nothing outlives the process."""

    def connected(self, app_id: AppId, peer: PeerProcess | None) -> None:
        """Nothing to do."""

    def written(self, app_id: AppId, number: int) -> None:
        """Nothing to do."""

    def read(self, app_id: AppId, number: int) -> None:
        """Nothing to do."""

    def forget(self, app_id: AppId) -> None:
        """Nothing to do."""


@dataclass(frozen=True, slots=True)
class HandedOver:
    """What an earlier daemon told an application: the answers up to one number were written, up to another one read.

    Whoever wrote to a process that is still the same knows that it has read all of it; `peer` is None if that is not
    known.
    """

    peer: PeerProcess | None
    written: int
    read: int = 0
