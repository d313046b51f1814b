"""What was written to whom: noted so that the next process of this machine finds it, and nobody else."""

import logging
from pathlib import Path

import pytest

from arq import AppId
from kpclientd.state.written_page import WrittenPage
from kpclientd.thin.written_marks import HandedOver, PeerProcess

ALICE, BOB = AppId(b"A" * 16), AppId(b"B" * 16)
HERE = PeerProcess(4711, 123_456)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    """Stands for the memory file system; what it does after a reboot is its own affair."""
    return tmp_path


def opened(memory: Path, name: str = "state") -> WrittenPage:
    page = WrittenPage.opened(Path("/var/lib") / name, memory)
    assert page is not None
    return page


def test_what_was_noted_is_there_for_the_next_process(memory: Path) -> None:
    page = opened(memory)
    page.connected(ALICE, HERE)
    page.written(ALICE, 7)
    page.read(ALICE, 5)
    page.connected(BOB, None)
    page.written(BOB, 2**40)
    expected = {ALICE: HandedOver(HERE, 7, 5), BOB: HandedOver(None, 2**40, 0)}
    assert opened(memory).handed_over() == expected  # the first one is not closed: its process was killed
    assert opened(memory, "another").handed_over() == {}


def test_to_another_connection_nothing_was_written_yet_but_what_was_read_was_read(memory: Path) -> None:
    page = opened(memory)
    page.connected(ALICE, HERE)
    page.written(ALICE, 7)
    page.read(ALICE, 5)
    page.connected(ALICE, None)
    assert opened(memory).handed_over() == {ALICE: HandedOver(None, 0, 5)}


def test_a_page_that_tells_nothing_goes_with_its_daemon_and_another_stays(memory: Path) -> None:
    page = opened(memory)
    page.connected(ALICE, HERE)
    page.close()
    assert opened(memory).handed_over().keys() == {ALICE}
    page = opened(memory)
    page.forget(ALICE)
    page.close()
    assert list(memory.iterdir()) == []


def test_who_is_gone_leaves_room_for_others(memory: Path) -> None:
    page = opened(memory)
    for number in range(5000):
        page.connected(AppId(number.to_bytes(16, "big", signed=False)), HERE)
        if number:
            page.forget(AppId((number - 1).to_bytes(16, "big")))
    last = AppId((4999).to_bytes(16, "big"))
    assert opened(memory).handed_over() == {last: HandedOver(HERE, 0, 0)}
    page.keep_only({ALICE})
    assert opened(memory).handed_over() == {}


def test_when_there_is_no_room_nothing_is_noted_and_nothing_breaks(memory: Path) -> None:
    page = opened(memory)
    names = [AppId(number.to_bytes(16, "big")) for number in range(1, 3000)]
    for name in names:
        page.connected(name, HERE)
        page.written(name, 9)
        page.read(name, 9)
    assert 0 < len(opened(memory).handed_over()) < len(names)
    for name in names:
        page.forget(name)
    assert opened(memory).handed_over() == {}


def test_a_page_that_is_damaged_or_of_another_version_begins_anew(memory: Path) -> None:
    opened(memory).connected(ALICE, HERE)
    (file,) = memory.iterdir()
    for content in (b"", b"short", b"x" * file.stat().st_size):
        file.write_bytes(content)
        page = opened(memory)
        assert page.handed_over() == {}
        page.connected(BOB, HERE)
        assert opened(memory).handed_over().keys() == {BOB}


def test_a_page_that_others_may_write_to_is_not_believed(memory: Path, caplog: pytest.LogCaptureFixture) -> None:
    opened(memory).connected(ALICE, HERE)
    (file,) = memory.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    file.chmod(0o666)
    with caplog.at_level(logging.WARNING):
        assert WrittenPage.opened(Path("/var/lib/state"), memory) is None
    assert "not this user's alone" in caplog.text
    file.unlink()
    file.symlink_to(memory / "elsewhere")
    assert WrittenPage.opened(Path("/var/lib/state"), memory) is None
    assert not (memory / "elsewhere").exists()


def test_without_a_memory_file_system_there_is_no_page(memory: Path) -> None:
    assert WrittenPage.opened(Path("/var/lib/state"), memory / "missing") is None
