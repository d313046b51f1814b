"""The example of docs/applications.md, run as it stands there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.interop.network import Running

PAGE = Path(__file__).parents[2] / "docs" / "applications.md"
PATIENCE_SECONDS = 60.0


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_the_documented_example_prints_its_answer(running: Running, kind: str, tmp_path: Path) -> None:
    [example] = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.DOTALL | re.MULTILINE)
    script = tmp_path / "example.py"
    script.write_text(example)
    command = [sys.executable, "-W", "error", str(script), running.thinclient(kind)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_SECONDS)
    assert (done.stdout, done.stderr, done.returncode) == ("hello\n", "", 0)
