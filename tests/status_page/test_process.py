"""A daemon as a process, with its page and metrics on and off."""

import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from kpclientd.addresses import LOOPBACK
from kpclientd.localnet.files import free_port
from tests.config.samples import literal_toml, written
from tests.support.processes import PATIENCE

STOP_SECONDS = 5.0
STATUS = '[Status]\nAddress = "127.0.0.1:{}"'


def command(config: Path) -> tuple[str, ...]:
    return (sys.executable, "-m", "kpclientd.cli", "--config", str(config))


def configuration(folder: Path, status_port: int | None = None, metrics_port: int | None = None) -> Path:
    text = literal_toml(
        Listen=f'[Listen.Unix]\nAddress = "{folder}/socket"',
        top=STATUS.format(status_port) if status_port is not None else "",
        MetricsAddress=f'MetricsAddress = "{LOOPBACK}:{metrics_port}"' if metrics_port is not None else None,
    )
    return written(folder, text)


@contextmanager
def running(config: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(command(config), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdout is not None
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def first_lines(process: subprocess.Popen[str], until: str) -> str:
    """What it says, up to a line with certain words."""
    assert process.stdout is not None
    said = ""
    for line in process.stdout:
        said += line
        if until in line:
            return said
    raise AssertionError(f"it ended: {said}")


def test_a_daemon_that_is_told_to_stop_does_although_a_client_reads_nothing(tmp_path: Path) -> None:
    with running(configuration(tmp_path, status_port=0, metrics_port=0)) as process:
        said = first_lines(process, "pre-alpha")
        (metrics,) = re.findall(r"Metrics: (http://\S+/metrics)\.", said)
        (page,) = re.findall(r"The status page: (http://\S+/),", said)
        with httpx.Client(trust_env=False, timeout=PATIENCE) as client:
            assert "katzenpost_client_gateway_connected 0.0" in client.get(metrics).text
            assert client.get(page).text.startswith("<!doctype html>")
        url = httpx.URL(page)
        assert url.port is not None
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            deaf.connect((url.host, url.port))
            deaf.sendall(b"GET /page.js HTTP/1.1\r\nHost: localhost\r\n\r\n")
            time.sleep(0.5)  # the answer is under way
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
            assert time.monotonic() - began < STOP_SECONDS


@pytest.mark.parametrize("key", ["[Status] Address", "MetricsAddress"])
def test_an_address_that_is_taken_ends_the_start_with_one_line(tmp_path: Path, key: str) -> None:
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        ports = {"status_port" if key.startswith("[") else "metrics_port": port}
        done = subprocess.run(
            command(configuration(tmp_path, **ports)), capture_output=True, text=True, timeout=PATIENCE, check=False
        )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        f"kpclientd: failed to start daemon: {key}: cannot listen on tcp 127.0.0.1:{port}: Address already in use"
    )
    assert "Traceback" not in done.stderr + done.stdout
    assert not (tmp_path / "socket").exists()


def test_two_things_at_one_address_are_refused(tmp_path: Path) -> None:
    port = free_port()
    done = subprocess.run(
        command(configuration(tmp_path, port, port)), capture_output=True, text=True, timeout=PATIENCE, check=False
    )
    assert (done.returncode, "Address already in use" in done.stderr) == (1, True)


PROGRAM = """
import sys, threading, time, os, signal
from pathlib import Path
from kpclientd.cli import main
def look():
    while not Path(sys.argv[2]).exists() or (sys.argv[3] and sys.argv[3] not in sys.modules):
        time.sleep(0.1)
    time.sleep(1)
    loaded = [name for name in sys.modules if name.startswith(("kpclientd.status", "prometheus_client", "h11", "http"))]
    print("loaded:", sorted(loaded), flush=True)
    os.kill(os.getpid(), signal.SIGTERM)
threading.Thread(target=look, daemon=True).start()
sys.exit(main(["--config", sys.argv[1]]))
"""


@pytest.mark.parametrize("is_on", [False, True])
def test_nothing_of_it_is_loaded_where_it_is_off(tmp_path: Path, is_on: bool) -> None:
    config = configuration(tmp_path, 0 if is_on else None)
    awaited = "kpclientd.status_page.server" if is_on else ""
    done = subprocess.run(
        (sys.executable, "-c", PROGRAM, str(config), str(tmp_path / "socket"), awaited),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (loaded,) = re.findall(r"loaded: \[(.*)\]", done.stdout)
    assert ("kpclientd.status_page.server" in loaded and "prometheus_client" in loaded) == is_on
    if not is_on:
        assert loaded == ""
