"""Reliable messages through a daemon that is killed again and again: `python -m tests.support.kills --kills 100`.

A local network, a daemon with a state file, and one application, which are processes of their own. The daemon is killed
without warning at random moments; every second time, the end of its state file is cut at a random byte, as a power cut
may leave it. The application comes back each time by its token, sends nothing twice, and counts: of every message that
it was told to be under way there must be one answer, and of no message two.
"""

import argparse
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import trio

from kpclientd.client.connection import DaemonGoneError, DaemonUnreachableError, ThinClient, connected_to
from kpclientd.config.model import ListenUnix
from kpclientd.state.record_log import last_record
from kpclientd.state.written_page import page_of
from pki import ServiceEndpoint
from tests.support.processes import local_network

EPOCH = "30s"
NETWORK = ("--epoch", EPOCH, "--thin-port", "0", "--mu", "0.2", "--lambda-p", "0.02", "--lambda-l", "0.005")
TOKEN = b"an application.."
LONGEST_LIFE = 1.5
"""Seconds for which a daemon may live, as a rule once the application is connected."""

KILLED_EARLY = 0.2
"""Share of the daemons that are killed in so many seconds from their start, whatever they have come to."""

START_SECONDS = 30.0

AHEAD = 40
"""Messages that may be unacknowledged at a time."""


@dataclass
class Tally:
    """What the application was told."""

    serial: int = 0
    sent: set[bytes] = field(default_factory=set)
    refused: dict[bytes, str] = field(default_factory=dict)
    answers: Counter[bytes] = field(default_factory=Counter)
    connections: int = 0
    kills: int = 0
    cuts: int = 0
    bytes_cut: int = 0

    @property
    def lost(self) -> set[bytes]:
        """Messages that were under way and have no answer."""
        return self.sent - self.answers.keys()

    @property
    def answered_twice(self) -> set[bytes]:
        return {name for name, times in self.answers.items() if times > 1}


class Application:
    """Sends until enough messages are under way, over however many connections that takes."""

    def __init__(self, address: ListenUnix, messages: int) -> None:
        self.tally = Tally()
        self._address = address
        self._messages = messages

    async def run(self) -> None:
        while True:
            try:
                async with connected_to(self._address, TOKEN) as client, trio.open_nursery() as both:
                    self.tally.connections += 1
                    both.start_soon(self._send, client)
                    await self._listen(client)
            except* (DaemonGoneError, DaemonUnreachableError):
                await trio.sleep(0.02)

    async def _send(self, client: ThinClient) -> None:
        while client.document is None:
            await trio.sleep(0.02)
        (service,) = client.document.services("echo")
        began_with = self._unacknowledged  # what a killed daemon had not taken note of is nobody's any more
        while len(self.tally.sent) < self._messages:
            if self._unacknowledged - began_with < AHEAD:
                try:
                    await self._send_one(client, service)
                except DaemonGoneError:
                    return  # what it wrote before is still to be read
            await trio.sleep(0.005)

    @property
    def _unacknowledged(self) -> int:
        return self.tally.serial - len(self.tally.sent) - len(self.tally.refused)

    async def _send_one(self, client: ThinClient, service: ServiceEndpoint) -> None:
        self.tally.serial += 1
        name = self.tally.serial.to_bytes(16, "big")
        await client.send(
            {
                "send_arq_message": {
                    "id": name,
                    "with_surb": True,
                    "surbid": None,
                    "destination_id_hash": service.node_id,
                    "recipient_queue_id": service.endpoint,
                    "payload": b"message %d" % self.tally.serial,
                }
            }
        )

    async def _listen(self, client: ThinClient) -> None:
        while True:
            message = await client.receive()
            if sent := message.get("message_sent_event"):
                if sent.get("err"):
                    self.tally.refused[sent["message_id"]] = sent["err"]
                else:
                    self.tally.sent.add(sent["message_id"])
            if reply := message.get("message_reply_event"):
                name = reply["message_id"]
                assert reply["error_code"] == 0, reply["error_code"]
                assert reply["payload"].rstrip(b"\0") == b"message %d" % int.from_bytes(name, "big")
                self.tally.answers[name] += 1


@asynccontextmanager
async def daemon(config: Path, log: Path) -> AsyncIterator[trio.Process]:
    """A daemon, killed with the block."""
    command = [sys.executable, "-m", "kpclientd.cli", "--config", str(config)]
    environment = os.environ | {"KATZENPOST_EPOCH_DURATION": EPOCH}
    with log.open("ab") as output:
        process = await trio.lowlevel.open_process(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        with trio.CancelScope(shield=True):
            await process.wait()


def cut(path: Path, chance: random.Random) -> int:
    """Cut the end of the file, as a power cut may: within its last record, of which nobody was told. Bytes cut."""
    data = path.read_bytes()
    place = chance.randint(last_record(data), len(data))
    os.truncate(path, place)
    return len(data) - place


async def kill_again_and_again(directory: Path, messages: int, kills: int, seed: int) -> Tally:
    """Run it; the network is in `directory` already."""
    chance = random.Random(seed)
    state, log = directory / "state" / "kpclientd", directory / "killed.log"
    config = directory / "client-unix.toml"
    text = config.read_text()
    config.write_text(f'{text}\n[ARQ]\nStateFile = "{state}"\n')
    application = Application(ListenUnix(str(directory / "kpclientd.sock")), messages)
    tally = application.tally
    was_cut = 0
    async with trio.open_nursery() as nursery:
        nursery.start_soon(application.run)
        while tally.kills < kills:
            connections = tally.connections
            async with daemon(config, log):
                if chance.random() > KILLED_EARLY:
                    with trio.fail_after(START_SECONDS):
                        while tally.connections == connections:
                            await trio.sleep(0.005)
                await trio.sleep(chance.uniform(0.0, LONGEST_LIFE))
            tally.kills += 1
            # What was cut once stays as it is until a daemon has taken it up: no disk loses what it has flushed.
            if tally.cuts < tally.kills / 2 and state.exists() and state.stat().st_ino != was_cut:
                tally.cuts += 1
                tally.bytes_cut += cut(state, chance)
                was_cut = state.stat().st_ino
        async with daemon(config, log):
            with trio.move_on_after(120.0):
                while len(tally.sent) < messages or tally.lost:
                    await trio.sleep(0.1)
        nursery.cancel_scope.cancel()
    page_of(state).unlink(missing_ok=True)
    said = log.read_text()
    assert "Traceback" not in said, said
    return tally


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=1000)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    with TemporaryDirectory(prefix="kpclientd-kills-") as name, local_network(Path(name), *NETWORK) as (_, ready):
        print(ready.strip(), flush=True)
        tally = trio.run(kill_again_and_again, Path(name), options.messages, options.kills, options.seed)
    print(
        f"{tally.kills} kills, {tally.cuts} files cut by {tally.bytes_cut} bytes in all; {tally.serial} messages asked"
        f" for, {len(tally.sent)} under way, {len(tally.answers)} answered, {len(tally.refused)} refused,"
        f" {tally.connections} connections; lost: {len(tally.lost)}, answered twice: {len(tally.answered_twice)}"
    )
    return int(bool(tally.lost or tally.answered_twice))


if __name__ == "__main__":
    sys.exit(main())
