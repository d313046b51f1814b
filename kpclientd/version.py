"""Which release this is."""

from typing import Final

VERSION: Final = "0.1.0"
"""The one place; the distribution takes it from here."""


def release() -> str:
    """This release's version."""
    return VERSION
