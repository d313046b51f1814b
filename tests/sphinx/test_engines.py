import logging
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from sphinx.errors import EngineUnavailableError, KeyLengthError
from sphinx.geometry import Geometry
from sphinx.native import ENGINE_VARIABLE, engine, engine_name, engine_names, engines
from sphinx.packet import Sphinx

LAYERS = 5
PAYLOAD = bytes(range(256)) * 11


def flags_of_the_processor() -> set[str]:
    """As Linux tells them; elsewhere none."""
    told = Path("/proc/cpuinfo")
    return set(told.read_text().split()) if told.exists() else set()


def test_the_fastest_engine_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    assert engine_name() == engine_names()[0]
    assert engine_names()[-1] == "python"


@pytest.mark.skipif(not {"aes", "sse4_1"} <= flags_of_the_processor(), reason="this processor has no AES instructions")
def test_where_the_processor_has_aes_instructions_they_are_used() -> None:
    pytest.importorskip("sphinx.native._engine")
    assert "aes-ni" in engine_names()


def test_the_environment_forces_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "python")
    assert engine_name() == "python"


def test_the_argument_forces_an_engine_over_the_environment(monkeypatch: pytest.MonkeyPatch, engine_name: str) -> None:
    monkeypatch.setenv(ENGINE_VARIABLE, "python")
    assert engine(engine_name).name == engine_name


def test_an_engine_that_is_not_there_is_never_replaced_silently(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineUnavailableError, match="quantum"):
        Sphinx(Geometry.nike("x25519", 5, 2000), engine="quantum")
    monkeypatch.setenv(ENGINE_VARIABLE, "quantum")
    with pytest.raises(EngineUnavailableError, match="quantum"):
        Sphinx(Geometry.nike("x25519", 5, 2000))


def test_without_a_compiled_engine_python_takes_over_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "sphinx.native._engine", None)
    monkeypatch.delattr("sphinx.native._engine", raising=False)
    monkeypatch.delenv(ENGINE_VARIABLE, raising=False)
    engines._engines.cache_clear()
    try:
        with caplog.at_level(logging.WARNING):
            assert engine_names() == ("python",)
        assert "no compiled Sphinx engine" in caplog.text
        assert all(package in caplog.text for package in ("gcc", "libc6-dev", "python3-dev"))
    finally:
        engines._engines.cache_clear()


def test_layers_are_applied_in_order_and_the_last_may_decipher(engine_name: str) -> None:
    cipher = engine(engine_name)
    keys = [bytes([number]) * 64 for number in range(LAYERS)]
    stepwise = PAYLOAD
    for key in keys[:-1]:
        stepwise = cipher.encipher(key, stepwise)
    stepwise = cipher.decipher(keys[-1], stepwise)
    assert cipher.layers(b"".join(keys), LAYERS - 1, PAYLOAD) == stepwise


def test_no_layer_leaves_a_payload_as_it_is(engine_name: str) -> None:
    assert engine(engine_name).encipher(b"", PAYLOAD) == PAYLOAD


def test_key_material_must_be_whole(engine_name: str) -> None:
    with pytest.raises(KeyLengthError, match="multiple of 64"):
        engine(engine_name).encipher(bytes(65), PAYLOAD)


def test_the_callers_payload_is_left_alone(engine_name: str) -> None:
    payload = bytes(PAYLOAD)
    engine(engine_name).encipher(bytes(64), payload)
    assert payload == PAYLOAD


def test_threads_inside_one_engine_do_not_disturb_each_other(engine_name: str) -> None:
    cipher = engine(engine_name)
    expected = [cipher.encipher(bytes([number]) * 64, PAYLOAD) for number in range(4)]
    found: list[list[bytes]] = [[] for _ in expected]

    def work(number: int) -> None:
        for _ in range(20):
            found[number].append(cipher.encipher(bytes([number]) * 64, PAYLOAD))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(len(expected))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [[value] * 20 for value in expected]


def test_the_engine_is_chosen_when_it_is_first_needed() -> None:
    program = "import sphinx, sys; sys.exit('sphinx.native._engine' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
