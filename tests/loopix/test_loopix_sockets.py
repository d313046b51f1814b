"""Applications with real sockets: what they send arrives once, at whom it was sent to, while covers run."""

from contextlib import AsyncExitStack
from typing import Any

import trio

from kpclientd.loopix.nodes import ClientConfig
from kpclientd.loopix.requests import Details, OwnDetails, Send, Sent
from kpclientd.loopix.service import SocketType
from tests.loopix.applications import Application, fetch_until, served, tcp_application, websocket_application
from tests.loopix.world import World, world

MESSAGES = 500
PATIENCE_SECONDS = 120


async def applications(here: World, stack: AsyncExitStack) -> list[Application]:
    """Two clients, one with a TCP socket, one with a WebSocket on which JSON and protobuf are spoken."""
    rates: dict[str, Any] = {"message_sending_rate": 400.0, "loop_cover_traffic_rate": 2.0, "covers_disabled": True}
    alice, bob = await here.client("alice", **rates), await here.client("bob", provider=1, **rates)
    tcp = await stack.enter_async_context(served(alice, SocketType.TCP))
    websocket = await stack.enter_async_context(served(bob, SocketType.WEBSOCKET))
    return [
        await stack.enter_async_context(tcp_application(tcp)),
        await stack.enter_async_context(websocket_application(websocket, json=True)),
        await stack.enter_async_context(websocket_application(websocket, json=False)),
    ]


async def details_of(application: Application) -> ClientConfig:
    answer = await application.ask(OwnDetails())
    assert isinstance(answer, Details)
    return answer.details


async def send_all(application: Application, recipient: ClientConfig, messages: list[bytes]) -> None:
    for message in messages:
        assert await application.ask(Send(message, recipient)) == Sent()


async def test_five_hundred_messages_arrive_in_both_directions_once_and_uncrossed() -> None:
    async with world(providers=2) as here, AsyncExitStack() as stack:
        by_tcp, by_json, by_protobuf = await applications(here, stack)
        alice, bob = await details_of(by_tcp), await details_of(by_json)
        to_bob = [b"to bob %d" % number for number in range(MESSAGES)]
        to_alice = [b"to alice %d" % number for number in range(MESSAGES)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(send_all, by_tcp, bob, to_bob)
            nursery.start_soon(send_all, by_json, alice, to_alice[::2])
            nursery.start_soon(send_all, by_protobuf, alice, to_alice[1::2])
        assert sorted(await fetch_until(by_tcp, MESSAGES, PATIENCE_SECONDS)) == sorted(to_alice)
        assert sorted(await fetch_until(by_json, MESSAGES, PATIENCE_SECONDS)) == sorted(to_bob)
