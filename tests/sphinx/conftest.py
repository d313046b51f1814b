"""Every engine that works here, by name; the tests that take `engine_name` run once on each."""

import pytest

from sphinx.native import engine, engine_names
from sphinx.native.library import Library
from tests.sphinx.compiled import COMPILED


@pytest.fixture(params=["python", "portable", "aes-ni"])
def engine_name(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if name not in engine_names():
        pytest.skip(f"the engine {name!r} was not built, or this processor can not run it")
    return name


@pytest.fixture(params=COMPILED)
def library(request: pytest.FixtureRequest) -> Library:
    compiled = engine(request.param).library
    assert compiled is not None
    return compiled
