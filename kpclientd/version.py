"""Which release this is."""

from importlib.metadata import PackageNotFoundError, version

DISTRIBUTION = "kpclientd"


def release() -> str:
    """The installed distribution's version; "(devel)" where the code runs without being installed."""
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:
        return "(devel)"
