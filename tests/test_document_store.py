"""Documents on disk: whole or not at all, few, private, and believed no more than a gateway's."""

import os
import stat
from pathlib import Path

import pytest

from kpclientd.document_store import MOST_KEPT, DocumentStore, StoredDocument

LONGEST = 10_000


def store(tmp_path: Path) -> DocumentStore:
    return DocumentStore(tmp_path / "data", LONGEST)


def files(tmp_path: Path) -> list[Path]:
    return sorted((tmp_path / "data" / "documents").iterdir())


def test_what_is_saved_is_loaded_newest_first(tmp_path: Path) -> None:
    for epoch in (7, 5, 6):
        store(tmp_path).save(epoch, b"document %d" % epoch)
    assert store(tmp_path).load() == [StoredDocument(epoch, b"document %d" % epoch) for epoch in (7, 6, 5)]


def test_without_a_folder_there_is_nothing_and_nothing_is_made(tmp_path: Path) -> None:
    assert store(tmp_path).load() == []
    assert list(tmp_path.iterdir()) == []


def test_only_the_newest_epochs_are_kept(tmp_path: Path) -> None:
    for epoch in range(100):
        store(tmp_path).save(epoch, b"%d" % epoch)
        assert len(files(tmp_path)) <= MOST_KEPT
    assert [document.epoch for document in store(tmp_path).load()] == [99, 98, 97]


def test_another_document_of_the_same_epoch_takes_its_place(tmp_path: Path) -> None:
    store(tmp_path).save(1, b"one")
    store(tmp_path).save(1, b"another")
    assert store(tmp_path).load() == [StoredDocument(1, b"another")]


def test_nobody_else_may_read_them(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        store(tmp_path).save(1, b"one")
    finally:
        os.umask(before)
    (path,) = files(tmp_path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE(path.parent.parent.stat().st_mode) == 0o700


@pytest.mark.parametrize("damage", [b"", b"on", b"onf", b"one more", b"x" * (LONGEST + 1)])
def test_what_is_torn_or_altered_is_removed(damage: bytes, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    store(tmp_path).save(1, b"one")
    store(tmp_path).save(2, b"two")
    files(tmp_path)[0].write_bytes(damage)
    assert store(tmp_path).load() == [StoredDocument(2, b"two")]
    assert "torn or altered" in caplog.text
    assert len(files(tmp_path)) == 1


def test_a_write_that_a_power_cut_ended_leaves_nothing(tmp_path: Path) -> None:
    store(tmp_path).save(1, b"one")
    unfinished = files(tmp_path)[0].with_suffix(".cbor.unfinished")
    unfinished.write_bytes(b"tw")
    assert store(tmp_path).load() == [StoredDocument(1, b"one")]
    assert not unfinished.exists()


def test_files_of_others_are_left_alone(tmp_path: Path) -> None:
    store(tmp_path).save(1, b"one")
    other = tmp_path / "data" / "documents" / "notes.txt"
    other.write_text("mine")
    store(tmp_path).save(2, b"two")
    assert len(store(tmp_path).load()) == 2 and other.read_text() == "mine"


def test_no_link_and_no_pipe_is_followed(tmp_path: Path) -> None:
    store(tmp_path).save(1, b"one")
    (path,) = files(tmp_path)
    secret = tmp_path / "secret"
    secret.write_bytes(b"one")
    path.unlink()
    path.symlink_to(secret)
    assert store(tmp_path).load() == []
    path.unlink()
    os.mkfifo(path)
    assert store(tmp_path).load() == []
    assert secret.read_bytes() == b"one"


def test_a_folder_that_cannot_be_written_is_said_and_does_no_harm(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "data").write_text("a file")
    store(tmp_path).save(1, b"one")
    assert "cannot be kept" in caplog.text
    assert store(tmp_path).load() == []
