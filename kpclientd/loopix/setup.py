"""Makes a client: its keys, its provider, its files.

Nothing is written before the directory has answered, and nothing is overwritten unless that is asked for; the
reference does both. Source: the Nym 2019 Loopix client, "init" and "files".
"""

import os
import string
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Final

from kpclientd.loopix.config import CONFIG_FILE_MODE, DIRECTORY_MODE, LoopixConfig, new_config, render_config
from kpclientd.loopix.errors import DirectoryError, LoopixConfigError
from kpclientd.loopix.identity import PRIVATE_KEY_TYPE, PUBLIC_KEY_TYPE, Identity, generate, save_key
from kpclientd.loopix.nodes import key_text
from kpclientd.loopix.profile import Profile
from kpclientd.loopix.topology import Topology
from sphinx.randomness import Randomness

RANDOM_ID_LENGTH: Final = 8
_ID_CHARACTERS: Final = string.ascii_letters + string.digits

Say = Callable[[str], None]


def random_id(randomness: Randomness) -> str:
    """Return a name for a client whose user gave none."""
    return "".join(randomness.choice(_ID_CHARACTERS) for _ in range(RANDOM_ID_LENGTH))


def planned_config(client_id: str, home: Path, profile: Profile, topology_url: str) -> LoopixConfig:
    """Return the configuration of a new client that has no provider yet.

    Raises:
        LoopixConfigError: if the id cannot be the name of a directory.
    """
    return replace(new_config(client_id, home, "", profile=profile), topology_url=topology_url)


def refuse_existing(config: LoopixConfig) -> None:
    """Make sure that there is no such client.

    Raises:
        LoopixConfigError: if one of its files exists.
    """
    for path in (config.config_file, config.private_key_file, config.public_key_file):
        try:
            exists = path.exists() or path.is_symlink()
        except OSError as error:
            raise LoopixConfigError(f"{path}: cannot be looked at: {error.strerror}") from error
        if exists:
            raise LoopixConfigError(
                f"client {config.id} exists already: {path}; --force makes it anew, with other keys"
            )


def choose_provider(topology: Topology, wanted: str, randomness: Randomness) -> tuple[str, bool]:
    """Return a provider's key in base64url, and whether the topology lists it.

    Args:
        topology: the network.
        wanted: the provider to take; empty for any.
        randomness: draws it.

    Raises:
        DirectoryError: if there is none.
    """
    listed = [key_text(provider.node.public_key) for provider in topology.providers]
    if not listed:
        raise DirectoryError("<nil>")  # the reference's word for a topology without any
    return (wanted, wanted in listed) if wanted else (randomness.choice(listed), True)


def write_client(config: LoopixConfig, say: Say, randomness: Randomness, *, overwrite: bool) -> Identity:
    """Make the client's keys and write all its files.

    Args:
        config: the client's.
        say: told of each file, in the reference's words.
        randomness: makes the keys.
        overwrite: whether older files may go.

    Raises:
        LoopixConfigError, KeyFileError: if a file cannot be written.
    """
    identity = generate(randomness)
    _make_directory(config.config_file.parent)
    save_key(config.private_key_file, PRIVATE_KEY_TYPE, identity.private_key, overwrite=overwrite)
    say(f"Saved generated private key to {config.private_key_file}")
    save_key(config.public_key_file, PUBLIC_KEY_TYPE, identity.public_key, overwrite=overwrite)
    say(f"Saved generated public key to {config.public_key_file}")
    _make_directory(config.mixapps_directory)
    _write_config(config, overwrite)
    say(f"Saved generated config to {config.config_file}")
    return identity


def _make_directory(path: Path) -> None:
    try:
        missing = [path, *(parent for parent in path.parents if not parent.exists())]
        for directory in reversed(missing):  # `mkdir(parents=True)` would give parents the default mode
            directory.mkdir(mode=DIRECTORY_MODE, exist_ok=True)
    except OSError as error:
        raise LoopixConfigError(f"{path}: cannot be made: {error.strerror}") from error


def _write_config(config: LoopixConfig, overwrite: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if overwrite else os.O_EXCL)
    try:
        with os.fdopen(os.open(config.config_file, flags, CONFIG_FILE_MODE), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), CONFIG_FILE_MODE)
            file.write(render_config(config))
    except OSError as error:
        raise LoopixConfigError(f"{config.config_file}: cannot be written: {error.strerror}") from error
