"""What a courier answers, and what it has done about it (Katzenpost Pigeonhole, 'courier and replica').

Sans-IO: a query goes in with the time; an answer comes out, and what is to be dispatched. Replies of replicas are put
in when they come. The caches and their times are the reference's, its peculiarities included: a reply of "not found"
is asked for again only so many times, and then served until the entry is swept.
"""

from dataclasses import dataclass, field
from typing import Final

from kpclientd.localnet.storage.replica import SealedReply
from kpclientd.pigeonhole.codes import CopyStatus, CourierCode
from kpclientd.pigeonhole.courier_messages import (
    SHARDS,
    CopyCommand,
    CopyCommandReply,
    CourierEnvelope,
    CourierEnvelopeReply,
    encode_query_reply,
    parse_query,
)
from kpclientd.pigeonhole.errors import MessageError
from kpclientd.pigeonhole.trunnel import digest

EPOCH_TOLERANCE: Final = 1
ENVELOPE_SECONDS: Final = 5 * 60.0
COPY_SECONDS: Final = 30 * 60.0
GRACE_SECONDS: Final = 30.0
"""How long no reply at all is waited for before an envelope is dispatched again."""

REDISPATCHES: Final = 5
MOST_ENVELOPES: Final = 16384
MOST_COPIES: Final = 256


@dataclass(frozen=True, slots=True)
class CourierAnswer:
    """What follows from a query.

    Attributes:
        reply: the answer; a `courier_query_reply`.
        dispatch: to be sent to its two intermediate replicas.
        copy: the write capability of a copy job that is to be started (168 bytes, if it is one).
    """

    reply: bytes = field(repr=False)
    dispatch: CourierEnvelope | None = None
    copy: bytes | None = field(default=None, repr=False)


@dataclass(slots=True)
class _Entry:
    replicas: bytes
    since: float
    dispatched: float
    slots: list[SealedReply | None]
    in_flight: bool = True
    redispatches: int = 0

    def is_to_dispatch(self, now: float) -> bool:
        if self.in_flight or self.redispatches >= REDISPATCHES:
            return False
        arrived = [slot for slot in self.slots if slot is not None]
        if arrived:
            return all(slot.code for slot in arrived)
        return now - self.dispatched >= GRACE_SECONDS


@dataclass(slots=True)
class _Copy:
    ended: float = 0.0
    reply: CopyCommandReply | None = None


class Courier:
    """One courier with its caches. Times are seconds of any clock that only goes forward."""

    def __init__(self) -> None:
        self._entries: dict[bytes, _Entry] = {}
        self._copies: dict[bytes, _Copy] = {}

    def query(self, payload: bytes, now: float, epoch: int) -> CourierAnswer | None:
        """Answer a query.

        Args:
            payload: a `courier_query`, whatever follows it.
            now: seconds.
            epoch: the present replica epoch.

        Returns:
            None for what is no query, or one too many: those get no reply.
        """
        try:
            query = parse_query(payload)
        except MessageError:
            return None
        if isinstance(query, CopyCommand):
            return self._copy(query, now)
        return self._envelope(query, now, epoch)

    def replied(self, envelope: CourierEnvelope, reply: SealedReply) -> None:
        """Take note of a replica's reply; an error is replaced by a newer reply, a good one stays."""
        entry = self._entries.get(envelope.hash)
        if entry is None:
            return
        for place, number in enumerate(entry.replicas):
            slot = entry.slots[place]
            if number == reply.replica and (slot is None or slot.code):
                entry.slots[place] = reply

    def dispatched(self, envelope: CourierEnvelope) -> None:
        """Take note that no reply to the last dispatch is to come any more."""
        entry = self._entries.get(envelope.hash)
        if entry is not None:
            entry.in_flight = False

    def copied(self, write_cap: bytes, reply: CopyCommandReply, now: float) -> None:
        """Take note of how a copy job ended."""
        self._copies[digest(write_cap)] = _Copy(now, reply)

    def _envelope(self, query: CourierEnvelope, now: float, epoch: int) -> CourierAnswer:
        if abs(query.epoch - epoch) > EPOCH_TOLERANCE:
            return _acknowledge(query, query.reply_index, CourierCode.INVALID_EPOCH)
        entry = self._entries.get(query.hash)
        if entry is None:
            self._sweep(now)
            self._entries[query.hash] = _Entry(query.replicas, now, now, [None] * SHARDS)
            return _acknowledge(query, query.reply_index, dispatch=query)
        if query.reply_index >= SHARDS:
            return _acknowledge(query, 0, CourierCode.INVALID_ENVELOPE)
        dispatch = None
        if entry.is_to_dispatch(now):
            entry.in_flight = True
            entry.dispatched = now
            entry.redispatches += 1
            dispatch = query
        return _cached(query, entry, dispatch)

    def _sweep(self, now: float) -> None:
        self._entries = {key: entry for key, entry in self._entries.items() if now - entry.since <= ENVELOPE_SECONDS}
        while len(self._entries) >= MOST_ENVELOPES:
            del self._entries[next(iter(self._entries))]

    def _copy(self, query: CopyCommand, now: float) -> CourierAnswer | None:
        self._copies = {
            key: copy for key, copy in self._copies.items() if copy.reply is None or now - copy.ended < COPY_SECONDS
        }
        key = digest(query.write_cap)
        copy = self._copies.get(key)
        if copy is not None:
            return CourierAnswer(encode_query_reply(copy.reply or CopyCommandReply(CopyStatus.IN_PROGRESS)))
        if len(self._copies) >= MOST_COPIES:
            return None
        self._copies[key] = _Copy()
        return CourierAnswer(encode_query_reply(CopyCommandReply(CopyStatus.IN_PROGRESS)), copy=query.write_cap)


class RefusingCourier:
    """Answers every envelope with one code; what is no envelope gets no reply.

    Args:
        code: a `CourierCode`, or any other byte.
    """

    def __init__(self, code: int) -> None:
        self._code = code

    def query(self, payload: bytes, now: float, epoch: int) -> CourierAnswer | None:
        """See `Courier.query`."""
        try:
            query = parse_query(payload)
        except MessageError:
            return None
        return _acknowledge(query, query.reply_index, self._code) if isinstance(query, CourierEnvelope) else None


def _acknowledge(
    query: CourierEnvelope, index: int, code: int = CourierCode.SUCCESS, dispatch: CourierEnvelope | None = None
) -> CourierAnswer:
    return CourierAnswer(encode_query_reply(CourierEnvelopeReply(query.hash, index, error_code=code)), dispatch)


def _cached(query: CourierEnvelope, entry: _Entry, dispatch: CourierEnvelope | None) -> CourierAnswer:
    """Serve the slot that is asked for; the other one where that holds nothing, or nothing that can be opened."""
    index = query.reply_index
    asked, other = entry.slots[index], entry.slots[1 - index]
    if other is not None and (asked is None or (not asked.payload and other.payload)):
        asked, index = other, 1 - index
    payload = asked.payload if asked is not None else b""
    reply = CourierEnvelopeReply(query.hash, index, has_payload=bool(payload), payload=payload)
    return CourierAnswer(encode_query_reply(reply), dispatch)
