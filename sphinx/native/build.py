"""Builds the compiled engine when the package is built, where there is a C compiler; without one there is none."""

from pathlib import Path
from typing import Final

from cffi import FFI
from setuptools import Extension
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

_OLDEST_PYTHON: Final = "cp311"
_DECLARATIONS: Final = """
int kp_aes_ni_available(void);
void kp_aez_portable_layers(const uint8_t *, size_t, size_t, uint8_t *, size_t);
void kp_aez_aes_ni_layers(const uint8_t *, size_t, size_t, uint8_t *, size_t);
"""


class BuildEngine(build_ext):
    """Adds the glue that cffi writes to the sources that pyproject.toml names, and compiles them.

    The extension is optional: setuptools turns a failure into a warning, and the package works without.
    """

    def build_extension(self, ext: Extension) -> None:
        """Compile and link one extension."""
        glue = Path(self.build_temp) / f"{ext.name}.c"
        glue.parent.mkdir(parents=True, exist_ok=True)
        ffi = FFI()
        ffi.cdef(_DECLARATIONS)
        ffi.set_source(ext.name, '#include "aez.h"')
        ffi.emit_c_code(str(glue))
        ext.sources = [*ext.sources, str(glue)]
        try:
            super().build_extension(ext)
        except Exception:
            self.warn("the Sphinx engine could not be compiled: payloads will take the slower path in Python")
            raise


class EngineWheel(bdist_wheel):
    """Tags the wheel for the stable ABI, to which the engine keeps."""

    def finalize_options(self) -> None:
        """Settle the wheel's tag."""
        self.py_limited_api = _OLDEST_PYTHON
        super().finalize_options()
