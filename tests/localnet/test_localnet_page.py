"""docs/localnet.md: its tables are the code's, and its examples run as they stand there."""

import re
import subprocess
import sys
from pathlib import Path

from tests.support.localnet_tables import PAGE, written


def test_the_tables_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    assert page == written(page), "write them anew: python -m tests.support.localnet_tables"


def test_the_examples_are_complete_and_run_as_tests(tmp_path: Path) -> None:
    examples = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert len(examples) == 2
    for number, example in enumerate(examples):
        (tmp_path / f"test_example_{number}.py").write_text(example)
    options = ("-q", "-p", "no:cacheprovider", "-p", "no:xdist", "-o", "trio_mode=true", "-W", "error")
    command = (sys.executable, "-m", "pytest", *options, f"--rootdir={tmp_path}", str(tmp_path))
    done = subprocess.run(command, cwd=PAGE.parents[1], capture_output=True, text=True, timeout=120)
    assert "2 passed" in done.stdout, done.stdout + done.stderr
