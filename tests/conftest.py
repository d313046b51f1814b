"""For all tests: how long one takes is no verdict, least of all on a machine that does other things too."""

import pytest
from hypothesis import settings

settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")

LONGEST = ("interop", "daemon", "loopix", "docs")
"""Folders whose tests take longest: begun first, they do not keep one process busy when all others are done."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(
        key=lambda item: LONGEST.index(item.path.parent.name) if item.path.parent.name in LONGEST else len(LONGEST)
    )
