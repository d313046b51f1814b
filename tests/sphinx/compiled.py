"""The engines in C that work here, for tests of what they are made of."""

import pytest

from sphinx.native import engine, engine_names
from sphinx.native.library import Library

COMPILED = [name for name in ("portable", "aes-ni") if name in engine_names()]

needs_engine = pytest.mark.skipif(not COMPILED, reason="there is no compiled engine here")


def libraries() -> list[Library]:
    found = [engine(name).library for name in COMPILED]
    return [library for library in found if library is not None]
