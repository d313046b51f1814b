"""Whether the packages that only Pigeonhole needs are installed, and the one mark for tests that use them."""

import pytest

from kpclientd.pigeonhole.errors import PigeonholeUnavailable
from kpclientd.pigeonhole.libraries import check_available


def _missing() -> str:
    try:
        check_available()
    except PigeonholeUnavailable as error:
        return str(error)
    return ""


MISSING = _missing()

needs_libraries = pytest.mark.skipif(bool(MISSING), reason=MISSING or "all is installed")
