"""Packets, SURBs and replies of the reference, rebuilt and unwrapped byte for byte on every engine."""

import hashlib
from typing import Any

import pytest

from sphinx import Geometry, NodeDelay, NodeId, PathHop, Recipient, RecipientId, Sphinx, SurbId, SurbReply
from sphinx.plaintext import compose_plaintext
from tests.sphinx.builders import as_hex, hop, parsed, scripted
from tests.support.vectors import recorded, upstream

SCHEMES = recorded("sphinx_schemes.json")["nike"]
GENUINE = recorded("genuine_sphinx.json")
DRAWN_FOR_SURB = 64


def same_as(case: dict[str, Any], name: str, value: bytes) -> bool:
    """Whether a value is the recorded one, in full or by its digest."""
    if name in case:
        return bool(case[name] == value.hex())
    return bool(case[f"{name}_sha256"] == hashlib.sha256(value).hexdigest())


def title(case: dict[str, Any]) -> str:
    geometry = case["geometry"]
    path = len(case["forward"]["path"])
    return f"{case['scheme']} {path} of {geometry['NrHops']} hops {geometry['UserForwardPayloadLength']} bytes"


def path_of(case: dict[str, Any], part: dict[str, Any]) -> list[PathHop]:
    return [
        hop(case["nodes"][index], parsed(commands))
        for index, commands in zip(part["path"], part["commands"], strict=True)
    ]


def travel(sphinx: Sphinx, case: dict[str, Any], hops: list[dict[str, Any]], packet: bytes) -> bytes:
    """Unwrap at each recorded hop, compare with the record, and return what the last one hands out."""
    for index, recorded_hop in enumerate(hops):
        private_key = bytes.fromhex(case["nodes"][recorded_hop["node"]]["private_key"])
        unwrapped = sphinx.unwrap(private_key, packet)
        assert unwrapped.replay_tag.hex() == recorded_hop["replay_tag"]
        assert as_hex(unwrapped.commands) == recorded_hop["commands"]
        if index < len(hops) - 1:
            assert unwrapped.packet is not None
            assert unwrapped.payload is None
            assert len(unwrapped.packet) == len(packet)
            assert same_as(recorded_hop, "packet_after", unwrapped.packet)
            packet = unwrapped.packet
    assert unwrapped.packet is None
    assert unwrapped.payload is not None
    return unwrapped.payload


@pytest.mark.parametrize("case", SCHEMES, ids=title)
def test_forward_packets_of_the_reference_are_rebuilt_and_unwrapped(case: dict[str, Any], engine_name: str) -> None:
    geometry = Geometry.from_fields(case["geometry"])
    sphinx = Sphinx(geometry, engine=engine_name)
    forward = case["forward"]
    message = bytes.fromhex(forward["user_payload"])
    if geometry.forward_payload_length == geometry.user_forward_payload_length:
        plaintext = message.ljust(geometry.forward_payload_length, b"\0")
    else:
        surb = bytes.fromhex(case["surb"]["surb"]) if "surb" in case else None
        plaintext = compose_plaintext(geometry, message, surb)
    assert same_as(forward, "plaintext", plaintext)
    randomness = scripted(bytes.fromhex(forward["ephemeral_private_key"]), bytes.fromhex(forward["filler"]))
    packet = sphinx.new_packet(path_of(case, forward), plaintext, randomness)
    assert same_as(forward, "packet", packet)
    assert len(packet) == geometry.packet_length
    assert travel(sphinx, case, forward["hops"], packet) == plaintext


@pytest.mark.parametrize("case", [case for case in SCHEMES if "surb" in case], ids=title)
def test_surbs_of_the_reference_are_rebuilt_used_and_their_replies_opened(
    case: dict[str, Any], engine_name: str
) -> None:
    sphinx = Sphinx(Geometry.from_fields(case["geometry"]), engine=engine_name)
    part, reply = case["surb"], case["reply"]
    randomness = scripted(
        bytes.fromhex(part["surb"])[-DRAWN_FOR_SURB:],
        bytes.fromhex(part["ephemeral_private_key"]),
        bytes.fromhex(part["filler"]),
    )
    surb = sphinx.new_surb(path_of(case, part), randomness)
    assert same_as(part, "surb", surb.surb)
    assert same_as(part, "surb_keys", surb.keys)
    packet, first_hop = sphinx.packet_from_surb(surb.surb, bytes.fromhex(reply["answer"]))
    assert first_hop.hex() == part["first_hop"]
    assert same_as(reply, "packet", packet)
    delivered = travel(sphinx, case, reply["hops"], packet)
    assert same_as(reply, "delivered", delivered)
    assert same_as(reply, "decrypted", sphinx.open_reply(surb.keys, delivered))


def genuine_path(part: dict[str, Any]) -> list[PathHop]:
    return [
        PathHop(
            NodeId(bytes.fromhex(hop["node_id"])),
            bytes.fromhex(hop["public_key"]),
            tuple(genuine_command(command) for command in hop["commands"]),
        )
        for hop in part["path"]
    ]


def genuine_command(command: dict[str, Any]) -> NodeDelay | Recipient | SurbReply:
    match command["command"]:
        case "delay":
            return NodeDelay(command["value"])
        case "rcpt":
            return Recipient(RecipientId(bytes.fromhex(command["value"])))
        case _:
            return SurbReply(SurbId(bytes.fromhex(command["value"])))


@pytest.mark.parametrize("case", GENUINE["packets"], ids=lambda case: case["name"])
def test_packets_that_crossed_a_genuine_network_are_rebuilt_and_their_replies_opened(
    case: dict[str, Any], engine_name: str
) -> None:
    geometry = Geometry.from_fields(GENUINE["sphinx_geometry"])
    sphinx = Sphinx(geometry, engine=engine_name)
    reply, forward = case["reply"], case["forward"]
    draws = [bytes.fromhex(reply[name]) for name in ("payload_keys", "client_private_key", "filler")]
    surb = sphinx.new_surb(genuine_path(reply), scripted(*draws))
    assert (surb.surb.hex(), surb.keys.hex()) == (reply["surb"], reply["surb_keys"])
    plaintext = compose_plaintext(geometry, bytes.fromhex(case["payload"]), surb.surb)
    assert plaintext.hex() == case["plaintext"]
    draws = [bytes.fromhex(forward[name]) for name in ("client_private_key", "filler")]
    assert sphinx.new_packet(genuine_path(forward), plaintext, scripted(*draws)).hex() == case["packet"]
    ciphertext = bytes.fromhex(case["received"]["ciphertext"])
    assert sphinx.open_reply(surb.keys, ciphertext).hex() == case["decrypted"]


def test_upstream_packets_are_unwrapped_hop_by_hop(engine_name: str) -> None:
    geometry = Geometry.nike("x25519", 5, 103, with_surb=False)
    sphinx = Sphinx(geometry, engine=engine_name)
    for case in upstream("sphinx_vectors.json"):
        packets = [bytes.fromhex(packet) for packet in case["Packets"]]
        for index, node in enumerate(case["Nodes"]):
            unwrapped = sphinx.unwrap(bytes.fromhex(node["PrivateKey"]), packets[index])
            expected = parsed(case["Path"][index]["Commands"])
            assert unwrapped.commands[: len(expected)] == expected
            assert (unwrapped.packet or b"") == packets[index + 1]
        assert unwrapped.payload is not None
        payload = unwrapped.payload
        if case["Surb"]:
            payload = sphinx.open_reply(bytes.fromhex(case["SurbKeys"]), payload)
            rebuilt, first_hop = sphinx.packet_from_surb(bytes.fromhex(case["Surb"]), payload)
            assert rebuilt == packets[0]
            assert first_hop.hex() == case["Path"][0]["ID"]
        assert payload.hex() == case["Payload"]


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_the_deterministic_round_trip_of_the_specification(engine_name: str) -> None:
    geometry = Geometry.nike("x25519", 5, 2000)
    sphinx = Sphinx(geometry, engine=engine_name)
    private_keys = [hashlib.sha256(f"node-priv-{index}".encode()).digest() for index in range(5)]
    public_keys = [sphinx.nike.public_key(key) for key in private_keys]
    assert public_keys[0].hex() == "d325919897b1767a12c5565d5c1f976d1b266775a17dc42f6cee7350f2082816"
    ids = [NodeId(hashlib.blake2b(f"node-id-{index}".encode(), digest_size=32).digest()) for index in range(5)]
    queue = Recipient(RecipientId(b"0123456789abcdef" * 2))
    echo = Recipient(RecipientId(b"echo".ljust(32, b"\0")))
    reply_path = [
        *(PathHop(ids[i], public_keys[i], (NodeDelay(2003 - i),)) for i in (3, 2, 1)),
        PathHop(ids[0], public_keys[0], (queue, SurbReply(SurbId(bytes(range(16)))))),
    ]
    forward_path = [PathHop(ids[i], public_keys[i], (NodeDelay(1000 + i),)) for i in range(4)]
    forward_path.append(PathHop(ids[4], public_keys[4], (NodeDelay(1004), echo)))

    draws = [
        hashlib.sha512(b"surb-key-payload").digest(),
        hashlib.sha256(b"surb-client").digest(),
        b"\xa5" * 82,
    ]
    surb = sphinx.new_surb(reply_path, scripted(*draws))
    assert digest(surb.surb) == "6f1ac92f54f956eea24d21bb83f29c7325d5fdb42d474f13c7eff5260dc40f36"
    assert digest(surb.keys) == "894a777002636706deceae3efb12e518870a773f76909537416dca4f7fcbc577"

    plaintext = compose_plaintext(geometry, b"hello katzenpost", surb.surb)
    packet = sphinx.new_packet(forward_path, plaintext, scripted(hashlib.sha256(b"client").digest()))
    assert packet[2:34].hex() == "347e36bd8706095944b7ad01295e0a6977afaf52509275ee9f6cec39033d880f"
    assert packet[444:476].hex() == "92f9a2ba7f19eec5bad706dbc27071e08f71a5980b4cfec7102e94e562305fbe"
    assert digest(packet) == "7bac2f1df87865bdbc17b5ff8673453025d89cfbb1c852c5be67e4261a7f052a"
    first = sphinx.unwrap(private_keys[0], packet)
    assert first.replay_tag.hex() == "8be10523170ff752ebffd03cb24199cb6f8280f22e1333eee6a5f5549cda2806"
    for index, expected in enumerate(
        (
            "1c4a4f48443933d196dc672ad0ee384890eec4c59be6bec96151034122bd2c7e",
            "5cb46a8059b1e777df2448bcd3a75b88c65373adb84e483cd00426813387275b",
            "7b7fbccff15f5a2d4ce4eb47771831845cfc93e52e18254792e38ec1af6c5625",
            "e83be96b70251183bf12d9680b110ba0b7dc17be439b417734b8333ba4ad2abc",
        )
    ):
        packet = sphinx.unwrap(private_keys[index], packet).packet or b""
        assert digest(packet) == expected
    request = sphinx.unwrap(private_keys[4], packet).payload
    assert request == plaintext
    assert digest(request) == "f1a431c55636c530c84dd219c53256a362de651b1dcc7a1c3c8009ff1bd4519d"

    packet, first_hop = sphinx.packet_from_surb(surb.surb, b"hello katzenpost")
    assert first_hop == ids[3]
    assert digest(packet) == "32664efd0b101fdff2d64ae7a1f004a9def453757586a27df37eba61e146eb33"
    for index in (3, 2, 1):
        packet = sphinx.unwrap(private_keys[index], packet).packet or b""
    delivered = sphinx.unwrap(private_keys[0], packet).payload or b""
    assert digest(delivered) == "ee128c86f36859afaa5098264f19a7a0fdf6c99aeda22ea06fa38a4437ee7586"
    opened = sphinx.open_reply(surb.keys, delivered)
    assert digest(opened) == "6054f8c49dceed7839ac7404f9a583959ef66c7fea980f48b5ac779d4fd31058"
