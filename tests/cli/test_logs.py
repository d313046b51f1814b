"""The log has a form that is told, goes where it is told to, and nobody's words can forge a line of it."""

import io
import json
import logging
import os
import re
import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from kpclientd.config.model import Logging
from kpclientd.errors import LogFileError
from kpclientd.log_levels import NOTICE
from kpclientd.logs import logging_to

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}[+-]\d\d:\d\d"
LINE = re.compile(TIME + r" (?P<level>[A-Z]{4}) (?P<module>[^:]+): (?P<message>.*)")


def logged(level: str, *records: tuple[int, str]) -> list[str]:
    stream = io.StringIO()
    with logging_to(Logging(level=level), stream):
        for number, message in records:
            logging.getLogger("client/conn").log(number, "%s", message)
    return stream.getvalue().splitlines()


EVERY_LEVEL = [
    (logging.ERROR, "e"),
    (logging.WARNING, "w"),
    (NOTICE, "n"),
    (logging.INFO, "i"),
    (logging.DEBUG, "d"),
]


def test_a_line_has_time_level_module_and_message() -> None:
    (line,) = logged("NOTICE", (NOTICE, 'Connected to gateway "gateway1".'))
    match = LINE.fullmatch(line)
    assert match is not None
    assert match["level"] == "NOTI"
    assert match["module"] == "client/conn"
    assert match["message"] == 'Connected to gateway "gateway1".'


@pytest.mark.parametrize(
    ("level", "letters"),
    [
        ("ERROR", ["ERRO"]),
        ("WARNING", ["ERRO", "WARN"]),
        ("NOTICE", ["ERRO", "WARN", "NOTI"]),
        ("INFO", ["ERRO", "WARN", "NOTI", "INFO"]),
        ("DEBUG", ["ERRO", "WARN", "NOTI", "INFO", "DEBU"]),
    ],
)
def test_each_level_lets_the_graver_ones_through(level: str, letters: list[str]) -> None:
    assert [line.split()[1] for line in logged(level, *EVERY_LEVEL)] == letters


def test_a_peers_words_cannot_begin_a_line_of_their_own() -> None:
    hostile = "gone\n00:00:00.000 ERRO client/conn: forged\x1b[2J\u2028\x85"
    (line,) = logged("INFO", (logging.INFO, hostile))
    assert line.endswith(r": gone\n00:00:00.000 ERRO client/conn: forged\x1b[2J\u2028\x85")


def test_a_fault_brings_its_traceback() -> None:
    stream = io.StringIO()
    with logging_to(Logging(), stream):
        try:
            raise RuntimeError("fault")
        except RuntimeError:
            logging.getLogger("client/pki").exception("unexpected")
    first, second, *_, last = stream.getvalue().splitlines()
    assert first.endswith("ERRO client/pki: unexpected")
    assert second.endswith("ERRO client/pki: Traceback (most recent call last):")
    assert last.endswith("ERRO client/pki: RuntimeError: fault")


def test_a_file_is_its_owners_alone_and_is_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "kpclientd.log"
    for message in ("first", "second"):
        with logging_to(Logging(file=path)):
            logging.getLogger("client").log(NOTICE, message)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [line.split(": ")[1] for line in path.read_text().splitlines()] == ["first", "second"]


def test_a_disabled_log_writes_nothing_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "kpclientd.log"
    with logging_to(Logging(disable=True, file=path)):
        logging.getLogger("client").error("unheard")
    assert not path.exists()
    assert capsys.readouterr() == ("", "")


def test_without_a_file_it_goes_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to(Logging()):
        logging.getLogger("client").error("heard")
    assert capsys.readouterr().out.endswith("ERRO client: heard\n")


def test_a_file_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    settings = Logging(file=tmp_path / "absent" / "x.log")
    text = r"absent/x\.log cannot be opened: No such file or directory"
    with pytest.raises(LogFileError, match=text), logging_to(settings):
        pytest.fail("there is no such folder")


def test_afterwards_all_is_as_before() -> None:
    root = logging.getLogger()
    before = (root.level, list(root.handlers))
    logged("DEBUG", (logging.DEBUG, "x"))
    assert (root.level, list(root.handlers)) == before


def test_opened_anew_the_log_goes_on_in_a_new_file_and_the_renamed_one_is_complete(tmp_path: Path) -> None:
    path, renamed = tmp_path / "kpclientd.log", tmp_path / "kpclientd.log.1"
    with logging_to(Logging(file=path)) as output:
        logging.getLogger("client").error("first")
        path.rename(renamed)
        logging.getLogger("client").error("second")
        output.reopen(Logging(file=path))
        logging.getLogger("client").error("third")
    assert [line.split(": ")[1] for line in renamed.read_text().splitlines()] == ["first", "second"]
    assert [line.split(": ")[1] for line in path.read_text().splitlines()] == ["third"]


def test_opened_anew_the_log_has_another_level_or_place_or_none(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "kpclientd.log"
    log = logging.getLogger("client")
    before = (logging.getLogger().level, list(logging.getLogger().handlers))
    with logging_to(Logging()) as output:
        for settings in (Logging(level="DEBUG"), Logging(file=path), Logging(disable=True), Logging()):
            output.reopen(settings)
            log.debug("%s", settings.level)
            log.error("%s", settings.level)
    assert [line.split(": ")[1] for line in capsys.readouterr().out.splitlines()] == ["DEBUG", "DEBUG", "NOTICE"]
    assert [line.split(": ")[1] for line in path.read_text().splitlines()] == ["NOTICE"]
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == before


def test_a_log_that_cannot_be_opened_anew_stays_where_it_is(tmp_path: Path) -> None:
    path = tmp_path / "kpclientd.log"
    with logging_to(Logging(file=path)) as output:
        with pytest.raises(LogFileError, match="cannot be opened"):
            output.reopen(Logging(file=tmp_path / "absent" / "x.log", level="DEBUG"))
        logging.getLogger("client").info("unheard")
        logging.getLogger("client").error("heard")
    assert path.read_text().endswith("ERRO client: heard\n")
    assert len(path.read_text().splitlines()) == 1


def in_journal(monkeypatch: pytest.MonkeyPatch, settings: Logging, *records: tuple[int, str]) -> list[str]:
    """What the journal gets."""
    reading, writing = socket.socketpair()
    with reading, writing, writing.makefile("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        with logging_to(settings, stream):
            for number, message in records:
                logging.getLogger("client/conn").log(number, "%s", message)
        return reading.recv(1 << 16).decode().splitlines()


def test_the_journal_gets_priorities_and_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = in_journal(monkeypatch, Logging(level="DEBUG"), *EVERY_LEVEL)
    assert lines == [f"<{priority}>client/conn: {word}" for priority, word in zip(range(3, 8), "ewnid", strict=True)]


def test_each_line_for_the_journal_has_its_priority(monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = socket.socketpair()
    with reading, writing, writing.makefile("w") as stream:
        status = os.fstat(stream.fileno())
        monkeypatch.setenv("JOURNAL_STREAM", f"{status.st_dev}:{status.st_ino}")
        with logging_to(Logging(), stream):
            try:
                raise RuntimeError("gone\n<6>client: all is well")
            except RuntimeError:
                logging.getLogger("client").exception("fault")
        lines = reading.recv(1 << 16).decode().splitlines()
    assert len(lines) > 3 and all(line.startswith("<3>client: ") for line in lines)


def test_a_stream_that_is_not_the_journals_gets_times(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOURNAL_STREAM", "1:1")
    (line,) = logged("NOTICE", (NOTICE, "here"))
    assert LINE.fullmatch(line)


def test_json_is_an_object_a_line_and_the_traceback_is_in_it(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.StringIO()
    with logging_to(Logging(format="json"), stream):
        logging.getLogger("client/pki").log(NOTICE, "%s", 'two\nlines, "quoted"\u2028')
        try:
            raise RuntimeError("fault")
        except RuntimeError:
            logging.getLogger("client/pki").exception("unexpected")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert re.fullmatch(TIME, first.pop("time"))
    assert first == {"level": "NOTICE", "module": "client/pki", "message": 'two\\nlines, "quoted"\\u2028'}
    assert second["level"] == "ERROR" and second["traceback"].endswith("RuntimeError: fault")
    (line,) = in_journal(monkeypatch, Logging(format="json"), (logging.WARNING, "w"))
    assert line.startswith("<4>{") and json.loads(line[3:])["message"] == "w"


def test_a_log_that_cannot_be_written_is_said_once_and_nothing_fails(capsys: pytest.CaptureFixture[str]) -> None:
    with logging_to(Logging(file=Path("/dev/full"))):
        for _ in range(5):
            logging.getLogger("client").error("unheard")
    said = capsys.readouterr().err
    assert said == "kpclientd: the log cannot be written: [Errno 28] No space left on device\n"


def test_a_stream_that_cannot_write_a_letter_writes_its_number() -> None:
    written = io.BytesIO()
    with io.TextIOWrapper(written, encoding="ascii") as stream, logging_to(Logging(), stream):
        logging.getLogger("client").error("λ")
        stream.flush()
        assert written.getvalue().endswith(rb"ERRO client: \u03bb" + b"\n")


@pytest.mark.parametrize("path", ["/dev/stdout", "/dev/stderr"])
def test_a_socket_cannot_be_opened_by_its_name_and_the_remedy_is_told(path: str, tmp_path: Path) -> None:
    script = (
        "from pathlib import Path\nfrom kpclientd.config.model import Logging\n"
        "from kpclientd.logs import logging_to\nimport sys\n"
        "try:\n with logging_to(Logging(file=Path(sys.argv[1]))): pass\nexcept Exception as e: print(e)\n"
    )
    reading, writing = socket.socketpair()
    with reading, writing:
        command = [sys.executable, "-c", script, path]
        subprocess.run(command, timeout=30, check=True, stdout=writing.fileno(), stderr=writing.fileno())
        told = reading.recv(1 << 16).decode()
    assert (
        told == f"log file {path} cannot be opened: No such device or address; leave File empty for standard output\n"
    )
