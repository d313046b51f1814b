"""`kpclientd box`: boxes one at a time, nothing lost between two runs, and a status for each way it may end."""

import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from kpclientd.client import Client, ReadCapability
from kpclientd.commands import box
from kpclientd.commands.stream_files import ReadBoxes, WrittenBoxes, load, save
from tests.client.storing import storing_client
from tests.pigeonhole.installed import needs_libraries


class BoxCommand:
    """Runs the command's parts against one client."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
        self._monkeypatch = monkeypatch
        self._captured = capfdbinary

    async def run(self, *arguments: str, given: bytes = b"") -> bytes:
        """What the command prints; raises what it fails with."""
        options = box.build_parser().parse_args(arguments)
        self._monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(given)))
        await options.run(options)
        return bytes(self._captured.readouterr().out)


@asynccontextmanager
async def commanding(
    monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> AsyncIterator[tuple[BoxCommand, Client]]:
    async with storing_client(monkeypatch) as (_, client):

        @asynccontextmanager
        async def connected(config: object) -> AsyncIterator[Client]:
            yield client

        monkeypatch.setattr(box, "connect", connected)
        monkeypatch.setattr(box, "daemon_of", lambda options: None)
        yield BoxCommand(monkeypatch, capfdbinary), client


@needs_libraries
async def test_boxes_are_written_read_and_deleted_by_number(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    autojump_clock: MockClock,
) -> None:
    alice, bob = str(tmp_path / "alice"), str(tmp_path / "bob")
    async with commanding(monkeypatch, capfdbinary) as (here, _):
        word = await here.run("new", alice)
        assert word.startswith(b"read-")
        await here.run("new", bob, "--reader", given=word)
        assert await here.run("write", alice, given=b"hello") == b"box 0\n"
        assert await here.run("read", bob) == b"hello"
        long = bytes(200)
        assert await here.run("copy", alice, given=long) == b"box 1\nbox 2\n"
        assert await here.run("read", bob) + await here.run("read", bob, "--no-wait") == long
        assert await here.run("read", alice, "--box", "0") == b"hello"
        await here.run("rm", alice, "--box", "0")
        with pytest.raises(Exception, match="deleted"):
            await here.run("read", bob, "--box", "0")
        await here.run("skip", bob)
        assert await here.run("write", alice, given=b"skipped") == b"box 3\n"
        assert await here.run("write", alice, given=b"and read") == b"box 4\n"
        assert await here.run("read", bob) == b"and read"
        with pytest.raises(Exception, match="box 5 is not written yet"):
            await here.run("rm", alice, "--box", "5")
        with pytest.raises(Exception, match="at most 149 bytes"):
            await here.run("write", alice, given=bytes(150))
        with pytest.raises(Exception, match="nothing to write"):
            await here.run("write", alice, given=b"")
        with pytest.raises(Exception, match="there already"):
            await here.run("new", alice)


@needs_libraries
async def test_a_write_that_was_killed_is_finished_before_the_next(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
    autojump_clock: MockClock,
) -> None:
    alice = tmp_path / "alice"
    async with commanding(monkeypatch, capfdbinary) as (here, client):
        await here.run("new", str(alice))
        for seconds, content in ((0.01, b"one"), (0.5, b"two")):
            with trio.move_on_after(seconds) as killed:
                await here.run("write", str(alice), given=content)
            assert killed.cancelled_caught
            assert load(alice, WrittenBoxes).pending == content
            printed = await here.run("write", str(alice), given=content * 2)
            assert len(printed.splitlines()) == 2
        job = await client.boxes.prepare_copy(load(alice, WrittenBoxes).following, b"copied")
        kept = load(alice, WrittenBoxes)
        save(alice, WrittenBoxes(kept.first, kept.following, copy=job))  # killed before the courier was told
        assert await here.run("write", str(alice), given=b"last") == b"box 4\nbox 5\n"
        found = [await here.run("read", str(alice), "--box", str(number)) for number in range(6)]
        assert found == [b"one", b"oneone", b"two", b"twotwo", b"copied", b"last"]


def test_statuses_tell_what_was_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("thinclient.toml").write_text('[Dial]\n  [Dial.Unix]\n    Address = "absent"\n')
    assert box.main([]) == 2
    assert box.main(["new", "alice"]) in (1, 2)
    assert not Path("alice").exists()
    assert box.main(["write", "absent"]) == 2
    assert "absent cannot be read" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", io.StringIO("write-me\n"))
    assert box.main(["new", "bob", "--reader"]) == 2
    assert "where one to read is needed" in capsys.readouterr().err
    for arguments in (["rm", "alice"], ["rm", "alice", "--box", "-1"], ["read"], ["lose", "alice"]):
        with pytest.raises(SystemExit) as ended:
            box.main(arguments)
        assert ended.value.code == 2
    with pytest.raises(SystemExit) as ended:
        box.main(["read", "--help"])
    assert ended.value.code == 0
    assert [path.name for path in tmp_path.iterdir()] == ["thinclient.toml"]


def test_a_file_that_reads_is_not_one_that_writes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "bob"
    save(path, ReadBoxes(ReadCapability(bytes(136)), ReadCapability(bytes(136))))
    assert box.main(["write", str(path)]) == 2
    assert "is about boxes that are read, and not about boxes that are written" in capsys.readouterr().err
