"""A real daemon with a state file, killed without warning: what is under way is answered, and once as far as can be."""

from pathlib import Path
from tempfile import TemporaryDirectory

from tests.support.kills import NETWORK, kill_again_and_again
from tests.support.processes import local_network


async def test_a_daemon_that_is_killed_five_times_loses_nothing_and_answers_no_more_than_one_twice() -> None:
    # Longer: python -m tests.support.kills
    with TemporaryDirectory(prefix="kpclientd-") as name, local_network(Path(name), *NETWORK) as (_, ready):
        assert ready.startswith("ready") or "engine" in ready
        tally = await kill_again_and_again(Path(name), messages=40, kills=5, seed=7)
    assert tally.connections >= 2
    assert tally.cuts >= 1
    assert len(tally.sent) >= 40
    assert (tally.lost, tally.refused) == (set(), {})
    # Without the notes it is five to eight of them; a kill between a write and its note can have one come again.
    assert len(tally.answered_twice) <= 1
