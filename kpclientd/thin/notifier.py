"""Where what the engine tells becomes events for applications, and entries of their queues.

The engine has one ordered stream of events; `pump` empties it, and is called by whoever did something to the engine.
"""

from collections.abc import Callable
from typing import Protocol

from arq import (
    UNNAMED,
    AppId,
    Collected,
    Engine,
    Event,
    GaveUp,
    MessageRefused,
    MessageSent,
    Operation,
    PollFailed,
    ReplyReceived,
    ReplyToJudge,
    SlotWanted,
)
from kpclientd.thin import events
from kpclientd.thin.sessions import Sessions
from kpclientd.traffic.queues import FairQueues


class Polls(Protocol):
    """What knows the meaning of the replies to polled messages."""

    def judge(self, event: ReplyToJudge) -> None:
        """One was answered."""

    def failed(self, event: PollFailed) -> None:
        """One could not be sent, and has ended."""


class Notifier:
    """Hands on what the engine tells.

    Args:
        engine: tells it.
        sessions: who is who.
        queues: where operations wait for a slot.
        network_time: the present, in Unix seconds.
        polls: judges the replies to polled messages.
        tell_routes: whether applications are told which nodes a message passes.
    """

    def __init__(
        self,
        engine: Engine,
        sessions: Sessions,
        queues: FairQueues[AppId, Operation],
        network_time: Callable[[], float],
        polls: Polls,
        *,
        tell_routes: bool = False,
    ) -> None:
        self._engine = engine
        self._sessions = sessions
        self._queues = queues
        self._network_time = network_time
        self._polls = polls
        self._tell_routes = tell_routes

    def pump(self) -> None:
        """Hand on all that has happened, in its order."""
        while (event := self._engine.next_event()) is not None:
            self._hand_on(event)

    def _hand_on(self, event: Event) -> None:
        deliver = self._sessions.deliver
        match event:
            case SlotWanted(operation=operation, again=again):
                self._put_in_queue(operation, again)
            case MessageSent(owner=owner, message_id=message_id, surb_id=surb_id, eta=eta, route=route):
                told = route if self._tell_routes else UNNAMED
                sent = events.message_sent(message_id, surb_id, sent_at=self._network_time(), reply_eta=eta, route=told)
                deliver(owner, sent, final=False)
            case MessageRefused(owner=owner, message_id=message_id, surb_id=surb_id, reason=reason):
                session = self._sessions.find(owner)
                if session is not None and not session.is_legacy_v1:
                    now = self._network_time()
                    deliver(owner, events.message_not_sent(message_id, surb_id, reason, now=now), final=True)
            case ReplyReceived(owner=owner, message_id=message_id, surb_id=surb_id, payload=payload):
                deliver(owner, events.message_reply(message_id, surb_id, payload), final=True)
            case GaveUp(owner=owner, message_id=message_id, surb_id=surb_id):
                reply = events.message_reply(message_id, surb_id, b"", error_code=events.MAX_RETRIES)
                deliver(owner, reply, final=True)
            case ReplyToJudge():
                self._polls.judge(event)
            case PollFailed():
                self._polls.failed(event)
            case Collected(owner=owner, message_id=message_id):
                deliver(owner, events.message_id_garbage_collected(message_id), final=True)

    def _put_in_queue(self, operation: Operation, again: bool) -> None:
        owner = operation.owner
        if owner is None:
            return
        self._queues.register(owner)
        session = self._sessions.find(owner)
        if session is not None and session.connection is None:
            self._queues.set_away(owner, True)
        put = self._queues.push_resend if again else self._queues.push
        put(owner, operation)
