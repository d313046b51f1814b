"""SIGHUP: the log is opened anew, the file read again; what can change does, what cannot is named."""

import logging
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from kpclientd.config.load import load_config
from kpclientd.config.model import ClientConfig, Logging
from kpclientd.daemon import Daemon
from kpclientd.errors import LogFileError
from kpclientd.reload import Reloader
from kpclientd.thin.admission import RESERVED_DESCRIPTORS
from pki import EpochClock
from tests.config.samples import literal_toml, written

PATIENCE = 30.0
"""Seconds that a process may take to do what it was told."""


class Told:
    """A reloader, and what it told its daemon."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.logs: list[Logging] = []
        self.applied: list[ClientConfig] = []
        self.reloader = Reloader(load_config(path), self.logs.append, self.applied.append)

    async def reload(self, **sections: str | None) -> None:
        self.path.write_text(literal_toml(**sections))
        await self.reloader.reload()


@pytest.fixture
def told(tmp_path: Path) -> Told:
    return Told(written(tmp_path, literal_toml()))


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG)
    return caplog


def last(log: pytest.LogCaptureFixture) -> tuple[str, str]:
    record = log.records[-1]
    return record.levelname, record.getMessage()


async def test_a_file_that_says_the_same_only_opens_the_log_anew(told: Told, log: pytest.LogCaptureFixture) -> None:
    await told.reload()
    assert told.logs == [Logging(level="DEBUG")]
    assert last(log) == ("NOTICE", "SIGHUP: the log is opened anew; nothing has changed in the configuration.")


async def test_what_can_change_does_and_is_named(told: Told, log: pytest.LogCaptureFixture) -> None:
    await told.reload(
        SessionGracePeriod='SessionGracePeriod = "5m"',
        Logging='[Logging]\nLevel = "INFO"',
        top="limits = {connections = 7}",
    )
    assert told.logs == [Logging(level="INFO")]
    assert (told.applied[0].session_grace_period, told.applied[0].limits.connections) == (300.0, 7)
    assert last(log)[1] == (
        "SIGHUP: the log is opened anew; SessionGracePeriod, Logging.Level, Limits.Connections changed."
    )


async def test_what_waits_for_a_restart_is_named_each_time_until_it_is_taken_back(
    told: Told, log: pytest.LogCaptureFixture
) -> None:
    changed = {"top": 'DataDir = "/d"\n[Listen.Unix]\nAddress = "@a"\n', "PinnedGateways": "[PinnedGateways]"}
    for _ in range(2):
        await told.reload(**changed)
        assert last(log)[1] == (
            "SIGHUP: the log is opened anew; DataDir, Listen.Unix, PinnedGateways.Gateways changed; "
            "takes effect after a restart."
        )
    await told.reload()
    assert "nothing has changed" in last(log)[1]


async def test_a_bad_file_changes_nothing_but_the_log_is_opened_anew(
    told: Told, log: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    await told.reload(Logging='[Logging]\nLevel = "LOUD"', top="limits = {connections = 7}")
    level, message = last(log)
    assert level == "ERROR"
    assert message.startswith(f"SIGHUP: the configuration stays as it was: {told.path}: [Logging]: ")
    told.path.unlink()
    await told.reloader.reload()
    assert "cannot be read" in last(log)[1]
    monkeypatch.setenv("KATZENPOST_EPOCH_DURATION", "3m")
    await told.reload(top='EpochDuration = "2m"')
    assert "contradicts KATZENPOST_EPOCH_DURATION" in last(log)[1]
    assert told.logs == [Logging(level="DEBUG")] * 3
    assert told.applied == []


async def test_a_password_that_changed_is_named_and_not_shown(told: Told, log: pytest.LogCaptureFixture) -> None:
    proxy = '[UpstreamProxy]\nType = "socks5"\nNetwork = "tcp"\nAddress = "127.0.0.1:1"\nUser = "u"\nPassword = "{}"'
    await told.reload(UpstreamProxy=proxy.format("sesame"))
    assert "UpstreamProxy.Password" in last(log)[1]
    assert "sesame" not in log.text


async def test_a_log_that_cannot_be_opened_is_said_and_the_rest_is_taken_over(
    told: Told, log: pytest.LogCaptureFixture
) -> None:
    def refuse(_: Logging) -> None:
        raise LogFileError("log file /x cannot be opened: No space left on device")

    reloader = Reloader(load_config(told.path), refuse, told.applied.append)
    told.path.write_text(literal_toml(top="limits = {connections = 7}"))
    await reloader.reload()
    assert any("the log stays where it was: log file /x" in record.getMessage() for record in log.records)
    assert last(log)[1] == "SIGHUP: Limits.Connections changed."
    assert len(told.applied) == 1


async def test_the_daemon_takes_over_limits_and_grace_period_and_nothing_else(tmp_path: Path) -> None:
    before = load_config(written(tmp_path, literal_toml()))
    daemon = Daemon(before, EpochClock(1200.0), descriptors=RESERVED_DESCRIPTORS + 8)
    top = (
        'DataDir = "/d"\n[Limits]\nConnections = 7\nUnfinishedFrameBytes = 2000001\nUnreadBytes = 2000002\n'
        "AwaySessions = 3\nAwayBytes = 2000003\nMessagesPerApplication = 4\nMessageBytesPerApplication = 2000004\n"
        "MessageBytes = 2000005"
    )
    after = load_config(written(tmp_path, literal_toml(top=top, SessionGracePeriod='SessionGracePeriod = "1m"')))
    daemon.reconfigure(after)
    assert daemon.admission.most == 7
    assert daemon.budget.most == 2000001
    bounds = daemon.sessions.bounds
    assert (bounds.grace, bounds.most_away, bounds.most_bytes_away, bounds.most_bytes_unread) == (
        60.0,
        3,
        2000003,
        2000002,
    )
    policy = daemon.engine.policy
    assert (policy.most_per_owner, policy.most_bytes_per_owner, policy.most_bytes) == (4, 2000004, 2000005)
    assert daemon.config.limits == after.limits
    assert daemon.config.data_dir is None
    daemon.reconfigure(before)
    assert daemon.admission.most == 8, "there are no descriptors for more"


@contextmanager
def daemon_process(config: Path) -> Iterator[subprocess.Popen[bytes]]:
    environment = {key: value for key, value in os.environ.items() if key != "KATZENPOST_EPOCH_DURATION"}
    process = subprocess.Popen((sys.executable, "-m", "kpclientd.cli", "--config", str(config)), env=environment)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def says(path: Path, text: str) -> bool:
    return path.exists() and text in path.read_text()


def test_a_log_that_is_rotated_goes_on_in_a_new_file_and_the_process_lives(tmp_path: Path) -> None:
    path, rotated = tmp_path / "kpclientd.log", tmp_path / "kpclientd.log.1"
    sections = {
        "Listen": f'[Listen.Unix]\nAddress = "{tmp_path}/daemon.sock"',
        "Logging": f'[Logging]\nFile = "{path}"\nLevel = "NOTICE"',
    }
    config = written(tmp_path, literal_toml(**sections))
    with daemon_process(config) as process:
        until(lambda: says(path, "Listening on") and says(path, "pre-alpha"))
        path.rename(rotated)
        config.write_text(literal_toml(**sections, top="[Limits]\nConnections = 9"))
        process.send_signal(signal.SIGHUP)
        until(lambda: says(path, "SIGHUP: the log is opened anew; Limits.Connections changed."))
        config.write_text("nonsense")
        process.send_signal(signal.SIGHUP)
        until(lambda: says(path, "SIGHUP: the configuration stays as it was"))
        assert re.search(r"ERRO katzenpost/client: SIGHUP: .*client\.toml: toml: ", path.read_text())
        process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert says(path, "Stopping: SIGTERM")
        assert "SIGHUP" not in rotated.read_text()
