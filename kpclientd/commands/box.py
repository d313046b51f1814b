"""`kpclientd box`: boxes of storage, one at a time, by a file that keeps the place in their stream.

A write that was broken off stands in the file, with its content, and is finished before another is begun: the box must
not stay empty, since who reads box by box would wait for it for ever.
"""

import argparse
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Final

import msgspec

from kpclientd.client import Client, ContentTooLongError, ReadCapability, WriteCapability, connect
from kpclientd.command_parser import MISUSED, CommandParser
from kpclientd.commands.running import add_config, daemon_of, file_path, run
from kpclientd.commands.stream_files import ReadBoxes, StreamFileError, WrittenBoxes, held, load, load_any, save

LONGEST_COPY: Final = 10 * 1024 * 1024

_LONGEST_NUMBER: Final = 9
"""Digits; the way to a box of a stream is walked box by box."""

_STATUSES: Final = """
exit status:
  0    done
  1    the daemon or the network failed, or something else stands in the box
  2    wrong usage, configuration, capability or file
  3    the box is not written yet (read --no-wait)
  4    the box was deleted
  130  interrupted
"""

_FINISH: Final = "what was begun stands in the file, and is finished by the next write"


def main(arguments: Sequence[str]) -> int:
    """Run the command and return its exit status."""
    parser = build_parser()
    options = parser.parse_args(arguments)
    if options.run is None:
        parser.print_help(sys.stderr)
        return MISUSED
    run_it: Callable[[argparse.Namespace], Awaitable[None]] = options.run

    async def work() -> None:
        with held(options.file):
            await run_it(options)

    return run(f"box {options.name}", work, hint=lambda: _FINISH if _is_unfinished(options.file) else "")


def _is_unfinished(path: Path) -> bool:
    try:
        kept = load_any(path)
    except StreamFileError:
        return False
    return isinstance(kept, WrittenBoxes) and (kept.pending is not None or kept.copy is not None)


async def _new(options: argparse.Namespace) -> None:
    path: Path = options.file
    if path.exists():
        raise StreamFileError(f"{path} is there already; another file is needed for another stream")
    if options.reader:
        capability = ReadCapability.parse(sys.stdin.readline(1024))
        save(path, ReadBoxes(capability, capability))
        return
    async with connect(daemon_of(options)) as client:
        stream = await client.boxes.new_stream()
    save(path, WrittenBoxes(stream.reader, stream))
    print(stream.reader.text())


async def _write(options: argparse.Namespace) -> None:
    kept = load(options.file, WrittenBoxes)
    async with connect(daemon_of(options)) as client:
        content = _content(options.input, client.boxes.longest)
        kept = await finish(client, options.file, kept)
        await write(client, options.file, kept, content)


async def write(client: Client, path: Path, kept: WrittenBoxes, content: bytes) -> WrittenBoxes:
    """Write the next box; the content stands in the file before anything is sent."""
    return await finish(client, path, _saved(path, msgspec.structs.replace(kept, pending=content)))


async def _copy(options: argparse.Namespace) -> None:
    kept = load(options.file, WrittenBoxes)
    async with connect(daemon_of(options)) as client:
        content = _content(options.input, LONGEST_COPY)
        kept = await finish(client, options.file, kept)
        await copy(client, options.file, kept, content)


async def copy(client: Client, path: Path, kept: WrittenBoxes, content: bytes) -> WrittenBoxes:
    """Write all of the content into the next boxes, or nothing; the job stands in the file before it is begun."""
    job = await client.boxes.prepare_copy(kept.following, content)
    return await finish(client, path, _saved(path, msgspec.structs.replace(kept, copy=job)))


async def finish(client: Client, path: Path, kept: WrittenBoxes) -> WrittenBoxes:
    """Do what stands in the file as begun, if anything does."""
    following = kept.following
    if kept.copy is not None:
        await client.boxes.carry_out(kept.copy)
        following = kept.copy.following
    elif kept.pending is not None:
        following = await client.boxes.write(kept.following, kept.pending)
    if following is not kept.following:
        for number in range(kept.following.number, following.number):
            print(f"box {number - kept.first.number}")
        kept = _saved(path, WrittenBoxes(kept.first, following))
    return kept


async def _read(options: argparse.Namespace) -> None:
    kept = load_any(options.file)
    if not isinstance(kept, WrittenBoxes | ReadBoxes):
        raise StreamFileError(f"{options.file} is not about boxes")
    if options.box is None and isinstance(kept, WrittenBoxes):
        raise StreamFileError(f"{options.file} writes boxes; say which one is to be read by --box")
    async with connect(daemon_of(options)) as client:
        if options.box is not None:
            capability = await _at(client, kept.first, options.box)
        else:
            assert isinstance(kept, ReadBoxes)
            capability = kept.following
        box = await client.boxes.read(capability, wait=options.wait)
    sys.stdout.buffer.write(box.content)
    sys.stdout.buffer.flush()
    if options.box is None:
        save(options.file, ReadBoxes(kept.first, box.following))


async def _skip(options: argparse.Namespace) -> None:
    kept = load(options.file, ReadBoxes)
    async with connect(daemon_of(options)) as client:
        save(options.file, ReadBoxes(kept.first, await client.boxes.following(kept.following)))


async def _remove(options: argparse.Namespace) -> None:
    kept = load(options.file, WrittenBoxes)
    async with connect(daemon_of(options)) as client:
        place = await _at(client, kept.first, options.box)
        writer: WriteCapability = kept.following.at(place.index)
        if writer.number >= kept.following.number:
            raise StreamFileError(f"box {options.box} is not written yet by {options.file}")
        await client.boxes.delete(writer)


async def _at(client: Client, first: ReadCapability, box: int) -> ReadCapability:
    for _ in range(box):
        first = await client.boxes.following(first)
    return first


def _content(path: Path | None, longest: int) -> bytes:
    """What is to be written, if it is not too long."""
    try:
        if path is None:
            content = sys.stdin.buffer.read(longest + 1)
        else:
            with path.open("rb") as file:
                content = file.read(longest + 1)
    except OSError as error:
        raise StreamFileError(f"{path} cannot be read: {error.strerror or error}") from None
    if not content:
        raise StreamFileError("there is nothing to write, and boxes cannot be empty")
    if len(content) > longest:
        raise ContentTooLongError(f"at most {longest} bytes can be written at once; pipe sends any number")
    return content


def _saved(path: Path, kept: WrittenBoxes) -> WrittenBoxes:
    save(path, kept)
    return kept


def _box_number(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or len(text) > _LONGEST_NUMBER:
        raise argparse.ArgumentTypeError(f"'{text}' is not the number of a box, counted from 0")
    return int(text)


def build_parser() -> argparse.ArgumentParser:
    """What reads its line."""
    parser = CommandParser(
        prog="kpclientd box",
        description="Write, read, copy and delete boxes of Pigeonhole storage. A file keeps a stream's capability and "
        "the place of the next box; boxes are counted from 0.",
        epilog=_STATUSES,
    )
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND", title="commands")

    def add(name: str, does: Callable[[argparse.Namespace], Awaitable[None]], text: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=text, description=f"{text.capitalize()}.")
        command.add_argument("file", type=file_path, metavar="FILE", help="keeps the stream; a secret")
        add_config(command)
        command.set_defaults(run=does, name=name)
        return command

    new = add("new", _new, "begin a stream, and print the word that reads it")
    new.add_argument("--reader", action="store_true", help="to read: the word comes on standard input")
    writing = add("write", _write, "write the next box, from a file or standard input")
    writing.add_argument("input", type=Path, nargs="?", metavar="INPUT")
    reading = add("read", _read, "read the next box, or wait for it")
    reading.add_argument("--no-wait", dest="wait", action="store_false", help="end with status 3 if it is not written")
    reading.add_argument("--box", type=_box_number, metavar="N", help="that one instead; the place stays")
    add("skip", _skip, "go on to the next box without reading this one")
    copying = add("copy", _copy, "write as many boxes as it takes, all of them or none")
    copying.add_argument("input", type=Path, nargs="?", metavar="INPUT")
    removing = add("rm", _remove, "delete a box")
    removing.add_argument("--box", type=_box_number, metavar="N", required=True, help="which one")
    return parser
