"""One network for all tests that a process runs here."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.interop.network import Running, running_network


@pytest.fixture(scope="session")
def running() -> Iterator[Running]:
    with TemporaryDirectory() as name, running_network(Path(name)) as running:
        yield running
