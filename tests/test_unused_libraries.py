"""A daemon's process is without what its libraries load for nothing, and whoever wants it after all gets it."""

import subprocess
import sys

PREPARED = "from kpclientd.unused_libraries import leave_out_unused; leave_out_unused(); import sys\n"


def run(program: str) -> str:
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_daemons_modules_load_none_of_it() -> None:
    loaded = run(
        PREPARED + "import kpclientd.service, kpclientd.logs, kpclientd.config.load, kpclientd.state.keeper\n"
        "import kpclientd.thin.websocket\n"
        "names = ('_ssl', '_hashlib', '_bz2', '_lzma', 'idna.core', 'typing_extensions', 'tempfile')\n"
        "print([name for name in names if sys.modules.get(name)])"
    )
    assert loaded.strip() == "[]"


def test_no_process_is_started_to_find_the_function_that_names_threads_and_they_are_named() -> None:
    watched = (
        "import sys; started = []\n"
        "sys.addaudithook(lambda event, given: event == 'subprocess.Popen' and started.append(given))\n"
    )
    program = (
        "import pathlib, trio\n"
        "print(trio.run(trio.to_thread.run_sync, pathlib.Path('/proc/thread-self/comm').read_text).strip())\n"
    )
    name = run(program)
    assert name.startswith("read_text")
    assert run(watched + PREPARED + program + "print(started)") == f"{name}[]\n"


def test_other_libraries_are_looked_for() -> None:
    program = "import ctypes.util\nprint(ctypes.util.find_library('m'), ctypes.util.find_library('nobody'))"
    assert run(PREPARED + program) == run(program)


def test_what_was_put_off_is_there_when_it_is_wanted() -> None:
    told = run(
        PREPARED + "import trio.testing, ssl, idna, lzma\n"
        "assert '_ssl' not in sys.modules\n"
        "context = ssl.create_default_context()\n"
        "import ssl as again, typing_extensions\n"
        "assert isinstance(context, again.SSLContext) and trio._ssl._stdlib_ssl.SSLContext is again.SSLContext\n"
        "stream = trio.SSLStream(trio.testing.memory_stream_pair()[0], context, server_hostname='localhost')\n"
        "assert lzma.decompress(lzma.compress(b'x')) == b'x'\n"
        "print(idna.encode('bücher.example').decode())"
    )
    assert told.strip() == "xn--bcher-kva.example"


def test_hashes_are_the_same_without_openssl() -> None:
    program = (
        "import hashlib, hmac\n"
        "names = ('sha1', 'sha256', 'sha512', 'sha3_256', 'blake2b', 'blake2s')\n"
        "print([getattr(hashlib, name)(b'x').hexdigest() for name in names], hashlib.shake_256(b'x').hexdigest(40),\n"
        "    hmac.new(b'k', b'x', 'sha256').hexdigest())"
    )
    assert run(PREPARED + program) == run(program)


def test_what_is_loaded_already_stays() -> None:
    told = run(
        "import sys, ssl, hashlib, _hashlib\n"
        + PREPARED
        + "import _hashlib as now\nprint(now is _hashlib, sys.modules['ssl'] is ssl)"
    )
    assert told.strip() == "True True"


def test_where_a_function_is_not_built_in_hashlib_takes_openssls() -> None:
    told = run(
        "import sys\nsys.modules['_sha3'] = None\n" + PREPARED + "import hashlib\nprint(hashlib.sha3_256.__name__)"
    )
    assert told.strip() == "openssl_sha3_256"


def test_hashes_that_only_openssl_has_come_back() -> None:
    told = run(
        PREPARED + "import hashlib\n"
        "assert 'sha512_256' not in hashlib.algorithms_available\n"
        "from kpclientd.unused_libraries import bring_all_hashes_back\n"
        "bring_all_hashes_back(); bring_all_hashes_back()\n"
        "print(hashlib.new('sha512_256', b'').hexdigest()[:16], hashlib.blake2b(b'', digest_size=4).hexdigest())"
    )
    assert told.split() == ["c672b8d1ef56ed28", "1271cf25"]
