"""What tests of the daemon as a process begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.service.manager import Manager, listening


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    with listening(str(tmp_path / "notify")) as one:
        yield one


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kpclientd.sock"
