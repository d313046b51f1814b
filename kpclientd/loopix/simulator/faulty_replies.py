"""A provider's faulty replies: one for each fault.

Whatever the fault does not concern is genuine.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from kpclientd.loopix.messages_pb2 import ProviderResponse
from kpclientd.loopix.packet import COMM, PULL, general, parse_general
from kpclientd.loopix.simulator.actions import Answer, Ending
from kpclientd.loopix.simulator.faults import ReplyFault

FALSE_COUNT: Final = 1000
"""By how much a count is too high: packets that are promised and not there."""

GARBAGE: Final = b"\xff" * 64
"""No protobuf: a tag that never ends."""


def response(packets: Sequence[bytes], count: int | None = None) -> bytes:
    """Return a provider's genuine answer: no byte at all if it holds nothing.

    Args:
        packets: marshalled, each with its flag.
        count: what the answer says about their number; by default the truth.
    """
    number = len(packets) if count is None else count
    return ProviderResponse(NumberOfPackets=number, Packets=packets).SerializeToString()


def faulty_reply(packets: Sequence[bytes], fault: ReplyFault) -> Answer:
    """Return the answer with `packets` as `fault` leaves it."""
    return _FAULTY[fault](packets)


def _with_empty_data(packets: Sequence[bytes]) -> Answer:
    """What a pull finds that comes between the making and the writing of a file."""
    flag = parse_general(packets[0])[0] if packets else COMM
    return Answer(response([general(flag, b""), *packets]))


def _with_another_flag(packets: Sequence[bytes]) -> Answer:
    return Answer(response([general(PULL, parse_general(packet)[1]) for packet in packets]))


def _cut_short(packets: Sequence[bytes]) -> Answer:
    whole = response(packets)
    return Answer(whole[: len(whole) // 2])


_FAULTY: Final[Mapping[ReplyFault, Callable[[Sequence[bytes]], Answer]]] = {
    ReplyFault.EMPTY_DATA: _with_empty_data,
    ReplyFault.COUNT_TOO_HIGH: lambda packets: Answer(response(packets, len(packets) + FALSE_COUNT)),
    ReplyFault.COUNT_TOO_LOW: lambda packets: Answer(response(packets, max(0, len(packets) - 1))),
    ReplyFault.NO_PACKETS: lambda packets: Answer(response([], len(packets))),
    ReplyFault.EXTRA_PACKET: lambda packets: Answer(response([*packets, *packets[-1:]])),
    ReplyFault.WRONG_FLAG: _with_another_flag,
    ReplyFault.GARBAGE: lambda _: Answer(GARBAGE),
    ReplyFault.NO_REPLY: lambda _: Answer(b""),
    ReplyFault.CUT_SHORT: _cut_short,
    ReplyFault.RESET: lambda _: Answer(b"", Ending.RESET),
    ReplyFault.SILENCE: lambda _: Answer(b"", Ending.SILENCE),
}
