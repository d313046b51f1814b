"""Two ends of a link against each other: the way through, and each way in which a handshake fails."""

import copy

import pytest

from kpclientd.wire.commands import CommandCodec, GetConsensus, GetConsensus2, MessageDelivered, NoOp, SendPacket
from kpclientd.wire.errors import (
    AuthenticationError,
    CommandError,
    HandshakeError,
    HandshakeState,
    ProtocolVersionError,
    SessionStateError,
    WireError,
)
from kpclientd.wire.session import CommandReceived, Established, NoiseSession, PeerCredentials
from kpclientd.wire.transport import seal_frame
from sphinx.crypto.kem import KEM_NAMES, kem_scheme
from tests.wire.links import (
    CLIENT_DATA,
    CODEC,
    FAST_KEM,
    GEOMETRY,
    NODE_ID,
    NOW,
    RANDOMNESS,
    Link,
    anybody,
    connected,
    link,
    nobody,
)

MLKEM = kem_scheme("MLKEM768")


def altered(data: bytes, position: int) -> bytes:
    changed = bytearray(data)
    changed[position] ^= 0x40
    return bytes(changed)


def raised_state(session: NoiseSession, data: bytes) -> HandshakeState:
    with pytest.raises(HandshakeError) as caught:
        session.receive(data, NOW)
    assert not session.established
    return caught.value.state


def message(pair: Link, number: int) -> bytes:
    """Run the handshake until message `number` is on its way, and return it."""
    sent = pair.client.start()
    ends = (pair.gateway, pair.client)
    for turn in range(number - 1):
        ends[turn % 2].receive(sent, NOW)
        sent = ends[turn % 2].outgoing()
    return sent


@pytest.mark.parametrize("name", KEM_NAMES)
def test_both_ends_meet_and_commands_go_both_ways(name: str) -> None:
    pair = link(kem_scheme(name))
    client_events, gateway_events = pair.shake_hands()
    assert client_events == [Established(PeerCredentials(NODE_ID, pair.gateway_key.public_key), 0.75)]
    assert gateway_events == [Established(PeerCredentials(CLIENT_DATA, pair.client_key.public_key), 0.0)]
    assert pair.client.established
    assert pair.gateway.established
    for sequence in range(3):
        there, back = MessageDelivered(sequence), GetConsensus2(sequence)
        assert pair.gateway.receive(pair.client.seal(there), NOW) == [CommandReceived(there)]
        assert pair.client.receive(pair.gateway.seal(back), NOW) == [CommandReceived(back)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [("XWING", (1217, 2628, 2644, 1152)), ("MLKEM768", (1185, 2564, 2580, 1120)), ("x25519", (33, 356, 372, 64))],
)
def test_the_messages_have_the_lengths_of_the_specification(name: str, expected: tuple[int, ...]) -> None:
    no_op_frame = 36 + 6 + GEOMETRY.packet_length
    lengths = [len(message(link(kem_scheme(name)), number)) for number in (1, 2, 3, 4)]
    assert lengths == [*expected[:3], expected[3] + no_op_frame]


def test_an_authority_link_pads_nothing() -> None:
    pair = connected(CommandCodec(None))
    assert len(pair.gateway.seal(NoOp())) == 42
    assert len(pair.client.seal(GetConsensus(1))) == 14 + 36


def test_the_initiator_says_time_zero_and_the_responder_whole_seconds() -> None:
    pair = link()
    pair.gateway.receive(pair.client.start(), NOW)
    pair.client.receive(pair.gateway.outgoing(), NOW - 30.5)
    pair.gateway.receive(pair.client.outgoing(), NOW)
    [established] = pair.client.receive(pair.gateway.outgoing(), NOW + 1000)
    assert isinstance(established, Established)
    assert established.clock_skew == -29.75


@pytest.mark.parametrize("length", [0, 1, 31, 255])
def test_additional_data_of_any_length_arrives(length: int) -> None:
    data = bytes(range(length))
    _, [established] = link(client_data=data).shake_hands()
    assert isinstance(established, Established)
    assert established.peer.additional_data == data


def test_additional_data_that_does_not_fit_is_refused_at_construction() -> None:
    with pytest.raises(HandshakeError, match="256 bytes, at most 255") as caught:
        link(client_data=bytes(256))
    assert caught.value.state is HandshakeState.INITIALIZATION


@pytest.mark.parametrize("version", [b"\x02", b"\x04", b"\x00", b"G"])
def test_another_version_is_refused_at_its_first_byte(version: bytes) -> None:
    pair = link()
    with pytest.raises(ProtocolVersionError, match=f"expected 03, received {version.hex()}"):
        pair.gateway.receive(version, NOW)
    assert pair.gateway.outgoing() == b""


def test_an_initiator_that_meets_an_impostor_never_sends_its_own_key() -> None:
    asked: list[PeerCredentials] = []

    def refuse(peer: PeerCredentials) -> bool:
        asked.append(peer)
        return False

    pair = link(client_checks=refuse)
    answer = message(pair, 2)
    with pytest.raises(AuthenticationError, match="peer authentication failed"):
        pair.client.receive(answer, NOW)
    assert asked == [PeerCredentials(NODE_ID, pair.gateway_key.public_key)]
    assert pair.client.outgoing() == b""


def test_a_responder_that_refuses_its_peer_sends_no_message_4() -> None:
    pair = link(gateway_checks=nobody)
    introduction = message(pair, 3)
    with pytest.raises(AuthenticationError):
        pair.gateway.receive(introduction, NOW)
    assert pair.gateway.outgoing() == b""


@pytest.mark.parametrize("position", [0, 31, 32, 40, 100, 355])
def test_an_altered_message_2_is_noticed_anywhere(position: int) -> None:
    pair = link()
    answer = message(pair, 2)
    assert raised_state(pair.client, altered(answer, position)) is HandshakeState.MESSAGE_2_RECEIVE


@pytest.mark.parametrize("position", [0, 47, 48, 95, 96, 200, 371])
def test_an_altered_message_3_is_noticed_anywhere(position: int) -> None:
    pair = link()
    introduction = message(pair, 3)
    assert raised_state(pair.gateway, altered(introduction, position)) is HandshakeState.MESSAGE_3_RECEIVE
    assert pair.gateway.outgoing() == b""


@pytest.mark.parametrize("position", [0, 47, 48, 63])
def test_an_altered_message_4_is_noticed_anywhere(position: int) -> None:
    pair = link()
    last = message(pair, 4)
    assert raised_state(pair.client, altered(last, position)) is HandshakeState.MESSAGE_4_RECEIVE


def test_an_altered_message_1_makes_both_ends_disagree() -> None:
    pair = link()
    pair.gateway.receive(altered(pair.client.start(), 5), NOW)
    assert raised_state(pair.client, pair.gateway.outgoing()) is HandshakeState.MESSAGE_2_RECEIVE


def test_an_unusable_ephemeral_key_gets_no_answer() -> None:
    pair = link()
    assert raised_state(pair.gateway, b"\x03" + bytes(32)) is HandshakeState.MESSAGE_2_SEND
    pair = link(MLKEM)
    assert raised_state(pair.gateway, b"\x03" + b"\xff" * 1184) is HandshakeState.MESSAGE_2_SEND
    assert pair.gateway.outgoing() == b""


def test_an_unusable_static_key_fails_the_peers_authentication() -> None:
    for number, speaker in ((3, "gateway"), (4, "client")):
        pair = link()
        key = pair.gateway_key if speaker == "gateway" else pair.client_key
        key.public_key = bytes(32)  # the point of order one
        data = message(pair, number - 1)
        victim = pair.client if speaker == "gateway" else pair.gateway
        assert raised_state(victim, data) is HandshakeState.PEER_AUTHENTICATION
        assert victim.outgoing() == b""


def test_ends_with_different_kems_of_equal_lengths_do_not_meet() -> None:
    pair = link(kem_scheme("MLKEM768-X25519"), gateway_kem=kem_scheme("Kyber768-X25519"))
    answer = message(pair, 2)
    assert raised_state(pair.client, answer) is HandshakeState.MESSAGE_2_RECEIVE


def until_finalization() -> tuple[NoiseSession, bytes]:
    """A client that has message 4, and the NoOp frame that it waits for."""
    pair = link()
    last = message(pair, 4)
    message_4, frame = last[:64], last[64:]
    assert pair.client.receive(message_4, NOW) == []
    assert not pair.client.established
    return pair.client, frame


def test_the_initiator_is_established_only_by_the_responders_no_op() -> None:
    client, frame = until_finalization()
    with pytest.raises(SessionStateError):
        client.seal(NoOp())
    assert [type(event) for event in client.receive(frame, NOW)] == [Established]
    assert client.established


def test_another_first_command_fails_the_finalization() -> None:
    client, _ = until_finalization()
    assert client._receiving is not None
    key = copy.copy(client._receiving)  # the gateway's own has moved on: it has sealed its NoOp
    frame = seal_frame(key, CODEC.encode(MessageDelivered(1)))
    with pytest.raises(HandshakeError, match="expected NoOp command during finalization, received") as caught:
        client.receive(frame, NOW)
    assert caught.value.state is HandshakeState.FINALIZATION


def test_a_broken_first_frame_fails_the_finalization() -> None:
    for position in (0, 20, -1):
        client, frame = until_finalization()
        with pytest.raises(HandshakeError, match="failed to receive NoOp during finalization") as caught:
            client.receive(altered(frame, position), NOW)
        assert caught.value.state is HandshakeState.FINALIZATION
        assert isinstance(caught.value.__cause__, WireError)


def test_a_session_starts_once_and_an_initiator_must_be_started_to_receive() -> None:
    pair = link()
    with pytest.raises(SessionStateError):
        pair.client.receive(b"\x03", NOW)
    assert pair.gateway.start() == b""
    pair.client.start()
    for session in (pair.client, pair.gateway):
        with pytest.raises(SessionStateError, match="HANDSHAKE"):
            session.start()
        with pytest.raises(SessionStateError, match="HANDSHAKE"):
            session.seal(NoOp())


def test_a_closed_session_does_nothing_any_more_and_holds_no_key() -> None:
    pair = connected()
    pair.client.close()
    pair.client.close()
    with pytest.raises(SessionStateError):
        pair.client.seal(NoOp())
    with pytest.raises(SessionStateError):
        pair.client.receive(pair.gateway.seal(NoOp()), NOW)
    assert pair.client._sending is pair.client._receiving is None
    assert not pair.client._received
    assert not pair.client._outgoing


def test_a_command_that_cannot_be_encoded_leaves_the_session_as_it_was() -> None:
    pair = connected()
    with pytest.raises(CommandError):
        pair.client.seal(MessageDelivered(-1))
    assert pair.gateway.receive(pair.client.seal(MessageDelivered(1)), NOW) == [CommandReceived(MessageDelivered(1))]


def test_no_text_form_shows_keys_or_the_queue_id() -> None:
    pair = link()
    [client_event], [gateway_event] = pair.shake_hands()
    shown = f"{pair.client!r} {pair.gateway!r} {client_event!r} {gateway_event!r}"
    assert CLIENT_DATA.decode() not in shown
    assert repr(pair.client_key.public_key)[2:20] not in shown
    assert repr(pair.client) == "<NoiseSession initiator HEADER>"


def test_a_body_limit_of_ones_own_replaces_the_codecs() -> None:
    client_key, gateway_key = FAST_KEM.generate(RANDOMNESS), FAST_KEM.generate(RANDOMNESS)
    client = NoiseSession.initiator(FAST_KEM, client_key, b"", CODEC, anybody, RANDOMNESS)
    gateway = NoiseSession.responder(FAST_KEM, gateway_key, NODE_ID, CODEC, anybody, RANDOMNESS, body_limit=10_000)
    pair = Link(client, gateway, client_key, gateway_key)
    pair.shake_hands()
    [received] = gateway.receive(client.seal(SendPacket(bytes(9_000))), NOW)
    assert isinstance(received, CommandReceived)
