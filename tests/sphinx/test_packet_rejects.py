"""Good and bad packets, SURB replies and builder inputs of the reference: same verdicts, same replay tags."""

from typing import Any

import pytest

from sphinx import Geometry, NextNodeHop, NodeDelay, NodeId, PathHop, Recipient, RecipientId, Sphinx, SurbReply
from sphinx.commands import RoutingCommand, encode_commands
from sphinx.errors import (
    CommandError,
    KeyLengthError,
    PacketError,
    PathError,
    PayloadLengthError,
    PayloadTagError,
    SphinxError,
    SurbError,
    WeakPublicKeyError,
)
from sphinx.randomness import seeded
from sphinx.types import SurbId
from tests.sphinx.builders import as_hex
from tests.support.vectors import recorded

REJECTS = recorded("sphinx_rejects.json")
GEOMETRY = Geometry.nike("x25519", REJECTS["nr_hops"], REJECTS["user_payload_length"], with_surb=REJECTS["with_surb"])
PRIVATE_KEY = bytes.fromhex(REJECTS["private_key"])
PUBLIC_KEY = bytes.fromhex(REJECTS["public_key"])
PAYLOAD = bytes(GEOMETRY.forward_payload_length)
NODE = NodeId(bytes(32))
RECIPIENT = Recipient(RecipientId(bytes(32)))

OUR_WORDS = {
    "sphinx: invalid packet, truncated": "expected at least 230",
    "sphinx: invalid packet, unknown version": "version",
    "sphinx: invalid packet, MAC mismatch": "header MAC",
    "sphinx: truncated payload": "expected at least 32",
    "sphinx: payload auth failed": "tag is not zero",
    "sphinx: invalid per-hop command": "routing commands are malformed",
    "sphinx: invalid packet, > 1 surb_reply": "2 SurbReply commands",
    "crypto/ecdh: bad X25519 remote ECDH input: low order point": "degenerate",
}


def what(case: dict[str, Any]) -> str:
    return str(case["what"])


@pytest.mark.parametrize("case", REJECTS["unwrap"], ids=what)
def test_each_recorded_packet_gets_the_verdict_of_the_reference(case: dict[str, Any], engine_name: str) -> None:
    sphinx = Sphinx(GEOMETRY, engine=engine_name)
    packet = bytes.fromhex(case["packet"])
    tag = bytes.fromhex(case["replay_tag"]) if case.get("replay_tag") else None
    if case["result"] == "ok":
        unwrapped = sphinx.unwrap(PRIVATE_KEY, packet)
        assert unwrapped.replay_tag == tag
        assert as_hex(unwrapped.commands) == case["commands"]
        assert (unwrapped.payload or b"").hex() == case["payload"]
        assert (unwrapped.packet is None) == case["packet_unchanged"]
    else:
        words = OUR_WORDS[case["result"].split(": ", 1)[1].removeprefix("runtime error: ")]
        with pytest.raises(PacketError, match=words) as caught:
            sphinx.unwrap(PRIVATE_KEY, packet)
        assert caught.value.replay_tag == tag


@pytest.mark.parametrize("case", REJECTS["surb_decrypt"], ids=what)
def test_each_recorded_reply_gets_the_verdict_of_the_reference(case: dict[str, Any], engine_name: str) -> None:
    sphinx = Sphinx(GEOMETRY, engine=engine_name)
    keys, payload = bytes.fromhex(case["keys"]), bytes.fromhex(case["payload"])
    errors: dict[str, type[SphinxError]] = {
        "error: sphinx: payload auth failed": PayloadTagError,
        "error: sphinx: truncated payload": PayloadLengthError,
        "error: sphinx: invalid SURB decryption keys": SurbError,
    }
    if case["result"] == "ok":
        assert sphinx.open_reply(keys, payload).hex() == case["answer"]
    else:
        with pytest.raises(errors[case["result"]]):
            sphinx.open_reply(keys, payload)


def hops(count: int, first: tuple[RoutingCommand, ...] = ()) -> list[PathHop]:
    path = [PathHop(NODE, PUBLIC_KEY, ()) for _ in range(count)]
    if path:
        path[0] = PathHop(NODE, PUBLIC_KEY, first)
    return path


def build(path: list[PathHop], payload: bytes = PAYLOAD) -> bytes:
    return Sphinx(GEOMETRY).new_packet(path, payload, seeded(b"rejects"))


@pytest.mark.parametrize("count", [0, 3])
def test_a_path_of_no_or_too_many_hops_is_refused(count: int) -> None:
    with pytest.raises(PathError, match=f"{count} hops, expected 1 to 2"):
        build(hops(count))
    with pytest.raises(PathError):
        Sphinx(GEOMETRY).new_surb(hops(count), seeded(b"rejects"))


@pytest.mark.parametrize("length", [0, 31, 33])
@pytest.mark.parametrize("number", [0, 1])
def test_a_node_id_of_another_length_is_refused_at_any_hop(number: int, length: int, engine_name: str) -> None:
    path, sphinx = hops(2), Sphinx(GEOMETRY, engine=engine_name)
    path[number] = PathHop(NodeId(bytes(length)), PUBLIC_KEY, ())
    for make in (sphinx.new_surb, lambda path, randomness: sphinx.new_packet(path, PAYLOAD, randomness)):
        with pytest.raises(PathError, match=f"the node id of hop {number} has {length} bytes, expected 32"):
            make(path, seeded(b"rejects"))


@pytest.mark.parametrize("length", [15, 17])
def test_a_payload_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PayloadLengthError, match=f"{length} bytes, expected 16"):
        build(hops(1), bytes(length))


def test_a_next_hop_is_the_builders_to_add() -> None:
    with pytest.raises(CommandError, match="NextNodeHop"):
        build(hops(1, (NextNodeHop(NODE, bytes(32)),)))


def test_commands_fill_the_last_fragment_to_its_end_but_not_over() -> None:
    # 82 = 33 + 17 + 17 + 15 and 83 = 33 + 33 + 17.
    reply, delay = SurbReply(SurbId(bytes(16))), NodeDelay(7)
    full = (RECIPIENT, reply, reply, delay, delay, delay)
    assert len(encode_commands(full)) == GEOMETRY.per_hop_routing_info_length == 82
    assert len(build(hops(1, full))) == GEOMETRY.packet_length
    with pytest.raises(CommandError, match="83 bytes, expected at most 82"):
        build(hops(1, (RECIPIENT, RECIPIENT, reply)))


def test_commands_leave_room_for_the_next_hop() -> None:
    reply = SurbReply(SurbId(bytes(16)))
    assert len(build(hops(2, (reply,)))) == GEOMETRY.packet_length
    with pytest.raises(CommandError, match="20 bytes, expected at most 17"):
        build(hops(2, (NodeDelay(1),) * 4))


def test_a_full_fragment_is_read_back_without_terminator() -> None:
    full = (RECIPIENT, SurbReply(SurbId(bytes(16))), *((NodeDelay(7),) * 6))
    assert len(encode_commands(full)) == 80
    packet = build(hops(1, full))
    assert Sphinx(GEOMETRY).unwrap(PRIVATE_KEY, packet).commands == full


def test_a_node_with_a_bad_key_is_refused() -> None:
    with pytest.raises(KeyLengthError, match="31 bytes, expected 32"):
        build([PathHop(NODE, PUBLIC_KEY[1:], ())])
    with pytest.raises(WeakPublicKeyError):
        build([PathHop(NODE, bytes(32), ())])


def test_a_private_key_of_another_length_is_refused() -> None:
    with pytest.raises(KeyLengthError, match="33 bytes, expected 32"):
        Sphinx(GEOMETRY).unwrap(PRIVATE_KEY + b"\0", build(hops(1)))


@pytest.mark.parametrize("change", [-1, 1])
def test_a_surb_of_another_length_is_refused(change: int) -> None:
    with pytest.raises(SurbError, match=f"expected {GEOMETRY.surb_length}"):
        Sphinx(GEOMETRY).packet_from_surb(bytes(GEOMETRY.surb_length + change), b"")


def test_an_answer_that_is_too_long_is_refused() -> None:
    surb = Sphinx(GEOMETRY).new_surb(hops(1), seeded(b"rejects")).surb
    with pytest.raises(PayloadLengthError, match="17 bytes, expected at most 16"):
        Sphinx(GEOMETRY).packet_from_surb(surb, bytes(17))


def test_more_surb_keys_than_any_path_has_are_refused() -> None:
    with pytest.raises(SurbError, match="expected 1 to 3 times 64"):
        Sphinx(GEOMETRY).open_reply(bytes(64 * 4), bytes(48))


def test_a_reply_that_is_too_long_is_refused() -> None:
    with pytest.raises(PayloadLengthError, match="49 bytes, expected 48"):
        Sphinx(GEOMETRY).open_reply(bytes(64), bytes(49))
