"""The unmodified `katzenpost-thinclient` from PyPI against running daemons."""

import asyncio
import os
from collections import Counter

import cbor2
import pytest
from katzenpost_thinclient import DatabaseFailureError, TombstoneError

from tests.interop.application import Client, until
from tests.interop.network import Running
from tests.pigeonhole.installed import MISSING, needs_libraries

EPOCHS_UNDER_LOAD = 10
EPOCHS_KEPT_BY_CLIENTS = 5


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


def test_it_is_told_the_way_of_its_messages(running: Running) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient("tcp")) as here:
            await here.send(b"by way of")
            await here.until_answered(1)
            ((forward, back),) = here.routes
            service = here.client.get_service("echo").mix_descriptor["Name"]
            assert (forward[0], forward[-1], back[-1]) == ("gateway1", service, "gateway1")
            assert (len(forward), len(back)) == (5, 4)

    asyncio.run(scenario())


def test_it_is_told_no_way_where_the_daemon_speaks_as_before(running: Running) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient("unix")) as here:
            await here.send(b"as before")
            await here.until_answered(1)
            assert here.routes == [([], [])]

    asyncio.run(scenario())


@needs_libraries
def test_boxes_are_written_read_and_deleted(running: Running) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient("unix")) as here:
            keys = await here.client.new_keypair(os.urandom(32))
            index = keys.first_message_index

            async def write(plaintext: bytes) -> None:
                made = await here.client.encrypt_write(plaintext, keys.write_cap, index)
                await here.client.start_resending_encrypted_message(
                    None,
                    keys.write_cap,
                    index,
                    0,
                    made.envelope_descriptor,
                    made.message_ciphertext,
                    made.envelope_hash,
                )

            async def read() -> bytes:
                made = await here.client.encrypt_read(keys.read_cap, index)
                result = await here.client.start_resending_encrypted_message(
                    keys.read_cap, None, index, 0, made.envelope_descriptor, made.message_ciphertext, made.envelope_hash
                )
                return bytes(result.plaintext)

            await write(b"hello, reader")
            assert await read() == b"hello, reader"
            await write(b"")
            with pytest.raises(TombstoneError):
                await read()

    asyncio.run(scenario())


@pytest.mark.skipif(not MISSING, reason="the packages that Pigeonhole needs are installed")
def test_what_is_not_served_is_said_to_be_unavailable_and_never_to_be_done(running: Running) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient("tcp")) as here:
            with pytest.raises(Exception, match="Service unavailable"):
                await here.client.new_keypair(bytes(32))
            with pytest.raises(DatabaseFailureError):  # not BoxAlreadyExistsError, which is success to a writer
                await here.client.start_resending_encrypted_message(
                    bytes(136), None, bytes(104), 0, b"descriptor", b"ciphertext", bytes(32)
                )

    asyncio.run(scenario())


def test_what_cannot_be_sent_is_refused_with_a_reason(running: Running) -> None:
    async def scenario() -> None:
        async with Client(running.thinclient("tcp")) as here:
            too_long = await here.send(bytes(here.client.geometry.UserForwardPayloadLength + 1))
            await until(lambda: bool(here.refused))
            assert list(here.refused) == [too_long]
            assert str(here.client.geometry.UserForwardPayloadLength) in here.refused[too_long]
            with pytest.raises(Exception, match="service not found"):
                here.client.get_services("nobody offers this")
            assert await here.send(b"and the next one gets through")
            await here.until_answered(1)

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
            for epoch in here.documents[-EPOCHS_KEPT_BY_CLIENTS:]:
                assert here.client.pki_document_for_epoch(epoch)["Epoch"] == epoch
            assert len(wanted) > 300

    asyncio.run(scenario())
