from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphinx.commands import (
    MAX_DELAY_MS,
    NextNodeHop,
    NodeDelay,
    Recipient,
    RoutingCommand,
    SurbReply,
    decode_commands,
    encode_commands,
)
from sphinx.errors import CommandError
from sphinx.types import NodeId, RecipientId, SurbId
from tests.support.vectors import recorded, upstream

RECORDED = recorded("routing_commands.json")


def from_fields(name: str, fields: dict[str, Any]) -> RoutingCommand:
    match name:
        case "NextNodeHop":
            return NextNodeHop(NodeId(bytes.fromhex(fields["id"])), bytes.fromhex(fields["mac"]))
        case "Recipient":
            return Recipient(RecipientId(bytes.fromhex(fields["id"])))
        case "SURBReply":
            return SurbReply(SurbId(bytes.fromhex(fields["id"])))
        case _:
            return NodeDelay(fields["delay"])


@pytest.mark.parametrize("case", RECORDED["commands"], ids=lambda case: f"{case['name']} {case['bytes'][-4:]}")
def test_each_recorded_command_is_written_and_read(case: dict[str, Any]) -> None:
    command = from_fields(case["name"], case["fields"])
    encoded = bytes.fromhex(case["bytes"])
    assert encode_commands([command]) == encoded
    assert decode_commands(encoded + bytes(7)) == (command,)


@pytest.mark.parametrize("case", RECORDED["fragments"], ids=lambda case: case["what"])
def test_each_recorded_fragment_gets_the_verdict_of_the_reference(case: dict[str, Any]) -> None:
    fragment = bytes.fromhex(case["bytes"])
    if case["result"].startswith("error"):
        with pytest.raises(CommandError):
            decode_commands(fragment)
    elif case["result"].startswith("parsed"):
        assert [type(command).__name__ for command in decode_commands(fragment)] == [case["result"].split()[2][:-1]]
    else:
        assert decode_commands(fragment) == ()


def test_upstream_commands_are_written_alike() -> None:
    case = upstream("sphinx_commands_vectors.json")
    node_id, mac = NodeId(bytes.fromhex(case["NextHopID"])), bytes.fromhex(case["NextHopMAC"])
    assert encode_commands([NextNodeHop(node_id, mac)]).hex() == case["NextHopCmdWant"]
    recipient = Recipient(RecipientId(bytes.fromhex(case["RecipientID"])))
    assert encode_commands([recipient]).hex() == case["RecipientCmdWant"]
    reply = SurbReply(SurbId(bytes.fromhex(case["SURBReplyID"])))
    assert encode_commands([reply]).hex() == case["SURBReplyCmdWant"]
    assert encode_commands([NodeDelay(case["NodeDelay"])]).hex() == case["NodeDelayCmdWant"]


ids = st.binary(min_size=32, max_size=32)
commands = st.one_of(
    st.builds(NextNodeHop, ids.map(NodeId), ids),
    st.builds(Recipient, ids.map(RecipientId)),
    st.builds(SurbReply, st.binary(min_size=16, max_size=16).map(SurbId)),
    st.builds(NodeDelay, st.integers(0, MAX_DELAY_MS)),
)


@given(st.lists(commands, max_size=6), st.integers(0, 40))
def test_any_commands_survive_a_round_trip(sequence: list[RoutingCommand], zeros: int) -> None:
    assert decode_commands(encode_commands(sequence) + bytes(zeros)) == tuple(sequence)


@given(st.binary(max_size=90))
def test_hostile_fragments_are_read_or_refused_but_never_misread(fragment: bytes) -> None:
    try:
        found = decode_commands(fragment)
    except CommandError:
        return
    assert encode_commands(found) == fragment[: len(encode_commands(found))]
    assert not any(fragment[len(encode_commands(found)) :])


@pytest.mark.parametrize("delay", [-1, 2**32])
def test_a_delay_that_does_not_fit_is_refused(delay: int) -> None:
    with pytest.raises(CommandError, match="32 bits"):
        NodeDelay(delay)


def test_ids_of_another_length_are_refused() -> None:
    with pytest.raises(CommandError, match="31 bytes, expected 32"):
        Recipient(RecipientId(bytes(31)))
    with pytest.raises(CommandError, match="17 bytes, expected 16"):
        SurbReply(SurbId(bytes(17)))
    with pytest.raises(CommandError, match="node id"):
        NextNodeHop(NodeId(b""), bytes(32))
    with pytest.raises(CommandError, match="MAC"):
        NextNodeHop(NodeId(bytes(32)), bytes(33))
