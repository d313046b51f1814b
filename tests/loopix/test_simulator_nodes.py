"""What the local network's mixes and providers make of single connections; no I/O, and recorded packets."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.errors import LoopixError
from kpclientd.loopix.inbox import read_pulled
from kpclientd.loopix.nodes import ClientConfig, MixConfig, key_text
from kpclientd.loopix.packet import ASSIGN, COMM, PULL, TOKEN, general, parse_general, wrap
from kpclientd.loopix.registration import pull_packet, registration_packet, token_of
from kpclientd.loopix.simulator.actions import Answer, Drop, Ending, Forward, Store
from kpclientd.loopix.simulator.counters import Counted, Counters, DropReason
from kpclientd.loopix.simulator.faults import Faults, ReplyFault
from kpclientd.loopix.simulator.mix import LONGEST_DELAY_SECONDS, Mix, NodeKeys
from kpclientd.loopix.simulator.provider import MAX_CLIENTS, MAX_INBOX_LENGTH, Provider, token_for
from sphinx.randomness import seeded
from tests.support.vectors import recorded

VECTORS: list[dict[str, Any]] = recorded("loopix_sphinx.json")
HOPS = 5
CLIENT_KEY = bytes(range(32))
CLIENT = key_text(CLIENT_KEY)
DAMAGED = {ReplyFault.GARBAGE, ReplyFault.CUT_SHORT}
STORED = bytes.fromhex("0a220a20") + bytes(range(32)) + b"\x12\x02hi"


def _keys(vector: dict[str, Any], hop: int) -> NodeKeys:
    return NodeKeys(vector["ID"][hop], bytes.fromhex(vector["Priv"][hop]), bytes.fromhex(vector["Pub"][hop]))


def make_provider(keys: NodeKeys | None = None, *, honour_delays: bool = False) -> Provider:
    return Provider(
        keys or NodeKeys.generate("provider1", seeded(b"provider")),
        honour_delays=honour_delays,
        faults=Faults(seeded(b"faults")),
        counters=Counters(),
        randomness=seeded(b"order"),
    )


@pytest.fixture
def provider() -> Provider:
    """A provider with one client."""
    made = make_provider()
    made.take(register())
    return made


def register(key: bytes = CLIENT_KEY) -> bytes:
    return registration_packet(ClientConfig(id=key_text(key), public_key=key))


def pull(token: bytes | None = None, key: bytes = CLIENT_KEY) -> bytes:
    return pull_packet(token_for(key_text(key)) if token is None else token, key)


def data_of(action: object) -> bytes:
    assert isinstance(action, Answer)
    assert action.ending is Ending.CLOSE
    return action.data


@pytest.mark.parametrize("honoured", [False, True])
@pytest.mark.parametrize("vector", VECTORS, ids=range(len(VECTORS)))
def test_recorded_packets_travel_as_they_did_through_the_genuine_nodes(vector: dict[str, Any], honoured: bool) -> None:
    packet = bytes.fromhex(vector["General"])
    for hop in range(HOPS - 1):
        action = Mix(_keys(vector, hop), honour_delays=honoured).take(packet)
        assert isinstance(action, Forward)
        assert action.address == f"{vector['Host'][hop + 1]}:{vector['Port'][hop + 1]}"
        assert action.delay == (vector["Delays"][hop] if honoured else int(vector["Delays"][hop]))
        assert action.packet == general(COMM, bytes.fromhex(vector["Hops"][hop]["Out"]))
        packet = action.packet
    action = make_provider(_keys(vector, HOPS - 1)).take(packet)
    assert action == Store(vector["DestID"], bytes.fromhex(vector["Hops"][-1]["Out"]), 0.0)


def test_a_mix_is_nobodys_provider() -> None:
    vector = VECTORS[0]
    mix = Mix(_keys(vector, HOPS - 1), honour_delays=False)
    last = general(COMM, bytes.fromhex(vector["Hops"][HOPS - 2]["Out"]))
    assert mix.take(last) == Drop(DropReason.FINAL_AT_MIX)
    assert mix.take(register()) == Drop(DropReason.UNKNOWN_FLAG)
    assert mix.take(pull()) == Drop(DropReason.UNKNOWN_FLAG)


def test_a_mix_drops_what_is_for_another() -> None:
    mix = Mix(_keys(VECTORS[0], 1), honour_delays=False)
    assert mix.take(bytes.fromhex(VECTORS[0]["General"])) == Drop(DropReason.PROCESSING_FAILED)


def test_no_packet_is_held_for_ever() -> None:
    keys = NodeKeys.generate("mix1-1", seeded(b"mix"))
    node = MixConfig("mix", "127.0.0.1", "9", keys.public_key, 1)
    packet = wrap([node, node], [1e300, 0.0], ClientConfig(id=CLIENT), b"late", bytes(range(32)))
    action = Mix(keys, honour_delays=True).take(general(COMM, packet))
    assert isinstance(action, Forward)
    assert action.delay == LONGEST_DELAY_SECONDS


@given(st.binary(max_size=200))
def test_garbage_is_dropped_by_mix_and_provider(data: bytes) -> None:
    keys = NodeKeys.generate("any", seeded(b"any"))
    for flag in (COMM, ASSIGN, PULL, TOKEN):
        for node in (Mix(keys, honour_delays=False), make_provider(keys)):
            action = node.take(general(flag, data))
            assert isinstance(action, Drop) or (flag == ASSIGN and isinstance(action, Answer))
            assert isinstance(node.take(data), Drop | Answer)


def test_a_registration_is_answered_as_the_genuine_provider_does() -> None:
    token = hashlib.sha256(b"TMP_Token" + CLIENT.encode()).digest()
    answer = data_of(make_provider().take(register()))
    assert answer == bytes.fromhex("0801 1225 0a01a9 1220") + token
    assert token_of(answer) == token_for(CLIENT) == token


def test_registering_again_gives_the_same_token_and_one_client(provider: Provider) -> None:
    assert token_of(data_of(provider.take(register()))) == token_for(CLIENT)
    assert provider.clients == [CLIENT]


@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_key_of_another_length_is_not_registered(length: int) -> None:
    provider = make_provider()
    assert provider.take(register(bytes(length))) == Drop(DropReason.BAD_REQUEST)
    assert provider.clients == []


def test_a_pull_returns_each_stored_packet_once(provider: Provider) -> None:
    stored = [STORED + b"\x12\x01" + bytes([number]) for number in range(20)]
    for packet in stored:
        assert provider.store(CLIENT, packet) is None
    assert provider.waiting(CLIENT) == len(stored)
    pulled = read_pulled(data_of(provider.take(pull())))
    assert sorted(pulled.messages) == [bytes([number]) for number in range(20)]
    assert list(pulled.messages) != sorted(pulled.messages), "the order is that of random file names"
    assert data_of(provider.take(pull())) == b""
    assert provider.waiting(CLIENT) == 0


def test_a_pulled_packet_has_the_genuine_form(provider: Provider) -> None:
    provider.store(CLIENT, STORED)
    inner = bytes.fromhex("0a01c6 12") + bytes([len(STORED)]) + STORED
    assert data_of(provider.take(pull())) == bytes.fromhex("0801 12") + bytes([len(inner)]) + inner


def test_strangers_and_wrong_tokens_get_nothing_at_all(provider: Provider) -> None:
    provider.store(CLIENT, STORED)
    assert provider.take(pull(b"")) == Drop(DropReason.WRONG_TOKEN)
    assert provider.take(pull(bytes(32))) == Drop(DropReason.WRONG_TOKEN)
    assert provider.take(pull(key=bytes(31) + b"\1")) == Drop(DropReason.UNKNOWN_CLIENT)
    assert provider.waiting(CLIENT) == 1


def test_mail_for_one_who_never_registered_is_lost(provider: Provider) -> None:
    assert provider.store("../../etc", STORED) is DropReason.UNKNOWN_INBOX


def test_a_restart_forgets_tokens_and_keeps_mail(provider: Provider) -> None:
    provider.store(CLIENT, STORED)
    provider.restart()
    assert provider.clients == []
    assert provider.take(pull()) == Drop(DropReason.UNKNOWN_CLIENT)
    assert provider.store(CLIENT, STORED) is None
    provider.take(register())
    assert read_pulled(data_of(provider.take(pull()))).messages == (b"hi", b"hi")


def test_an_inbox_has_a_bound(provider: Provider) -> None:
    refused = [provider.store(CLIENT, b"") for _ in range(MAX_INBOX_LENGTH + 1)]
    assert refused == [None] * MAX_INBOX_LENGTH + [DropReason.INBOX_FULL]


def test_the_number_of_clients_has_a_bound(provider: Provider) -> None:
    keys = [number.to_bytes(32, "big") for number in range(MAX_CLIENTS)]
    actions = [provider.take(register(key)) for key in keys]
    assert actions[-1] == Drop(DropReason.TOO_MANY_CLIENTS)
    assert all(isinstance(action, Answer) for action in actions[:-1])
    assert isinstance(provider.take(register()), Answer), "whoever is known stays welcome"


@pytest.mark.parametrize("fault", ReplyFault)
def test_a_faulty_registration_is_no_registration_for_a_client_unless_only_the_count_is_wrong(
    fault: ReplyFault,
) -> None:
    provider = make_provider()
    provider.faults.registration = fault
    action = provider.take(register())
    assert isinstance(action, Answer)
    if fault in (ReplyFault.COUNT_TOO_HIGH, ReplyFault.COUNT_TOO_LOW):
        assert token_of(action.data) == token_for(CLIENT)
    else:
        with pytest.raises(LoopixError):
            token_of(action.data)


@pytest.mark.parametrize("fault", ReplyFault)
def test_a_faulty_pull_costs_messages_exactly_when_it_is_counted_so(provider: Provider, fault: ReplyFault) -> None:
    provider.faults.pull = fault
    for _ in range(3):
        provider.store(CLIENT, STORED)
    action = provider.take(pull())
    assert isinstance(action, Answer)
    try:
        messages = read_pulled(action.data).messages
    except LoopixError:
        assert fault in DAMAGED
        messages = ()
    counters = provider.counters
    assert counters[Counted.FAULT_REPLIES] == 1
    if fault.loses_the_reply:
        assert messages == ()
        assert counters.drops == {DropReason.FAULT_REPLY_LOST: 3}
    else:
        assert messages == (b"hi",) * (4 if fault is ReplyFault.EXTRA_PACKET else 3)
        assert counters[Counted.PACKETS_PULLED] == 3


@pytest.mark.parametrize("fault", ReplyFault)
def test_an_empty_inbox_can_be_faulty_too(provider: Provider, fault: ReplyFault) -> None:
    provider.faults.pull = fault
    action = provider.take(pull())
    assert isinstance(action, Answer)
    if fault not in DAMAGED:
        assert read_pulled(action.data).messages == ()


def test_an_entry_without_data_has_the_form_of_a_file_that_was_not_written_yet(provider: Provider) -> None:
    provider.faults.pull = ReplyFault.EMPTY_DATA
    assert data_of(provider.take(pull())) == bytes.fromhex("0801 1203 0a01c6")
    assert parse_general(bytes.fromhex("0a01c6")) == (COMM, b"")


def test_reset_and_silence_end_otherwise(provider: Provider) -> None:
    for fault, ending in ((ReplyFault.RESET, Ending.RESET), (ReplyFault.SILENCE, Ending.SILENCE)):
        provider.faults.pull = fault
        assert provider.take(pull()) == Answer(b"", ending)


def test_no_key_token_or_packet_is_in_a_repr() -> None:
    keys = NodeKeys.generate("any", seeded(b"any"))
    assert repr(keys.private_key) not in repr(keys)
    assert "packet" not in repr(Forward("127.0.0.1:1", b"secret", 0.0))
    assert "secret" not in repr(Answer(b"secret")) + repr(Store(CLIENT, b"secret", 0.0))
