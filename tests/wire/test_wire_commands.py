"""Commands against the reference's bytes, and everything its parser takes or refuses."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.wire import commands
from kpclientd.wire.commands import (
    Command,
    CommandCodec,
    Consensus,
    Consensus2,
    Disconnect,
    GetConsensus,
    GetConsensus2,
    Message,
    MessageDelivered,
    NoOp,
    RetrieveMessage,
    SendPacket,
    SendRetrievePacket,
    SendRetrievePacketReply,
)
from kpclientd.wire.errors import CommandError
from sphinx.geometry import Geometry
from sphinx.types import SurbId
from tests.support.vectors import recorded, upstream
from tests.wire.links import CODEC, GEOMETRY

VECTORS = recorded("wire_commands.json")
PKI_CODEC = CommandCodec(None)
PAYLOAD_LENGTH = GEOMETRY.payload_tag_length + GEOMETRY.forward_payload_length
OF_CLIENTS = ("mixnet", "pki")
OF_NODES = {
    "PostDescriptor",
    "PostDescriptorStatus",
    "PostReplicaDescriptor",
    "PostReplicaDescriptorStatus",
    "GetVote",
    "Vote",
    "VoteStatus",
    "Reveal",
    "RevealStatus",
    "Cert",
    "CertStatus",
    "Sig",
    "SigStatus",
}
RENAMED = {"sphinx_packet": "packet", "error_code": "error", "chunk_num": "chunk", "chunk_total": "total"}
SPOKEN = [
    vector
    for vector in VECTORS["wire"]
    if vector["set"] in OF_CLIENTS
    and vector["name"] not in OF_NODES
    and not vector["fields"].get("mixnet_transmission")  # a document asked for inside a packet: long given up
]
# Kinds that the reference's parser takes, on links between nodes, and the length it crashes on.
NOT_OF_THIS_LINK = {"ReplicaDecoy with body"}


def ids(vector: dict[str, Any]) -> str:
    return f"{vector['set']}-{vector['name']}" if "set" in vector else vector["what"]


def codec_of(vector: dict[str, Any]) -> CommandCodec:
    return PKI_CODEC if vector["set"] == "pki" else CODEC


def command_of(vector: dict[str, Any]) -> Command:
    kind = getattr(commands, vector["name"])
    fields = {}
    for name, value in vector["fields"].items():
        if name == "mixnet_transmission":
            continue
        field = RENAMED.get(name, "data" if name == "payload" and "error_code" in vector["fields"] else name)
        if value == "pattern":
            value = pattern_of(vector)
        elif isinstance(value, str):
            value = bytes.fromhex(value)
        fields[field] = value
    command: Command = kind(**fields)
    return command


def pattern_of(vector: dict[str, Any]) -> bytes:
    """The field that takes the rest of a body, filled as the reference's vectors say."""
    encoded = bytes.fromhex(vector["bytes"])
    before = {"Message": 20, "SendRetrievePacketReply": 16, "Consensus2": 9, "Consensus": 1}.get(vector["name"], 0)
    length = int.from_bytes(encoded[2:6], "big") - before
    return bytes((7 * index + 3) % 256 for index in range(length))


@pytest.mark.parametrize("vector", SPOKEN, ids=ids)
def test_a_command_encodes_to_the_references_bytes_and_padded_length(vector: dict[str, Any]) -> None:
    codec, command = codec_of(vector), command_of(vector)
    unpadded, encoded = bytes.fromhex(vector["bytes"]), codec.encode(command)
    assert encoded == unpadded.ljust(vector["padded_length"], b"\0")
    assert codec.decode(encoded) == codec.decode(unpadded) == codec.decode(encoded + bytes(2000)) == command


def test_every_kind_of_command_that_we_speak_is_among_the_vectors() -> None:
    assert {type(command_of(vector)) for vector in SPOKEN} == set(Command.__args__)


@pytest.mark.parametrize("vector", [v for v in VECTORS["wire"] if v["name"] in OF_NODES], ids=ids)
def test_commands_between_nodes_are_refused_on_both_kinds_of_link(vector: dict[str, Any]) -> None:
    for codec in (CODEC, PKI_CODEC):
        with pytest.raises(CommandError, match="no command of this link"):
            codec.decode(bytes.fromhex(vector["bytes"]))


@pytest.mark.parametrize("case", VECTORS["wire_parse"], ids=ids)
def test_the_parser_decides_as_the_reference_and_refuses_where_that_crashes(case: dict[str, Any]) -> None:
    plaintext = bytes.fromhex(case["bytes"])
    if case["result"].startswith("parsed as") and case["what"] not in NOT_OF_THIS_LINK:
        assert type(CODEC.decode(plaintext)).__name__ == case["result"].removeprefix("parsed as ")
    else:
        with pytest.raises(CommandError):
            CODEC.decode(plaintext)


def test_upstreams_own_vectors_hold() -> None:
    vectors = upstream("wire_commands_vectors.json")
    codec = CommandCodec(Geometry.nike("x25519", 5, 216))
    message = Message(vectors["MessageSeq"], SurbId(bytes(16)), bytes.fromhex(vectors["MessagePayload"]))
    expected: dict[str, Command] = {
        "NoOp": NoOp(),
        "Disconnect": Disconnect(),
        "SendPacket": SendPacket(bytes.fromhex(vectors["SendPacketPayload"])),
        "RetrieveMessage": RetrieveMessage(vectors["RetrieveMessageSeq"]),
        "Message": message,
        "GetConsensus": GetConsensus(vectors["GetConsensusEpoch"]),
        "Consensus": Consensus(vectors["ConsensusErrorCode"], bytes.fromhex(vectors["ConsensusPayload"])),
    }
    for name, command in expected.items():
        unpadded = bytes.fromhex(vectors[name])
        assert codec.decode(unpadded) == command
        assert codec.encode(command).rstrip(b"\0") == unpadded.rstrip(b"\0")


def test_a_message_has_exactly_the_payload_of_the_geometry() -> None:
    surb_id = SurbId(bytes(16))
    assert CODEC.decode(CODEC.encode(Message(1, surb_id, bytes(PAYLOAD_LENGTH)))) == Message(
        1, surb_id, bytes(PAYLOAD_LENGTH)
    )
    for length in (0, PAYLOAD_LENGTH - 1, PAYLOAD_LENGTH + 1):
        with pytest.raises(CommandError, match=f"{length} bytes, expected {PAYLOAD_LENGTH}"):
            CODEC.encode(Message(1, surb_id, bytes(length)))
        body = bytes(20 + length)
        with pytest.raises(CommandError, match=f"expected (at least )?({PAYLOAD_LENGTH}|20)"):
            CODEC.decode(b"\x11\0" + len(body).to_bytes(4, "big") + body)


@pytest.mark.parametrize(
    "command",
    [
        MessageDelivered(1 << 32),
        MessageDelivered(-1),
        GetConsensus2(1 << 64),
        Consensus2(256, 0, 1, b""),
        Message(1, SurbId(bytes(15)), bytes(PAYLOAD_LENGTH)),
        SendRetrievePacketReply(SurbId(bytes(17)), b""),
    ],
)
def test_a_field_that_does_not_fit_its_width_is_refused(command: Command) -> None:
    with pytest.raises(CommandError):
        CODEC.encode(command)


@pytest.mark.parametrize("command", [SendPacket(b""), MessageDelivered(1), GetConsensus2(1)])
def test_an_authority_link_knows_no_mixnet_commands(command: Command) -> None:
    with pytest.raises(CommandError, match="no command of this link"):
        PKI_CODEC.encode(command)


def test_no_text_form_shows_packets_payloads_or_documents() -> None:
    secret = b"secret" * 5
    for command in (
        SendPacket(secret),
        SendRetrievePacket(secret),
        SendRetrievePacketReply(SurbId(bytes(16)), secret),
        Message(1, SurbId(bytes(16)), secret),
        Consensus2(0, 0, 1, secret),
        Consensus(0, secret),
    ):
        assert "secret" not in repr(command)


def test_the_longest_honest_command_is_a_full_chunk() -> None:
    assert CODEC.body_limit == 3108 + 15 + 16


@given(st.binary(max_size=60), st.sampled_from([CODEC, PKI_CODEC]))
def test_any_bytes_decode_to_a_command_that_encodes_to_them_or_are_refused(
    plaintext: bytes, codec: CommandCodec
) -> None:
    try:
        command = codec.decode(plaintext)
    except CommandError:
        return
    assert codec.encode(command).rstrip(b"\0") == plaintext.rstrip(b"\0")


@given(st.integers(0, 33), st.integers(0, 40), st.binary(max_size=40), st.integers(0, 3))
def test_almost_right_bytes_decode_to_a_command_that_encodes_to_them_or_are_refused(
    number: int, length: int, body: bytes, padding: int
) -> None:
    plaintext = bytes([number, 0]) + length.to_bytes(4, "big") + body + bytes(padding)
    try:
        command = CODEC.decode(plaintext)
    except CommandError:
        return
    assert CODEC.encode(command).rstrip(b"\0") == plaintext.rstrip(b"\0")
