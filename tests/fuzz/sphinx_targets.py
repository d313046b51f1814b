"""What reads packets, routing commands, SURBs, replies and geometries."""

import json
from functools import lru_cache

from nacl.bindings import crypto_scalarmult, crypto_scalarmult_base
from nacl.exceptions import RuntimeError as SodiumError

from sphinx import Geometry, NodeDelay, NodeId, PathHop, Recipient, RecipientId, Sphinx, SurbId, SurbReply
from sphinx.agreement import PrivateKey
from sphinx.commands import decode_commands, encode_commands
from sphinx.crypto.kdf import hop_keys
from sphinx.crypto.mac import header_mac
from sphinx.crypto.stream import header_stream, xor
from sphinx.errors import (
    CommandError,
    GeometryError,
    KeyLengthError,
    PacketError,
    PayloadLengthError,
    PayloadTagError,
    PlaintextError,
    SurbError,
)
from sphinx.geometry import MAC_LENGTH, VERSION
from sphinx.native import engine, engine_names
from sphinx.plaintext import parse_plaintext
from sphinx.randomness import seeded
from sphinx.unwrap import Unwrapped

NIKE = Geometry.nike("x25519", 2, 16)
KEM = Geometry.kem("x25519", 2, 16)
PRIVATE_KEY = bytes(range(32))
NODE = NodeId(bytes(32))
QUEUE = Recipient(RecipientId(bytes(32)))
SURB_ID = SurbReply(SurbId(bytes(16)))
ENGINES = tuple(name for name in engine_names() if name != "python") or ("python",)
"""The reference is too slow to be asked for every input; `make soak` asks it."""


@lru_cache
def sphinxes(geometry: Geometry) -> tuple[Sphinx, ...]:
    return tuple(Sphinx(geometry, engine=name) for name in ENGINES)


def unwrapped(geometry: Geometry, key: PrivateKey, packet: bytes) -> Unwrapped | None:
    """What all engines make of a packet; None where they refuse it."""
    verdicts: list[Unwrapped | tuple[str, bytes | None]] = []
    for sphinx in sphinxes(geometry):
        try:
            verdicts.append(sphinx.unwrap(key, packet))
        except PacketError as error:
            verdicts.append((str(error), error.replay_tag))
    first, *others = verdicts
    assert all(other == first for other in others), "engines differ"
    if not isinstance(first, Unwrapped):
        return None
    assert (first.packet is None) != (first.payload is None)
    assert first.packet is None or len(first.packet) == len(packet)
    return first


def packet(data: bytes) -> None:
    """Any bytes as a packet, of both forms; without the key nobody gets further than the MAC."""
    assert unwrapped(NIKE, PRIVATE_KEY, data) is None
    unwrapped(KEM, PRIVATE_KEY, data)


def routed(data: bytes) -> None:
    """Behind a right MAC: the bytes are what a hop deciphers its routing information to, and the payload."""
    sphinx = sphinxes(NIKE)[0]
    element = sphinx.nike.public_key(bytes(reversed(PRIVATE_KEY)))
    keys = hop_keys(sphinx.nike.shared_secret(PRIVATE_KEY, element))
    length = NIKE.routing_info_length
    routing, payload = data[:length].ljust(length, b"\0"), data[length:]
    header = VERSION + element + xor(routing, header_stream(keys.header_key, keys.iv, length))
    found = unwrapped(NIKE, PRIVATE_KEY, header + header_mac(keys.mac_key, header) + payload)
    fragment = routing[: NIKE.per_hop_routing_info_length]
    if found is not None:
        encoded = encode_commands(found.commands)
        assert fragment == encoded.ljust(len(fragment), b"\0")


def commands(data: bytes) -> None:
    """What parses is written alike, but for the zeros behind it."""
    try:
        found = decode_commands(data)
    except CommandError:
        return
    encoded = encode_commands(found)
    assert data[: len(encoded)] == encoded
    assert not any(data[len(encoded) :])


def surb(data: bytes) -> None:
    """Any bytes as a SURB, from anyone who wants an answer."""
    for sphinx in sphinxes(NIKE):
        try:
            answer, _ = sphinx.packet_from_surb(data, b"answer")
        except SurbError:
            assert len(data) != NIKE.surb_length
        else:
            assert len(answer) == NIKE.packet_length


@lru_cache
def waiting_surb() -> bytes:
    sphinx = sphinxes(NIKE)[0]
    path = [PathHop(NODE, sphinx.nike.public_key(PRIVATE_KEY), (NodeDelay(1),))]
    path.append(PathHop(NODE, path[0].public_key, (QUEUE, SURB_ID)))
    return sphinx.new_surb(path, seeded(b"fuzz")).keys


def reply(data: bytes) -> None:
    """Any bytes as a reply to a SURB of ours, or, after a zero, as keys and reply."""
    keys, payload = waiting_surb(), data
    if data[:1] == b"\0":
        keys, payload = data[1:193], data[193:]
    results = set()
    for sphinx in sphinxes(NIKE):
        try:
            results.add(sphinx.open_reply(keys, payload))
        except (SurbError, PayloadLengthError, PayloadTagError, KeyLengthError) as error:
            results.add(str(error).encode())
    assert len(results) == 1, "engines differ"


def plaintext(data: bytes) -> None:
    """Any bytes as what a service finds in a packet."""
    try:
        request = parse_plaintext(NIKE, data)
    except PlaintextError:
        return
    assert len(request.payload) == NIKE.user_forward_payload_length
    assert request.surb is None or len(request.surb) == NIKE.surb_length


def geometry(data: bytes) -> None:
    """Any table of fields: what is accepted is told again without a change."""
    try:
        fields = json.loads(data)
    except (ValueError, RecursionError):
        return
    if not isinstance(fields, dict):
        return
    try:
        accepted = Geometry.from_fields(fields)
    except GeometryError:
        return
    assert Geometry.from_fields(accepted.fields()) == accepted
    assert accepted.header_length + accepted.payload_tag_length < accepted.packet_length + 1
    assert accepted.header_length > len(VERSION) + MAC_LENGTH


def multiplication(data: bytes) -> None:
    """Any scalar times any point, on the curve, its twist or of low order: as libsodium says, in every engine."""
    scalar, point = data[:32].ljust(32, b"\0"), data[32:64].ljust(32, b"\0")
    try:
        expected = crypto_scalarmult(scalar, point)
    except SodiumError:
        expected = bytes(32)
    for name in ENGINES:
        library = engine(name).library
        if library is not None:
            assert library.multiply(scalar, point) == expected
            assert library.multiply_base(scalar) == crypto_scalarmult_base(scalar)
