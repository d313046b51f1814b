"""`kpclientd pipe`: what goes in comes out, however often either end is killed, and misuse is told as such."""

import io
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from kpclientd.client import (
    CapabilityTextError,
    ChangedContentError,
    Client,
    Progress,
    ReadCapability,
    StorageFullError,
    WriteCapability,
)
from kpclientd.commands.pipe import main, receive, receive_to, send
from kpclientd.commands.stream_files import Receiving, Sending, StreamFileError, load, save
from tests.client.storing import Station, storing, storing_client
from tests.pigeonhole.installed import needs_libraries

CONTENT = bytes(range(256)) * 5


async def inline(call: Callable[..., Any], *arguments: Any) -> Any:
    """Blocking calls on the loop, as virtual clocks need it."""
    await trio.lowlevel.checkpoint()
    return call(*arguments)


class Ends:
    """Both ends, with their files in a folder."""

    def __init__(self, folder: Path) -> None:
        self.input, self.output = folder / "in", folder / "out"
        self.sending, self.receiving = folder / "in.sending", folder / "out.receiving"
        self.words: list[str] = []
        self.input.write_bytes(CONTENT)

    async def send(self, client: Client) -> None:
        with self.input.open("rb", buffering=0) as source:
            await send(client, source, self.sending, announce=self.words.append, blocking=inline)

    async def receive(self, client: Client) -> None:
        await receive(client, self.output, self.receiving, ask=self.ask, blocking=inline)

    def ask(self) -> ReadCapability:
        return ReadCapability.parse(self.words[0])


@needs_libraries
async def test_both_ends_are_killed_again_and_again_and_the_bytes_are_equal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    ends = Ends(tmp_path)
    async with storing(monkeypatch) as here:
        here.network.faults.loss = 0.05

        async def until_done(name: bytes, end: Callable[[Client], Any], lives: list[float]) -> None:
            for number, seconds in enumerate([*lives, 100_000]):
                with trio.move_on_after(seconds) as life:
                    async with Station(here, name * 15 + bytes([number])).client() as client:
                        await end(client)
                if not life.cancelled_caught:
                    assert number == len(lives), "it was done before it was killed"

        async with trio.open_nursery() as nursery:
            nursery.start_soon(until_done, b"s", ends.send, [6.0, 9.0])
            await here.until(lambda: ends.words)
            nursery.start_soon(until_done, b"r", ends.receive, [7.0, 11.0])
        assert ends.output.read_bytes() == CONTENT
        assert len(set(ends.words)) == 1
        assert load(ends.sending, Sending).progress == load(ends.receiving, Receiving).progress
        assert load(ends.receiving, Receiving).progress.is_ended
        for path in (ends.sending, ends.receiving, ends.output):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        async with Station(here, b"again" + bytes(11)).client() as client:  # once more, and nothing is done
            await ends.send(client)
            await ends.receive(client)
        assert ends.output.read_bytes() == CONTENT


@needs_libraries
async def test_other_bytes_than_before_are_refused_at_either_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    ends = Ends(tmp_path)
    async with storing_client(monkeypatch) as (here, client):
        with trio.move_on_after(1000) as scope:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(ends.send, client)
                await here.until(lambda: ends.words)
                nursery.start_soon(ends.receive, client)
                await here.until(lambda: ends.output.exists() and ends.output.stat().st_size > 200)
                nursery.cancel_scope.cancel()
        assert not scope.cancelled_caught
        ends.input.write_bytes(b"other" + CONTENT)
        with pytest.raises(ChangedContentError):
            await ends.send(client)
        received = ends.output.read_bytes()
        ends.output.write_bytes(received + b"half a box more")  # written and not noted before a kill
        with trio.move_on_after(0.5):
            await ends.receive(client)
        assert ends.output.read_bytes() == received
        ends.output.write_bytes(b"x" + received[1:])
        with pytest.raises(ChangedContentError, match="begin anew with other files"):
            await ends.receive(client)
        ends.receiving.unlink()
        with pytest.raises(StreamFileError, match="is there already"):
            await ends.receive(client)


@needs_libraries
async def test_without_files_it_goes_from_descriptor_to_descriptor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    ends = Ends(tmp_path)
    async with storing_client(monkeypatch) as (_, client):
        with ends.input.open("rb", buffering=0) as source, ends.output.open("wb") as sink:
            await send(client, source, None, announce=ends.words.append, blocking=inline)
            await receive_to(client, ends.ask, sink.fileno(), blocking=inline)
    assert ends.output.read_bytes() == CONTENT
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in", "out"]


@needs_libraries
async def test_what_storage_refuses_leaves_the_place_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, autojump_clock: MockClock
) -> None:
    ends = Ends(tmp_path)
    async with storing_client(monkeypatch) as (here, client):
        assert here.network.storage is not None
        for replica in here.network.storage.replicas:
            replica.faults.full = True
        with pytest.raises(StorageFullError):
            await ends.send(client)
        assert load(ends.sending, Sending).progress == Progress()


def test_a_state_of_another_command_or_of_another_run_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "state"
    save(path, Receiving(ReadCapability(bytes(136)), Progress()))
    with pytest.raises(StreamFileError, match="about a stream that is received, and not about a stream that is sent"):
        load(path, Sending)
    save(path, Sending(ReadCapability(bytes(136)), WriteCapability(bytes(168)), 149, Progress()))
    assert load(path, Sending).box_length == 149


def config(folder: Path) -> str:
    path = folder / "thinclient.toml"
    path.write_text(f'[Dial]\n  [Dial.Unix]\n    Address = "{folder}/absent"\n')
    return str(path)


def test_without_a_daemon_it_fails_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "in").write_bytes(b"x")
    assert main(["send", str(tmp_path / "in"), "-c", config(tmp_path)]) == 1
    assert capsys.readouterr().err.startswith(f"kpclientd pipe send: no daemon listens at {tmp_path}/absent: ")
    monkeypatch.setattr("sys.stdin", io.StringIO("read-nothing\n"))
    assert main(["receive", "-o", str(tmp_path / "out"), "-c", config(tmp_path)]) == 1
    assert not (tmp_path / "out").exists()


def test_misuse_has_its_own_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "usage: kpclientd pipe" in capsys.readouterr().err
    assert main(["send", str(tmp_path / "absent"), "-c", config(tmp_path)]) == 2
    assert "absent cannot be read: No such file" in capsys.readouterr().err
    assert main(["receive", "--state", str(tmp_path / "state")]) == 2
    assert "--state needs --output" in capsys.readouterr().err
    (tmp_path / "in").write_bytes(b"x")
    assert main(["send", str(tmp_path / "in"), "-c", str(tmp_path / "no such file")]) == 2
    for arguments in (["send", "a", "b"], ["give"], ["receive", "--from", "x"]):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2


@pytest.mark.parametrize("arguments", [["--help"], ["send", "--help"], ["receive", "--help"]])
def test_help_is_there(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "usage: kpclientd pipe" in capsys.readouterr().out


def test_a_word_that_is_none_is_refused() -> None:
    with pytest.raises(CapabilityTextError):
        ReadCapability.parse("read-nothing\n")
