"""The network's time: what it follows, and what it does not."""

import pytest

from kpclientd.log_levels import NOTICE
from kpclientd.network_time import SUMMED_SECONDS, ClockChange, NetworkTime

PERIOD = 1200.0
BEGINNING = 1_496_275_200.0
START = 1_800_000_000.0


class Machine:
    """A machine's clocks, set by hand."""

    def __init__(self, *, wall_error: float = 0.0, correct: bool = False) -> None:
        self.seconds = 1000.0
        self.asleep = 0.0
        self.wall_error = wall_error
        self.time = NetworkTime(
            lambda: START + self.seconds + self.wall_error,
            lambda: self.seconds - self.asleep,
            elapsed=lambda: self.seconds,
            period=PERIOD,
            beginning=BEGINNING,
            correct=correct,
        )

    @property
    def error(self) -> float:
        """Of the network's time, as the client takes it."""
        return self.time() - START - self.seconds

    def tick(self, seconds: float = 1.0) -> ClockChange | None:
        self.seconds += seconds
        return self.time.look()

    def sleep(self, seconds: float) -> ClockChange | None:
        self.asleep += seconds
        return self.tick(seconds)

    def step(self, seconds: float) -> ClockChange | None:
        self.wall_error += seconds
        return self.tick()

    def meet(self, gateway_error: float = 0.0) -> None:
        """A link comes up."""
        self.time.note_skew(self.wall_error - gateway_error)


def test_without_a_link_the_wall_clock_is_followed_step_by_step() -> None:
    machine = Machine()
    change = machine.step(3600.0)
    assert change is not None and change.slept == 0.0 and change.stepped == pytest.approx(3600.0)
    assert machine.error == pytest.approx(3600.0)
    assert machine.time.status().steps == 1
    machine.step(-3600.0)
    assert machine.error == pytest.approx(0.0)


def test_a_slow_drift_is_no_step() -> None:
    machine = Machine()
    for _ in range(100):
        machine.wall_error += 0.01
        assert machine.tick() is None
    assert machine.error == pytest.approx(1.0)


def test_a_machine_that_slept_knows_the_time_at_once_and_for_how_long() -> None:
    machine = Machine()
    change = machine.sleep(140.0)
    assert change is not None and change.slept == pytest.approx(140.0)
    assert change.stepped == pytest.approx(0.0)
    assert machine.error == pytest.approx(0.0)
    assert machine.tick() is None
    assert machine.time.status().sleeps == 1


@pytest.mark.parametrize("correct", [False, True])
def test_a_step_away_from_the_gateways_clock_is_not_followed_while_the_link_is_up(correct: bool) -> None:
    machine = Machine(correct=correct)
    machine.meet()
    machine.step(3600.0)
    assert machine.error == pytest.approx(0.0, abs=1.0)
    assert machine.time.is_held_back
    assert machine.time.status().skew == pytest.approx(3600.0)


@pytest.mark.parametrize("gateway_error", [-1.0, 0.0, 1.0])
def test_steps_below_what_a_gateway_can_tell_are_followed_back_and_forth(gateway_error: float) -> None:
    machine = Machine()
    machine.meet(gateway_error)
    for step in (-0.9, 0.9, 0.9, -0.9):
        machine.step(step)
        assert machine.error == pytest.approx(machine.wall_error) and not machine.time.is_held_back


def test_when_that_link_ends_the_wall_clock_is_followed_again() -> None:
    machine = Machine()
    machine.meet()
    machine.step(3600.0)
    machine.time.note_link_end()
    assert machine.error == pytest.approx(3600.0)
    assert not machine.time.is_held_back


def test_with_time_sync_what_was_agreed_before_the_step_is_kept() -> None:
    machine = Machine(correct=True)
    machine.meet()
    machine.step(3600.0)
    machine.time.note_link_end()
    assert machine.error == pytest.approx(0.0, abs=1.0)
    machine.meet()
    assert machine.error == pytest.approx(0.0, abs=1.0)


def test_a_step_towards_the_gateways_clock_is_followed() -> None:
    machine = Machine(wall_error=3600.0)
    machine.meet()
    machine.step(-3600.0)
    assert machine.error == pytest.approx(0.0)


def test_a_step_to_before_the_documents_that_were_verified_is_not_followed() -> None:
    machine = Machine()
    machine.time.note_document(START + machine.seconds)
    machine.step(-86_400.0)
    assert machine.error == pytest.approx(0.0)
    machine.time.note_link_end()
    assert machine.error == pytest.approx(0.0)


def test_a_clock_that_is_set_right_again_is_followed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTICE)
    machine = Machine()
    machine.time.note_document(START + machine.seconds)
    machine.step(-259_200.0)
    machine.tick(SUMMED_SECONDS)
    machine.step(259_200.0)
    assert not machine.time.is_held_back
    assert [record.getMessage() for record in caplog.records] == [
        "The clock was set back by 259200.0 s, before documents that were verified: not followed.",
        "The clock was set ahead by 259200.0 s: it is right again.",
    ]


def test_of_many_steps_the_first_is_said_and_then_their_number(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(NOTICE)
    machine = Machine()
    for _ in range(30):
        machine.step(2.0)
    machine.tick(SUMMED_SECONDS)
    machine.tick(SUMMED_SECONDS)
    assert [record.getMessage() for record in caplog.records] == [
        "The clock was set ahead by 2.0 s.",
        "The clock was set 29 times more within 89 s; it is followed.",
    ]


def test_after_a_step_the_time_is_in_doubt_until_it_was_measured_once() -> None:
    machine = Machine()
    machine.time.note_document(START + machine.seconds)
    assert not machine.time.is_in_doubt(has_document=False)
    machine.step(-86_400.0)
    assert machine.time.is_in_doubt(has_document=False)
    machine.time.note_link_end()
    machine.meet()
    assert machine.time.is_held_back, "the documents are still newer"
    assert not machine.time.is_in_doubt(has_document=False)


@pytest.mark.parametrize("skew", [-140.0, 10.0, 140.0])
def test_with_time_sync_a_gateways_clock_is_followed_within_an_eighth_of_a_period(skew: float) -> None:
    machine = Machine(wall_error=skew, correct=True)
    machine.meet()
    assert machine.error == pytest.approx(0.0)
    assert machine.time.status().correction == pytest.approx(skew)


@pytest.mark.parametrize("skew", [-160.0, 160.0, 1e6])
def test_and_no_further(skew: float, caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(wall_error=skew, correct=True)
    machine.meet()
    assert machine.error == pytest.approx(skew)
    assert "set it" in caplog.text


@pytest.mark.parametrize("skew", [-1.9, 0.0, 1.9])
def test_a_difference_that_may_be_none_corrects_nothing(skew: float) -> None:
    machine = Machine(wall_error=skew, correct=True)
    machine.meet()
    assert machine.time.status().correction == 0.0


def test_without_time_sync_nothing_is_corrected_but_the_skew_is_told(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(wall_error=400.0)
    machine.meet()
    assert machine.error == pytest.approx(400.0)
    assert "+400 s off" in caplog.text


def test_no_series_of_gateways_leads_away_step_by_step() -> None:
    machine = Machine(correct=True)
    for number in range(1, 50):
        machine.meet(number * 100.0)
        machine.tick(10.0)
        machine.time.note_link_end()
    assert abs(machine.error) <= PERIOD / 8


def test_no_gateway_leads_back_before_documents_that_were_verified() -> None:
    machine = Machine(correct=True)
    machine.time.note_document(START + machine.seconds + PERIOD / 2 - 1.0)
    machine.meet(-100.0)
    assert machine.error == pytest.approx(0.0)


def test_a_clock_that_was_never_set_is_the_first_epochs_beginning(caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine(wall_error=-START)
    assert machine.time() == BEGINNING
    assert "set it" in caplog.text
    machine.step(START)
    assert machine.error == pytest.approx(0.0)
