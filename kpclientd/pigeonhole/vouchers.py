"""Vouchers: how a newcomer and a member of a group find each other by 32 bytes that one hands to the other.

The newcomer mints a voucher, which is the hash of what it publishes: its name, the right to read its stream, and a
key. A member who has the voucher finds and checks that, and answers with a sealed reply; from then on both go on in the
same stream where nobody else finds it. All reading and writing of boxes is the applications'.

The package `hpqc` has these functions, too. They are written here since its decoder builds whatever sizes a stranger's
bytes name, and raises what it does not say.

Source: Katzenpost Pigeonhole, 'vouchers'.
"""

import hashlib
import io
from dataclasses import dataclass, field
from typing import Final

from kpclientd.pigeonhole.capabilities import READ_CAP_LENGTH, ReadCap, WriteCap
from kpclientd.pigeonhole.errors import (
    InvalidArgument,
    MessageError,
    SealError,
    UnusableKey,
    UnusablePrivateKey,
    VoucherHashMismatch,
    VoucherSealError,
    VoucherSignatureInvalid,
)
from kpclientd.pigeonhole.mkem import Ciphertext, KeyPair, Mkem, encapsulate
from kpclientd.pigeonhole.trunnel import digest
from pki.cbor import Allowance, Record, decode, encode
from pki.errors import EncodingError
from sphinx.randomness import Randomness

VOUCHER_LENGTH: Final = 32
SALT_LENGTH: Final = 32

LONGEST_MESSAGE: Final = 1 << 20
"""Bytes of what is published or sealed; what is genuine fits a box."""

_MESSAGE_ITEMS: Final = 1024
_STREAM_ENTROPY: Final = 80  # what a new stream reads: its seed, its first state, its first number


@dataclass(frozen=True, slots=True)
class Minted:
    """What the newcomer gets.

    Attributes:
        voucher: to be handed over by other means (32 bytes).
        payload: to be written into the first box of `stream`.
        stream: where the two meet.
        pair: opens the reply.
    """

    voucher: bytes = field(repr=False)
    payload: bytes = field(repr=False)
    stream: WriteCap
    pair: KeyPair


@dataclass(frozen=True, slots=True)
class Inducted:
    """What the member gets.

    Attributes:
        display_name: the newcomer's, as it says.
        read_cap: the right to read what the newcomer writes from now on.
        sealed_reply: to be written into the second box of `stream`.
        stream: where the two meet.
        salt: what the newcomer's stream was mutated by (32 bytes).
    """

    display_name: str = field(repr=False)
    read_cap: ReadCap
    sealed_reply: bytes = field(repr=False)
    stream: WriteCap
    salt: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Welcomed:
    """What the newcomer finds in the reply.

    Attributes:
        who_reply: the member's answer, which only applications understand.
        salt: what the newcomer's stream is mutated by (32 bytes).
        write_cap: the right to write it from now on.
    """

    who_reply: bytes = field(repr=False)
    salt: bytes = field(repr=False)
    write_cap: WriteCap


def mint(message_write_cap: bytes, display_name: str, mkem: Mkem, randomness: Randomness) -> Minted:
    """Make a voucher for the owner of a stream. Slow: about half a second.

    Args:
        message_write_cap: the stream that the group shall read (168 bytes).
        display_name: the newcomer's name.
        mkem: the key exchange.
        randomness: for the key.

    Raises:
        CapabilityError: if that is no write capability.
    """
    cap = WriteCap.parse(message_write_cap)
    pair = mkem.new_key_pair(randomness)
    claim = encode({"DisplayName": display_name, "MessageReadCap": cap.read_cap.encode()})
    signed = encode({"PleaseAdd": claim, "Signature": cap.sign(claim)})
    payload = encode({"VoucherPubKey": pair.public, "SignedPleaseAdd": signed})
    voucher = digest(payload)
    return Minted(voucher, payload, stream_of(voucher), pair)


def induct(voucher: bytes, payload: bytes, who_reply: bytes, mkem: Mkem, randomness: Randomness) -> Inducted:
    """Check what a voucher's owner has published, and answer it. Slow: about a second.

    Args:
        voucher: as it was handed over (32 bytes).
        payload: the first box of the voucher's stream.
        who_reply: the answer.
        mkem: the key exchange.
        randomness: for the salt and the seal.

    Raises:
        VoucherHashMismatch: if the payload is not the one that the voucher names.
        VoucherSignatureInvalid: if it is not signed by the stream's owner.
        InvalidArgument: if the voucher has another length, or the payload is malformed.
    """
    _check_voucher(voucher)
    if digest(payload) != voucher:
        raise VoucherHashMismatch("a payload is not the one that the voucher names")
    published = _record(payload, "voucher payload")
    name, cap = _verified_claim(_octets(published, "SignedPleaseAdd"))
    salt = randomness.bytes(SALT_LENGTH)
    try:
        exchange = mkem.ready([_octets(published, "VoucherPubKey")], randomness)
    except UnusableKey as error:
        raise InvalidArgument(f"voucher payload, VoucherPubKey: {error}") from None
    reply = encode({"WhoReply": who_reply, "VoucherSalt": salt})
    sealed = encapsulate(exchange, reply, randomness).encode()
    return Inducted(name, cap.mutated(salt), sealed, stream_of(voucher), salt)


def open_reply(secret_key: bytes, sealed_reply: bytes, message_write_cap: bytes, mkem: Mkem) -> Welcomed:
    """Open the answer to a voucher. Slow: about half a second.

    Args:
        secret_key: the private key that was minted with the voucher (162 bytes).
        sealed_reply: the second box of the voucher's stream.
        message_write_cap: the stream that the voucher was minted for (168 bytes).
        mkem: the key exchange.

    Raises:
        VoucherSealError: if the reply does not open with this key, or is malformed.
        InvalidArgument: if the key or the capability is none.
    """
    try:
        mkem.check_private_key(secret_key)
        reply = mkem.decapsulate(secret_key, Ciphertext.parse(sealed_reply))
    except UnusablePrivateKey as error:
        raise InvalidArgument(f"the voucher's secret key: {error}") from None
    except (MessageError, SealError, UnusableKey) as error:
        raise VoucherSealError(f"the sealed reply to a voucher: {error}") from None
    who_reply, salt = _sealed_fields(reply)
    return Welcomed(who_reply, salt, WriteCap.parse(message_write_cap).mutated(salt))


def stream_of(voucher: bytes) -> WriteCap:
    """The stream where the two meet, which whoever has the voucher can read and write.

    Raises:
        InvalidArgument: if the voucher has another length than 32 bytes.
    """
    _check_voucher(voucher)
    return WriteCap.new(io.BytesIO(hashlib.shake_256(voucher).digest(_STREAM_ENTROPY)).read)


def _verified_claim(signed_claim: bytes) -> tuple[str, ReadCap]:
    signed = _record(signed_claim, "signed claim")
    claim_bytes = _octets(signed, "PleaseAdd")
    claim = _record(claim_bytes, "claim")
    try:
        name, cap = claim.text("DisplayName"), claim.octets("MessageReadCap", READ_CAP_LENGTH)
        signature = signed.octets("Signature")
    except EncodingError as error:
        raise InvalidArgument(str(error)) from None
    read_cap = ReadCap.parse(cap)
    if not read_cap.has_signed(claim_bytes, signature):
        raise VoucherSignatureInvalid("the claim in a voucher's payload is not signed by the stream's owner")
    return name, read_cap


def _sealed_fields(reply: bytes) -> tuple[bytes, bytes]:
    try:
        record = _decoded(reply, "reply to a voucher")
        who_reply, salt = record.octets("WhoReply"), record.octets("VoucherSalt")
    except EncodingError as error:
        raise VoucherSealError(str(error)) from None
    if len(salt) != SALT_LENGTH:
        raise VoucherSealError(f"reply to a voucher: a salt of {len(salt)} bytes; expected {SALT_LENGTH}")
    return who_reply, salt


def _check_voucher(voucher: bytes) -> None:
    if len(voucher) != VOUCHER_LENGTH:
        raise InvalidArgument(f"a voucher has {len(voucher)} bytes; expected {VOUCHER_LENGTH}")


def _decoded(data: bytes, what: str) -> Record:
    return decode(data, what, longest=LONGEST_MESSAGE, allowance=Allowance(_MESSAGE_ITEMS), integer_keys=False)


def _record(data: bytes, what: str) -> Record:
    try:
        return _decoded(data, what)
    except EncodingError as error:
        raise InvalidArgument(str(error)) from None


def _octets(record: Record, name: str) -> bytes:
    try:
        return record.octets(name)
    except EncodingError as error:
        raise InvalidArgument(str(error)) from None
