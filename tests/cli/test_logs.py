"""The log has the reference's format, goes where it is told to, and nobody's words can forge a line of it."""

import io
import logging
import re
import stat
from pathlib import Path

import pytest

from kpclientd.config.model import Logging
from kpclientd.errors import LogFileError
from kpclientd.log_levels import NOTICE
from kpclientd.logs import logging_to

LINE = re.compile(r"\d\d:\d\d:\d\d\.\d{3} (?P<level>[A-Z]{4}) (?P<module>[^:]+): (?P<message>.*)")


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
    assert second == "Traceback (most recent call last):"
    assert last == "RuntimeError: fault"


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
