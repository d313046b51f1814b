"""Secrets that the service manager hands over: files in the folder that `CREDENTIALS_DIRECTORY` names.

One rule for all of them: where the manager hands a credential over, it goes before the file that the configuration
names, for it can be sealed to the machine, is readable by this service alone, and is on no disk.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

STATE_KEY: Final = "kpclientd.state-key"
TOKEN: Final = "kpclientd.token"

_VARIABLE: Final = "CREDENTIALS_DIRECTORY"


def credential(name: str, environ: Mapping[str, str]) -> Path | None:
    """The file of a credential, or None where the service manager gives none of that name."""
    directory = environ.get(_VARIABLE)
    path = Path(directory) / name if directory else None
    return path if path is not None and path.exists() else None
