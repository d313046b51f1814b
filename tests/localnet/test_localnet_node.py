"""What a node lets pass and what it drops, packet by packet."""

from collections.abc import Sequence

import pytest

from kpclientd.localnet.counters import DropReason
from kpclientd.localnet.keys import KeyMaker, KeyTree, NodeKeys
from kpclientd.localnet.node import Deliver, Drop, Forward, Node, NodeAction, Role, Serve
from kpclientd.localnet.service import Reply, Services, recipient_id
from kpclientd.localnet.topology import Topology, build
from pki.epoch import GENESIS, EpochClock
from pki.path import delay_cap_ms
from pki.signatures import signature_scheme
from sphinx.commands import NodeDelay, Recipient, RoutingCommand, SurbReply
from sphinx.crypto.kem import kem_scheme
from sphinx.geometry import Geometry
from sphinx.packet import Sphinx
from sphinx.path import PathHop
from sphinx.plaintext import compose_plaintext
from sphinx.randomness import seeded
from sphinx.types import NodeId, RecipientId, SurbId

PERIOD = 120.0
EPOCH = 5000
NOW = GENESIS + EPOCH * PERIOD + 60.0
MU = 0.005
CAP_MS = 5527  # the reference at Mu 0.005: 5527 passes, 5528 is dropped
SPHINX = Sphinx(Geometry.nike("x25519", 5, 200))
RANDOMNESS = seeded(b"packets")
CLIENT = RecipientId(b"0123456789abcdef0123456789abcdef")
SURB_ID = SurbId(bytes(range(16)))


def topology() -> Topology:
    keys = KeyMaker(KeyTree(b"node tests"), SPHINX, kem_scheme("x25519"), signature_scheme("Ed25519"))
    return build(keys, (2, 2, 2))


TOPOLOGY = topology()
MIX = TOPOLOGY.layers[0][0]
DELAY = NodeDelay(100)


@pytest.fixture
def nodes() -> dict[NodeId, Node]:
    return topology().nodes(SPHINX, EpochClock(PERIOD), MU)


def _hop(keys: NodeKeys, *commands: RoutingCommand, epoch: int = EPOCH) -> PathHop:
    return PathHop(keys.node_id, keys.mix.public_key(epoch), commands)


def _packet(*hops: PathHop, payload: bytes | None = None) -> bytes:
    plaintext = bytes(SPHINX.geometry.forward_payload_length) if payload is None else payload
    return SPHINX.new_packet(hops, plaintext, RANDOMNESS)


def _at(nodes: dict[NodeId, Node], keys: NodeKeys, packet: bytes, *, from_client: bool = False) -> NodeAction:
    return nodes[keys.node_id].process(packet, NOW, from_client=from_client)


def _through_mix(*commands: RoutingCommand, epoch: int = EPOCH, following: NodeKeys | None = None) -> bytes:
    next_hop = TOPOLOGY.layers[1][1] if following is None else following
    return _packet(_hop(MIX, *commands, epoch=epoch), _hop(next_hop, Recipient(CLIENT)))


def test_a_packet_passes_all_its_hops_and_arrives_at_the_service(nodes: dict[NodeId, Node]) -> None:
    echo = recipient_id("+echo")
    path = [TOPOLOGY.gateway, *(layer[1] for layer in TOPOLOGY.layers)]
    packet = _packet(*(_hop(keys, DELAY) for keys in path), _hop(TOPOLOGY.service, DELAY, Recipient(echo)))
    for keys, following in zip(path, [*path[1:], TOPOLOGY.service], strict=True):
        action = _at(nodes, keys, packet, from_client=keys is TOPOLOGY.gateway)
        assert isinstance(action, Forward)
        assert (action.next_hop, action.delay_ms) == (following.node_id, 100)
        packet = action.packet
    served = _at(nodes, TOPOLOGY.service, packet)
    assert served == Serve(echo, bytes(SPHINX.geometry.forward_payload_length))


@pytest.mark.parametrize(("age", "passes"), [(2, False), (1, True), (0, True), (-1, True), (-2, False)])
def test_keys_of_the_last_this_and_the_next_epoch_open_packets_and_no_others(
    nodes: dict[NodeId, Node], age: int, passes: bool
) -> None:
    action = _at(nodes, MIX, _through_mix(DELAY, epoch=EPOCH - age))
    assert isinstance(action, Forward) if passes else action == Drop(DropReason.UNWRAP_FAILED)


def test_a_packet_is_opened_once_in_the_lifetime_of_its_key(nodes: dict[NodeId, Node]) -> None:
    node = nodes[MIX.node_id]
    packet = _through_mix(DELAY)
    assert isinstance(node.process(packet, NOW), Forward)
    for later in (0.0, PERIOD):
        assert node.process(packet, NOW + later) == Drop(DropReason.REPLAY)
    assert node.process(packet, NOW + 2 * PERIOD) == Drop(DropReason.UNWRAP_FAILED)


def test_keys_and_tags_of_old_epochs_are_forgotten(nodes: dict[NodeId, Node]) -> None:
    node = nodes[MIX.node_id]
    node.process(_through_mix(DELAY), NOW)
    node.process(b"".ljust(SPHINX.geometry.packet_length), NOW + 4 * PERIOD)
    assert not node.keys.mix.is_replay(EPOCH, bytes(32))


@pytest.mark.parametrize("length", [0, 1, SPHINX.geometry.packet_length - 1, SPHINX.geometry.packet_length + 1])
def test_a_packet_of_another_length_is_dropped(nodes: dict[NodeId, Node], length: int) -> None:
    assert _at(nodes, MIX, bytes(length)) == Drop(DropReason.WRONG_LENGTH)


@pytest.mark.parametrize("offset", [0, 1, 2, 40, 450])
def test_a_flipped_bit_in_the_header_drops_the_packet(nodes: dict[NodeId, Node], offset: int) -> None:
    packet = bytearray(_through_mix(DELAY))
    packet[offset] ^= 1
    assert _at(nodes, MIX, bytes(packet)) == Drop(DropReason.UNWRAP_FAILED)


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [(0, 1), (1, 1), (CAP_MS, CAP_MS), (CAP_MS + 1, None), (0xFFFFFFFF, None)],
)
def test_delays_up_to_the_cap_pass_and_longer_ones_do_not(
    nodes: dict[NodeId, Node], milliseconds: int, expected: int | None
) -> None:
    action = _at(nodes, MIX, _through_mix(NodeDelay(milliseconds)))
    if expected is None:
        assert action == Drop(DropReason.DELAY_TOO_LONG)
    else:
        assert isinstance(action, Forward)
        assert action.delay_ms == expected


def test_without_a_cap_three_periods_are_the_longest_delay() -> None:
    neighbours = frozenset({TOPOLOGY.layers[1][1].node_id})
    node = Node(MIX, Role.MIX, neighbours, SPHINX, EpochClock(PERIOD), delay_cap_ms(0.0))
    assert isinstance(node.process(_through_mix(NodeDelay(360_000)), NOW), Forward)
    assert node.process(_through_mix(NodeDelay(360_001)), NOW) == Drop(DropReason.DELAY_TOO_LONG)


def test_a_packet_without_delay_is_not_forwarded(nodes: dict[NodeId, Node]) -> None:
    assert _at(nodes, MIX, _through_mix()) == Drop(DropReason.NO_DELAY)


@pytest.mark.parametrize(
    "commands", [(DELAY, DELAY), (DELAY, Recipient(CLIENT), Recipient(CLIENT))], ids=["delays", "recipients"]
)
def test_a_command_given_twice_drops_the_packet(nodes: dict[NodeId, Node], commands: Sequence[RoutingCommand]) -> None:
    assert _at(nodes, MIX, _packet(_hop(MIX, *commands))) == Drop(DropReason.REDUNDANT_COMMAND)


def test_a_mix_forwards_to_the_next_layer_only(nodes: dict[NodeId, Node]) -> None:
    for following in (TOPOLOGY.layers[0][1], TOPOLOGY.layers[2][0], TOPOLOGY.service, TOPOLOGY.gateway):
        action = _at(nodes, MIX, _through_mix(DELAY, following=following))
        assert action == Drop(DropReason.NOT_A_NEIGHBOUR)


def test_the_last_layer_sends_to_gateway_and_service(nodes: dict[NodeId, Node]) -> None:
    last = TOPOLOGY.layers[-1][0]
    for following in (TOPOLOGY.service, TOPOLOGY.gateway):
        packet = _packet(_hop(last, DELAY), _hop(following, Recipient(CLIENT)))
        assert isinstance(_at(nodes, last, packet), Forward)


def test_a_mix_keeps_nothing_that_ends_at_it(nodes: dict[NodeId, Node]) -> None:
    for commands in ((Recipient(CLIENT),), (DELAY, Recipient(CLIENT), SurbReply(SURB_ID)), (DELAY,)):
        action = _at(nodes, MIX, _packet(_hop(MIX, *commands)))
        assert action == Drop(DropReason.NOT_A_FORWARD_PACKET)


def test_a_gateway_takes_only_forward_packets_from_clients(nodes: dict[NodeId, Node]) -> None:
    packet = _packet(_hop(TOPOLOGY.gateway, Recipient(CLIENT), SurbReply(SURB_ID)))
    action = _at(nodes, TOPOLOGY.gateway, packet, from_client=True)
    assert action == Drop(DropReason.NOT_A_FORWARD_PACKET)


def test_a_gateway_forwards_nothing_for_mixes(nodes: dict[NodeId, Node]) -> None:
    packet = _packet(_hop(TOPOLOGY.gateway, DELAY), _hop(MIX, Recipient(CLIENT)))
    assert _at(nodes, TOPOLOGY.gateway, packet) == Drop(DropReason.NOT_A_REPLY)


def test_a_gateway_delivers_replies_still_sealed(nodes: dict[NodeId, Node]) -> None:
    packet = _packet(_hop(TOPOLOGY.gateway, Recipient(CLIENT), SurbReply(SURB_ID)))
    action = _at(nodes, TOPOLOGY.gateway, packet)
    assert isinstance(action, Deliver)
    assert (action.recipient, action.surb_id) == (CLIENT, SURB_ID)
    geometry = SPHINX.geometry
    assert len(action.payload) == geometry.payload_tag_length + geometry.forward_payload_length


def test_a_gateway_drops_what_ends_at_it_and_answers_no_surb(nodes: dict[NodeId, Node]) -> None:
    packet = _packet(_hop(TOPOLOGY.gateway, Recipient(CLIENT)))
    assert _at(nodes, TOPOLOGY.gateway, packet) == Drop(DropReason.NOT_A_REPLY)


def test_a_service_node_forwards_nothing(nodes: dict[NodeId, Node]) -> None:
    packet = _packet(_hop(TOPOLOGY.service, DELAY), _hop(MIX, Recipient(CLIENT)))
    assert _at(nodes, TOPOLOGY.service, packet) == Drop(DropReason.FORWARD_AT_SERVICE)


@pytest.mark.parametrize("commands", [(), (NodeDelay(100_000),)], ids=["no delay", "a delay far over the cap"])
def test_a_service_node_does_not_enforce_the_delay_of_requests(
    nodes: dict[NodeId, Node], commands: Sequence[RoutingCommand]
) -> None:
    packet = _packet(_hop(TOPOLOGY.service, *commands, Recipient(CLIENT)))
    assert isinstance(_at(nodes, TOPOLOGY.service, packet), Serve)


def test_a_service_node_takes_no_reply(nodes: dict[NodeId, Node]) -> None:
    packet = _packet(_hop(TOPOLOGY.service, Recipient(CLIENT), SurbReply(SURB_ID)))
    assert _at(nodes, TOPOLOGY.service, packet) == Drop(DropReason.UNKNOWN_ENDPOINT)


def test_a_flipped_bit_in_the_payload_is_noticed_where_the_request_ends(nodes: dict[NodeId, Node]) -> None:
    packet = bytearray(_packet(_hop(TOPOLOGY.service, Recipient(CLIENT))))
    packet[-1] ^= 1
    assert _at(nodes, TOPOLOGY.service, bytes(packet)) == Drop(DropReason.UNWRAP_FAILED)


def _surb() -> bytes:
    path = [*(_hop(layer[0], DELAY) for layer in TOPOLOGY.layers)]
    path.append(_hop(TOPOLOGY.gateway, Recipient(CLIENT), SurbReply(SURB_ID)))
    return SPHINX.new_surb(path, RANDOMNESS).surb


@pytest.mark.parametrize("endpoint", ["+echo", "+testdest"])
def test_a_request_with_surb_is_answered_through_the_surb(endpoint: str) -> None:
    plaintext = compose_plaintext(SPHINX.geometry, b"ping", _surb())
    reply = Services(SPHINX).handle(recipient_id(endpoint), plaintext)
    assert isinstance(reply, Reply)
    assert reply.first_hop == MIX.node_id
    assert len(reply.packet) == SPHINX.geometry.packet_length


@pytest.mark.parametrize("name", ["+nobody", "+ech", "echo"])
def test_an_unknown_endpoint_gets_nothing(name: str) -> None:
    plaintext = compose_plaintext(SPHINX.geometry, b"ping", _surb())
    assert Services(SPHINX).handle(recipient_id(name), plaintext) == Drop(DropReason.UNKNOWN_ENDPOINT)


def test_a_request_without_surb_is_not_answered() -> None:
    plaintext = compose_plaintext(SPHINX.geometry, b"ping", None)
    assert Services(SPHINX).handle(recipient_id("+echo"), plaintext) == Drop(DropReason.NO_SURB)


@pytest.mark.parametrize("start", [b"\x02\x00", b"\x01\x01", b"ping"])
def test_a_malformed_request_is_dropped(start: bytes) -> None:
    plaintext = start.ljust(SPHINX.geometry.forward_payload_length, b"\0")
    assert Services(SPHINX).handle(recipient_id("+echo"), plaintext) == Drop(DropReason.MALFORMED_PLAINTEXT)


def test_nothing_secret_shows_when_a_node_is_printed() -> None:
    shown = repr(TOPOLOGY)
    assert "mix1-1" in shown
    for secret in (MIX.mix.private_key(EPOCH), MIX.link.public_key):
        assert repr(secret)[2:-1] not in shown
    assert "link" not in shown
