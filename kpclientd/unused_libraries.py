"""Keeps out of a daemon's process what the libraries under it load and neither they nor it use: a tenth of its memory.

trio loads `ssl` for streams of its own and `idna` for names that are not ASCII, `shutil` two decompressors, `hashlib`
a second OpenSSL beside the one inside `cryptography`, msgspec a copy of `typing` for newer features. Here each of the
former is put off until something of it is wanted, `hashlib` takes the functions that the interpreter has built in,
where it has them all, and msgspec takes `typing`. And trio looks for the function that names threads by running
`ldconfig`, a process at each start: here it is told where that function is.
"""

import sys
from importlib import import_module, reload
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Final

PUT_OFF: Final = ("ssl", "idna", "bz2", "lzma")

OPENSSL_FUNCTIONS: Final = "_hashlib"

BUILT_IN_FUNCTIONS: Final = (
    ("_md5", "_sha1", "_sha3", "_blake2", "_sha256", "_sha512"),
    ("_md5", "_sha1", "_sha3", "_blake2", "_sha2"),
)
"""Where all functions are that `hashlib` must have, in Python 3.11 and in later ones; some systems leave them out."""


LIBRARY_FINDER: Final = "ctypes.util"
LIBRARIES: Final = {"pthread": "libc.so.6"}
"""What that finds without looking: glibc has had threads in its main library since 2.34; elsewhere threads go unnamed,
for which trio is prepared."""


NEWER_TYPING: Final = "typing_extensions"


def leave_out_unused() -> None:
    """Call it before anything else is imported: what is loaded already stays."""
    for name in PUT_OFF:
        spec = find_spec(name) if name not in sys.modules else None
        if spec is not None:
            sys.modules[name] = _PutOff(name, spec)
    _answer_for_the_library_finder()
    _have_msgspec_take_typing()
    if "hashlib" not in sys.modules and any(all(map(_exists, names)) for names in BUILT_IN_FUNCTIONS):
        sys.modules.setdefault(OPENSSL_FUNCTIONS, None)  # type: ignore[arg-type]  # documented: then importing it fails


def _answer_for_the_library_finder() -> None:
    import ctypes

    spec = find_spec(LIBRARY_FINDER) if LIBRARY_FINDER not in sys.modules else None
    if spec is not None:
        finder = _PutOff(LIBRARY_FINDER, spec)

        def find_library(name: str) -> str | None:
            known = LIBRARIES.get(name)
            return known if known is not None else finder.loaded().find_library(name)

        finder.find_library = find_library  # type: ignore[attr-defined]
        sys.modules[LIBRARY_FINDER] = finder
        setattr(ctypes, LIBRARY_FINDER.rpartition(".")[2], finder)  # as `import` does with what it loads


def _have_msgspec_take_typing() -> None:
    if NEWER_TYPING not in sys.modules:
        sys.modules[NEWER_TYPING] = None  # type: ignore[assignment]  # documented: then importing it fails
        import_module("msgspec")
        del sys.modules[NEWER_TYPING]


def bring_all_hashes_back() -> None:
    """Let `hashlib` have OpenSSL's functions after all, for who needs one that is built into no interpreter."""
    if OPENSSL_FUNCTIONS in sys.modules and sys.modules[OPENSSL_FUNCTIONS] is None:
        del sys.modules[OPENSSL_FUNCTIONS]
        reload(import_module("hashlib"))


def _exists(name: str) -> bool:
    return find_spec(name) is not None


class _PutOff(ModuleType):
    """Stands for a module until an attribute of it is wanted; then it is loaded, and this one has all it has."""

    def __init__(self, name: str, spec: ModuleSpec) -> None:
        super().__init__(name)
        self.__spec__ = spec  # that `import` looks at is no use of it
        self.__file__ = spec.origin

    def __getattr__(self, name: str) -> object:
        return getattr(self.loaded(), name)

    def loaded(self) -> ModuleType:
        """The module itself, which has taken this one's place."""
        if sys.modules.get(self.__name__) is self:
            del sys.modules[self.__name__]
        module = import_module(self.__name__)
        self.__dict__.update(vars(module))
        return module
