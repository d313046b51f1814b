"""What applications, the network and the process can do to a daemon: ten patterns of load.

A load runs beside a daemon until it is cancelled. What has to be told apart from all of them is the first: nothing.
Applications speak real frames. Whatever happens to their connection, they come back.
"""

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Final

import cbor2
import trio

from kpclientd.thin.errors import ThinError
from kpclientd.thin.framing import encode_frame
from tests.support.world import App, World

Load = Callable[[World, random.Random], Awaitable[None]]

MESSAGES_A_SECOND: Final = 2.0
"""Of one application: of four slots a second, every other is its."""

ID_LENGTH: Final = 16
ECHO: Final = b"+echo"
CHURNING: Final = 3
SLOW: Final = 3
STALLED_REQUESTS: Final = 500
FORGOTTEN_EPOCH: Final = 1


async def nothing(here: World, draws: random.Random) -> None:
    """No application at all."""
    await trio.sleep_forever()


async def one_application(here: World, draws: random.Random) -> None:
    """Sends now and then, for ever."""

    async def send(app: App) -> None:
        while True:
            await trio.sleep(draws.expovariate(MESSAGES_A_SECOND))
            await send_messages(here, app, draws, 1)

    await keep_coming_back(here, draws, send)


async def bursts(here: World, draws: random.Random) -> None:
    """A hundred messages at once, each half a minute."""

    async def send(app: App) -> None:
        while True:
            await send_messages(here, app, draws, draws.randrange(1, 200))
            await trio.sleep(draws.expovariate(1 / 30))

    await keep_coming_back(here, draws, send)


async def retransmissions(here: World, draws: random.Random) -> None:
    """Reliable messages on a network that loses most: what is sent is what has been sent before."""

    async def send(app: App) -> None:
        while True:
            for _ in range(60):
                await app.client.send({"send_arq_message": message(here, draws) | {"surbid": None}})
            await trio.sleep(draws.expovariate(1 / 60))

    await keep_coming_back(here, draws, send)


async def cancels(here: World, draws: random.Random) -> None:
    """Messages whose application takes all back: those that wait, are composed, and are under way."""

    async def send(app: App) -> None:
        await send_messages(here, app, draws, draws.randrange(1, 40))
        await trio.sleep(draws.expovariate(1 / 3))
        await app.client.send({"thin_close": {}})

    while True:
        await keep_coming_back(here, draws, send, times=1)


async def churn(here: World, draws: random.Random) -> None:
    """Applications that come, ask, send, vanish without a word, and come back, or others in their place."""
    tokens = [draws.randbytes(ID_LENGTH) for _ in range(2 * CHURNING)]

    async def stay(app: App) -> None:
        await app.client.send({"get_pki_document": {"query_id": draws.randbytes(ID_LENGTH), "epoch": FORGOTTEN_EPOCH}})
        await send_messages(here, app, draws, draws.randrange(5))
        await trio.sleep(draws.expovariate(1 / 5))

    async with trio.open_nursery() as nursery:
        for number in range(CHURNING):
            own = random.Random(draws.random())

            async def come_and_go(own: random.Random = own, number: int = number) -> None:
                while True:
                    await keep_coming_back(here, own, stay, times=1, token=own.choice(tokens[2 * number :][:2]))
                    await trio.sleep(own.expovariate(1 / 2))

            nursery.start_soon(come_and_go)


async def slow_readers(here: World, draws: random.Random) -> None:
    """Applications that ask for the document hundreds of times and read nothing, until they are ended."""

    async def stall() -> None:
        frame = encode_frame({"get_pki_document": {"query_id": bytes(ID_LENGTH), "epoch": 0}})
        while True:
            ours, theirs = trio.socket.socketpair()
            here.serve(trio.SocketStream(theirs))
            stream = trio.SocketStream(ours)
            try:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(stream.send_all, frame * STALLED_REQUESTS)
                    await trio.sleep(150)
                    nursery.cancel_scope.cancel()
            except* trio.BrokenResourceError:
                pass  # that is what the daemon does about it
            await trio.aclose_forcefully(stream)

    async with trio.open_nursery() as nursery:
        for _ in range(SLOW):
            nursery.start_soon(stall)
        nursery.start_soon(one_application, here, draws)


async def hostile_frames(here: World, draws: random.Random) -> None:
    """Bytes that are no frames, frames that are no requests, requests that cannot be met."""
    while True:
        stream = await here.raw()
        frames = draws.choice(HOSTILE)
        with trio.move_on_after(draws.expovariate(1 / 3)):
            try:
                await stream.send_all(frames)
                while await stream.receive_some():
                    pass
            except trio.BrokenResourceError:
                pass
        await trio.aclose_forcefully(stream)
        await trio.sleep(draws.expovariate(2))


async def keep_coming_back(
    here: World,
    draws: random.Random,
    act: Callable[[App], Awaitable[None]],
    *,
    times: int | None = None,
    token: bytes | None = None,
) -> None:
    """Connect and `act`, and again when the connection ends, under one token; so many times, or for ever."""
    token = token or draws.randbytes(ID_LENGTH)
    while times is None or times > 0:
        times = None if times is None else times - 1
        app = None
        try:
            app = await here.app(token)
            await act(app)
        except ThinError:
            await trio.sleep(1.0)
        if app is not None:
            await app.hang_up()


async def send_messages(here: World, app: App, draws: random.Random, count: int) -> None:
    """Let `app` send so many messages that are answered."""
    for _ in range(count):
        await app.client.send({"send_message": message(here, draws) | {"surbid": draws.randbytes(ID_LENGTH)}})


def message(here: World, draws: random.Random) -> dict[str, object]:
    """A message to the echo service."""
    return {
        "id": draws.randbytes(ID_LENGTH),
        "with_surb": True,
        "destination_id_hash": here.network.topology.service.node_id,
        "recipient_queue_id": ECHO,
        "payload": bytes(draws.randrange(1000)),
    }


def _nested(depth: int) -> bytes:
    body = b"\x81" * depth + b"\x00"
    return len(body).to_bytes(4, "big") + body


_TO_NOWHERE: Final = {
    "id": bytes(ID_LENGTH),
    "with_surb": True,
    "destination_id_hash": b"x" * 32,
    "recipient_queue_id": ECHO,
    "payload": b"",
}

HOSTILE: Final = (
    b"\xff" * 64,
    b"\x00" * 64,
    bytes(range(256)) * 8,
    b"\x00\x00\x10\x00" + b"\xa1" * 100,
    _nested(10_000),
    encode_frame({"padding": [1] * 1000}) * 20,
    encode_frame({"padding": [1] * 30_000}),
    encode_frame({"send_message": None}) * 50,
    encode_frame({"send_message": {"payload": "text", "with_surb": 7}}) * 50,
    encode_frame({"no_such_verb": {}, "nor_this": [{}]}) * 50,
    len(cbor2.dumps(None)).to_bytes(4, "big") + cbor2.dumps(None),
    b"".join(
        encode_frame({"send_message": _TO_NOWHERE | {"surbid": number.to_bytes(ID_LENGTH, "big")}})
        for number in range(200)
    ),
    encode_frame({"send_message": _TO_NOWHERE | {"payload": bytes(100_000)}}) * 10,
    encode_frame({"session_token": {"client_instance_token": None}}) * 10,
)


async def nothing_breaks(here: World) -> None:
    """Go on."""


async def break_link(here: World) -> None:
    """Let the gateway end the connection, and wait for the next one."""
    links = here.daemon.status().link.links
    here.network.faults.reset_connections()
    await here.until(lambda: here.is_sending() and here.daemon.status().link.links > links, 600)


async def restart(here: World) -> None:
    """End the daemon's process, and start another with its state file."""
    await here.restart()
    await here.until(here.is_sending, 600)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A load, and what interrupts it.

    Attributes:
        load: beside the daemon.
        interrupt: what happens between two stretches of sends.
        sends: of a stretch; None for one that is never interrupted.
        keeps_state: whether the daemon has a state file.
    """

    load: Load
    interrupt: Callable[[World], Awaitable[None]] = nothing_breaks
    sends: int | None = None
    keeps_state: bool = False


IDLE: Final = "none"

PATTERNS: Final[Mapping[str, Pattern]] = {
    IDLE: Pattern(nothing),
    "one application": Pattern(one_application),
    "bursts": Pattern(bursts),
    "retransmissions": Pattern(retransmissions),
    "cancels": Pattern(cancels),
    "churn": Pattern(churn),
    "slow readers": Pattern(slow_readers),
    "hostile frames": Pattern(hostile_frames),
    "reconnections": Pattern(one_application, break_link, 250),
    "restarts": Pattern(one_application, restart, 500, keeps_state=True),
}

BUSY: Final = tuple(name for name, pattern in PATTERNS.items() if name != IDLE and pattern.sends is None)
"""Those that differ from an idle daemon by what applications do alone."""
