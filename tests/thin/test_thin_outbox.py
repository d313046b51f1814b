"""The outbox: what is kept of what was said, by example and against a plain model in any order of calls."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from arq import Policy
from kpclientd.thin.outbox import MOST_KEPT, Frame, Outbox

ALL = 1 << 30


def final(text: str) -> Frame:
    return Frame(text.encode(), final=True)


def news(text: str) -> Frame:
    return Frame(text.encode())


def box(*frames: Frame) -> Outbox:
    outbox = Outbox()
    for frame in frames:
        outbox.put(frame)
    return outbox


def test_frames_are_written_in_the_order_in_which_they_were_put() -> None:
    outbox = box(news("a"), final("b"), news("c"))
    assert outbox.take(ALL) == b"abc"
    assert outbox.take(ALL) == b""


def test_as_many_whole_frames_are_written_as_fit_and_at_least_one() -> None:
    outbox = box(news("four"), news("five5"), news("x"), news("too long for all"))
    assert [outbox.take(9), outbox.take(9), outbox.take(9)] == [b"fourfive5", b"x", b"too long for all"]


def test_what_is_final_and_was_not_read_is_kept_and_waits_in_front_of_what_was_not_written() -> None:
    outbox = box(final("one"), news("two"), final("three"), final("four"))
    assert outbox.take(11) == b"onetwothree"
    outbox.note_unread(6)  # of "three", and of "two" its last letter
    assert outbox.keep() == 0
    assert list(outbox) == [final("three"), final("four")]


@pytest.mark.parametrize(("unread", "kept"), [(0, []), (1, ["ten"]), (3, ["ten"]), (4, ["nine", "ten"])])
def test_a_frame_is_read_when_its_last_byte_is(unread: int, kept: list[str]) -> None:
    outbox = box(final("nine"), final("ten"))
    outbox.take(ALL)
    outbox.note_unread(unread)
    outbox.keep()
    assert list(outbox) == [final(text) for text in kept]


def test_nothing_that_was_read_is_kept_though_a_later_look_knows_less() -> None:
    outbox = box(final("read"))
    outbox.take(ALL)
    outbox.note_unread(0)
    outbox.note_unread(100)
    outbox.keep()
    assert list(outbox) == []


def test_what_was_never_looked_at_counts_as_unread() -> None:
    outbox = box(final("answer"))
    outbox.take(ALL)
    assert outbox.any_written
    outbox.keep()
    assert list(outbox) == [final("answer")]
    assert not outbox.any_written


def test_counting_begins_anew_with_a_new_connection() -> None:
    outbox = box(news("x" * 1000), final("one"))
    outbox.take(ALL)
    outbox.keep()
    outbox.put(final("two"))
    assert outbox.take(ALL) == b"onetwo"
    outbox.note_unread(3)
    outbox.keep()
    assert list(outbox) == [final("two")]


def test_as_many_are_kept_as_one_application_may_have_messages() -> None:
    assert Policy().most_per_owner == MOST_KEPT == 4096


def test_of_too_many_answers_the_first_are_kept_and_the_rest_counted_as_dropped() -> None:
    outbox = box(*[final(str(number)) for number in range(MOST_KEPT + 3)])
    outbox.take(100)
    assert outbox.keep() == 3
    assert list(outbox) == [final(str(number)) for number in range(MOST_KEPT)]
    assert outbox.bytes == outbox.bytes_waiting == sum(len(str(number)) for number in range(MOST_KEPT))


def test_what_is_drained_is_no_longer_there_and_what_was_written_still_is() -> None:
    outbox = box(final("written"), news("a"), final("b"))
    outbox.take(1)
    assert outbox.drain() == [news("a"), final("b")]
    assert (len(outbox), outbox.bytes_waiting, outbox.bytes) == (0, 0, len("written"))
    assert list(outbox.final()) == [final("written")]


def test_an_answer_is_in_no_representation() -> None:
    assert "secret" not in repr(final("secret"))


class OutboxMachine(RuleBasedStateMachine):
    """The model keeps a list of all that was put since the last connection, and how many bytes were read of it."""

    @initialize()
    def start(self) -> None:
        self.outbox = Outbox()
        self.waiting: list[Frame] = []
        self.written: list[Frame] = []
        self.read = 0  # bytes of what was written, by the best look so far
        self.serial = 0
        self.given: list[Frame] = []  # read by the application, or handed to another outbox
        self.told: list[Frame] = []

    def _unread_written(self) -> list[Frame]:
        frames, end = [], 0
        for frame in self.written:
            end += len(frame.data)
            if end > self.read and frame.final:
                frames.append(frame)
        return frames

    @rule(final=st.booleans(), length=st.integers(1, 40))
    def put(self, final: bool, length: int) -> None:
        self.serial += 1
        frame = Frame(b"%d;" % self.serial + bytes(length), final)
        self.outbox.put(frame)
        self.waiting.append(frame)
        self.told.append(frame)

    @rule(most=st.sampled_from([1, 20, 64, 200, ALL]))
    def take(self, most: int) -> None:
        expected: list[Frame] = []
        while self.waiting:
            size = sum(len(frame.data) for frame in expected) + len(self.waiting[0].data)
            if expected and size > most:
                break
            expected.append(self.waiting.pop(0))
        assert self.outbox.take(most) == b"".join(frame.data for frame in expected)
        self.written += expected

    @rule(share=st.floats(0, 1))
    def look(self, share: float) -> None:
        total = sum(len(frame.data) for frame in self.written)
        unread = round(share * (total - self.read))  # a reader takes more and more
        self.read = total - unread
        self.outbox.note_unread(unread)

    @rule()
    def connection_ends(self) -> None:
        unread = self._unread_written()
        end = 0
        for frame in self.written:
            end += len(frame.data)
            if end <= self.read:
                self.given.append(frame)
        self.waiting = unread + [frame for frame in self.waiting if frame.final]
        self.written, self.read = [], 0
        assert self.outbox.keep() == 0

    @rule()
    def drain(self) -> None:
        assert self.outbox.drain() == self.waiting
        self.given += self.waiting
        self.waiting = []

    @invariant()
    def what_is_final_and_was_not_read_is_there_in_its_order(self) -> None:
        expected = self._unread_written() + [frame for frame in self.waiting if frame.final]
        assert list(self.outbox.final()) == expected
        assert self.outbox.any_written == bool(self._unread_written())

    @invariant()
    def every_byte_is_counted_once(self) -> None:
        waiting = sum(len(frame.data) for frame in self.waiting)
        assert self.outbox.bytes_waiting == waiting
        assert self.outbox.bytes == waiting + sum(len(frame.data) for frame in self._unread_written())
        assert len(self.outbox) == len(self.waiting)
        assert list(self.outbox) == self.waiting

    def teardown(self) -> None:
        """Every final frame reached somebody once."""
        self.take(ALL)
        self.look(0.0)
        self.connection_ends()
        reached = [frame for frame in self.given if frame.final]
        assert sorted(reached, key=lambda frame: int(frame.data.split(b";")[0])) == [
            frame for frame in self.told if frame.final
        ]


TestOutboxMachine = OutboxMachine.TestCase
TestOutboxMachine.settings = settings(max_examples=150, stateful_step_count=50, deadline=None)


def test_what_was_written_is_known_by_the_last_whole_frame_in_what_was_sent() -> None:
    outbox = Outbox()
    frames = [Frame(b"one", final=True, number=4), Frame(b"said", final=False), Frame(b"three", final=True, number=9)]
    for frame in frames:
        outbox.put(frame)
    assert outbox.last_written(100) == 0, "nothing was taken yet"
    outbox.take(ALL)
    assert [outbox.last_written(sent) for sent in (0, 2, 3, 7, 11, 12)] == [0, 0, 4, 4, 4, 9]
    assert outbox.note_unread(5) == 4
    assert outbox.last_written(7) == 0, "what was read is read"
    assert outbox.note_unread(5) == 0
    assert outbox.note_unread(0) == 9


def test_what_waits_for_a_commit_holds_back_what_was_said_after_it() -> None:
    outbox = Outbox()
    for data, commit in ((b"a", 0), (b"b", 5), (b"c", 0), (b"d", 6)):
        outbox.put(Frame(data, commit=commit))
    assert outbox.take(ALL, durable=4) == b"a"
    assert not outbox.is_ready(4)
    assert outbox.take(ALL, durable=4) == b""
    assert outbox.is_ready(5)
    assert outbox.take(ALL, durable=5) == b"bc"
    assert outbox.take(ALL) == b"d"
    assert not outbox.is_ready()


def test_what_reached_its_application_is_forgotten_and_counted_no_more() -> None:
    outbox = Outbox()
    for number in range(1, 5):
        outbox.put(Frame(b"%d" % number * number, final=True, number=number))
    outbox.forget_up_to(2)
    assert [frame.number for frame in outbox.final()] == [3, 4]
    assert (outbox.bytes, outbox.bytes_waiting) == (7, 7)
