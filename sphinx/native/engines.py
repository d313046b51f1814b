"""Which engine enciphers payloads, and how each is called."""

import functools
import logging
import os
from abc import ABC, abstractmethod
from typing import Any, ClassVar, Final

from sphinx.crypto import aez
from sphinx.errors import EngineUnavailableError, KeyLengthError
from sphinx.geometry import SPRP_KEY_LENGTH, SPRP_KEY_MATERIAL_LENGTH

ENGINE_VARIABLE: Final = "KPCLIENTD_SPHINX_ENGINE"
"""The environment variable that forces an engine by its name."""

_AES_NI: Final = "aes-ni"
_PORTABLE: Final = "portable"
_PYTHON: Final = "python"

_log = logging.getLogger(__name__)


class Engine(ABC):
    """AEZ over payloads; all engines give the same bytes."""

    name: ClassVar[str]

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


class _NativeEngine(Engine):
    """The same in C, in constant time; the interpreter's lock is released meanwhile."""

    def __init__(self, module: Any) -> None:
        self._from_buffer = module.ffi.from_buffer
        self._bytes = module.ffi.typeof("uint8_t[]")
        self._layers = getattr(module.lib, f"kp_aez_{type(self).name.replace('-', '_')}_layers")

    def layers(self, material: bytes, encipher: int, payload: bytes) -> bytes:
        """See `Engine.layers`."""
        count = _count(material)
        buffer = bytearray(payload)
        view = self._from_buffer(self._bytes, buffer)
        self._layers(material, count, min(encipher, count), view, len(buffer))
        return bytes(buffer)


class PortableEngine(_NativeEngine):
    """Bitsliced C for any processor."""

    name = _PORTABLE


class AesNiEngine(_NativeEngine):
    """C with the AES instructions of x86 processors."""

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
        _log.warning("no compiled Sphinx engine (%s): payloads take the slower path in Python", error)
    else:
        if _engine.lib.kp_aes_ni_available():
            engines.append(AesNiEngine(_engine))
        engines.append(PortableEngine(_engine))
    engines.append(PythonEngine())
    return {each.name: each for each in engines}


def _count(material: bytes) -> int:
    count, rest = divmod(len(material), SPRP_KEY_MATERIAL_LENGTH)
    if rest:
        raise KeyLengthError(
            f"layer keys have {len(material)} bytes, expected a multiple of {SPRP_KEY_MATERIAL_LENGTH}"
        )
    return count
