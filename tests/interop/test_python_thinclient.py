"""The unmodified `katzenpost-thinclient` from PyPI against running daemons."""

import asyncio
import os
from collections import Counter
from typing import Any

import cbor2
import pytest
from katzenpost_thinclient import Config, ThinClient

from tests.interop.conftest import Running

PATIENCE_SECONDS = 60.0
EPOCHS_UNDER_LOAD = 10


class Client:
    """A real client and everything it was told."""

    def __init__(self, config: str) -> None:
        self.replies: dict[bytes, list[bytes]] = {}
        self.sent: Counter[bytes] = Counter()
        self.documents: list[int] = []
        self.client = ThinClient(
            Config(
                config,
                on_message_reply=self._on_reply,
                on_message_sent=self._on_sent,
                on_new_pki_document=self._on_document,
            )
        )

    async def __aenter__(self) -> "Client":
        await self.client.start(asyncio.get_running_loop())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.stop()
        await asyncio.gather(self.client.task, return_exceptions=True)

    async def send(self, payload: bytes) -> bytes:
        surb_id: bytes = self.client.new_surb_id()
        await self.client.send_message(surb_id, payload, *self.client.get_service("echo").to_destination())
        return surb_id

    async def until_answered(self, count: int) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while len(self.replies) < count:
                await asyncio.sleep(0.05)

    async def _on_reply(self, event: dict[str, Any]) -> None:
        self.replies.setdefault(event["surbid"], []).append(event["payload"].rstrip(b"\0"))

    async def _on_sent(self, event: dict[str, Any]) -> None:
        assert not event.get("err"), event
        self.sent[event["surbid"]] += 1

    async def _on_document(self, event: dict[str, Any]) -> None:
        self.documents.append(cbor2.loads(event["payload"])["Epoch"])


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_it_connects_and_gets_status_document_and_session_token(running: Running, kind: str) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient(kind)) as here:
            assert here.client.is_connected()
            document = here.client.pki_document()
            assert document is not None
            assert [service.recipient_queue_id for service in here.client.get_services("echo")] == [b"+echo"]
            certificate, epoch = await here.client.get_pki_document_raw()
            assert cbor2.loads(certificate)["Certified"]
            assert abs(epoch - document["Epoch"]) <= 1
            authorities = await here.client.get_directory_authorities()
            assert len(authorities) == 3
            signers = set(cbor2.loads(certificate)["Signatures"])
            assert signers <= {authority["identity_key_hash"] for authority in authorities}

    asyncio.run(scenario())


@pytest.mark.parametrize("kind", ["tcp", "unix"])
def test_an_echo_brings_the_same_bytes_back(running: Running, kind: str) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient(kind)) as here:
            payload = os.urandom(here.client.geometry.UserForwardPayloadLength)
            destination = here.client.get_service("echo").to_destination()
            reply = await here.client.blocking_send_message(payload, *destination)
            assert reply.startswith(payload)
            assert len(reply) == here.client.geometry.ForwardPayloadLength
            assert not reply[len(payload) :].strip(b"\0")

    asyncio.run(scenario())


def test_three_clients_at_once_get_all_their_replies_and_no_others(running: Running) -> None:
    async def one(name: int, count: int) -> None:
        async with Client(running.thinclient("tcp")) as here:
            wanted = {}
            for number in range(count):
                text = f"client {name} message {number}".encode()
                wanted[await here.send(text)] = [text]
            await here.until_answered(count)
            assert here.replies == wanted
            assert here.sent == Counter(wanted.keys())

    async def scenario() -> None:
        await asyncio.gather(one(1, 67), one(2, 67), one(3, 66))

    asyncio.run(scenario())


def test_a_client_without_surb_gets_no_events_and_goes_on(running: Running) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient("unix")) as here:
            service = here.client.get_service("echo").to_destination()
            await here.client.send_message_without_reply(b"into the blue", *service)
            surb_id = await here.send(b"and back")
            await here.until_answered(1)
            assert here.replies == {surb_id: [b"and back"]}

    asyncio.run(scenario())


def test_ten_epochs_of_ten_seconds_under_load_lose_nothing(running: Running) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient("tcp")) as here:
            wanted: dict[bytes, list[bytes]] = {}
            while len(here.documents) <= EPOCHS_UNDER_LOAD:
                text = f"message {len(wanted)}".encode()
                wanted[await here.send(text)] = [text]
                await asyncio.sleep(0.2)
            await here.until_answered(len(wanted))
            assert here.replies == wanted
            assert here.documents == sorted(set(here.documents))
            assert len(wanted) > 300

    asyncio.run(scenario())
