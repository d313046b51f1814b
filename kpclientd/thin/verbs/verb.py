"""What a verb is: one kind of request, how it is read, served and answered."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from arq import AppId, Engine
from kpclientd.config.model import Authority
from kpclientd.storage.query_maker import QueryMaker
from kpclientd.storage.resender import Resender
from kpclientd.thin.bounds import MAX_ITEMS
from kpclientd.thin.events import Event
from kpclientd.thin.fields import Fields
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.outbox import Frame
from kpclientd.thin.sessions import Session, Sessions
from kpclientd.thin.workers import Workers
from pki import EpochClock, TrustedDocuments
from sphinx.geometry import Geometry

ID_LENGTH: Final = 16


@dataclass(frozen=True, slots=True)
class Services:
    """What requests may be served with.

    Attributes:
        sessions: who is who.
        engine: takes responsibility for messages.
        trusted: the documents.
        clock: the network's epochs.
        network_time: the present, in Unix seconds.
        authorities: those of the configuration, in its order.
        geometry: bounds payloads.
        workers: run what takes long.
        query_maker: makes queries for boxes.
        resender: has them sent until they are answered.
        status: what the daemon does, for the application that asks; all of it, or what tells nothing of others.
        on_progress: to be called when the engine may have something to tell.
    """

    sessions: Sessions
    engine: Engine
    trusted: TrustedDocuments
    clock: EpochClock
    network_time: Callable[[], float]
    authorities: tuple[Authority, ...]
    geometry: Geometry
    workers: Workers
    query_maker: QueryMaker
    resender: Resender
    status: Callable[[AppId | None, bool], Mapping[str, Any]]
    on_progress: Callable[[], None]


@dataclass(slots=True)
class Caller:
    """Who asks: one connection, and the session that is behind it at present; None once it is done.

    A handler may change the session; the requests after that are the new one's.
    """

    services: Services
    session: Session | None = field(repr=False)

    @property
    def app_id(self) -> AppId | None:
        """The application that asks."""
        return self.session.app_id if self.session is not None else None

    def tell(self, event: Event) -> None:
        """Say something to the application."""
        if self.session is not None:
            self.services.sessions.put(self.session, Frame(encode_frame(event)))


@dataclass(frozen=True, slots=True)
class Verb:
    """One row of the table.

    Attributes:
        name: the key of the request in the union.
        parse: makes the request of its fields; raises `MistypedField`, which ends the connection.
        handle: serves a request, and returns the body of its answer, or None where there is none at all.
        reply: the key of the answer, where there is one.
        codes: the error codes that an answer may carry.
        is_slow: whether serving it takes more than a turn: `handle` waits for a worker then, the requests behind it
            wait for its answer, and it ends with its connection.
        is_early: whether it is served before there is a document to greet with.
        most_items: CBOR items that a frame with this verb may have.
    """

    name: str
    parse: Callable[[Fields], Any]
    handle: Callable[[Caller, Any], Awaitable[Mapping[str, Any] | None]]
    reply: str | None = None
    codes: frozenset[int] = frozenset()
    is_slow: bool = False
    is_early: bool = False
    most_items: int = MAX_ITEMS
