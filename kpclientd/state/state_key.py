"""Where the state file's key comes from: the service manager, or a file beside the state that only its owner reads.

A credential (systemd's `LoadCredentialEncrypted=kpclientd.state-key:...`) is preferred, for it can be sealed to the
machine, so that a stolen disk tells nothing. The key file protects copies and backups of the state alone.
"""

import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from blake3 import blake3

from kpclientd.service_credentials import STATE_KEY, credential
from kpclientd.state.errors import StateError
from kpclientd.whole_file import write_whole
from sphinx.randomness import Randomness

KEY_LENGTH: Final = 32
_SUFFIX: Final = ".key"
_SHORTEST: Final = 16
_LONGEST: Final = 4096
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO
_CONTEXT: Final = "kpclientd 2026-11-30 state file, master key"


def state_key(state_file: Path, environ: Mapping[str, str], randomness: Randomness) -> bytes:
    """The master key (32 bytes) of `state_file`; a key file is made if there is neither it nor a state file yet.

    Args:
        state_file: the state's place.
        environ: the environment, in which a service manager names its credentials.
        randomness: for a new key.

    Raises:
        StateError: there is no key for the state that is there, or others may read it, or it is too short.
        OSError: it cannot be read or made.
    """
    handed_over = credential(STATE_KEY, environ)
    if handed_over is not None:
        return _derived(handed_over, _read(handed_over))
    path = state_file.with_name(state_file.name + _SUFFIX)
    try:
        return _derived(path, _read_private(path))
    except FileNotFoundError:
        if state_file.exists() and state_file.stat().st_size:
            raise StateError(
                f"{state_file} cannot be read without its key, and {path} is missing: bring it back, or remove"
                f" {state_file}; messages that wait in it are lost then"
            ) from None
    write_whole(path, randomness.bytes(KEY_LENGTH))
    return _derived(path, _read_private(path))


def _read_private(path: Path) -> bytes:
    others = stat.S_IMODE(path.stat().st_mode) & _OTHERS
    if others:
        raise StateError(f"others may read the key {path}: chmod 600 {path}")
    return _read(path)


def _read(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_LONGEST + 1)


def _derived(path: Path, content: bytes) -> bytes:
    if not _SHORTEST <= len(content) <= _LONGEST:
        raise StateError(f"the key {path} has {len(content)} bytes, and should have {_SHORTEST} to {_LONGEST}")
    return blake3(content, derive_key_context=_CONTEXT).digest()
