"""`create_courier_envelopes_*`: what an application writes into a temporary stream for a courier to copy.

Each piece of a payload needs a query of its own, a second of work; so these take long, run in the workers, and end with
their connection.

Source: the Katzenpost thin-client protocol, "copy-stream builders"; Katzenpost Pigeonhole, 'copy streams'.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kpclientd.pigeonhole.capabilities import BoxIndex, WriteCap
from kpclientd.pigeonhole.copy_streams import StreamEncoder, pieces
from kpclientd.pigeonhole.envelopes import write_request
from kpclientd.pigeonhole.errors import InvalidArgument
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.replica_messages import ReplicaWrite
from kpclientd.thin.errors import MistypedField
from kpclientd.thin.fields import UINT32_MAX, Fields
from kpclientd.thin.verbs.storage import ON_STREAM, given, storage_verb
from kpclientd.thin.verbs.verb import Caller

MOST_ITEMS_OF_MANY_DESTINATIONS: Final = 8192
"""A destination is seven items: some thousand of them in one request."""


@dataclass(frozen=True, slots=True)
class Destination:
    """What is to be written, and where it begins."""

    payload: bytes | memoryview = field(repr=False)
    write_cap: bytes | None = field(repr=False)
    start_index: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class FromPayload:
    """Asks for the elements of one payload."""

    query_id: bytes | None
    destination: Destination
    is_start: bool
    is_last: bool


@dataclass(frozen=True, slots=True)
class FromPayloads:
    """Asks for the elements of several, after what a request before left over."""

    query_id: bytes | None
    destinations: tuple[Destination, ...]
    is_start: bool
    is_last: bool
    buffer: bytes | memoryview = field(repr=False)


@dataclass(frozen=True, slots=True)
class FromTombstones:
    """Asks for the elements that delete so many boxes."""

    query_id: bytes | None
    write_cap: bytes | None = field(repr=False)
    start_index: bytes | None = field(repr=False)
    count: int
    is_start: bool
    is_last: bool
    buffer: bytes | memoryview = field(repr=False)


def _parse_payload(fields: Fields) -> FromPayload:
    destination = Destination(
        fields.payload("payload") or b"", fields.octets("dest_write_cap"), fields.octets("dest_start_index")
    )
    return FromPayload(fields.octets("query_id"), destination, fields.flag("is_start"), fields.flag("is_last"))


def _parse_payloads(fields: Fields) -> FromPayloads:
    values = fields.raw("destinations")
    if values is not None and not (isinstance(values, list) and all(isinstance(value, dict) for value in values)):
        raise MistypedField(f"{fields.verb}: destinations is no array of maps")
    destinations = [Fields("destinations", value) for value in values or ()]
    return FromPayloads(
        fields.octets("query_id"),
        tuple(
            Destination(each.payload("payload") or b"", each.octets("write_cap"), each.octets("start_index"))
            for each in destinations
        ),
        fields.flag("is_start"),
        fields.flag("is_last"),
        fields.payload("buffer") or b"",
    )


def _parse_tombstones(fields: Fields) -> FromTombstones:
    count = fields.unsigned("max_count")
    if count > UINT32_MAX:
        raise MistypedField(f"{fields.verb}: max_count is no integer of 32 bits")
    return FromTombstones(
        fields.octets("query_id"),
        fields.octets("dest_write_cap"),
        fields.octets("dest_start_index"),
        count,
        fields.flag("is_start"),
        fields.flag("is_last"),
        fields.payload("buffer") or b"",
    )


async def _from_payload(caller: Caller, request: FromPayload) -> Mapping[str, Any]:
    maker = caller.services.query_maker
    cap, index = await _begun(caller, request.destination)
    encoder = StreamEncoder(maker.geometry, is_start=request.is_start)
    elements, index = await _written(caller, encoder, cap, index, request.destination.payload)
    elements += encoder.flush(is_final=request.is_last)
    return {"envelopes": elements or None, "next_dest_index": index.encode()}


async def _from_payloads(caller: Caller, request: FromPayloads) -> Mapping[str, Any]:
    if not request.destinations:
        raise InvalidArgument("destinations is empty")
    begun = [await _begun(caller, destination) for destination in request.destinations]
    encoder = _continued(caller, request.buffer, is_start=request.is_start)
    elements: list[bytes] = []
    indices = []
    for (cap, index), destination in zip(begun, request.destinations, strict=True):
        more, after = await _written(caller, encoder, cap, index, destination.payload)
        elements += more
        indices.append(after.encode())
    buffer = _ended(encoder, elements, is_last=request.is_last)
    return {"envelopes": elements or None, "buffer": buffer, "next_dest_indices": indices}


async def _from_tombstones(caller: Caller, request: FromTombstones) -> Mapping[str, Any]:
    cap, index = await _begun(caller, Destination(b"", request.write_cap, request.start_index))
    if not request.count:
        return {"envelopes": None, "buffer": None, "next_dest_index": index.encode()}
    encoder = _continued(caller, request.buffer, is_start=request.is_start)
    elements: list[bytes] = []
    for _ in range(request.count):
        elements += await _added(caller, encoder, cap.tombstone(index))
        index = index.next()
    buffer = _ended(encoder, elements, is_last=request.is_last)
    return {"envelopes": elements or None, "buffer": buffer, "next_dest_index": index.encode()}


async def _begun(caller: Caller, destination: Destination) -> tuple[WriteCap, BoxIndex]:
    """The stream of a destination and where it is written, once everything about it is checked."""
    maker = caller.services.query_maker
    write_cap = given(destination.write_cap, "the write capability")
    start_index = given(destination.start_index, "the start index")
    pieces(bytes(destination.payload), maker.geometry)
    await maker.mkem(caller.app_id)
    maker.document()
    cap, index = WriteCap.parse(write_cap), BoxIndex.parse(start_index)
    await maker.check(caller.app_id, cap, index)
    return cap, index


async def _written(
    caller: Caller, encoder: StreamEncoder, cap: WriteCap, index: BoxIndex, payload: bytes | memoryview
) -> tuple[list[bytes], BoxIndex]:
    elements: list[bytes] = []
    for request, after in _writes(cap, index, payload, caller.services.query_maker.geometry):
        elements += await _added(caller, encoder, request)
        index = after
    return elements, index


def _writes(
    cap: WriteCap, index: BoxIndex, payload: bytes | memoryview, geometry: PigeonholeGeometry
) -> Iterator[tuple[ReplicaWrite, BoxIndex]]:
    for piece in pieces(bytes(payload), geometry):
        yield write_request(cap, index, piece, geometry), index.next()
        index = index.next()


async def _added(caller: Caller, encoder: StreamEncoder, request: ReplicaWrite) -> list[bytes]:
    query = await caller.services.query_maker.query(caller.app_id, request)
    return encoder.add(query.envelope)


def _continued(caller: Caller, buffer: bytes | memoryview, *, is_start: bool) -> StreamEncoder:
    geometry = caller.services.query_maker.geometry
    if len(buffer) > geometry.max_plaintext_payload_length:
        raise InvalidArgument(f"buffer has {len(buffer)} bytes; less than a box is ever left over")
    return StreamEncoder(geometry, bytes(buffer), is_start=is_start)


def _ended(encoder: StreamEncoder, elements: list[bytes], *, is_last: bool) -> bytes | None:
    """Add the last elements where it is the last request; else what is left over for the next one."""
    if not is_last:
        return encoder.buffer
    elements += encoder.flush(is_final=True)
    return None


FROM_PAYLOAD: Final = storage_verb(
    "create_courier_envelopes_from_payload",
    _parse_payload,
    _from_payload,
    {"envelopes": None, "next_dest_index": None},
    codes=ON_STREAM,
)
FROM_PAYLOADS: Final = storage_verb(
    "create_courier_envelopes_from_multi_payload",
    _parse_payloads,
    _from_payloads,
    {"envelopes": None, "buffer": None, "next_dest_indices": None},
    codes=ON_STREAM,
    most_items=MOST_ITEMS_OF_MANY_DESTINATIONS,
)
FROM_TOMBSTONE_RANGE: Final = storage_verb(
    "create_courier_envelopes_from_tombstone_range",
    _parse_tombstones,
    _from_tombstones,
    {"envelopes": None, "buffer": None, "next_dest_index": None},
    codes=ON_STREAM,
)
