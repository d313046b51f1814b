"""`kpclientd pipe`: bytes in at one end, the same bytes out at the other, over any number of boxes.

Both ends keep their place in a file and go on from there, however they ended. The sender writes a box that it may have
written before: the same bytes make the same box, which is no conflict. The receiver flushes what it received before it
notes that; what its file has beyond the note is cut off.
"""

import argparse
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar

import trio

from kpclientd.client import (
    ChangedContentError,
    Client,
    Joiner,
    Progress,
    ReadCapability,
    Sent,
    connect,
    read_stream,
    write_stream,
)
from kpclientd.command_parser import MISUSED, CommandParser
from kpclientd.commands.meter import Meter
from kpclientd.commands.running import add_config, daemon_of, file_path, run
from kpclientd.commands.stream_files import Receiving, Sending, StreamFileError, held, load, save
from kpclientd.streams import READ_SIZE

SENDING_SUFFIX: Final = ".sending"
RECEIVING_SUFFIX: Final = ".receiving"

_OWNER_ONLY: Final = 0o600
_GO_ON: Final = "the same command goes on from there"

_STATUSES: Final = """
exit status:
  0    all is sent, or received and equal to what was sent
  1    the daemon, the network or the other end failed
  2    wrong usage, configuration, capability or file
  4    a box was deleted before it was received
  130  interrupted
"""

Result = TypeVar("Result")


RunBlocking = Callable[..., Awaitable[Any]]


async def in_thread(call: Callable[..., Result], *arguments: Any) -> Result:
    """Make a call that may block, in a thread that a signal need not wait for."""
    return await trio.to_thread.run_sync(call, *arguments, abandon_on_cancel=True)


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return MISUSED
    status: int = options.run(options)
    return status


def _send(options: argparse.Namespace) -> int:
    state: Path | None = options.state
    if state is None and options.file is not None:
        state = options.file.with_name(options.file.name + SENDING_SUFFIX)

    async def work() -> None:
        with _source(options.file) as source:
            total = os.fstat(source.fileno()).st_size if options.file is not None else None
            meter = Meter(sys.stderr, total)
            async with connect(daemon_of(options)) as client:
                try:
                    await send(client, source, state, announce=_print, show=meter.show)
                finally:
                    meter.end()

    return run("pipe send", work, hint=lambda: _GO_ON if state is not None and state.exists() else "")


async def send(
    client: Client,
    source: BinaryIO,
    state: Path | None,
    *,
    announce: Callable[[str], None],
    show: Callable[[Progress], None] = lambda progress: None,
    blocking: RunBlocking = in_thread,
) -> None:
    """Send all bytes of a file, from the place where an earlier run broke off.

    Args:
        client: of a daemon.
        source: the file, at its beginning.
        state: where the place is kept; None to keep none.
        announce: is given the text with which the stream can be read.
        show: told how far it has come.
        blocking: makes calls that may block.

    Raises:
        ChangedContentError: the file begins otherwise than what was sent before.
        StreamFileError: the place cannot be kept, or another run is at it.
        ClientError: it cannot be sent.
    """
    if state is not None:
        with held(state):
            await _send_from(client, source, state, announce, show, blocking)
    else:
        await _send_from(client, source, None, announce, show, blocking)


async def _send_from(
    client: Client,
    source: BinaryIO,
    state: Path | None,
    announce: Callable[[str], None],
    show: Callable[[Progress], None],
    blocking: RunBlocking,
) -> None:
    def note(sending: Sending) -> None:
        if state is not None:
            save(state, sending)
        show(sending.progress)

    if state is not None and state.exists():
        sending = load(state, Sending)
    else:
        stream = await client.boxes.new_stream()
        sending = Sending(stream.reader, stream, client.boxes.longest, Progress())
        note(sending)
    announce(sending.reader.text())
    if sending.box_length > client.boxes.longest:
        raise StreamFileError(
            f"{state} was begun where boxes take {sending.box_length} bytes; here they take {client.boxes.longest}"
        )
    await write_stream(
        client.boxes,
        Sent(sending.following, sending.progress),
        _parts(source, blocking),
        box_length=sending.box_length,
        on_stored=lambda sent: note(Sending(sending.reader, sent.following, sending.box_length, sent.progress)),
    )


async def _parts(source: BinaryIO, blocking: RunBlocking) -> AsyncIterator[bytes]:
    while data := await blocking(os.read, source.fileno(), READ_SIZE):
        yield data


def _receive(options: argparse.Namespace) -> int:
    output: Path | None = options.output
    state: Path | None = options.state
    if state is None and output is not None:
        state = output.with_name(output.name + RECEIVING_SUFFIX)
    if state is not None and output is None:
        sys.stderr.write("kpclientd pipe receive: --state needs --output: what went elsewhere cannot be gone on with\n")
        return MISUSED

    async def work() -> None:
        meter = Meter(sys.stderr)
        async with connect(daemon_of(options)) as client:
            try:
                if output is None or state is None:
                    await receive_to(client, _given_capability, sys.stdout.fileno(), show=meter.show)
                else:
                    await receive(client, output, state, ask=_given_capability, show=meter.show)
            finally:
                meter.end()

    return run("pipe receive", work, hint=lambda: _GO_ON if state is not None and state.exists() else "")


async def receive_to(
    client: Client,
    ask: Callable[[], ReadCapability],
    descriptor: int,
    *,
    show: Callable[[Progress], None] = lambda progress: None,
    blocking: RunBlocking = in_thread,
) -> None:
    """Receive a stream of bytes and write it to a descriptor, without keeping a place; raises what `receive` does."""
    async with read_stream(client.boxes, await blocking(ask)) as pieces:
        async for piece in pieces:
            await blocking(_write_all, descriptor, piece.data)
            show(piece.progress)


async def receive(
    client: Client,
    output: Path,
    state: Path,
    *,
    ask: Callable[[], ReadCapability],
    show: Callable[[Progress], None] = lambda progress: None,
    blocking: RunBlocking = in_thread,
) -> None:
    """Receive a stream of bytes into a file, from the place where an earlier run broke off.

    Args:
        client: of a daemon.
        output: the file, which is made.
        state: where the place is kept.
        ask: gives the capability, if no place is kept yet.
        show: told how far it has come.
        blocking: makes calls that may block.

    Raises:
        BrokenStreamError: what was received is not what was sent.
        ChangedContentError: the file is not what was received before.
        StreamFileError: the place cannot be kept, another run is at it, or the file is there already.
        ClientError: it cannot be received.
    """
    with held(state):
        if state.exists():
            receiving = load(state, Receiving)
        elif output.exists():
            raise StreamFileError(f"{output} is there already, and {state} is not, which would say how far it has come")
        else:
            receiving = Receiving(await blocking(ask), Progress())
            save(state, receiving)
        show(receiving.progress)
        if receiving.progress.is_ended:
            return
        descriptor = os.open(output, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, _OWNER_ONLY)
        try:
            joiner = await blocking(_resumed, descriptor, receiving.progress)
            async with read_stream(client.boxes, receiving.following, joiner) as pieces:
                async for piece in pieces:
                    await blocking(_write_all, descriptor, piece.data)
                    await blocking(os.fsync, descriptor)
                    save(state, Receiving(piece.following, piece.progress))
                    show(piece.progress)
        finally:
            os.close(descriptor)


def _resumed(descriptor: int, progress: Progress) -> Joiner:
    """A joiner that knows what is in the file, which ends after that from now on."""
    joiner = Joiner(progress)
    left = progress.length
    while left and (data := os.read(descriptor, min(left, READ_SIZE))):
        joiner.again(data)
        left -= len(data)
    try:
        joiner.check()
    except ChangedContentError as error:
        raise ChangedContentError(f"the output is not what it was: {error}; begin anew with other files") from None
    os.ftruncate(descriptor, progress.length)
    return joiner


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _source(path: Path | None) -> BinaryIO:
    if path is None:
        return open(sys.stdin.fileno(), "rb", buffering=0, closefd=False)
    try:
        return path.open("rb", buffering=0)
    except OSError as error:
        raise StreamFileError(f"{path} cannot be read: {error.strerror or error}") from None


def _given_capability() -> ReadCapability:
    """The capability on standard input; people are asked for it."""
    if sys.stdin.isatty():
        sys.stderr.write("what to read (read-...): ")
        sys.stderr.flush()
    return ReadCapability.parse(sys.stdin.readline(1024))


def _print(text: str) -> None:
    print(text, flush=True)


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd pipe",
        description="Send a stream of bytes through boxes that nobody can link, and receive it, now or within a week.",
        epilog=_STATUSES,
    )
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")
    sending = commands.add_parser(
        "send",
        help="send a file or standard input, and print the word that reads it",
        description="Prints the word that reads the stream, first of all, and sends. Run it again with the same bytes "
        "and it goes on where it broke off.",
    )
    sending.add_argument("file", nargs="?", type=file_path, metavar="FILE", help="default: standard input")
    sending.add_argument(
        "--state",
        type=file_path,
        metavar="FILE",
        help=f"where it keeps its place, a secret (default: FILE{SENDING_SUFFIX}; none for standard input)",
    )
    add_config(sending)
    sending.set_defaults(run=_send)
    receiving = commands.add_parser(
        "receive",
        help="receive what is sent, by the word on standard input",
        description="Reads the word that `send` printed from standard input, and receives; waits for what is not there "
        "yet. Run it again with the same --output and it goes on where it broke off, without the word.",
    )
    receiving.add_argument(
        "-o", "--output", type=file_path, metavar="FILE", help="default: standard output, of which no place is kept"
    )
    receiving.add_argument(
        "--state",
        type=file_path,
        metavar="FILE",
        help=f"where it keeps its place, a secret (default: OUTPUT{RECEIVING_SUFFIX})",
    )
    add_config(receiving)
    receiving.set_defaults(run=_receive)
    return parser
