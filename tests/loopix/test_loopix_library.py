"""The library: the example of the documentation, and the client in a thread of its own."""

import contextlib
import io
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import trio

from kpclientd.loopix.config import Logging, LoopixConfig, render_config
from kpclientd.loopix.errors import DirectoryError, MessageTooLong, NotRunning
from kpclientd.loopix.library import BlockingLoopixClient, client_config
from kpclientd.loopix.nodes import key_text
from kpclientd.loopix.profile import DEFAULT
from kpclientd.loopix.setup import planned_config, write_client
from kpclientd.loopix.simulator import LoopixNetwork
from sphinx.randomness import seeded

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "loopix.md"
PATIENCE_SECONDS = 60


@asynccontextmanager
async def network() -> AsyncIterator[LoopixNetwork]:
    running = LoopixNetwork(seed=b"library")
    async with trio.open_nursery() as nursery:
        await nursery.start(running.run)
        yield running
        nursery.cancel_scope.cancel()


def make(name: str, home: Path, running: LoopixNetwork | None = None) -> LoopixConfig:
    """Write a client's files, with a log nowhere."""
    url = "http://127.0.0.1:1/" if running is None else running.topology_url
    provider = "" if running is None else key_text(running.providers[0].node.keys.public_key)
    config = replace(planned_config(name, home, DEFAULT, url), provider_id=provider, logging=Logging(disable=True))
    write_client(config, lambda text: None, seeded(name.encode()), overwrite=False)
    assert render_config(config) == config.config_file.read_text()
    return config


async def in_thread(function: object, *arguments: object) -> None:
    with trio.fail_after(PATIENCE_SECONDS):
        await trio.to_thread.run_sync(function, *arguments)  # type: ignore[arg-type]


async def test_the_example_of_the_documentation_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (example,) = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    assert len(example.splitlines()) <= 10
    printed = io.StringIO()

    def run() -> None:
        with contextlib.redirect_stdout(printed):
            exec(compile(example, str(DOCUMENTATION), "exec"), {})

    async with network() as running:
        make("alice", tmp_path, running)
        await in_thread(run)
    assert printed.getvalue() == "[b'hello, me']\n"


async def test_a_client_in_a_thread_has_all_that_one_in_trio_has(tmp_path: Path) -> None:
    def use(alice: BlockingLoopixClient, bob: BlockingLoopixClient) -> None:
        with alice, bob:
            assert {client.id for client in alice.all_recipients()} <= {alice.client_id, bob.client_id}
            alice.update_network_view()
            alice.send_message(b"to bob", bob.own_details())
            received: list[bytes] = []
            while not received:
                received += bob.get_received_messages()
            assert received == [b"to bob"]
            with pytest.raises(MessageTooLong):
                alice.send_message(bytes(2000), bob.own_details())
            assert key_text(alice.public_key) == alice.client_id
            assert alice.provider == bob.provider == bob.own_details().provider
        with pytest.raises(NotRunning, match="stopped"):
            alice.send_message(b"late", bob.own_details())
        with pytest.raises(NotRunning, match="only once"):
            alice.start()
        alice.close()
        alice.wait()
        assert alice.get_received_messages() == []

    async with network() as running:
        configs = [make(name, tmp_path, running) for name in ("alice", "bob")]
        await in_thread(use, *map(BlockingLoopixClient, configs))


async def test_what_prevents_the_start_is_raised_there(tmp_path: Path) -> None:
    client = BlockingLoopixClient(make("alice", tmp_path))
    with pytest.raises(NotRunning, match="not started"):
        client.update_network_view()

    def start() -> None:
        with pytest.raises(DirectoryError, match="cannot be asked"):
            client.start()
        client.close()

    await in_thread(start)


def test_a_configuration_is_found_by_the_client_s_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = make("alice", tmp_path)
    assert client_config("alice") == config
