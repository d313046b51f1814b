"""Which release this is."""

from importlib.metadata import PackageNotFoundError, version
from typing import Final

_DISTRIBUTION: Final = "kpclientd"


def release() -> str:
    """The installed distribution's version; "(devel)" where the code runs without being installed."""
    try:
        return version(_DISTRIBUTION)
    except PackageNotFoundError:
        return "(devel)"
