"""The packages that only Pigeonhole needs, loaded when it is first used: the daemon runs without them."""

import functools
import importlib
from typing import Any, Final

from kpclientd.pigeonhole.errors import PigeonholeUnavailable
from kpclientd.pigeonhole.geometry import NIKE_NAME
from kpclientd.unused_libraries import bring_all_hashes_back
from sphinx.crypto.nike import Nike, nike_scheme
from sphinx.errors import UnsupportedSchemeError

REMEDY: Final = "pip install 'kpclientd[pigeonhole]'"
"""What an owner has to do where a package is missing."""


@functools.cache
def bacap() -> Any:
    """The module `hpqc.bacap`; untyped, since it may be missing.

    Raises:
        PigeonholeUnavailable: if it is not installed.
    """
    bring_all_hashes_back()  # it needs SHA-512/256, which only OpenSSL has
    try:
        return importlib.import_module("hpqc.bacap")
    except (ImportError, OSError) as error:
        raise _unavailable(error) from None


@functools.cache
def nike() -> Nike:
    """The one key exchange of Pigeonhole; an operation takes about half a second, so never run it on an event loop.

    Raises:
        PigeonholeUnavailable: if the package `highctidh` is not installed.
    """
    try:
        return nike_scheme(NIKE_NAME)
    except UnsupportedSchemeError as error:
        raise _unavailable(error) from None


def check_available() -> None:
    """Load all that Pigeonhole needs.

    Raises:
        PigeonholeUnavailable: if a package is missing; the text names it and how to install it.
    """
    bacap()
    nike()


def _unavailable(error: Exception) -> PigeonholeUnavailable:
    return PigeonholeUnavailable(f"Pigeonhole needs packages that are not installed: {REMEDY} ({error})")
