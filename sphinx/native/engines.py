"""Which engine makes and opens packets, and how each is called."""

import functools
import logging
import os
from abc import ABC, abstractmethod
from typing import ClassVar, Final

from sphinx.crypto import aez
from sphinx.crypto.mac import constant_time_equal
from sphinx.errors import EngineUnavailableError, KeyLengthError
from sphinx.geometry import PAYLOAD_TAG_LENGTH, SPRP_KEY_LENGTH, SPRP_KEY_MATERIAL_LENGTH
from sphinx.native.library import Library

ENGINE_VARIABLE: Final = "KPCLIENTD_SPHINX_ENGINE"
"""The environment variable that forces an engine by its name."""

_AES_NI: Final = "aes-ni"
_PORTABLE: Final = "portable"
_PYTHON: Final = "python"

_REMEDY: Final = (
    "with gcc, libc6-dev and python3-dev (so Debian calls them) install kpclientd again, in a clone: make run"
)

_log = logging.getLogger(__name__)


class Engine(ABC):
    """AEZ over payloads; all engines give the same bytes.

    Attributes:
        name: as argument and environment force it.
        library: for packets over X25519 in one call each; None where only the steps in Python are there.
    """

    name: ClassVar[str]
    library: Library | None = None

    @abstractmethod
    def layers(self, material: bytes, encipher: int, payload: bytes) -> bytes:
        """Apply one layer for each 64 bytes of key material, in order, and return the result.

        Args:
            material: keys (48 bytes) and nonces (16 bytes) of the layers, one after the other.
            encipher: how many layers, from the first on, encipher; the others decipher.
            payload: any length; the result has the same.

        Raises:
            KeyLengthError: if `material` is no multiple of 64 bytes long.
        """

    @abstractmethod
    def open_reply(self, material: bytes, payload: bytes) -> bytes | None:
        """Apply all layers but the last as encryption, the last as decryption.

        Args:
            material: as for `layers`, of one layer at least.
            payload: at least as long as its tag.

        Returns:
            What stands behind the tag; None if that is not all zero.

        Raises:
            KeyLengthError: if `material` is no multiple of 64 bytes long.
        """

    def encipher(self, material: bytes, payload: bytes) -> bytes:
        """Apply all layers as encryption; see `layers`."""
        return self.layers(material, len(material) // SPRP_KEY_MATERIAL_LENGTH, payload)

    def decipher(self, material: bytes, payload: bytes) -> bytes:
        """Apply all layers as decryption; see `layers`."""
        return self.layers(material, 0, payload)


class PythonEngine(Engine):
    """The reference of `sphinx.crypto.aez`: no table and no branch on secrets, but no promise of constant time."""

    name = _PYTHON

    def layers(self, material: bytes, encipher: int, payload: bytes) -> bytes:
        """See `Engine.layers`."""
        for number in range(_count(material)):
            layer = material[number * SPRP_KEY_MATERIAL_LENGTH : (number + 1) * SPRP_KEY_MATERIAL_LENGTH]
            transform = aez.encipher if number < encipher else aez.decipher
            payload = transform(layer[:SPRP_KEY_LENGTH], layer[SPRP_KEY_LENGTH:], payload)
        return payload

    def open_reply(self, material: bytes, payload: bytes) -> bytes | None:
        """See `Engine.open_reply`."""
        opened = self.layers(material, _count(material) - 1, payload)
        whole = constant_time_equal(opened[:PAYLOAD_TAG_LENGTH], bytes(PAYLOAD_TAG_LENGTH))
        return opened[PAYLOAD_TAG_LENGTH:] if whole else None


class NativeEngine(Engine):
    """The same in C, in constant time; the interpreter's lock is released meanwhile."""

    library: Library

    def __init__(self, library: Library) -> None:
        self.library = library

    def layers(self, material: bytes, encipher: int, payload: bytes) -> bytes:
        """See `Engine.layers`."""
        count = _count(material)
        return self.library.layers(material, count, min(encipher, count), payload)

    def open_reply(self, material: bytes, payload: bytes) -> bytes | None:
        """See `Engine.open_reply`."""
        return self.library.open_reply(material, _count(material), payload)


class PortableEngine(NativeEngine):
    """Bitsliced C for any 64-bit processor."""

    name = _PORTABLE


class AesNiEngine(NativeEngine):
    """C with x86's AES instructions, and those for SHA-256, long numbers and vectors where there are any."""

    name = _AES_NI


def engine_names() -> tuple[str, ...]:
    """Return the names of the engines that work here, the fastest first."""
    return tuple(_engines())


def engine_name() -> str:
    """Return the name of the engine in use where none is asked for by name."""
    return engine().name


def engine(name: str | None = None) -> Engine:
    """Return the engine called `name`, or the environment's choice, or the fastest that works here.

    Raises:
        EngineUnavailableError: if a name is given, by argument or environment, and no such engine works here.
    """
    engines = _engines()
    wanted = name or os.environ.get(ENGINE_VARIABLE)
    if not wanted:
        return next(iter(engines.values()))
    if wanted not in engines:
        raise EngineUnavailableError(f"there is no engine {wanted!r} here, only {', '.join(engines)}")
    return engines[wanted]


@functools.cache
def _engines() -> dict[str, Engine]:
    engines: list[Engine] = []
    try:
        from sphinx.native import _engine
    except ImportError as error:
        _log.warning("no compiled Sphinx engine (%s): packets take the slower path in Python; %s", error, _REMEDY)
    else:
        aes_ni = Library.aes_ni(_engine)
        if aes_ni is not None:
            engines.append(AesNiEngine(aes_ni))
        engines.append(PortableEngine(Library.portable(_engine)))
    engines.append(PythonEngine())
    return {each.name: each for each in engines}


def _count(material: bytes) -> int:
    count, rest = divmod(len(material), SPRP_KEY_MATERIAL_LENGTH)
    if rest:
        raise KeyLengthError(
            f"layer keys have {len(material)} bytes, expected a multiple of {SPRP_KEY_MATERIAL_LENGTH}"
        )
    return count
