"""Fair queues: every order of calls, owners that go away among them, against a plain model."""

from collections import deque

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from kpclientd.traffic.queues import FairQueues

AWAY = "those that are away"


class Circle:
    """Names in the order in which they came, and the name whose turn is next."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.next: str | None = None

    def after(self, name: str) -> str:
        return self.names[(self.names.index(name) + 1) % len(self.names)]

    def add(self, name: str) -> None:
        self.names.append(name)
        self.next = self.next or name

    def remove(self, name: str) -> None:
        if name == self.next:
            self.next = self.after(name) if len(self.names) > 1 else None
        self.names.remove(name)

    def round(self) -> list[str]:
        if self.next is None:
            return []
        place = self.names.index(self.next)
        return self.names[place:] + self.names[:place]


class FairQueuesMachine(RuleBasedStateMachine):
    """The model keeps whose turn is next by name instead of by place."""

    @initialize()
    def start(self) -> None:
        self.queues: FairQueues[str, int] = FairQueues()
        self.waiting: dict[str, tuple[deque[int], deque[int]]] = {}
        self.present, self.away = Circle(), Circle()
        self.serial = 0

    owners = st.sampled_from("ABCDE")

    def _take_out(self, owner: str) -> None:
        if owner in self.away.names:
            self.away.remove(owner)
            if not self.away.names:
                self.present.remove(AWAY)
        else:
            self.present.remove(owner)

    @rule(owner=owners)
    def register(self, owner: str) -> None:
        self.queues.register(owner)
        if owner not in self.waiting:
            self.waiting[owner] = (deque(), deque())
            self.present.add(owner)

    @rule(owner=owners)
    def remove(self, owner: str) -> None:
        expected: list[int] = []
        if owner in self.waiting:
            resends, requests = self.waiting.pop(owner)
            expected = [*resends, *requests]
            self._take_out(owner)
        assert self.queues.remove(owner) == expected

    @rule(owner=owners)
    def forget_idle(self, owner: str) -> None:
        self.queues.forget_idle(owner)
        if owner in self.waiting and not any(self.waiting[owner]):
            del self.waiting[owner]
            self._take_out(owner)

    @rule(owner=owners, away=st.booleans())
    def set_away(self, owner: str, away: bool) -> None:
        self.queues.set_away(owner, away)
        if owner not in self.waiting or (owner in self.away.names) == away:
            return
        self._take_out(owner)
        if not away:
            self.present.add(owner)
            return
        self.away.add(owner)
        if AWAY not in self.present.names:
            self.present.add(AWAY)

    @rule(owner=owners, into=owners)
    def merge(self, owner: str, into: str) -> None:
        if owner == into:
            return
        self.queues.merge(owner, into)
        if owner not in self.waiting:
            return
        resends, requests = self.waiting.pop(owner)
        self._take_out(owner)
        if into not in self.waiting:
            self.waiting[into] = (deque(), deque())
            self.present.add(into)
        self.waiting[into][0].extend(resends)
        self.waiting[into][1].extend(requests)

    @rule(owner=owners, resend=st.booleans(), first=st.booleans())
    def put(self, owner: str, resend: bool, first: bool) -> None:
        self.serial += 1
        if first:
            taken = self.queues.put_back(owner, self.serial, resend=resend)
        elif resend:
            taken = self.queues.push_resend(owner, self.serial)
        else:
            taken = self.queues.push(owner, self.serial)
        assert taken == (owner in self.waiting)
        if taken:
            lane = self.waiting[owner][not resend]
            lane.appendleft(self.serial) if first else lane.append(self.serial)

    def _first_of(self, owner: str) -> int | None:
        resends, requests = self.waiting[owner]
        lane = resends or requests
        return lane.popleft() if lane else None

    def _first_of_away(self) -> int | None:
        for owner in self.away.round():
            item = self._first_of(owner)
            if item is not None:
                self.away.next = self.away.after(owner)
                return item
        return None

    @rule()
    def pick(self) -> None:
        expected = None
        for name in self.present.round():
            expected = self._first_of_away() if name == AWAY else self._first_of(name)
            if expected is not None:
                self.present.next = self.present.after(name)
                break
        else:
            if self.present.next is not None:
                self.present.next = self.present.after(self.present.next)
        assert self.queues.pick() == expected

    @invariant()
    def as_much_waits_as_in_the_model(self) -> None:
        assert len(self.queues) == sum(len(lane) for lanes in self.waiting.values() for lane in lanes)
        assert self.queues.lengths() == {
            owner: (len(requests), len(resends)) for owner, (resends, requests) in self.waiting.items()
        }

    def teardown(self) -> None:
        """Everything comes out once: every rule's item that is left is picked in the model's order."""
        for _ in range(len(self.queues) + 1):
            self.pick()


TestFairQueuesMachine = FairQueuesMachine.TestCase
TestFairQueuesMachine.settings = settings(max_examples=120, stateful_step_count=50, deadline=None)
