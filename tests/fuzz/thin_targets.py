"""What applications send, and what the owner writes into the configuration."""

import os
from pathlib import Path

from kpclientd.config.load import load_config
from kpclientd.config.writer import effective_toml
from kpclientd.errors import ConfigError
from kpclientd.thin.errors import FrameError, ThinError
from kpclientd.thin.framing import FrameReader, decode_body, encode_frame
from kpclientd.thin.verbs.table import read_request


def framing(data: bytes) -> None:
    """A stream gives the same messages, and the same end, whole and byte by byte."""
    whole, bytewise = FrameReader(), FrameReader()
    assert messages(whole, [data]) == messages(bytewise, [data[at : at + 1] for at in range(len(data))])


def messages(reader: FrameReader, pieces: list[bytes]) -> list[str]:
    found: list[str] = []
    try:
        for piece in pieces:
            found.extend(repr(message) for message in reader.feed(piece))
    except FrameError as error:
        found.append(str(error))
    return found


def request(data: bytes) -> None:
    """One frame's body: a request, or a reason to end the connection."""
    try:
        message = decode_body(data)
        encode_frame(message)
        read_request(message)
    except ThinError:
        pass


def config(data: bytes) -> None:
    """Any file as client.toml: a configuration, which is shown as one that says the same, or an error that names it."""
    # A file in memory: a fuzzer ends by _exit, which would leave a folder behind.
    with os.fdopen(os.memfd_create("client.toml"), "wb") as file:
        path = Path(f"/proc/self/fd/{file.fileno()}")
        path.write_bytes(data)
        for strict in (False, True):
            try:
                shown = effective_toml(load_config(path, strict=strict).file)
                path.write_text(shown)
                assert effective_toml(load_config(path, strict=True).file) == shown
                path.write_bytes(data)
            except ConfigError as error:
                assert str(path) in str(error)
