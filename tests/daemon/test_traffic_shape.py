"""What an observer of the gateway link sees tells nothing: it is one Poisson process under ten patterns of load.

So few sends are observed here that the tests end in a minute; `make proof` has a hundred thousand of each pattern.
What is drawn is drawn from seeds, so a verdict does not change by itself. On a virtual clock the packet engine changes
nothing but how long this takes, which without the compiled one is eight minutes: there the statistics are left out.
"""

from collections.abc import Mapping

import pytest

from kpclientd.localnet.network import HOPS, NIKE, USER_PAYLOAD_LENGTH
from kpclientd.wire.commands import client_to_server_length
from kpclientd.wire.noise import TAG_LENGTH
from kpclientd.wire.transport import HEADER_LENGTH
from sphinx.geometry import Geometry
from sphinx.native.engines import PythonEngine, engine_name
from tests.support import leaks
from tests.support.busy_or_idle import tell_apart
from tests.support.loads import BUSY, IDLE, PATTERNS
from tests.support.significance import exponential_p_value, two_sample_p_value
from tests.support.traffic_shape import RATE, Job, Judged, Leak, Seen, observe_all, pairs, together

SENDS, IDLE_SENDS = 2000, 5000
RUNS = (1, 2)
"""Their seeds: what is found out from the first is tried on the second."""

SIGNIFICANCE = 0.01
STANDARD_ERRORS = 3.0
NOTICED = 1e-4
SAME_SENDS = 500
AGAIN = "again"

LEAKS: Mapping[str, tuple[str, Leak]] = {
    "sends at once": ("one application", leaks.sends_at_once),
    "acknowledges after handling": ("one application", leaks.acknowledges_after_handling),
    "handles within the pause": ("one application", leaks.handles_within_the_pause),
}

Runs = Mapping[str, list[Seen]]
GEOMETRY = Geometry.nike(NIKE, HOPS, USER_PAYLOAD_LENGTH)


@pytest.fixture(scope="module")
def same_dice() -> Runs:
    jobs = {name: [Job(name, RUNS[0], SAME_SENDS, dice=b"one", step_seconds=0.0)] for name in (IDLE, *BUSY)}
    return observed(jobs | {AGAIN: [Job("churn", RUNS[0], SAME_SENDS)] * 3})


@pytest.fixture(scope="module")
def runs() -> Runs:
    if engine_name() == PythonEngine.name:
        pytest.skip("without the compiled engine this takes eight minutes, and it shows nothing else")
    jobs = {name: [Job(name, seed, IDLE_SENDS if name == IDLE else SENDS) for seed in RUNS] for name in PATTERNS}
    jobs |= {name: [Job(pattern, seed, SENDS, leak) for seed in RUNS] for name, (pattern, leak) in LEAKS.items()}
    return observed(jobs)


def observed(jobs: Mapping[str, list[Job]]) -> Runs:
    """What is seen of these, by name."""
    seen = iter(list(observe_all(job for of_one in jobs.values() for job in of_one)))
    return {name: [next(seen) for _ in of_one] for name, of_one in jobs.items()}


@pytest.fixture(scope="module")
def patterns(runs: Runs) -> dict[str, Seen]:
    return {name: together(runs[name]) for name in PATTERNS}


def test_a_run_is_the_same_each_time(same_dice: Runs) -> None:
    first, *others = same_dice[AGAIN]
    assert all(other == first for other in others)


def test_the_patterns_are_what_they_are_called(patterns: Mapping[str, Seen]) -> None:
    carried = {name: seen.messages / len(seen.gaps) for name, seen in patterns.items()}
    assert carried[IDLE] == 0.0
    assert carried["hostile frames"] == 0.0
    assert all(share > 0.1 for name, share in carried.items() if name not in (IDLE, "hostile frames")), carried
    assert len(patterns["reconnections"].first_waits) >= 10
    assert len(patterns["restarts"].first_waits) >= 6


@pytest.mark.parametrize("name", BUSY)
def test_with_the_same_dice_packets_leave_at_the_same_times_whatever_applications_do(
    name: str, same_dice: Runs
) -> None:
    (idle,), (busy,) = same_dice[IDLE], same_dice[name]
    assert busy.messages > 0 or name == "hostile frames"
    assert busy.stretches[0] == pytest.approx(idle.stretches[0], abs=1e-9)


@pytest.mark.parametrize("name", PATTERNS)
def test_gaps_are_independent_and_exponential_at_the_documents_rate(name: str, patterns: Mapping[str, Seen]) -> None:
    judged = Judged.of(patterns[name])
    assert judged.law > SIGNIFICANCE
    assert judged.independence > SIGNIFICANCE
    assert abs(judged.standard_errors) < STANDARD_ERRORS


@pytest.mark.parametrize("name", ["reconnections", "restarts"])
def test_a_links_first_packet_is_drawn_like_all_others(name: str, patterns: Mapping[str, Seen]) -> None:
    assert exponential_p_value(patterns[name].first_waits, 1 / RATE) > SIGNIFICANCE


def test_no_two_patterns_can_be_told_apart(patterns: Mapping[str, Seen]) -> None:
    found = pairs(list(patterns.values()))
    assert len(found) == 45
    assert min(found.values()) > SIGNIFICANCE / len(found), "by Bonferroni"


@pytest.mark.parametrize("name", BUSY)
def test_replies_are_acknowledged_like_decoys_that_come_back(name: str, patterns: Mapping[str, Seen]) -> None:
    real, others = patterns[name].delays
    of_idle = patterns[IDLE].delays[1]
    assert len(others) > 50
    assert two_sample_p_value(others, of_idle) > SIGNIFICANCE / len(BUSY)
    if name != "hostile frames":
        assert len(real) > 10
        assert two_sample_p_value(real, others) > SIGNIFICANCE / len(BUSY)


@pytest.mark.parametrize("name", PATTERNS)
def test_all_packets_and_all_frames_have_one_length(name: str, patterns: Mapping[str, Seen]) -> None:
    seen = patterns[name]
    frame = HEADER_LENGTH + client_to_server_length(GEOMETRY) + TAG_LENGTH
    assert seen.lengths == {GEOMETRY.packet_length}
    assert {write.length % frame for write in seen.writes} == {0}
    assert {write.length for write in seen.writes} <= {frame, 2 * frame, 3 * frame}


def test_a_classifier_cannot_tell_busy_from_idle(runs: Runs) -> None:
    training, asked = (([runs[IDLE][run]], [runs[name][run] for name in BUSY]) for run in range(2))
    for name, verdict in tell_apart(training, asked).items():
        low, high = verdict.interval(SIGNIFICANCE)
        assert low < verdict.auc < high, f"{name}: {verdict}"


# -- the same tests notice what is to be noticed


def test_a_tick_made_for_a_message_is_noticed(runs: Runs) -> None:
    spoiled = Judged.of(together(runs["sends at once"]))
    assert spoiled.law < NOTICED
    assert spoiled.error > 0.2


@pytest.mark.parametrize("name", ["acknowledges after handling", "handles within the pause"])
def test_an_acknowledgement_after_the_reply_is_handled_is_noticed(name: str, runs: Runs) -> None:
    judged = Judged.of(together(runs[name]))
    assert judged.acknowledgements is not None
    assert judged.acknowledgements < NOTICED
    assert judged.law > SIGNIFICANCE, "the sends tell nothing"


@pytest.mark.parametrize("leak", ["sends at once", "acknowledges after handling"])
def test_a_classifier_notices_them(leak: str, runs: Runs) -> None:
    training, asked = (([runs[IDLE][run]], [runs[leak][run]]) for run in range(2))
    assert all(verdict.p_value < NOTICED and verdict.auc > 0.6 for verdict in tell_apart(training, asked).values())
