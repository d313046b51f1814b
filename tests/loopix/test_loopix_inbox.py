import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.loopix.errors import PacketError
from kpclientd.loopix.inbox import LONGEST_MESSAGE, LOOP_COVER, MESSAGE_OVERHEAD, Pulled, ReceiveBuffer, read_pulled
from kpclientd.loopix.messages_pb2 import Header, ProviderResponse, SphinxPacket
from kpclientd.loopix.packet import COMM, TOKEN, general, payload_of
from kpclientd.loopix.request_handler import MAX_FETCHED
from tests.support.vectors import recorded


def stored(message: bytes) -> bytes:
    """A message as a provider keeps it."""
    return SphinxPacket(Hdr=Header(Alpha=bytes(range(32))), Pld=message).SerializeToString()


def answer(*packets: bytes, count: int | None = None) -> bytes:
    number = len(packets) if count is None else count
    return ProviderResponse(NumberOfPackets=number, Packets=packets).SerializeToString()


@given(st.binary(max_size=400))
def test_a_stored_message_comes_out_whatever_its_length(message: bytes) -> None:
    assert payload_of(stored(message)) == message


@pytest.mark.parametrize("length", [1, 127, 128, 255, 256, 16384])
def test_the_genuine_client_s_cut_of_38_bytes_would_leave_stray_ones_before_long_messages(length: int) -> None:
    message = b"m" * length
    stray = stored(message)[38 : -len(message)]
    assert len(stray) == (length >= 128) + (length >= 16384)
    assert payload_of(stored(message)) == message


@pytest.mark.parametrize("case", recorded("loopix_sphinx.json"), ids=range(7))
def test_what_genuine_nodes_would_store_is_read(case: dict[str, str]) -> None:
    kept = bytes.fromhex(case["Hops"][-1]["Out"])  # type: ignore[index]
    message = bytes.fromhex(case["Msg"])
    pulled = read_pulled(answer(general(COMM, kept)))
    assert pulled == (Pulled(covers=1) if message == LOOP_COVER else Pulled((message,)))


def test_an_answer_is_sorted_into_messages_cover_and_waste() -> None:
    pulled = read_pulled(
        answer(
            general(COMM, stored(b"one")),
            general(COMM, b""),
            general(COMM, stored(LOOP_COVER)),
            general(COMM, stored(b"two")),
            general(COMM, b"no packet"),
            general(COMM, SphinxPacket(Pld=b"without header").SerializeToString()),
            general(TOKEN, stored(b"of another kind")),
            b"\xff",
            b"",
            general(COMM, stored(b"")),
        )
    )
    assert pulled == Pulled((b"one", b"two", b""), covers=1, empty=1, unreadable=5)


def test_no_bytes_are_an_empty_inbox() -> None:
    assert read_pulled(b"") == Pulled()


@pytest.mark.parametrize("count", [0, 1, 5, 2**64 - 1])
def test_the_number_that_an_answer_claims_does_not_count(count: int) -> None:
    packets = general(COMM, stored(b"one")), general(COMM, stored(b"two"))
    assert read_pulled(answer(*packets, count=count)).messages == (b"one", b"two")


def test_only_exact_cover_is_cover() -> None:
    near = (LOOP_COVER + b"\0", LOOP_COVER[:-1], LOOP_COVER.lower())
    assert read_pulled(answer(*(general(COMM, stored(message)) for message in near))).messages == near


def test_other_cover_can_be_recognised_too() -> None:
    packets = general(COMM, stored(b"cover 1")), general(COMM, stored(LOOP_COVER))
    assert read_pulled(answer(*packets), lambda message: message.startswith(b"cover")) == Pulled(
        (LOOP_COVER,), covers=1
    )


@given(st.binary(max_size=200))
def test_random_bytes_are_an_answer_or_refused(data: bytes) -> None:
    try:
        read_pulled(data)
    except PacketError:
        pass
    pulled = read_pulled(answer(data, general(COMM, data)))
    assert len(pulled.messages) + pulled.covers + pulled.empty + pulled.unreadable == 2


def test_what_no_answer_to_an_application_has_room_for_is_waste_and_stands_in_nothing_s_way() -> None:
    assert LONGEST_MESSAGE + MESSAGE_OVERHEAD < MAX_FETCHED
    lengths = (LONGEST_MESSAGE + 1, LONGEST_MESSAGE, 1)
    pulled = read_pulled(answer(*(general(COMM, stored(bytes(length))) for length in lengths)))
    assert [len(message) for message in pulled.messages] == [LONGEST_MESSAGE, 1]
    assert pulled.unreadable == 1


def test_messages_do_not_show_in_logs() -> None:
    assert "secret" not in repr(Pulled((b"secret",)))


def test_the_buffer_gives_all_in_order_and_is_empty_then() -> None:
    buffer = ReceiveBuffer()
    for message in (b"one", b"", b"two"):
        assert buffer.add(message) == 0
    assert len(buffer) == 3
    assert buffer.take_all() == [b"one", b"", b"two"]
    assert len(buffer) == 0
    assert buffer.take_all() == []


def test_a_full_buffer_drops_the_oldest() -> None:
    buffer = ReceiveBuffer(limit=2 * (3 + MESSAGE_OVERHEAD))
    assert [buffer.add(message) for message in (b"one", b"two", b"abc")] == [0, 0, 1]
    assert buffer.add(b"four") == 2
    assert buffer.add(bytes(100)) == 2
    assert buffer.take_all() == []


def test_what_does_not_fit_an_answer_stays_for_the_next() -> None:
    buffer = ReceiveBuffer()
    for message in (b"one", b"two", b"three"):
        buffer.add(message)
    two = 2 * (3 + MESSAGE_OVERHEAD)
    assert buffer.take_up_to(two + MESSAGE_OVERHEAD + 4) == [b"one", b"two"]
    assert buffer.take_up_to(MESSAGE_OVERHEAD) == []
    assert buffer.take_all() == [b"three"]


@given(st.lists(st.binary(max_size=20)), st.integers(1, 200))
def test_the_buffer_keeps_the_longest_tail_that_fits(messages: list[bytes], limit: int) -> None:
    buffer = ReceiveBuffer(limit)
    dropped = sum(map(buffer.add, messages))
    expected: list[bytes] = []
    for message in reversed(messages):
        if sum(len(kept) + MESSAGE_OVERHEAD for kept in (message, *expected)) > limit:
            break
        expected.insert(0, message)
    assert dropped == len(messages) - len(expected)
    assert buffer.take_all() == expected
