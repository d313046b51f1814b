"""Files that keep a place are read strictly: what is not sound is refused, whatever it is."""

import io
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kpclientd.client import CopyJob, Progress, ReadCapability, WriteCapability
from kpclientd.commands.meter import Meter, amount
from kpclientd.commands.stream_files import (
    AnyKept,
    ReadBoxes,
    Receiving,
    Sending,
    StreamFileError,
    WrittenBoxes,
    held,
    load_any,
    parse,
    save,
)

READ, WRITE = ReadCapability(bytes(range(136))), WriteCapability(bytes(range(168)))
KEPT: list[AnyKept] = [
    WrittenBoxes(READ, WRITE, pending=b"pending"),
    WrittenBoxes(READ, WRITE, copy=CopyJob(WRITE, WRITE)),
    ReadBoxes(READ, READ),
    Sending(READ, WRITE, 149, Progress(3, 444, b"d" * 32)),
    Receiving(READ, Progress(4, 500, b"d" * 32, is_ended=True)),
]


@pytest.mark.parametrize("kept", KEPT)
def test_what_is_kept_is_found_again_and_shown_to_nobody(kept: AnyKept, tmp_path: Path) -> None:
    path = tmp_path / "kept"
    save(path, kept)
    assert load_any(path) == kept
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert repr(kept) == type(kept).__name__


@given(st.binary(max_size=300))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(StreamFileError, match="damaged"):
        parse(data, Path("kept"))


@pytest.mark.parametrize("kept", KEPT)
@given(data=st.data())
def test_a_changed_file_is_refused_or_says_something_else_that_is_sound(
    kept: AnyKept, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("kept") / "kept"
    save(path, kept)
    content = path.read_bytes()
    at = data.draw(st.integers(0, len(content) - 2))
    byte = data.draw(st.binary(min_size=0, max_size=2))
    try:
        changed = parse(content[:at] + byte + content[at + 1 :], path)
    except StreamFileError:
        return
    if isinstance(changed, Sending | Receiving):
        assert changed.progress.boxes >= 0
        assert changed.progress.length >= 0
        assert len(changed.progress.digest) == 32


def test_two_runs_cannot_use_the_same_file(tmp_path: Path) -> None:
    with held(tmp_path / "kept"), pytest.raises(StreamFileError, match="in use by process"), held(tmp_path / "kept"):
        pass
    with pytest.raises(StreamFileError, match="cannot be used: No such file"), held(tmp_path / "absent" / "kept"):
        pass
    with pytest.raises(StreamFileError, match="cannot be written: No such file"):
        save(tmp_path / "absent" / "kept", KEPT[2])


def test_the_meter_tells_bytes_rate_and_what_is_left() -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    seconds = iter((10.0, 20.0, 30.0))
    terminal = Terminal()
    meter = Meter(terminal, 4096, lambda: next(seconds))
    meter.show(Progress(0, 0))
    meter.show(Progress(1, 1024))
    meter.show(Progress(4, 4096))
    meter.end()
    assert [line.strip() for line in terminal.getvalue().split("\r\x1b[K")[1:]] == [
        "0 B of 4.0 KiB, 0 boxes",
        "1.0 KiB of 4.0 KiB, 1 box, 102 B/s, 0:30 left",
        "4.0 KiB of 4.0 KiB, 4 boxes, 205 B/s",
    ]
    plain = io.StringIO()
    Meter(plain).show(Progress(1, 1))
    Meter(plain).end()
    assert not plain.getvalue()
    assert [amount(length) for length in (0, 1023, 1536, 1 << 50)] == ["0 B", "1023 B", "1.5 KiB", "1024.0 TiB"]
