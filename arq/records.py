"""Operations as plain records: what must outlive the process, with wall-clock deadlines and no living objects.

Theory of operation. A reply finds its way by a queue that the gateway keeps for one connection, so no SURB that is out
when the process ends can ever be answered, and none is recorded: no SURB key goes to a disk. What remains of an
operation is what it is for, whose it is, and how far it has come, of which there are three steps: it waits, for it has
not left; it awaits its answer, and must be sent again; it has its answer. A message that is sent once has nothing to
wait for once it has left, so there is no record of it any more; what has its answer is recorded without its payload.

Deadlines are Unix seconds, as monotonic clocks do not outlive a process; `offset` is Unix time less monotonic time at
the moment of the conversion.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

from arq.errors import RecordError
from arq.operations import AppId, Kind, Message, Operation, State
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId

_RECORDED_AS: Final[Mapping[tuple[Kind, State], State]] = {
    (Kind.ONE_WAY, State.WAITING): State.WAITING,
    (Kind.ONE_WAY, State.LEAVING): State.WAITING,
    (Kind.PLAIN, State.WAITING): State.WAITING,
    (Kind.PLAIN, State.LEAVING): State.WAITING,
    (Kind.RELIABLE, State.WAITING): State.WAITING,
    (Kind.RELIABLE, State.LEAVING): State.WAITING,
    (Kind.RELIABLE, State.IN_FLIGHT): State.IN_FLIGHT,
    (Kind.RELIABLE, State.DUE): State.IN_FLIGHT,
    (Kind.RELIABLE, State.LEAVING_AGAIN): State.IN_FLIGHT,
    (Kind.RELIABLE, State.ANSWERED): State.ANSWERED,
    (Kind.POLLED, State.WAITING): State.WAITING,
    (Kind.POLLED, State.LEAVING): State.WAITING,
    (Kind.POLLED, State.IN_FLIGHT): State.IN_FLIGHT,
    (Kind.POLLED, State.DUE): State.IN_FLIGHT,
    (Kind.POLLED, State.LEAVING_AGAIN): State.IN_FLIGHT,
    (Kind.POLLED, State.JUDGED): State.IN_FLIGHT,
    (Kind.POLLED, State.PAUSED): State.IN_FLIGHT,
}
"""How far an operation has come. No write outlives its process: what is leaving waits, better sent twice than never."""


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One operation of an application.

    Attributes:
        number: counts operations in the order of their acceptance.
        kind: any but a decoy.
        state: waiting, in flight or answered.
        owner: the application's session.
        message: what to send; its owner is this record's.
        expires_at: Unix seconds at which it ends whatever happens; None while it waits.
        revision: counts the changes of its content within a process.
    """

    number: int
    kind: Kind
    state: State
    owner: AppId
    message: Message = field(repr=False)
    expires_at: float | None
    revision: int = 0

    @classmethod
    def of(cls, operation: Operation, offset: float) -> "OperationRecord | None":
        """Record `operation` as it is now; None if nothing of it must outlive the process."""
        state = _RECORDED_AS.get((operation.kind, operation.state))
        if state is None or operation.owner is None or operation.message is None:
            return None
        expires_at = operation.expires_at if state is not State.WAITING else None
        message = replace(operation.message, owner=operation.owner)  # it may have changed hands
        if state is State.ANSWERED:
            message = replace(message, payload=b"")
        return cls(
            operation.number,
            operation.kind,
            state,
            operation.owner,
            message,
            None if expires_at is None else expires_at + offset,
            operation.revision,
        )

    def operation(self, offset: float) -> Operation:
        """The operation, as it was recorded."""
        expires_at = None if self.expires_at is None else self.expires_at - offset
        return Operation(
            self.number,
            self.kind,
            self.owner,
            self.message,
            self.state,
            self.message.surb_id,
            transmissions=int(self.state is not State.WAITING),
            expires_at=expires_at,
        )

    def progress(self) -> dict[str, Any]:
        """What changes of the record while the operation lives, as a map of plain values, fit for CBOR."""
        return {"owner": self.owner, "state": self.state.value, "expires_at": self.expires_at}

    def content(self) -> dict[str, Any]:
        """What changes seldom, likewise: the payload goes with the answer; a polled message may change its context."""
        message = self.message
        return {
            "kind": self.kind.value,
            "message_id": message.message_id,
            "destination": message.destination,
            "recipient": message.recipient,
            "payload": message.payload,
            "surb_id": message.surb_id,
        } | ({"context": message.context} if message.context else {})

    @classmethod
    def from_plain(cls, number: int, content: Mapping[str, Any], progress: Mapping[str, Any]) -> "OperationRecord":
        """The record that `content` and `progress` made the maps of.

        Raises:
            RecordError: if the maps are none, or contradict themselves.
        """
        try:
            record = cls._from_plain(number, content, progress)
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise RecordError(f"a record of an operation is malformed: {type(error).__name__} {error}") from None
        record.check()
        return record

    @classmethod
    def _from_plain(cls, number: int, content: Mapping[str, Any], progress: Mapping[str, Any]) -> "OperationRecord":
        kind = Kind(content["kind"])
        owner = AppId(_octets(progress["owner"]))
        expires_at = progress["expires_at"]
        surb_id = content["surb_id"]
        message = Message(
            owner=owner,
            message_id=None if content["message_id"] is None else _octets(content["message_id"]),
            destination=NodeId(_octets(content["destination"])),
            recipient=RecipientId(_octets(content["recipient"])),
            payload=_octets(content["payload"]),
            with_surb=kind is not Kind.ONE_WAY,
            surb_id=None if surb_id is None else SurbId(_octets(surb_id)),
            reliable=kind is Kind.RELIABLE,
            polled=kind is Kind.POLLED,
            context=_octets(content.get("context", b"")),
        )
        return cls(
            int(number),
            kind,
            State(progress["state"]),
            owner,
            message,
            None if expires_at is None else float(expires_at),
        )

    def check(self) -> None:
        """See that the fields fit each other.

        Raises:
            RecordError: if they do not.
        """
        if (self.kind, self.state) not in _RECORDED_AS or _RECORDED_AS[self.kind, self.state] is not self.state:
            raise RecordError(f"a {self.kind.value} operation is not recorded as {self.state.value!r}")
        is_endless = self.kind is Kind.POLLED or self.state is State.WAITING
        if (self.expires_at is None) != is_endless or not math.isfinite(self.expires_at or 0.0):
            raise RecordError(f"an operation that is {self.state.value} ends at {self.expires_at}")
        lengths = (len(self.message.destination), len(self.message.recipient))
        if lengths != (NODE_ID_LENGTH, RECIPIENT_ID_LENGTH):
            raise RecordError(f"a destination of {lengths[0]} bytes with a recipient of {lengths[1]}")
        for name, value in (("SURB id", self.message.surb_id), ("message id", self.message.message_id)):
            if value is not None and len(value) != SURB_ID_LENGTH:
                raise RecordError(f"a {name} that is no {SURB_ID_LENGTH} bytes")


def _octets(value: object) -> bytes:
    if not isinstance(value, bytes):
        raise TypeError(f"bytes are needed, not a {type(value).__name__}")
    return value
