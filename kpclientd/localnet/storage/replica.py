"""What a storage replica does with an envelope (Katzenpost Pigeonhole, 'courier and replica').

Sans-IO. Opening an envelope takes up to a second of a processor and belongs off the event loop; all else is quick.
"""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from kpclientd.errors import KpclientdError
from kpclientd.localnet.keys import NodeKeys
from kpclientd.localnet.storage.boxes import BoxTable
from kpclientd.localnet.storage.faults import ReplicaFaults
from kpclientd.pigeonhole.capabilities import is_signed
from kpclientd.pigeonhole.codes import ReplicaCode
from kpclientd.pigeonhole.courier_messages import CourierEnvelope
from kpclientd.pigeonhole.errors import MessageError, SealError, UnusableKey
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.pigeonhole.mkem import OVERHEAD, Mkem, open_with, seal
from kpclientd.pigeonhole.replica_messages import (
    SIGNATURE_LENGTH,
    Box,
    ReplicaRead,
    ReplicaReadReply,
    ReplicaReply,
    ReplicaRequest,
    ReplicaWrite,
    ReplicaWriteReply,
    encode_reply,
    parse_request,
)
from kpclientd.pigeonhole.trunnel import digest, pad, unpad
from sphinx.crypto.nike_base import Nike
from sphinx.randomness import Randomness


@dataclass(frozen=True, slots=True)
class SealedReply:
    """What a replica answers to the courier.

    Attributes:
        replica: its number.
        code: how it went: a `ReplicaCode`, which the client finds again in what is sealed.
        payload: the reply, sealed for the client; empty where the envelope was not understood.
    """

    replica: int
    code: int
    payload: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Opened:
    """An envelope that was opened: the request, and the key that seals the reply (32 bytes)."""

    request: ReplicaRequest = field(repr=False)
    key: bytes = field(repr=False)


class EnvelopeRefused(KpclientdError):
    """An envelope does not open with any key of the replica, or holds no request; `code` says which."""

    def __init__(self, code: ReplicaCode) -> None:
        super().__init__(code.name)
        self.code = code


class EnvelopeKeys:
    """A replica's key pairs, by replica epoch.

    Args:
        nike: the scheme.
        randomness: returns the stream from which an epoch's private key is made.
    """

    def __init__(self, nike: Nike, randomness: Callable[[int], Randomness]) -> None:
        self._nike = nike
        self._randomness = randomness
        self.public: dict[int, bytes] = {}

    def private(self, epoch: int) -> bytes:
        """Return the private key of a replica epoch: the same each time."""
        return self._nike.generate(self._randomness(epoch).bytes)

    def private_hash(self, epoch: int) -> bytes:
        """Return what the public key is kept by (32 bytes)."""
        return digest(self._nike.name.encode() + self.private(epoch))

    def make_public(self, epoch: int) -> bytes:
        """Return the public key of a replica epoch. Slow: off the event loop."""
        return self._nike.public_key(self.private(epoch))


class Replica:
    """One replica.

    Args:
        number: by which documents and envelopes name it.
        identity: its name, identity and link key.
        keys: its envelope keys.
        nike: their scheme.
        geometry: the network's lengths.

    Attributes:
        faults: what it does wrong.
    """

    def __init__(
        self, number: int, identity: NodeKeys, keys: EnvelopeKeys, nike: Nike, geometry: PigeonholeGeometry
    ) -> None:
        self.number = number
        self.identity = identity
        self.keys = keys
        self.faults = ReplicaFaults()
        self._mkem = Mkem(nike)
        self._geometry = geometry

    @property
    def name(self) -> str:
        """Its name in documents."""
        return self.identity.name

    def open(self, envelope: CourierEnvelope, epoch: int) -> Opened:
        """Open an envelope. Slow: off the event loop.

        Args:
            envelope: names this replica as one of its two.
            epoch: the present replica epoch.

        Raises:
            EnvelopeRefused: if it does not open, or holds no request.
        """
        wrong_weeks = 2 if self.faults.stale_keys else 0
        for candidate in (epoch, epoch + 1, epoch - 1):
            try:
                key = self._mkem.agree(self.keys.private(candidate - wrong_weeks), envelope.sender_key)
                return Opened(parse_request(unpad(open_with(key, envelope.deks, envelope.ciphertext))), key)
            except SealError:
                continue
            except (MessageError, UnusableKey):
                raise EnvelopeRefused(ReplicaCode.INVALID_PAYLOAD) from None
        raise EnvelopeRefused(ReplicaCode.INVALID_EPOCH)

    def seal(self, opened: Opened, reply: ReplicaReply, randomness: Randomness) -> SealedReply:
        """Seal a reply for the client that sent the envelope."""
        padded = pad(encode_reply(reply), self._geometry.reply_length)
        sealed = (
            randomness.bytes(len(padded) + OVERHEAD) if self.faults.garbage else seal(opened.key, padded, randomness)
        )
        return SealedReply(self.number, reply.error_code, sealed)

    def execute(self, request: ReplicaRequest, boxes: BoxTable, epoch: int) -> ReplicaReply:
        """Read or write a box of this replica's.

        Args:
            request: what to do.
            boxes: where the boxes are.
            epoch: the present replica epoch.
        """
        if self.faults.code is not None:
            return _refuse(request, self.faults.code)
        try:
            boxes.forget_before(epoch - 1)
            if isinstance(request, ReplicaRead):
                return self._read(request, boxes)
            return ReplicaWriteReply(self._write(request, boxes, epoch))
        except sqlite3.Error:
            return _refuse(request, ReplicaCode.DATABASE_FAILURE)

    def _read(self, request: ReplicaRead, boxes: BoxTable) -> ReplicaReadReply:
        box = boxes.find(self.identity.node_id, request.box_id)
        if box is None:
            return _no_box(ReplicaCode.BOX_NOT_FOUND, request.box_id)
        code = ReplicaCode.SUCCESS if box.payload else ReplicaCode.TOMBSTONE
        return ReplicaReadReply(code, box.box_id, box.signature, box.payload)

    def _write(self, request: ReplicaWrite, boxes: BoxTable, epoch: int) -> ReplicaCode:
        box = Box(request.box_id, request.payload, request.signature)
        is_tombstone = not request.payload
        if not is_tombstone and len(request.payload) != self._geometry.box_payload_length:
            return ReplicaCode.INVALID_PAYLOAD
        if not is_signed(box.box_id, box.payload, box.signature):
            return ReplicaCode.INVALID_SIGNATURE
        if not is_tombstone:
            present = boxes.find(self.identity.node_id, request.box_id)
            if present is not None:
                return ReplicaCode.SUCCESS if present == box else ReplicaCode.BOX_ALREADY_EXISTS
            if self.faults.full or boxes.is_full(self.identity.node_id):
                return ReplicaCode.STORAGE_FULL
        boxes.put(self.identity.node_id, epoch, box)
        return ReplicaCode.SUCCESS


def _refuse(request: ReplicaRequest, code: int) -> ReplicaReply:
    return _no_box(code, request.box_id) if isinstance(request, ReplicaRead) else ReplicaWriteReply(code)


def _no_box(code: int, box_id: bytes) -> ReplicaReadReply:
    return ReplicaReadReply(code, box_id, bytes(SIGNATURE_LENGTH), b"")
