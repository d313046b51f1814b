"""Tells applications what became of their messages."""

from arq import Answered, Collected, Due, Exhausted
from kpclientd.thin import events
from kpclientd.thin.sessions import Sessions
from kpclientd.traffic.sender import NotSent, Sent


class Outcomes:
    """Turns what the sender and the engine report into events, and delivers them to the application concerned.

    Args:
        sessions: who is who.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    def of_sending(self, outcome: Sent | NotSent, now: float) -> None:
        """A message left or never will; `now` in Unix seconds."""
        message = outcome.entry.message
        if message is None or not message.with_surb:
            return
        match outcome:
            case Sent(surb_id=surb_id, sent_at=sent_at, eta=eta):
                if outcome.entry.transmissions == 1:
                    event = events.message_sent(message.message_id, surb_id, sent_at=sent_at, reply_eta=eta)
                    self._sessions.deliver(message.owner, event, final=False)
            case NotSent(reason=reason):
                if not self._sessions.is_flat(message.owner):
                    event = events.message_not_sent(message.message_id, message.surb_id, reason, now=now)
                    self._sessions.deliver(message.owner, event, final=True)

    def of_flight(self, outcome: Answered | Exhausted | Collected | Due) -> None:
        """A message that was sent is answered, given up, or collected."""
        match outcome:
            case Answered(owner=owner, message_id=message_id, surb_id=surb_id, payload=payload):
                self._sessions.deliver(owner, events.message_reply(message_id, surb_id, payload), final=True)
            case Exhausted(owner=owner, message_id=message_id, surb_id=surb_id):
                event = events.message_reply(message_id, surb_id, b"", error_code=events.MAX_RETRIES)
                self._sessions.deliver(owner, event, final=True)
            case Collected(owner=owner, message_id=message_id):
                self._sessions.deliver(owner, events.message_id_garbage_collected(message_id), final=True)
            case Due():
                pass
