"""Pages that are made from the code are those that would be made now, and tell what is true."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from katzenpost_thinclient import thin_client_error_to_string

from kpclientd.pigeonhole.codes import ReplicaCode
from kpclientd.thin.verbs.table import TABLE
from tests.support import error_page, log_page
from tests.support.log_calls import messages

LAST_OF_LIBRARY = 32
"""The newest libraries know the codes up to this one."""


@pytest.mark.parametrize(
    ("path", "page"),
    [(error_page.PAGE, error_page.page), (log_page.PAGE, log_page.page)],
    ids=["error codes", "log messages"],
)
def test_a_generated_page_is_up_to_date(path: Path, page: Callable[[], str]) -> None:
    assert path.read_text(encoding="utf-8") == page(), f"run: {log_page.COMMAND}"


def test_the_texts_of_codes_are_those_that_libraries_show() -> None:
    told = [meaning.text for meaning in error_page.THIN_CODES[: LAST_OF_LIBRARY + 1]]
    assert told == [thin_client_error_to_string(code) for code in range(LAST_OF_LIBRARY + 1)]


def test_every_code_that_a_request_may_be_answered_with_is_explained() -> None:
    said = {int(code) for verb in TABLE for code in verb.codes}
    assert said == {*error_page.codes_of_verbs()} | {code.value for code in ReplicaCode}
    assert all(error_page.THIN_CODES[code].advice for code in error_page.codes_of_verbs())
    assert {*error_page.REPLICA_CODES} == {*ReplicaCode}


def test_no_explanation_is_left_of_a_message_that_nobody_says() -> None:
    assert log_page.unused(messages(log_page.PACKAGES, without=log_page.NOT_LOGGED)) == set()


def test_every_logger_is_explained() -> None:
    loggers = {said.logger for said in messages(log_page.PACKAGES, without=log_page.NOT_LOGGED)}
    assert loggers <= {*log_page.LOGGERS}


def test_messages_are_found_however_they_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "some"
    folder.mkdir()
    (folder / "where.py").write_text(
        """
import logging
from x import NOTICE
log = logging.getLogger("a/b")
class One:
    def __init__(self):
        self._log = logging.getLogger("c")
    def told(self, count, failed):
        text = f"it has {count}"
        self._say(text if failed else "it is well")
        log.log(NOTICE if count else logging.DEBUG, "%d %s of 100 %%", count, text)
        log.info("not said")
        self._tell("loud", level=logging.ERROR)
    def _say(self, text):
        self._log.warning("%s", text)
    def _tell(self, text, level=logging.INFO):
        log.log(level, text)
"""
    )
    monkeypatch.setattr("tests.support.log_calls.ROOT", tmp_path)
    assert [(said.logger, said.text) for said in messages(("some",))] == [
        ("a/b", "loud"),
        ("a/b", "… … of 100 %"),
        ("c", "it has …"),
        ("c", "it is well"),
    ]


def test_what_real_daemons_log_is_on_the_page(tmp_path: Path) -> None:
    """The lines of the guide's own daemon, which other tests compare with what one prints."""
    page = log_page.PAGE.read_text(encoding="utf-8")
    guide = (log_page.PAGE.parent / "index.md").read_text(encoding="utf-8")
    said = re.findall(r"(?:NOTI|WARN|ERRO) ([\w/]+): (.*)", guide)
    assert said
    told = [re.escape(text).replace("…", ".*") for text in re.findall(r"\| `(.*?)` \|", page)]
    assert all(any(re.fullmatch(text, message) for text in told) for _, message in said)
