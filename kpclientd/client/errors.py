"""What can go wrong for an application, by what it can do about it; and what a daemon's codes mean.

Codes are one byte in which two series of numbers overlap. Which one is meant follows from the request: the answers to
exchanges about boxes carry a replica's code from 1 to 11, all others the daemon's own.

Source: the Katzenpost thin-client protocol, "error codes".
"""

from collections.abc import Mapping
from typing import Final

from kpclientd.thin.errors import ThinError


class ClientError(ThinError):
    """Root of what an application is told by this package, beside the errors of a single connection."""


class DaemonLostError(ClientError):
    """The daemon has been away for longer than the client waits: start it, and do again what was under way."""


class UnknownServiceError(ClientError):
    """No service node of the document offers the service."""


class NoAnswerError(ClientError):
    """A service did not answer, however often it was asked: ask later."""


class RefusedError(ClientError):
    """The daemon does not send a message as it stands; the text says why."""


class CapabilityTextError(ClientError):
    """A text is no capability: it was cut, mistyped, or is of the other kind."""


class ContentTooLongError(ClientError):
    """More was to be written than a box takes: split it, or write a stream."""


class StorageError(ClientError):
    """Root of the errors of storage.

    Attributes:
        code: the daemon's, or a replica's.
    """

    def __init__(self, text: str, code: int) -> None:
        super().__init__(f"{text} (code {code})")
        self.code = code


class StorageUnavailableError(StorageError):
    """The daemon cannot make queries: it lacks packages, or the network has no usable replicas now."""


class StorageTroubleError(StorageError):
    """Courier or replicas could not do it, several times: try again later."""


class StorageFullError(StorageError):
    """Replicas have no room."""


class BoxNotWrittenError(StorageError):
    """Nobody has written the box yet."""


class BoxDeletedError(StorageError):
    """The box was deleted by who may write it."""


class BoxTakenError(StorageError):
    """Something else stands in the box: it is written once, so go on with the next."""


class CapabilityRefusedError(StorageError):
    """The daemon or a replica refuses the capability, or the box is not what the capability demands."""


class CopyFailedError(StorageError):
    """A courier stopped in a copy; what it had copied before stays.

    Attributes:
        replica_code: why, as a replica said it; 0 if it did not.
        envelope: at which write, counted from 1; 0 if that is not known.
    """

    def __init__(self, code: int, replica_code: int, envelope: int) -> None:
        where = f" at write {envelope}" if envelope else ""
        why = f": {_MEANING[replica_code][1]}" if replica_code in _MEANING else ""
        super().__init__(f"the courier could not copy{where}{why}", code)
        self.replica_code = replica_code
        self.envelope = envelope


class BrokenStreamError(ClientError):
    """What stands in the boxes is not the stream of bytes that was sent."""


class ChangedContentError(ClientError):
    """What is to be sent begins otherwise than what was sent already."""


SUCCESS: Final = 0
NOT_WRITTEN: Final = 1
INTERNAL_ERROR: Final = 4
SERVICE_UNAVAILABLE: Final = 10
DELETED: Final = 11
CANCELLED: Final = 24

_REFUSED: Final = "the capability, or what the box holds, is not accepted"
_TROUBLE: Final = "courier or replicas have trouble"

_MEANING: Final[Mapping[int, tuple[type[StorageError], str]]] = {
    NOT_WRITTEN: (BoxNotWrittenError, "the box is not written yet"),
    2: (CapabilityRefusedError, _REFUSED),
    3: (CapabilityRefusedError, _REFUSED),
    5: (CapabilityRefusedError, "replicas do not accept boxes of this length"),
    6: (StorageFullError, "replicas have no room"),
    10: (BoxTakenError, "something else stands in the box"),
    DELETED: (BoxDeletedError, "the box was deleted"),
    23: (CapabilityRefusedError, _REFUSED),
    25: (CapabilityRefusedError, "the box is said to be deleted, and nothing proves it"),
}
"""In answers to exchanges. All that is not here may pass, and is tried again."""

_TRANSIENT_HERE: Final = frozenset((INTERNAL_ERROR, SERVICE_UNAVAILABLE))
"""In the daemon's own answers: it may lack a document, or that the replicas' newest keys, for a moment."""


def may_pass(code: int, *, of_exchange: bool) -> bool:
    """Whether what was answered with `code` is worth trying again."""
    return code not in _MEANING if of_exchange else code in _TRANSIENT_HERE


def error_of_exchange(code: int) -> StorageError:
    """The error for an exchange that ended with `code`."""
    kind, text = _MEANING.get(code, (StorageTroubleError, _TROUBLE))
    return kind(text, code)


def error_of_daemon(verb: str, code: int) -> StorageError:
    """The error for a request that the daemon itself answered with `code`."""
    if code == SERVICE_UNAVAILABLE:
        return StorageUnavailableError(
            "the daemon offers no storage now: it lacks the packages (pip install 'kpclientd[pigeonhole]'),"
            " or the network its replicas",
            code,
        )
    if code == INTERNAL_ERROR:
        return StorageTroubleError(f"the daemon could not do {verb}; its log says why", code)
    return CapabilityRefusedError(f"the daemon refuses the capability or a field of {verb}", code)
