"""`new_keypair`, `encrypt_read`, `encrypt_write` and the two on indices: what needs no network, but time.

The daemon keeps nothing of a stream: all that goes on from one request to the next travels with the application.

Source: the Katzenpost thin-client protocol, "new_keypair" to "next_message_box_index".
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.envelopes import Query
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.storage import ON_STREAM, given, storage_verb
from kpclientd.thin.verbs.verb import Caller


@dataclass(frozen=True, slots=True)
class NewKeypair:
    """Asks for a stream that a seed (32 bytes) determines."""

    query_id: bytes | None
    seed: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class EncryptRead:
    """Asks for a query that reads a box."""

    query_id: bytes | None
    read_cap: bytes | None = field(repr=False)
    index: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class EncryptWrite:
    """Asks for a query that fills a box, or deletes it if the plaintext is empty and not null."""

    query_id: bytes | None
    plaintext: bytes | memoryview | None = field(repr=False)
    write_cap: bytes | None = field(repr=False)
    index: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class AboutIndex:
    """Asks something of a box index."""

    query_id: bytes | None
    index: bytes | None = field(repr=False)


def _parse_new_keypair(fields: Fields) -> NewKeypair:
    return NewKeypair(fields.octets("query_id"), fields.octets("seed"))


def _parse_encrypt_read(fields: Fields) -> EncryptRead:
    return EncryptRead(fields.octets("query_id"), fields.octets("read_cap"), fields.octets("message_box_index"))


def _parse_encrypt_write(fields: Fields) -> EncryptWrite:
    return EncryptWrite(
        fields.octets("query_id"),
        fields.payload("plaintext"),
        fields.octets("write_cap"),
        fields.octets("message_box_index"),
    )


def _parse_about_index(fields: Fields) -> AboutIndex:
    return AboutIndex(fields.octets("query_id"), fields.octets("message_box_index"))


async def _new_keypair(caller: Caller, request: NewKeypair) -> Mapping[str, Any]:
    seed = given(request.seed, "seed")
    cap: WriteCap = await caller.services.query_maker.offload(caller.app_id, partial(WriteCap.from_seed, seed))
    return {
        "write_cap": cap.encode(),
        "read_cap": cap.read_cap.encode(),
        "first_message_index": cap.index.encode(),
    }


async def _encrypt_read(caller: Caller, request: EncryptRead) -> Mapping[str, Any]:
    cap = ReadCap.parse(given(request.read_cap, "read_cap"))
    index = BoxIndex.parse(given(request.index, "message_box_index"))
    query = await caller.services.query_maker.read(caller.app_id, cap, index)
    return _query_fields(query, index)


async def _encrypt_write(caller: Caller, request: EncryptWrite) -> Mapping[str, Any]:
    cap = WriteCap.parse(given(request.write_cap, "write_cap"))
    index = BoxIndex.parse(given(request.index, "message_box_index"))
    maker = caller.services.query_maker
    plaintext = request.plaintext
    if plaintext is None:
        await maker.check(caller.app_id, cap, index)
        given(None, "plaintext")
    query = await maker.write(caller.app_id, cap, index, bytes(plaintext or b""))
    return _query_fields(query, index)


def _query_fields(query: Query, index: BoxIndex) -> Mapping[str, Any]:
    return {
        "message_ciphertext": query.encode(),
        "envelope_descriptor": query.descriptor.encode(),
        "envelope_hash": query.hash,
        "next_message_box_index": index.next().encode(),
    }


async def _next_index(caller: Caller, request: AboutIndex) -> Mapping[str, Any]:
    return {"next_message_box_index": BoxIndex.parse(given(request.index, "message_box_index")).next().encode()}


async def _counter(caller: Caller, request: AboutIndex) -> Mapping[str, Any]:
    return {"counter": BoxIndex.parse(given(request.index, "message_box_index")).counter}


_NO_QUERY: Final = {
    "message_ciphertext": None,
    "envelope_descriptor": None,
    "envelope_hash": None,
    "next_message_box_index": None,
}

NEW_KEYPAIR: Final = storage_verb(
    "new_keypair",
    _parse_new_keypair,
    _new_keypair,
    {"write_cap": None, "read_cap": None, "first_message_index": None},
)
ENCRYPT_READ: Final = storage_verb("encrypt_read", _parse_encrypt_read, _encrypt_read, _NO_QUERY, codes=ON_STREAM)
ENCRYPT_WRITE: Final = storage_verb("encrypt_write", _parse_encrypt_write, _encrypt_write, _NO_QUERY, codes=ON_STREAM)
NEXT_MESSAGE_BOX_INDEX: Final = storage_verb(
    "next_message_box_index", _parse_about_index, _next_index, {"next_message_box_index": None}, is_slow=False
)
GET_MESSAGE_BOX_INDEX_COUNTER: Final = storage_verb(
    "get_message_box_index_counter", _parse_about_index, _counter, {"counter": 0}, is_slow=False
)
