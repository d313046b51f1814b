"""What the tests of the ARQ engine begin with."""

import pytest

from tests.arq.engine_bench import Bench


@pytest.fixture
def bench() -> Bench:
    return Bench()
