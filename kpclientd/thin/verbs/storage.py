"""What all verbs of Pigeonhole have in common: a query id, a code, and an answer whose fields are all there.

Source: the Katzenpost thin-client protocol, "requests"; Katzenpost Pigeonhole, 'thin-client requests'.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from kpclientd.pigeonhole.codes import ThinCode
from kpclientd.pigeonhole.errors import InvalidArgument, PigeonholeError, PigeonholeUnavailable
from kpclientd.thin.bounds import MAX_ITEMS
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.verb import Caller, Verb

log = logging.getLogger("client/pigeonhole")


class Asks(Protocol):
    """A request with the application's name for it."""

    @property
    def query_id(self) -> bytes | None:
        """Echoed in the answer."""


Request = TypeVar("Request", bound=Asks)

ON_STREAM: Final = frozenset((ThinCode.INDEX_NOT_ON_STREAM, ThinCode.INDEX_TOO_FAR))
"""Codes of verbs that check an index against its capability."""


def storage_verb(
    name: str,
    parse: Callable[[Fields], Request],
    serve: Callable[[Caller, Request], Awaitable[Mapping[str, Any]]],
    nothing: Mapping[str, Any],
    *,
    codes: frozenset[ThinCode] = frozenset(),
    is_slow: bool = True,
    most_items: int = MAX_ITEMS,
) -> Verb:
    """The row of a verb that is answered at once or when a worker is done.

    Args:
        name: the key of the request.
        parse: reads it.
        serve: returns the answer's own fields, or raises PigeonholeError.
        nothing: these fields, where there is no answer but a code.
        codes: of the answer, beside those that every verb may give.
        is_slow: whether it needs a worker.
        most_items: CBOR items of its frames.
    """

    async def handle(caller: Caller, request: Request) -> Mapping[str, Any]:
        fields, code = nothing, ThinCode.SUCCESS
        try:
            fields = await serve(caller, request)
        except PigeonholeUnavailable as error:
            log.warning("Refused a %s: %s", name, error)
            code = ThinCode.SERVICE_UNAVAILABLE
        except PigeonholeError as error:
            log.info("Refused a %s: %s", name, error)
            code = error.code
        return {"query_id": request.query_id, **fields, "error_code": int(code)}

    every = frozenset(
        (ThinCode.SUCCESS, ThinCode.INVALID_REQUEST, ThinCode.INTERNAL_ERROR, ThinCode.SERVICE_UNAVAILABLE)
    )
    return Verb(name, parse, handle, f"{name}_reply", every | codes, is_slow=is_slow, most_items=most_items)


def given(value: bytes | None, name: str) -> bytes:
    """A field that a request must have.

    Raises:
        InvalidArgument: if it has not.
    """
    if value is None:
        raise InvalidArgument(f"{name} is null")
    return value
