"""Builds the compiled engine when the package is built, where there is a C compiler; without one there is none."""

import runpy
from pathlib import Path
from typing import Final

from cffi import FFI
from setuptools import Extension
from setuptools.command.bdist_wheel import bdist_wheel
from setuptools.command.build_ext import build_ext

_OLDEST_PYTHON: Final = "cp311"
_DECLARATIONS: Final = """
#define KP_DONE ...
#define KP_WEAK_KEY ...
#define KP_WRONG_MAC ...
#define KP_WRONG_TAG ...
#define KP_WRONG_SHAPE ...
#define KP_FRAGMENT ...
#define KP_POINT ...
#define KP_MOST_HOPS ...
typedef struct { ...; } kp_engine;
typedef struct { ...; } kp_table;
typedef struct {
    size_t nr_hops, hops;
    const uint8_t *ephemeral, *keys, *fragments, *mac_at, *filler;
    const kp_table *const *tables;
} kp_path;
void kp_engine_portable(kp_engine *);
int kp_engine_aes_ni(kp_engine *);
void kp_apply_layers(const kp_engine *, const uint8_t *, size_t, size_t, uint8_t *, size_t);
int kp_new_packet(const kp_engine *, const kp_path *, uint8_t *, size_t);
int kp_new_header(const kp_engine *, const kp_path *, uint8_t *, uint8_t *);
int kp_unwrap(const kp_engine *, size_t, const uint8_t *, uint8_t *, size_t, uint8_t *);
int kp_open_reply(const kp_engine *, const uint8_t *, size_t, uint8_t *, size_t);
void kp_authenticate(const kp_engine *, const uint8_t *, size_t, const uint8_t *, size_t, uint8_t *);
void kp_key_stream(const kp_engine *, const uint8_t *, const uint8_t *, uint8_t *, size_t);
int kp_key_table(const kp_engine *, kp_table *, const uint8_t *);
int kp_x25519(const kp_engine *, uint8_t *, const uint8_t *, const uint8_t *);
void kp_x25519_base(const kp_engine *, uint8_t *, const uint8_t *);
#define KP_SPHINCS_SIGNATURE ...
#define KP_SPHINCS_DIGEST ...
void kp_sphincs_root(const kp_engine *, const uint8_t *, const uint8_t *, const uint8_t *, uint8_t *);
void kp_sphincs_generate(const kp_engine *, const uint8_t *, const uint8_t *, uint8_t *);
void kp_sphincs_sign(const kp_engine *, const uint8_t *, const uint8_t *, const uint8_t *, uint8_t *);
"""
_TABLE: Final = "base_table"
"""Makes the header of that name."""


def write_generated(folder: Path, name: str) -> Path:
    """Write the sources that are no files here: the table of points, and cffi's glue, whose path is returned.

    Args:
        folder: for both.
        name: of the module.
    """
    folder.mkdir(parents=True, exist_ok=True)
    glue = folder / f"{name}.c"
    ffi = FFI()
    ffi.cdef(_DECLARATIONS)
    ffi.set_source(name, '#include "sphinx.h"\n#include "sphincs.h"')
    ffi.emit_c_code(str(glue))
    # By its path: where the package is built, what it depends on need not be installed.
    table = runpy.run_path(str(Path(__file__).with_name(f"{_TABLE}.py")))
    (folder / f"{_TABLE}.h").write_text(table["header"]())
    return glue


class BuildEngine(build_ext):
    """Adds the glue that cffi writes, and the table of points, to the sources that pyproject.toml names.

    The extension is optional: setuptools turns a failure into a warning, and the package works without.
    """

    def build_extension(self, ext: Extension) -> None:
        """Compile and link one extension."""
        glue = write_generated(Path(self.build_temp), ext.name)
        ext.include_dirs = [*ext.include_dirs, str(glue.parent)]
        ext.sources = [*ext.sources, str(glue)]
        try:
            super().build_extension(ext)
        except Exception:
            self.warn("the Sphinx engine could not be compiled: packets will take the slower path in Python")
            raise


class EngineWheel(bdist_wheel):
    """Tags the wheel for the stable ABI, to which the engine keeps."""

    def finalize_options(self) -> None:
        """Settle the wheel's tag."""
        self.py_limited_api = _OLDEST_PYTHON
        super().finalize_options()
