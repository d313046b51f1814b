"""What this project raises on purpose has one root, so that a caller can name all of it in one clause."""

import importlib
import inspect
import pkgutil
from collections.abc import Iterator

import arq
import kpclientd
import pki
import sphinx
from arq.errors import ArqError
from kpclientd.errors import KpclientdError
from kpclientd.loopix.arguments import HelpWanted
from pki.errors import PkiError
from sphinx.errors import MixnetError, SphinxError

ROOTS = {sphinx: SphinxError, pki: PkiError, arq: ArqError, kpclientd: KpclientdError}

NO_ERRORS = {
    HelpWanted: "leads from parsing a command line to its help; the command that asked for it always catches it",
}


def exceptions_of(package: str, path: list[str]) -> Iterator[type[BaseException]]:
    for info in pkgutil.walk_packages(path, f"{package}."):
        for value in vars(importlib.import_module(info.name)).values():
            if inspect.isclass(value) and issubclass(value, BaseException) and value.__module__ == info.name:
                yield value


def test_every_error_descends_from_the_root_of_its_package() -> None:
    for package, root in ROOTS.items():
        found = set(exceptions_of(package.__name__, list(package.__path__)))
        assert root in found
        strays = {error for error in found if not issubclass(error, root)}
        assert strays <= {MixnetError, *NO_ERRORS}, f"no descendants of {root.__name__}: {strays}"


def test_the_roots_of_the_packages_descend_from_one() -> None:
    assert all(issubclass(root, MixnetError) for root in ROOTS.values())


def test_the_exceptions_that_are_no_errors_still_need_their_place_here() -> None:
    assert not any(issubclass(condition, MixnetError) for condition in NO_ERRORS)
