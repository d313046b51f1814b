"""`thin_close` and `session_token`: who the application is, and that it is done.

Source: the Katzenpost thin-client protocol, "session token, disconnect, resume".
"""

from dataclasses import dataclass, field

from kpclientd.thin import events
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.verb import Caller, Verb


@dataclass(frozen=True, slots=True)
class ThinClose:
    """The application is done: forget it."""


@dataclass(frozen=True, slots=True)
class SessionToken:
    """Names the application over reconnects."""

    token: bytes | None = field(repr=False)


def parse_close(fields: Fields) -> ThinClose:
    """Read a request that has no fields."""
    return ThinClose()


def parse_token(fields: Fields) -> SessionToken:
    """Read a request for a session."""
    return SessionToken(fields.octets("client_instance_token"))


async def close(caller: Caller, request: ThinClose) -> None:
    """Forget the application; its connection ends, without a word."""
    if caller.session is not None:
        caller.services.sessions.end(caller.session)
    caller.session = None


async def register(caller: Caller, request: SessionToken) -> None:
    """Bind the token, or go on with the session that it names; what was kept comes after the answer.

    Raises:
        InvalidRequest: at a token that cannot name one application; the connection has to end.
    """
    if caller.session is None:
        return
    sessions = caller.services.sessions
    registration = sessions.register(caller.session, request.token)
    caller.session = registration.session
    caller.tell(events.session_token_reply(registration.session.app_id, resumed=registration.resumed))
    for frame in registration.kept:
        sessions.put(registration.session, frame)


THIN_CLOSE = Verb("thin_close", parse_close, close)
SESSION_TOKEN = Verb("session_token", parse_token, register, reply="session_token_reply")
