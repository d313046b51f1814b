'''A client of the daemon, for applications on trio: services, boxes, and streams of bytes.

This is an application, whole:

    """Asks for an echo, writes a box and reads it again, and sends a stream of bytes through boxes."""

    import sys

    import trio

    from kpclientd.client import Sent, connect, read_stream, write_stream


    async def pieces():
        for word in (b"over ", b"any number ", b"of boxes"):
            yield word


    async def main(path):
        async with connect(path) as client:
            print((await client.echo(b"hello")).decode())

            stream = await client.boxes.new_stream()
            reader = stream.reader  # its text() is what you give to whoever is to read
            following = await client.boxes.write(stream, b"written once")
            box = await client.boxes.read(reader)  # waits until it is written
            print(box.content.decode())

            await write_stream(client.boxes, Sent(following), pieces())
            async with read_stream(client.boxes, box.following) as received:
                print(b"".join([part.data async for part in received]).decode())


    trio.run(main, sys.argv[1])

A client keeps its session over breaks of the connection and restarts of the daemon: what is under way then goes on, and
whoever waits notices nothing but the time. Everything may be cancelled. Deadlines are the caller's (`trio.fail_after`):
a message leaves when the daemon has its turn, and a box is waited for until it is written.

A capability says where in a stream it begins: reading or writing a box gives the one for the next. It is the secret; it
is never in a log or a repr.

Errors descend from `ClientError`, and those of dialling from `kpclientd.thin.errors.ThinError`, as that does, too;
docs/pigeonhole.md says what storage gives and what it hides.
'''

from kpclientd.client.boxes import Box, Boxes, CopyJob
from kpclientd.client.capabilities import ReadCapability, WriteCapability
from kpclientd.client.client import Client, connect
from kpclientd.client.errors import (
    BoxDeletedError,
    BoxNotWrittenError,
    BoxTakenError,
    BrokenStreamError,
    CapabilityRefusedError,
    CapabilityTextError,
    ChangedContentError,
    ClientError,
    ContentTooLongError,
    CopyFailedError,
    DaemonLostError,
    NoAnswerError,
    RefusedError,
    StorageError,
    StorageFullError,
    StorageTroubleError,
    StorageUnavailableError,
    UnknownServiceError,
)
from kpclientd.client.series import reading_series, write_series
from kpclientd.client.streams import Joiner, Progress, Received, Sent, read_stream, write_stream

__all__ = [
    "Box",
    "BoxDeletedError",
    "BoxNotWrittenError",
    "BoxTakenError",
    "Boxes",
    "BrokenStreamError",
    "CapabilityRefusedError",
    "CapabilityTextError",
    "ChangedContentError",
    "Client",
    "ClientError",
    "ContentTooLongError",
    "CopyFailedError",
    "CopyJob",
    "DaemonLostError",
    "Joiner",
    "NoAnswerError",
    "Progress",
    "ReadCapability",
    "Received",
    "RefusedError",
    "Sent",
    "StorageError",
    "StorageFullError",
    "StorageTroubleError",
    "StorageUnavailableError",
    "UnknownServiceError",
    "WriteCapability",
    "connect",
    "read_stream",
    "reading_series",
    "write_series",
    "write_stream",
]
