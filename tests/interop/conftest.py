"""A network for the tests of a module; it ends with them, and takes nothing of the others' time."""

from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.interop.network import Running, running_network


@pytest.fixture(scope="module")
def running() -> Iterator[Running]:
    with TemporaryDirectory() as name, running_network(Path(name)) as running:
        yield running
