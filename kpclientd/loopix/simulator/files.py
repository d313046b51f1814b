"""What a local Loopix network leaves: for those who want to join it, and its own secret for its next run."""

import os
from pathlib import Path
from typing import Final

from kpclientd.localnet.keys import MASTER_SECRET_LENGTH
from kpclientd.whole_file import write_whole

ENVIRONMENT_FILE: Final = "loopix.env"
DIRECTORY_VARIABLE: Final = "LOOPIX_DIRECTORY"
"""Names the topology's URL: the value for `directory_server_topology` of a client's configuration."""


SECRET_FILE: Final = "loopix.secret"
"""Holds what all keys grow from: clients know providers by their keys, also over a restart of the network."""


def kept_secret(directory: Path) -> bytes:
    """Return the secret of the network that ran in `directory` before, or a new one that is kept there.

    Raises:
        OSError: if it can be neither read nor written.
    """
    path = directory / SECRET_FILE
    try:
        with path.open("rb") as file:
            secret = file.read(MASTER_SECRET_LENGTH)
    except FileNotFoundError:
        secret = b""
    if len(secret) != MASTER_SECRET_LENGTH:
        secret = os.urandom(MASTER_SECRET_LENGTH)
        write_whole(path, secret)
    return secret


def write_files(directory: Path, topology_url: str) -> None:
    """Write the environment file into `directory`, which is made if it is missing.

    Raises:
        OSError: if it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ENVIRONMENT_FILE).write_text(f"{DIRECTORY_VARIABLE}={topology_url}\n", encoding="utf-8")
