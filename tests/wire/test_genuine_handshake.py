"""A recorded session of a client with a genuine gateway, replayed bit for bit."""

import copy
from typing import Any

import pytest

from kpclientd.wire.commands import Consensus2, GetConsensus2, Message, MessageDelivered, NoOp, SendPacket
from kpclientd.wire.credentials import decode_credentials, encode_credentials
from kpclientd.wire.handshake import Handshake, message_lengths
from kpclientd.wire.noise import CipherState
from kpclientd.wire.session import CommandReceived, Established, NoiseSession, PeerCredentials
from kpclientd.wire.transport import HEADER_LENGTH, open_body, open_header, seal_frame
from sphinx.crypto.kem import kem_scheme
from tests.support.vectors import recorded
from tests.wire.links import CODEC, RANDOMNESS, ScriptedKem

RECORDING = recorded("genuine_handshake.json")
XWING = kem_scheme("XWING")
FRAMES = [pytest.param(frame, id=f"{i}-{frame['name']}") for i, frame in enumerate(RECORDING["frames"])]


def unhex(*path: Any) -> bytes:
    value = RECORDING
    for key in path:
        value = value[key]
    return bytes.fromhex(value)


def recorded_kem() -> ScriptedKem:
    encapsulation = (
        unhex("encapsulation_to_gateway", "ciphertext"),
        unhex("encapsulation_to_gateway", "shared_secret"),
    )
    return ScriptedKem(XWING, iter([unhex("client", "ephemeral_seed")]), iter([encapsulation]))


def same_key(cipher: CipherState, key: bytes, nonce: int) -> bool:
    """Whether `cipher` seals as the recorded key does; the key itself is nowhere to be read."""
    probe = copy.copy(cipher)
    return probe.nonce == nonce and probe.encrypt(b"ad", b"probe") == CipherState(key, nonce).encrypt(b"ad", b"probe")


def test_every_message_and_every_state_of_the_handshake_is_the_recorded_one() -> None:
    static = XWING.private_key(unhex("client", "link_seed"))
    assert static.public_key == unhex("client", "link_public")
    handshake = Handshake(recorded_kem(), static, True, RANDOMNESS)
    messages = [bytes.fromhex(message["bytes"]) for message in RECORDING["messages"]]

    def check_state(number: int) -> None:
        state = RECORDING["states"][number]
        assert handshake.symmetric.transcript.hex() == state["h"]
        assert handshake.symmetric._chaining_key.hex() == state["ck"]
        if state["k"] is None:
            assert handshake.symmetric.cipher is None
        else:
            assert handshake.symmetric.cipher is not None
            assert same_key(handshake.symmetric.cipher, bytes.fromhex(state["k"]), state["n"])

    check_state(0)
    assert b"\x03" + handshake.write(b"") == messages[0]
    check_state(1)
    introduction = handshake.read(messages[1])
    assert introduction == unhex("messages", 1, "payload")
    assert decode_credentials(introduction) == (
        unhex("gateway", "node_id"),
        RECORDING["messages"][1]["gateway_unix_time"],
    )
    assert handshake.peer_static_key == unhex("gateway", "link_public")
    check_state(2)
    own = encode_credentials(unhex("client", "additional_data"), 0)
    assert own == unhex("messages", 2, "payload")
    assert handshake.write(own) == messages[2]
    check_state(3)
    assert handshake.read(messages[3]) == b""
    check_state(4)
    assert handshake.symmetric.transcript == unhex("handshake_hash")
    sending, receiving = handshake.split()
    assert same_key(sending, unhex("split", "client_to_gateway"), 0)
    assert same_key(receiving, unhex("split", "gateway_to_client"), 0)


def test_a_session_repeats_the_recorded_client_and_understands_the_recorded_gateway() -> None:
    met: list[PeerCredentials] = []

    def remember(peer: PeerCredentials) -> bool:
        met.append(peer)
        return True

    session = NoiseSession.initiator(
        recorded_kem(),
        XWING.private_key(unhex("client", "link_seed")),
        unhex("client", "additional_data"),
        CODEC,
        remember,
        RANDOMNESS,
    )
    now = RECORDING["messages"][1]["gateway_unix_time"] + 0.25
    assert session.start() == unhex("messages", 0, "bytes")
    assert session.receive(unhex("messages", 1, "bytes"), now) == []
    assert met == [PeerCredentials(unhex("gateway", "node_id"), unhex("gateway", "link_public"))]
    assert session.outgoing() == unhex("messages", 2, "bytes")
    assert session.receive(unhex("messages", 3, "bytes"), now) == []
    assert not session.established
    frames = RECORDING["frames"]
    from_gateway = [bytes.fromhex(f["frame"]) for f in frames if f["direction"] == "gateway to client"]
    [established] = session.receive(from_gateway[0], now)
    assert established == Established(met[0], 0.25)
    assert session.seal(CODEC.decode(bytes.fromhex(frames[1]["command"]))).hex() == frames[1]["frame"]
    chunks = session.receive(b"".join(from_gateway[1:6]), now)
    assert [type(e.command) for e in chunks if isinstance(e, CommandReceived)] == [Consensus2] * 5


def test_message_lengths_are_computed_from_the_pattern() -> None:
    payloads = (0, 260, 260, 0)
    for name, expected in {
        "XWING": (1217, 2628, 2644, 1152),
        "Kyber768-X25519": (1217, 2628, 2644, 1152),
        "MLKEM768-X25519": (1217, 2628, 2644, 1152),
        "MLKEM768": (1185, 2564, 2580, 1120),
    }.items():
        first, *others = message_lengths(kem_scheme(name), payloads)
        assert (1 + first, *others) == expected


@pytest.mark.parametrize("frame", FRAMES)
def test_a_recorded_frame_is_sealed_and_opened_and_leaves_the_recorded_next_key(frame: dict[str, Any]) -> None:
    key, next_key = bytes.fromhex(frame["key"]), bytes.fromhex(frame["next_key"])
    plaintext, sealed = bytes.fromhex(frame["command"]), bytes.fromhex(frame["frame"])
    sending, receiving = CipherState(key, frame["nonce"]), CipherState(key, frame["nonce"])
    assert seal_frame(sending, plaintext) == sealed
    length = open_header(receiving, sealed[:HEADER_LENGTH], CODEC.body_limit)
    assert length == len(sealed) - HEADER_LENGTH
    assert open_body(receiving, sealed[HEADER_LENGTH:]) == plaintext
    for cipher in (sending, receiving):
        assert same_key(cipher, next_key, frame["nonce"] + 2)


@pytest.mark.parametrize("frame", FRAMES)
def test_a_recorded_command_decodes_to_its_kind_and_encodes_to_the_same_bytes(frame: dict[str, Any]) -> None:
    plaintext = bytes.fromhex(frame["command"])
    command = CODEC.decode(plaintext)
    kinds = (NoOp, GetConsensus2, Consensus2, SendPacket, Message, MessageDelivered)
    assert type(command) is {kind.__name__: kind for kind in kinds}[frame["name"]]
    assert CODEC.encode(command) == plaintext
