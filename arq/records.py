"""Operations as plain records: what must outlive the process, with wall-clock deadlines and no living objects.

A record is frozen data of numbers, texts and bytes. Deadlines are Unix seconds, as monotonic clocks do not outlive a
process; `offset` is Unix time less monotonic time at the moment of the conversion.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from arq.errors import RecordError
from arq.operations import TRANSITIONS, AppId, Kind, Message, Operation, State
from sphinx.types import NODE_ID_LENGTH, RECIPIENT_ID_LENGTH, SURB_ID_LENGTH, NodeId, RecipientId, SurbId


@dataclass(frozen=True, slots=True)
class SurbRecord:
    """A SURB that is out: id (16 bytes), keys, and Unix seconds until which its reply is waited for."""

    surb_id: SurbId
    keys: bytes = field(repr=False)
    lapses_at: float


@dataclass(frozen=True, slots=True)
class OperationRecord:
    """One operation; the fields are those of `Operation`, with `retry_at` and `expires_at` in Unix seconds."""

    number: int
    kind: Kind
    state: State
    owner: AppId | None
    message: Message | None = field(repr=False)
    surb_id: SurbId | None
    transmissions: int
    eta: float
    retry_at: float | None
    expires_at: float | None
    surb: SurbRecord | None

    @classmethod
    def of(cls, operation: Operation, surb: SurbRecord | None, offset: float) -> "OperationRecord":
        """Record `operation` as it is now."""
        return cls(
            operation.number,
            operation.kind,
            operation.state,
            operation.owner,
            operation.message,
            operation.surb_id,
            operation.transmissions,
            operation.eta,
            _moved(operation.retry_at, offset),
            _moved(operation.expires_at, offset),
            surb,
        )

    def operation(self, offset: float) -> Operation:
        """The operation, as it was recorded."""
        return Operation(
            self.number,
            self.kind,
            self.owner,
            self.message,
            self.state,
            self.surb_id,
            self.transmissions,
            self.eta,
            _moved(self.retry_at, -offset),
            _moved(self.expires_at, -offset),
        )

    def to_plain(self) -> dict[str, Any]:
        """The record as a map of plain values, fit for CBOR."""
        message = self.message
        return {
            "number": self.number,
            "kind": self.kind.value,
            "state": self.state.value,
            "owner": self.owner,
            "message": None
            if message is None
            else {
                "owner": message.owner,
                "message_id": message.message_id,
                "destination": message.destination,
                "recipient": message.recipient,
                "payload": message.payload,
                "surb_id": message.surb_id,
            },
            "surb_id": self.surb_id,
            "transmissions": self.transmissions,
            "eta": self.eta,
            "retry_at": self.retry_at,
            "expires_at": self.expires_at,
            "surb": None
            if self.surb is None
            else {"surb_id": self.surb.surb_id, "keys": self.surb.keys, "lapses_at": self.surb.lapses_at},
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> "OperationRecord":
        """The record that `to_plain` made the map of.

        Raises:
            RecordError: if the map is none, or contradicts itself.
        """
        try:
            record = cls._from_plain(plain)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(f"a record of an operation is malformed: {type(error).__name__} {error}") from None
        record.check()
        return record

    @classmethod
    def _from_plain(cls, plain: Mapping[str, Any]) -> "OperationRecord":
        kind, body, surb = Kind(plain["kind"]), plain["message"], plain["surb"]
        message = None
        if body is not None:
            message = Message(
                owner=AppId(body["owner"]),
                message_id=body["message_id"],
                destination=NodeId(body["destination"]),
                recipient=RecipientId(body["recipient"]),
                payload=body["payload"],
                with_surb=kind is not Kind.ONE_WAY,
                surb_id=body["surb_id"],
                reliable=kind is Kind.RELIABLE,
            )
        return cls(
            int(plain["number"]),
            kind,
            State(plain["state"]),
            plain["owner"],
            message,
            plain["surb_id"],
            int(plain["transmissions"]),
            float(plain["eta"]),
            plain["retry_at"],
            plain["expires_at"],
            None if surb is None else SurbRecord(surb["surb_id"], surb["keys"], float(surb["lapses_at"])),
        )

    def check(self) -> None:
        """See that the fields fit each other.

        Raises:
            RecordError: if they do not.
        """
        states = {state for state, _ in TRANSITIONS[self.kind]}
        if self.state not in states:
            raise RecordError(f"a {self.kind.value} operation cannot be {self.state.value!r}")
        if (self.kind is Kind.DECOY) != (self.message is None) or (self.owner is None) != (self.message is None):
            raise RecordError(f"a {self.kind.value} operation has no owner or no message where it needs one")
        if self.message is not None:
            lengths = (len(self.message.destination), len(self.message.recipient))
            if lengths != (NODE_ID_LENGTH, RECIPIENT_ID_LENGTH):
                raise RecordError(f"a destination of {lengths[0]} bytes with a recipient of {lengths[1]}")
        for surb_id in (self.surb_id, self.surb.surb_id if self.surb is not None else None):
            if surb_id is not None and len(surb_id) != SURB_ID_LENGTH:
                raise RecordError(f"a SURB id of {len(surb_id)} bytes")


def _moved(when: float | None, by: float) -> float | None:
    return None if when is None else when + by
