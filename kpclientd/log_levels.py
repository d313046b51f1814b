"""The log's levels, for whoever says something: those of Go's logging library, which has one more than Python's.

And the forms that its lines may have.
"""

import logging
from collections.abc import Mapping
from typing import Final

NOTICE: Final = 25
"""What people see by default, and should know: between INFO and WARNING."""

LEVELS: Final[Mapping[str, int]] = {
    "ERROR": logging.ERROR,
    "WARNING": logging.WARNING,
    "NOTICE": NOTICE,
    "INFO": logging.INFO,
    "DEBUG": logging.DEBUG,
}

LOG_FORMATS: Final = ("text", "json")

logging.addLevelName(NOTICE, "NOTICE")
