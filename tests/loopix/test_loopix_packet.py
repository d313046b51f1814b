import hashlib
import hmac
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kpclientd.loopix.errors import LoopixError, NoPath, PacketError, UnknownRecipient
from kpclientd.loopix.messages_pb2 import Commands, GeneralPacket, Header, Hop, RoutingInfo, SphinxPacket
from kpclientd.loopix.nodes import ClientConfig, MixConfig, key_text
from kpclientd.loopix.packet import (
    COMM,
    LAST_HOP,
    PULL,
    RELAY,
    Processed,
    general,
    parse_general,
    payload_of,
    process,
    wrap,
)
from kpclientd.loopix.profile import DEFAULT, PROFILES
from kpclientd.loopix.sizes import longest_message, packet_length
from tests.loopix import plain_sphinx
from tests.loopix.descriptions import X25519, key, keys, private_key, texts
from tests.support.vectors import recorded

VECTORS = recorded("loopix_sphinx.json")
SECRET = bytes(range(32))
RECIPIENT = ClientConfig(key_text(key(201)), "0.0.0.0", "42")

cases = pytest.mark.parametrize("case", VECTORS, ids=range(len(VECTORS)))


def path_of(case: dict[str, Any]) -> list[MixConfig]:
    return [
        MixConfig(name, host, port, bytes.fromhex(public))
        for name, host, port, public in zip(case["ID"], case["Host"], case["Port"], case["Pub"], strict=True)
    ]


def recipient_of(case: dict[str, Any]) -> ClientConfig:
    return ClientConfig(case["DestID"], case["DestHost"], case["DestPort"])


def path_to(address: str, mix_address: str) -> list[MixConfig]:
    """A provider, three mixes and a provider, the latter with their addresses as ids."""

    def node(number: int, name: str, address: str) -> MixConfig:
        host, port = address.split(":")
        return MixConfig(name, host, port, key(number))

    mixes = [node(number, key_text(key(number)), mix_address) for number in (1, 2, 3)]
    return [node(101, address, address), *mixes, node(102, address, address)]


def wrapped(message: bytes = b"message", delays: tuple[float, ...] = (0.5,) * 5) -> bytes:
    return wrap(path_to("localhost:9997", "localhost:9980"), delays, RECIPIENT, message, SECRET)


@cases
def test_a_packet_equals_the_genuine_client_s(case: dict[str, Any]) -> None:
    message = bytes.fromhex(case["Msg"])
    packet = wrap(path_of(case), case["Delays"], recipient_of(case), message, bytes.fromhex(case["X"]))
    assert packet.hex() == case["Packet"]
    assert general(COMM, packet).hex() == case["General"]


@cases
def test_each_hop_makes_of_a_packet_what_the_genuine_node_does(case: dict[str, Any]) -> None:
    packet = bytes.fromhex(case["Packet"])
    for private, hop in zip(case["Priv"], case["Hops"], strict=True):
        processed = process(bytes.fromhex(private), packet)
        packet = processed.packet
        assert packet.hex() == hop["Out"]
        assert processed == Processed(
            hop["NextID"], hop["NextAddr"], bytes.fromhex(hop["Flag"]), hop["Delay"], bytes.fromhex(hop["Out"])
        )
    assert payload_of(packet).hex() == case["Msg"]


@cases
def test_the_plain_wrapping_that_others_are_compared_with_is_the_genuine_one(case: dict[str, Any]) -> None:
    arguments = path_of(case), case["Delays"], recipient_of(case), bytes.fromhex(case["Msg"]), bytes.fromhex(case["X"])
    assert plain_sphinx.wrap(*arguments).hex() == case["Packet"]


@cases
def test_the_length_of_a_packet_is_known_before_it_is_made(case: dict[str, Any]) -> None:
    length = packet_length(path_of(case), case["Delays"], recipient_of(case), len(case["Msg"]) // 2)
    assert length == len(case["General"]) // 2


def test_a_blinding_factor_is_the_one_of_the_reference_s_own_test() -> None:
    nine = (9).to_bytes(32, "little")
    assert plain_sphinx.blinding(hashlib.sha256(nine).digest()).hex() == "0de6d255c7de9a6716922f5de9ee6944" + "00" * 16


def test_multiplications_commute_to_the_reference_s_value() -> None:
    one, other = (42).to_bytes(32, "little"), (0x1005A).to_bytes(32, "little")
    expected = "f556b43a4a37683741778610a11dcb8d0bdaafc04fde405a7af83e74c88ff954"
    for first, second in ((one, other), (other, one)):
        assert X25519.blind(X25519.public_key(first), second).hex() == expected


def test_a_public_key_is_that_of_the_reference_s_benchmark() -> None:
    private = bytes.fromhex("bf2b5aaf32e09c16ccad57ff4098111e30a2245f3922bbb7cbd719ac37c7d33b")
    expected = "11aa0f969b4bf0423664837fc10a85203e9b092ec8373c7ddf4caaa76422b075"
    assert X25519.public_key(private).hex() == expected


@given(
    secret=st.binary(min_size=32, max_size=32),
    privates=st.lists(keys, min_size=1, max_size=6),
    message=st.binary(max_size=300),
    delays=st.lists(st.floats(0, 5), min_size=6, max_size=6),
    names=st.lists(texts, min_size=7, max_size=7),
)
@example(bytes(32), [bytes([255]) * 32] * 5, b"", [0.0] * 6, [""] * 7)
@example(bytes([255]) * 32, [bytes([1] + [0] * 31)] * 5, b"x", [1.0] * 6, ["a"] * 7)
@settings(max_examples=60)
def test_multiplying_scalars_gives_what_multiplying_points_one_by_one_gives(
    secret: bytes, privates: list[bytes], message: bytes, delays: list[float], names: list[str]
) -> None:
    path = [
        MixConfig(name, name[::-1], "1", X25519.public_key(private))
        for name, private in zip(names, privates, strict=False)
    ]
    recipient = ClientConfig(names[-1], names[0], "")
    packet = wrap(path, delays, recipient, message, secret)
    assert packet == plain_sphinx.wrap(path, delays, recipient, message, secret)
    assert len(general(COMM, packet)) == packet_length(path, delays, recipient, len(message))
    for index, private in enumerate(privates):
        processed = process(private, packet)
        packet = processed.packet
        following: MixConfig | ClientConfig = path[index + 1] if index + 1 < len(path) else recipient
        assert (processed.next_id, processed.next_address) == (following.id, following.address)
        assert processed.delay == delays[index]
        assert processed.flag == (LAST_HOP if index + 1 == len(path) else RELAY)
    assert payload_of(packet) == message


@pytest.mark.parametrize(
    ("address", "profile", "longest"),
    [
        ("localhost:9997", "0.2", 302),
        ("localhost:9997", "0.3", 1326),
        ("35.178.212.193:1789", "0.2", 277),
        ("35.178.212.193:1789", "0.4", 1301),
    ],
)
def test_the_longest_message_fits_and_one_byte_more_does_not(address: str, profile: str, longest: int) -> None:
    path = path_to(address, address)
    limit = PROFILES[profile].packet_limit
    assert longest_message(path, RECIPIENT, PROFILES[profile]) == longest
    lengths = [
        len(general(COMM, wrap(path, [0.5] * 5, RECIPIENT, bytes(length), SECRET))) for length in (longest, longest + 1)
    ]
    assert lengths[0] <= limit < lengths[1]


@given(st.integers(0, 2500), st.integers(1, 250))
def test_no_longer_message_than_the_longest_fits(limit: int, name_length: int) -> None:
    profile = replace(DEFAULT, packet_limit=limit)
    path = [replace(node, id="n" * name_length) for node in path_to("localhost:9997", "localhost:9980")]
    longest = longest_message(path, RECIPIENT, profile)
    if longest >= 0:
        assert packet_length(path, [1.0] * 5, RECIPIENT, longest) <= limit
    assert packet_length(path, [1.0] * 5, RECIPIENT, max(longest + 1, 0)) > limit


def test_a_packet_changed_in_any_byte_of_its_header_is_refused() -> None:
    packet = wrapped()
    payload_begins = len(packet) - len(b"message")
    for place in range(payload_begins):
        changed = bytearray(packet)
        changed[place] ^= 0x10
        try:
            processed = process(private_key(101), bytes(changed))
        except PacketError:
            continue
        # Only the tag of the payload may change without a trace: then there is none.
        assert payload_of(processed.packet) != b"message"
        assert place >= payload_begins - 2


def test_a_packet_for_another_node_is_refused_in_the_reference_s_words() -> None:
    with pytest.raises(PacketError, match="MACs are not matching"):
        process(private_key(102), wrapped())


@given(st.binary(max_size=400))
def test_random_bytes_are_refused_everywhere(data: bytes) -> None:
    for read in (lambda: process(private_key(1), data), lambda: payload_of(data), lambda: parse_general(data)):
        try:
            read()
        except PacketError:
            pass


@given(st.data())
def test_mutated_packets_are_processed_or_refused(data: st.DataObject) -> None:
    packet = bytearray(wrapped())
    for _ in range(data.draw(st.integers(1, 4))):
        packet[data.draw(st.integers(0, len(packet) - 1))] = data.draw(st.integers(0, 255))
    del packet[data.draw(st.integers(0, len(packet))) :]
    try:
        process(private_key(101), bytes(packet))
    except LoopixError as error:
        assert isinstance(error, PacketError)


def sealed(routing: RoutingInfo, alpha: bytes | None = None) -> bytes:
    """A packet for node 1 with a header of our choice, rightly sealed."""
    element = X25519.public_key(SECRET)
    sealing_key = plain_sphinx.kdf(plain_sphinx.kdf(X25519.shared_secret(SECRET, key(1))))
    beta = plain_sphinx.ctr(sealing_key, routing.SerializeToString())
    mac = hmac.digest(sealing_key, beta, "sha256")
    return SphinxPacket(Hdr=Header(Alpha=alpha or element, Beta=beta, Mac=mac)).SerializeToString()


@pytest.mark.parametrize(
    "routing",
    [
        RoutingInfo(),
        RoutingInfo(NextHop=Hop(Id="x")),
        RoutingInfo(RoutingCommands=Commands(Flag=RELAY)),
        RoutingInfo(NextHop=Hop(Id="x"), RoutingCommands=Commands(Delay=1.0)),
        RoutingInfo(NextHop=Hop(Id="x"), RoutingCommands=Commands(Flag=b"\xf2")),
        RoutingInfo(NextHop=Hop(Id="x"), RoutingCommands=Commands(Flag=RELAY + RELAY)),
        RoutingInfo(NextHop=Hop(Id="x"), RoutingCommands=Commands(Flag=RELAY, Delay=float("nan"))),
        RoutingInfo(NextHop=Hop(Id="x"), RoutingCommands=Commands(Flag=RELAY, Delay=float("inf"))),
        RoutingInfo(NextHop=Hop(Id="x"), RoutingCommands=Commands(Flag=RELAY, Delay=-1.0)),
    ],
)
def test_a_header_that_says_nothing_useful_is_refused_although_its_mac_is_right(routing: RoutingInfo) -> None:
    with pytest.raises(PacketError, match="header"):
        process(private_key(1), sealed(routing))


def test_a_header_of_our_choice_is_otherwise_followed() -> None:
    routing = RoutingInfo(NextHop=Hop(), RoutingCommands=Commands(Flag=LAST_HOP))
    assert process(private_key(1), sealed(routing)).flag == LAST_HOP


@pytest.mark.parametrize("alpha", [bytes(32), bytes([1] + [0] * 31), b"short", bytes(33)])
def test_a_group_element_of_no_use_is_refused(alpha: bytes) -> None:
    with pytest.raises(PacketError, match="group element"):
        process(private_key(1), sealed(RoutingInfo(), alpha))


@pytest.mark.parametrize("public_key", [b"", bytes(31), bytes(32)])
def test_a_bad_key_on_the_path_is_named_in_the_reference_s_words(public_key: bytes) -> None:
    path = path_to("localhost:9997", "localhost:9980")
    path[3] = replace(path[3], public_key=public_key)
    with pytest.raises(NoPath, match=r"getSharedSecrets failed: invalid public key provided for node 3$"):
        wrap(path, [0.5] * 5, RECIPIENT, b"", SECRET)


def test_a_path_needs_nodes_and_a_delay_for_each() -> None:
    path = path_to("localhost:9997", "localhost:9980")
    for nodes, delays in ((path, [0.5] * 4), ([], [0.5])):
        with pytest.raises(NoPath):
            wrap(nodes, delays, RECIPIENT, b"", SECRET)


def test_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(UnknownRecipient):
        wrap(path_to("localhost:9997", "a:1"), [0.5] * 5, ClientConfig(id="\ud800"), b"", SECRET)


@given(st.binary(max_size=50))
def test_a_general_packet_keeps_flag_and_data(data: bytes) -> None:
    assert parse_general(general(PULL, data)) == (PULL, data)


@pytest.mark.parametrize("flag", [b"", b"\0", b"\xc5", COMM + COMM])
def test_a_flag_that_means_nothing_is_refused(flag: bytes) -> None:
    with pytest.raises(PacketError, match="flag"):
        parse_general(GeneralPacket(Flag=flag, Data=b"x").SerializeToString())


def test_nothing_secret_shows_in_what_a_node_learnt() -> None:
    assert "packet" not in repr(process(private_key(101), wrapped()))
