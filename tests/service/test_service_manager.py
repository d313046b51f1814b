"""What a service manager is told, word by word, and that signs of life end with life."""

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import trio
import trio.testing

from kpclientd.daemon import OVERDUE_SECONDS
from kpclientd.gateway.link import GatewayLink
from kpclientd.service_manager import ServiceManager
from tests.service.manager import Manager, listening
from tests.support.world import world

WATCHDOG = {"WATCHDOG_USEC": "20000000"}


@pytest.fixture(params=["path", "abstract"])
def listener(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Manager]:
    address = str(tmp_path / "notify")
    with listening(address if request.param == "path" else f"@{address}") as manager:
        yield manager


def test_each_change_is_a_datagram(listener: Manager) -> None:
    with closing(ServiceManager.from_environment({"NOTIFY_SOCKET": listener.address})) as manager:
        manager.ready()
        manager.status("Connected\nto a gateway")
        manager.status("Connected to a gateway")
        manager.reloading()
        manager.stopping()
        ready, status, reloading, stopping = listener.all_that_came()
        assert (ready, status, stopping) == ({"READY": "1"}, {"STATUS": "Connected to a gateway"}, {"STOPPING": "1"})
        assert reloading.keys() == {"RELOADING", "MONOTONIC_USEC"} and reloading["MONOTONIC_USEC"].isdecimal()


def test_without_a_manager_nothing_is_told() -> None:
    with closing(ServiceManager.from_environment({})) as manager:
        assert not manager.is_there
        manager.ready()
        manager.status("nobody sees this")


def test_a_manager_that_is_not_there_or_has_gone_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with closing(ServiceManager(str(tmp_path / "nowhere"))) as manager:
        manager.ready()
        manager.stopping()
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "cannot be told anything" in caplog.text


def test_a_status_does_not_wait_for_a_manager_that_does_not_read(listener: Manager) -> None:
    with closing(ServiceManager(listener.address)) as manager:
        for number in range(10_000):
            manager.status(f"line {number}")
        assert 0 < len(listener.all_that_came()) < 10_000


@pytest.mark.parametrize(
    "variables",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "soon"}, {**WATCHDOG, "WATCHDOG_PID": "1"}],
)
async def test_no_signs_of_life_where_none_are_wanted_of_this_process(
    variables: dict[str, str], listener: Manager
) -> None:
    with closing(ServiceManager.from_environment({"NOTIFY_SOCKET": listener.address, **variables})) as manager:
        await manager.run_watchdog(lambda: pytest.fail("nobody wants to know"))
        assert listener.all_that_came() == []


@pytest.mark.parametrize("process", [{}, {"WATCHDOG_PID": str(os.getpid())}])
async def test_a_sign_of_life_each_half_interval_while_nothing_is_overdue(
    process: dict[str, str],
    listener: Manager,
    autojump_clock: trio.testing.MockClock,
    caplog: pytest.LogCaptureFixture,
) -> None:
    stopped = ""
    with closing(
        ServiceManager.from_environment({"NOTIFY_SOCKET": listener.address, **WATCHDOG, **process})
    ) as manager:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(manager.run_watchdog, lambda: stopped)
            await trio.sleep(35)
            assert listener.all_that_came() == [{"WATCHDOG": "1"}] * 4
            stopped = "the sender"
            await trio.sleep(60)
            assert listener.all_that_came() == []
            assert "the sender has stopped" in caplog.text and len(caplog.records) == 1
            stopped = ""
            await trio.sleep(2)
            assert listener.all_that_came() == [{"WATCHDOG": "1"}]
            nursery.cancel_scope.cancel()


async def test_nothing_is_overdue_in_a_daemon_that_goes_on(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as here:
        for _ in range(20):
            await trio.sleep(20)
            assert here.daemon.overdue() == ""
        here.network.faults.refuse_connections = True
        here.network.gateways[0].end_connections()
        for _ in range(20):
            await trio.sleep(20)
            assert here.daemon.overdue() == ""


async def test_a_sender_that_hangs_is_overdue(
    autojump_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world() as here:

        async def hang(self: GatewayLink, packet: bytes) -> None:
            await trio.sleep_forever()

        monkeypatch.setattr(GatewayLink, "send_packet", hang)
        await trio.sleep(OVERDUE_SECONDS / 2)
        assert here.daemon.overdue() == ""
        await trio.sleep(OVERDUE_SECONDS)
        assert here.daemon.overdue() == "the sender"


async def test_a_turn_that_is_kept_is_overdue(autojump_clock: trio.testing.MockClock) -> None:
    async with world() as here:
        await here.daemon.turns.take()
        await trio.sleep(OVERDUE_SECONDS + 1)
        assert here.daemon.overdue() == "the work for an application"
        here.daemon.turns.give()
        assert here.daemon.overdue() == ""


async def test_whoever_does_not_look_at_its_timers_is_overdue(autojump_clock: trio.testing.MockClock) -> None:
    async with world(connected=False) as here:
        await trio.sleep(5)
        timekeeper, connector = here.daemon._timekeeper, here.daemon.connector
        assert all(part.late(trio.current_time()) <= 0 for part in (timekeeper, connector))
        autojump_clock.jump(OVERDUE_SECONDS + 15)
        assert all(part.late(trio.current_time()) > OVERDUE_SECONDS for part in (timekeeper, connector))
        assert here.daemon.overdue() == "what keeps the time", "nobody has run since"
        await trio.sleep(1)
        assert here.daemon.overdue() == "", "all have"
