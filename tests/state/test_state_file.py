"""The state file on a real disk: made, locked, recovered, appended to, written anew; and its key."""

import errno
import logging
import os
import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import pytest

from kpclientd.service_credentials import STATE_KEY
from kpclientd.state.errors import StateError
from kpclientd.state.record_log import HEAD_LENGTH, RECORD_HEAD_LENGTH, LogWriter, last_record, recover
from kpclientd.state.state_file import StateFile, opened
from kpclientd.state.state_key import state_key
from sphinx.randomness import Randomness, seeded

KEY = bytes(range(32))
RANDOMNESS = Randomness(os.urandom)


@contextmanager
def fresh(path: Path) -> Iterator[StateFile]:
    """The file, opened and written anew with what it held, as at every start."""
    with opened(path, lambda _: KEY, RANDOMNESS) as file:
        file.begin_rewrite()
        file.add(file.recovered.rows)
        file.finish_rewrite()
        yield file


def rows_of(path: Path) -> dict[bytes, object]:
    return recover(path.read_bytes(), KEY).rows


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_what_was_appended_is_there_at_the_next_start_and_nobody_else_may_read_it(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "folder" / "state"
    with fresh(path) as file:
        assert file.recovered.rows == {}
        file.append({b"a": 1, b"b": 2})
        file.append({b"a": None})
        assert rows_of(path) == {b"b": 2}
        assert file.size == path.stat().st_size
    assert (mode(path), mode(path.parent)) == (0o600, 0o700)
    assert list(path.parent.iterdir()) == [path]
    with fresh(path) as file:
        assert file.recovered.rows == {b"b": 2}


def test_a_second_daemon_is_told_who_has_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    said = rf"process {os.getpid()}\) keeps its state in {path}"
    with fresh(path), pytest.raises(StateError, match=said), fresh(path):
        pass
    with fresh(path):
        pass


def test_each_commit_ends_in_a_mark_so_that_a_cut_in_the_last_record_costs_nothing_that_was_told(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state"
    with fresh(path) as file:
        for number in range(5):
            file.append({b"row": number})
            data = path.read_bytes()
            for cut in range(last_record(data), len(data) + 1):
                assert recover(data[:cut], KEY).rows == {b"row": number}


def test_a_commit_is_flushed_before_it_is_marked_and_a_new_file_before_it_takes_the_old_ones_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "state"
    flushed: list[tuple[str, int]] = []

    def flush(descriptor: int) -> None:
        flushed.append((str(Path(f"/proc/self/fd/{descriptor}").readlink()), os.fstat(descriptor).st_size))

    monkeypatch.setattr(os, "fdatasync", flush)
    monkeypatch.setattr(os, "fsync", flush)
    with fresh(path) as file:
        assert [name for name, _ in flushed] == [f"{path}.new", str(tmp_path)]
        flushed.clear()
        file.append({b"a": 1})
        assert flushed == [(str(path), path.stat().st_size - RECORD_HEAD_LENGTH)]
        assert last_record(path.read_bytes()) == path.stat().st_size - RECORD_HEAD_LENGTH


def test_what_cannot_be_flushed_is_not_marked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"

    def refuse(descriptor: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    with fresh(path) as file:
        before = path.stat().st_size
        monkeypatch.setattr(os, "fdatasync", refuse)
        with pytest.raises(OSError, match="Input/output"):
            file.append({b"a": 1})
        assert last_record(path.read_bytes()) == before


def test_a_torn_end_is_said_and_damage_is_kept_aside(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state"
    with fresh(path) as file:
        file.append({b"a": 1})
        file.append({b"b": 2})
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with caplog.at_level(logging.WARNING), fresh(path) as file:
        assert file.recovered.rows == {b"a": 1, b"b": 2}
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert not (tmp_path / "state.damaged").exists()

    caplog.clear()
    altered = bytearray(whole)
    altered[HEAD_LENGTH + 60] ^= 1
    path.write_bytes(altered)
    with caplog.at_level(logging.WARNING), fresh(path):
        pass
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert str(tmp_path / "state.damaged") in caplog.text
    assert (tmp_path / "state.damaged").read_bytes() == altered


def test_a_damaged_head_is_kept_aside_and_the_daemon_starts(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "state"
    path.write_bytes(LogWriter(KEY, seeded(b"head")).head()[:40])
    with caplog.at_level(logging.ERROR), fresh(path) as file:
        file.append({b"a": 1})
    assert "nothing of it goes on" in caplog.text
    assert (tmp_path / "state.damaged").stat().st_size == 40
    assert rows_of(path) == {b"a": 1}


def test_a_foreign_file_is_refused_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_bytes(b"a letter, and no state at all" * 10)
    with pytest.raises(StateError, match=f"{path}: it is no state file"), fresh(path):
        pass
    assert path.read_bytes() == b"a letter, and no state at all" * 10


def test_commits_during_a_rewrite_stand_in_both_files(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with fresh(path) as file:
        file.append({b"old": 1, b"gone": 1})
        file.begin_rewrite()
        file.add({b"old": 1, b"gone": 1})
        file.append({b"gone": None, b"new": 2})
        assert rows_of(path) == {b"old": 1, b"new": 2}, "a crash now finds the old file"
        file.add({b"more": 3})
        file.finish_rewrite()
        assert rows_of(path) == {b"old": 1, b"new": 2, b"more": 3}
        file.append({b"last": 4})
    assert rows_of(path) == {b"old": 1, b"new": 2, b"more": 3, b"last": 4}
    assert list(tmp_path.iterdir()) == [path]


def test_a_rewrite_is_wanted_once_most_is_out_of_date_and_leaves_a_short_file(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with fresh(path) as file:
        appends = 0
        while not file.wants_rewrite:
            file.append({b"row": bytes(20_000)})
            appends += 1
        assert 40 < appends < 70
        file.begin_rewrite()
        file.add({b"row": bytes(20_000)})
        file.finish_rewrite()
        assert not file.wants_rewrite
        assert path.stat().st_size == file.size < 30_000


def test_the_file_stays_where_a_link_leads(tmp_path: Path) -> None:
    (tmp_path / "other disk").mkdir()
    path = tmp_path / "state"
    path.symlink_to(tmp_path / "other disk" / "state")
    with fresh(path) as file:
        file.append({b"a": 1})
    assert path.is_symlink()
    assert rows_of(tmp_path / "other disk" / "state") == {b"a": 1}


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    """As on a full disk, the operating system takes no more; Python ignores the signal that comes with it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_after_a_refused_write_the_file_is_made_good_by_writing_it_anew(tmp_path: Path) -> None:
    path = tmp_path / "state"
    with fresh(path) as file:
        file.append({b"a": bytes(500)})
        before = path.read_bytes()
        with no_file_longer_than(len(before) + 100):
            with pytest.raises(OSError, match="large"):
                file.append({b"b": bytes(5000)})
            with pytest.raises(OSError, match="anew first"):
                file.append({b"c": 1})
        assert recover(path.read_bytes(), KEY).rows == {b"a": bytes(500)}
        file.begin_rewrite()
        with pytest.raises(OSError, match="anew first"):
            file.append({b"during": 1})
        file.add({b"a": bytes(500), b"b": bytes(5000), b"c": 1})
        file.finish_rewrite()
        file.append({b"d": 1})
    assert rows_of(path).keys() == {b"a", b"b", b"c", b"d", b"during"}


# -- the key


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "state"
    key = state_key(path, {}, RANDOMNESS)
    assert len(key) == 32
    assert mode(tmp_path / "state.key") == 0o600
    assert state_key(path, {}, RANDOMNESS) == key
    assert key not in (tmp_path / "state.key").read_bytes()


def test_a_credential_is_preferred(tmp_path: Path) -> None:
    (tmp_path / STATE_KEY).write_bytes(b"a secret of the service manager")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    key = state_key(tmp_path / "state", environ, RANDOMNESS)
    assert not (tmp_path / "state.key").exists()
    assert state_key(tmp_path / "elsewhere", environ, RANDOMNESS) == key
    assert state_key(tmp_path / "state", {"CREDENTIALS_DIRECTORY": str(tmp_path / "none")}, RANDOMNESS) != key


def test_state_without_its_key_is_not_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"something")
    with pytest.raises(StateError, match=r"state\.key is missing: bring it back, or remove"):
        state_key(path, {}, RANDOMNESS)
    path.write_bytes(b"")
    assert len(state_key(path, {}, RANDOMNESS)) == 32


def test_a_key_that_others_may_read_or_that_is_too_short_is_refused(tmp_path: Path) -> None:
    path, key = tmp_path / "state", tmp_path / "state.key"
    key.write_bytes(bytes(32))
    key.chmod(0o640)
    with pytest.raises(StateError, match=f"chmod 600 {key}"):
        state_key(path, {}, RANDOMNESS)
    key.chmod(0o600)
    key.write_bytes(b"short")
    with pytest.raises(StateError, match="has 5 bytes"):
        state_key(path, {}, RANDOMNESS)


def test_the_key_belongs_to_the_file_it_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "state"
    key_of = partial(state_key, environ={}, randomness=RANDOMNESS)
    with opened(path, key_of, RANDOMNESS) as file:
        file.begin_rewrite()
        file.finish_rewrite()
        file.append({b"a": 1})
    (tmp_path / "state.key").write_bytes(bytes(32))
    with (
        pytest.raises(StateError, match="another key; bring the right file or key back"),
        opened(path, key_of, RANDOMNESS),
    ):
        pass
