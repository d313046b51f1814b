"""`voucher_*`: how a newcomer and a member of a group find each other; cryptography alone, without the network.

Source: the Katzenpost thin-client protocol, "contact vouchers"; Katzenpost Pigeonhole, 'vouchers'.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from kpclientd.pigeonhole import vouchers
from kpclientd.pigeonhole.codes import ThinCode
from kpclientd.pigeonhole.errors import InvalidArgument, PigeonholeError, PigeonholeUnavailable
from kpclientd.pigeonhole.mkem import Mkem
from kpclientd.thin.fields import Fields
from kpclientd.thin.verbs.storage import given, storage_verb
from kpclientd.thin.verbs.verb import Caller, Verb
from sphinx.randomness import Randomness


@dataclass(frozen=True, slots=True)
class Mint:
    """Asks for a voucher."""

    query_id: bytes | None
    write_cap: bytes | None = field(repr=False)
    display_name: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Induct:
    """Asks for the answer to a voucher."""

    query_id: bytes | None
    voucher: bytes | None = field(repr=False)
    payload: bytes | memoryview | None = field(repr=False)
    who_reply: bytes | memoryview | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class OpenReply:
    """Asks for what the answer to a voucher says."""

    query_id: bytes | None
    secret_key: bytes | None = field(repr=False)
    sealed_reply: bytes | memoryview | None = field(repr=False)
    write_cap: bytes | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class DeriveStream:
    """Asks where the two of a voucher meet."""

    query_id: bytes | None
    voucher: bytes | None = field(repr=False)


Work = Callable[[Mkem, Randomness], Mapping[str, Any]]


def _parse_mint(fields: Fields) -> Mint:
    return Mint(fields.octets("query_id"), fields.octets("message_write_cap"), fields.text("display_name"))


def _parse_induct(fields: Fields) -> Induct:
    return Induct(
        fields.octets("query_id"),
        fields.octets("voucher"),
        fields.payload("voucher_payload"),
        fields.payload("who_reply"),
    )


def _parse_open(fields: Fields) -> OpenReply:
    return OpenReply(
        fields.octets("query_id"),
        fields.octets("voucher_secret_key"),
        fields.payload("sealed_reply"),
        fields.octets("message_write_cap"),
    )


def _parse_derive_stream(fields: Fields) -> DeriveStream:
    return DeriveStream(fields.octets("query_id"), fields.octets("voucher"))


def _mint(request: Mint) -> Work:
    write_cap = given(request.write_cap, "message_write_cap")

    def work(mkem: Mkem, randomness: Randomness) -> Mapping[str, Any]:
        minted = vouchers.mint(write_cap, request.display_name, mkem, randomness)
        return {
            "voucher": minted.voucher,
            "voucher_payload": minted.payload,
            "voucher_write_cap": minted.stream.encode(),
            "voucher_read_cap": minted.stream.read_cap.encode(),
            "voucher_secret_key": minted.pair.private,
            "voucher_public_key": minted.pair.public,
        }

    return work


def _induct(request: Induct) -> Work:
    voucher, payload = given(request.voucher, "voucher"), bytes(request.payload or b"")
    who_reply = bytes(request.who_reply or b"")

    def work(mkem: Mkem, randomness: Randomness) -> Mapping[str, Any]:
        inducted = vouchers.induct(voucher, payload, who_reply, mkem, randomness)
        return {
            "display_name": inducted.display_name,
            "mutated_message_read_cap": inducted.read_cap.encode(),
            "sealed_reply": inducted.sealed_reply,
            "voucher_write_cap": inducted.stream.encode(),
            "voucher_read_cap": inducted.stream.read_cap.encode(),
            "salt": inducted.salt,
        }

    return work


def _open(request: OpenReply) -> Work:
    secret_key = given(request.secret_key, "voucher_secret_key")
    write_cap = given(request.write_cap, "message_write_cap")
    sealed_reply = bytes(request.sealed_reply or b"")

    def work(mkem: Mkem, randomness: Randomness) -> Mapping[str, Any]:
        welcomed = vouchers.open_reply(secret_key, sealed_reply, write_cap, mkem)
        return {
            "who_reply": welcomed.who_reply,
            "salt": welcomed.salt,
            "mutated_message_write_cap": welcomed.write_cap.encode(),
        }

    return work


def _derive_stream(request: DeriveStream) -> Work:
    voucher = given(request.voucher, "voucher")

    def work(mkem: Mkem, randomness: Randomness) -> Mapping[str, Any]:
        stream = vouchers.stream_of(voucher)
        return {"voucher_write_cap": stream.encode(), "voucher_read_cap": stream.read_cap.encode()}

    return work


OWN_CODES: Final = frozenset(
    (
        ThinCode.INVALID_REQUEST,
        ThinCode.VOUCHER_HASH_MISMATCH,
        ThinCode.VOUCHER_SIGNATURE_INVALID,
        ThinCode.VOUCHER_SEAL_OPEN_FAILED,
    )
)


def _voucher_verb(name: str, parse: Callable[[Fields], Any], prepare: Callable[[Any], Work], *fields: str) -> Verb:
    async def serve(caller: Caller, request: Any) -> Mapping[str, Any]:
        maker = caller.services.query_maker
        try:
            work = prepare(request)
            mkem = await maker.mkem(caller.app_id)
            return await maker.offload(caller.app_id, lambda: work(mkem, maker.randomness))
        except PigeonholeUnavailable:
            raise
        except PigeonholeError as error:
            if error.code in OWN_CODES:
                raise
            raise InvalidArgument(str(error)) from None

    nothing = {each: "" if each == "display_name" else None for each in fields}
    return storage_verb(name, parse, serve, nothing, codes=OWN_CODES)


VOUCHER_MINT: Final = _voucher_verb(
    "voucher_mint",
    _parse_mint,
    _mint,
    "voucher",
    "voucher_payload",
    "voucher_write_cap",
    "voucher_read_cap",
    "voucher_secret_key",
    "voucher_public_key",
)
VOUCHER_INDUCT: Final = _voucher_verb(
    "voucher_induct",
    _parse_induct,
    _induct,
    "display_name",
    "mutated_message_read_cap",
    "sealed_reply",
    "voucher_write_cap",
    "voucher_read_cap",
    "salt",
)
VOUCHER_OPEN: Final = _voucher_verb(
    "voucher_open", _parse_open, _open, "who_reply", "salt", "mutated_message_write_cap"
)
VOUCHER_DERIVE_STREAM: Final = _voucher_verb(
    "voucher_derive_stream", _parse_derive_stream, _derive_stream, "voucher_write_cap", "voucher_read_cap"
)
