"""What an application wants sent."""

from dataclasses import dataclass, field
from typing import NewType

from sphinx.types import NodeId, RecipientId, SurbId

AppId = NewType("AppId", bytes)
"""Names one application's session in this daemon (16 bytes)."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message to a service.

    Attributes:
        owner: the application; its replies go to it alone.
        message_id: the application's own name for it (16 bytes or None), only ever echoed.
        destination: the service node.
        recipient: the service's endpoint at that node (32 bytes, zero padded).
        payload: at most `user_forward_payload_length` bytes.
        with_surb: whether an answer is wanted.
        surb_id: the application's choice, or None where the engine chooses.
        reliable: retransmit until answered.
    """

    owner: AppId
    message_id: bytes | None
    destination: NodeId = field(repr=False)
    recipient: RecipientId = field(repr=False)
    payload: bytes = field(repr=False)
    with_surb: bool
    surb_id: SurbId | None = None
    reliable: bool = False
