"""The packages that only Pigeonhole needs: loaded late, and missed in words that help."""

import subprocess
import sys
from collections.abc import Callable

import pytest

from kpclientd.pigeonhole.capabilities import BoxIndex, ReadCap, WriteCap
from kpclientd.pigeonhole.errors import PigeonholeUnavailable
from kpclientd.pigeonhole.libraries import REMEDY, bacap, check_available, nike
from sphinx.crypto.nike import group

IMPORT_ALL = """
import importlib, pkgutil, sys
import kpclientd.pigeonhole
for module in pkgutil.iter_modules(kpclientd.pigeonhole.__path__, "kpclientd.pigeonhole."):
    importlib.import_module(module.name)
print(*sorted({"hpqc", "highctidh"} & {name.partition(".")[0] for name in sys.modules}))
"""


@pytest.fixture
def without(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    def remove(package: str) -> None:
        monkeypatch.setitem(sys.modules, package, None)
        for cached in (bacap, nike, group):
            cached.cache_clear()

    return remove


def test_importing_all_of_it_loads_none_of_them() -> None:
    run = subprocess.run([sys.executable, "-c", IMPORT_ALL], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == ""


@pytest.mark.parametrize("package", ["hpqc.bacap", "highctidh"])
def test_a_missing_package_is_named_with_its_remedy(package: str, without: Callable[[str], None]) -> None:
    without(package)
    with pytest.raises(PigeonholeUnavailable) as missed:
        check_available()
    assert REMEDY == "pip install 'kpclientd[pigeonhole]'"
    assert REMEDY in str(missed.value)
    assert missed.value.code == 4


def test_no_capability_is_called_malformed_where_the_package_is_missing(without: Callable[[str], None]) -> None:
    without("hpqc.bacap")
    for kind, length in ((BoxIndex, 104), (ReadCap, 136), (WriteCap, 168)):
        # The base point, so that the key is a good one.
        data = (b"\x58" + b"\x66" * 31).ljust(length, b"\0")
        with pytest.raises(PigeonholeUnavailable):
            kind.parse(data)
    with pytest.raises(PigeonholeUnavailable):
        WriteCap.from_seed(bytes(32))
