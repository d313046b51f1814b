"""What applications can make the daemon hold, and what it loses of theirs: `python -m benchmarks.app_memory`.

In real time, with the network, the daemon and an application in processes of their own:

unfinished frames   connections that each send nearly all of the longest frame there may be
lost sessions       applications that queue as many of the longest messages as they may, and vanish
descriptors         a daemon that may open few files, idle connections that take all of them, and a gateway that
                    resets its link: how long the daemon stays cut off, and whether its log has a traceback
unread replies      an application that reads nothing and is killed when the gateway has pushed all its replies: how
                    many of them reach it on its return, over TCP and over a Unix socket

Memory is the resident set, of the daemon and of all its descendants.
"""

import argparse
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.app_load import python_daemon
from benchmarks.app_network import NetworkProcess, Place, local_network
from benchmarks.app_processes import daemon, end_on_sigterm, running, wait_until
from benchmarks.app_thin import ID_LENGTH, PATIENCE_SECONDS, App, connect, first_app
from benchmarks.app_unread import surb_id
from kpclientd.thin.framing import LENGTH_BYTES

LAMBDA_P, LAMBDA_L = 0.001, 0.0005
FAST_LAMBDA_P, FAST_LAMBDA_L = 0.1, 0.005

MEGABYTE: Final = 1024 * 1024
UNFINISHED_CONNECTIONS: Final = 30
UNFINISHED_DECLARED: Final = 40 * MEGABYTE - 1
UNFINISHED_SENT: Final = 39 * MEGABYTE
STUCK_SECONDS: Final = 5.0
"""A connection that takes nothing for so long takes no more."""

LOST_SESSIONS: Final = 20
QUEUED_MESSAGES: Final = 4096

DESCRIPTORS: Final = 64
IDLE_CONNECTIONS: Final = 100
CUT_OFF_SECONDS: Final = 60.0

UNREAD_REPLIES: Final = 600
QUIET_SECONDS: Final = 3.0
SETTLE_SECONDS: Final = 2.0


def unfinished_frames(network: NetworkProcess, python: Path | None) -> None:
    with ExitStack() as stack, daemon(network.tcp.config, network.epoch, python) as process:
        stack.callback(first_app(network.tcp.address, process).close)
        time.sleep(SETTLE_SECONDS)
        before = process.resident_megabytes()
        with ExitStack() as connections:
            taken = 0
            for _ in range(UNFINISHED_CONNECTIONS):
                try:
                    stream = connections.enter_context(connect(network.tcp.address))
                    taken += _push(stream, UNFINISHED_DECLARED.to_bytes(LENGTH_BYTES, "big"), UNFINISHED_SENT)
                except OSError:
                    continue  # the daemon would have none of it
            time.sleep(SETTLE_SECONDS)
            during = process.resident_megabytes()
        time.sleep(SETTLE_SECONDS)
        print(
            f"unfinished frames: {UNFINISHED_CONNECTIONS} of 39 MiB; the sockets took {taken / MEGABYTE:,.0f} MiB; "
            f"resident {before:.0f} MB before, {during:,.0f} MB with them, {process.resident_megabytes():,.0f} MB "
            f"after{_state(process.ended)}",
            flush=True,
        )


def lost_sessions(network: NetworkProcess, python: Path | None) -> None:
    with ExitStack() as stack, daemon(network.tcp.config, network.epoch, python) as process:
        app = first_app(network.tcp.address, process)
        stack.callback(app.close)
        service, payload = app.echo, bytes(app.geometry["UserForwardPayloadLength"])
        time.sleep(SETTLE_SECONDS)
        before = process.resident_megabytes()
        refused = 0
        for _ in range(LOST_SESSIONS):
            lost = App(network.tcp.address, os.urandom(ID_LENGTH))
            try:
                for _ in range(QUEUED_MESSAGES):
                    lost.send_message(service, payload, os.urandom(ID_LENGTH))
                lost.round_trip()  # all are served now
                while (message := lost.receive(0)) is not None:
                    refused += (message.get("message_sent_event") or {}).get("err") is not None
            finally:
                lost.close()
        time.sleep(SETTLE_SECONDS)
        print(
            f"lost sessions: {LOST_SESSIONS} with {QUEUED_MESSAGES} messages of {len(payload)} bytes each, "
            f"{refused} refused; resident {before:.0f} MB before, {process.resident_megabytes():,.0f} MB "
            f"after{_state(process.ended)}",
            flush=True,
        )


def descriptors(network: NetworkProcess, python: Path | None) -> None:
    with ExitStack() as stack, daemon(network.tcp.config, network.epoch, python, DESCRIPTORS) as process:
        stack.callback(first_app(network.tcp.address, process).close)
        for _ in range(IDLE_CONNECTIONS):
            stack.enter_context(connect(network.tcp.address))
        time.sleep(SETTLE_SECONDS)
        before = network.counts().handshakes
        network.reset_connections()
        try:
            seconds = wait_until("handshake", CUT_OFF_SECONDS, lambda: network.counts().handshakes > before)
            outcome = f"the gateway saw a new handshake after {seconds:.1f} s"
        except TimeoutError:
            outcome = f"no handshake within {CUT_OFF_SECONDS:.0f} s"
        tracebacks = process.log.count("Traceback (most recent call last)")
        print(
            f"descriptors: {DESCRIPTORS}, {IDLE_CONNECTIONS} idle connections, link reset: {outcome}; "
            f"{tracebacks or 'no'} tracebacks in the log{_state(process.ended)}",
            flush=True,
        )


def unread_replies(network: NetworkProcess, place: Place, name: str, python: Path | None) -> None:
    ours = {surb_id(number + 1) for number in range(UNREAD_REPLIES)}
    token = os.urandom(ID_LENGTH)

    def pushed() -> int:
        return sum(one.surb_id in ours for one in network.observations().acknowledgements)

    with ExitStack() as stack, daemon(place.config, network.epoch, python) as process:
        stack.callback(first_app(place.address, process).close)
        network.record()
        arguments = [place.address, token.hex(), str(UNREAD_REPLIES)]
        with running(
            [sys.executable, "-m", "benchmarks.app_unread", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as child:
            assert child.stdout is not None
            child.stdout.readline()
            try:
                wait_until("replies", PATIENCE_SECONDS, lambda: pushed() == UNREAD_REPLIES, step=0.5)
            except TimeoutError:
                pass  # the line says how many there were
            child.send_signal(signal.SIGKILL)
        time.sleep(SETTLE_SECONDS)
        arrived: Counter[bytes] = Counter()
        app = App(place.address, token)
        while (message := app.receive(QUIET_SECONDS)) is not None:
            if (reply := message.get("message_reply_event")) is not None:
                arrived[reply["surbid"]] += 1
        app.close()
        print(
            f"unread replies over {name}: {UNREAD_REPLIES} asked for, {pushed()} acknowledged to the gateway; after "
            f"SIGKILL and return {len(ours & set(arrived))} arrive, {sum(count > 1 for count in arrived.values())} of "
            f"them twice{_state(process.ended)}",
            flush=True,
        )


def _push(stream: socket.socket, head: bytes, length: int) -> int:
    """Send `head` and zeros, `length` bytes in all, as far as they are taken; return how far that is."""
    stream.settimeout(STUCK_SECONDS)
    left = memoryview(head + bytes(length - len(head)))
    try:
        while left:
            left = left[stream.send(left) :]
    except OSError:
        pass
    return length - len(left)


def _state(ended: bool) -> str:
    return "; THE DAEMON ENDED" if ended else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.app_memory", description="applications and memory")
    python_daemon(parser)
    python: Path | None = parser.parse_args().python_daemon
    end_on_sigterm()
    measures: Mapping[str, Callable[[NetworkProcess, Path | None], None]] = {
        "unfinished frames": unfinished_frames,
        "lost sessions": lost_sessions,
        "descriptors": descriptors,
    }
    with local_network(LAMBDA_P, LAMBDA_L) as network:
        for name, measure in measures.items():
            try:
                measure(network, python)
            except (OSError, RuntimeError) as error:
                print(f"{name}: {error}", flush=True)
    with local_network(FAST_LAMBDA_P, FAST_LAMBDA_L) as network:
        for name, place in (("TCP", network.tcp), ("a Unix socket", network.unix)):
            try:
                unread_replies(network, place, name, python)
            except (OSError, RuntimeError) as error:
                print(f"unread replies over {name}: {error}", flush=True)


if __name__ == "__main__":
    main()
