"""What a local Loopix network leaves for those who want to join it."""

from pathlib import Path
from typing import Final

ENVIRONMENT_FILE: Final = "loopix.env"
DIRECTORY_VARIABLE: Final = "LOOPIX_DIRECTORY"
"""Names the topology's URL: the value for `directory_server_topology` of a client's configuration."""


def write_files(directory: Path, topology_url: str) -> None:
    """Write the environment file into `directory`, which is made if it is missing.

    Raises:
        OSError: if it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    (directory / ENVIRONMENT_FILE).write_text(f"{DIRECTORY_VARIABLE}={topology_url}\n", encoding="utf-8")
