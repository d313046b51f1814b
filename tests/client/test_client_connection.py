"""Our own thin client keeps to the first messages' order and survives a daemon that does not."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from kpclientd.client.connection import (
    DaemonGoneError,
    DaemonUnreachableError,
    ThinClient,
    UnexpectedMessageError,
    connected_to,
    display,
)
from kpclientd.config.model import ListenTcp, ListenUnix
from kpclientd.thin import events
from kpclientd.thin.errors import FrameError, MistypedField
from kpclientd.thin.framing import encode_frame
from kpclientd.thin.listener import open_listeners
from kpclientd.thin.listener_token import TokenListener
from sphinx.types import NodeId, SurbId
from tests.cli.scripted_daemon import DOCUMENT, GEOMETRY, ScriptedDaemon, echoed, status

TOKEN = b"t" * 16
DOCUMENT_EVENT = events.new_pki_document(DOCUMENT)
OTHER: dict[str, Any] = {"something_event": {}}


async def test_the_first_messages_tell_all_there_is_to_know(tmp_path: Path) -> None:
    daemon = ScriptedDaemon()
    async with daemon.listening(tmp_path) as address, connected_to(address, TOKEN) as client:
        assert client.connected
        assert client.document_payload == DOCUMENT
        assert client.document is not None
        assert client.document.services("echo")[0].endpoint == b"+echo"
        assert client.geometry == GEOMETRY.fields()
        assert client.app_id == b"a" * 16
        assert daemon.requests == [{"session_token": {"client_instance_token": TOKEN}}]


async def test_a_message_and_its_reply(tmp_path: Path) -> None:
    daemon = ScriptedDaemon(scripts=[lambda request: [(0, echoed(request))]])
    async with daemon.listening(tmp_path) as address, connected_to(address, TOKEN) as client:
        await client.send_message(NodeId(b"n" * 32), b"+echo", b"hello", SurbId(b"s" * 16))
        reply = (await client.receive())["message_reply_event"]
        assert reply["surbid"] == b"s" * 16
        assert reply["payload"].rstrip(b"\0") == b"hello"
        assert daemon.requests[1] == {
            "send_message": {
                "id": None,
                "with_surb": True,
                "surbid": b"s" * 16,
                "destination_id_hash": b"n" * 32,
                "recipient_queue_id": b"+echo",
                "payload": b"hello",
            }
        }


async def test_leaving_says_so_and_closes(tmp_path: Path) -> None:
    daemon = ScriptedDaemon()
    async with daemon.listening(tmp_path) as address:
        async with connected_to(address, TOKEN):
            pass
        await trio.testing.wait_all_tasks_blocked()
        assert daemon.requests[-1] == {"thin_close": {}}


async def test_other_messages_between_the_first_ones_are_kept_for_later(tmp_path: Path) -> None:
    daemon = ScriptedDaemon(
        greeting=[{**OTHER, "n": 1}, status(False), {**OTHER, "n": 2}, events.new_pki_document(None)],
        before_token_reply=[status(True), DOCUMENT_EVENT],
    )
    async with daemon.listening(tmp_path) as address, connected_to(address, TOKEN) as client:
        assert client.connected
        assert client.document_payload == DOCUMENT
        assert [await client.receive() for _ in range(4)] == [
            {**OTHER, "n": 1},
            {**OTHER, "n": 2},
            {key: value for key, value in status(True).items() if value is not None},
            DOCUMENT_EVENT,
        ]


async def test_a_null_document_does_not_undo_an_earlier_one(tmp_path: Path) -> None:
    daemon = ScriptedDaemon(before_token_reply=[events.new_pki_document(None)])
    async with daemon.listening(tmp_path) as address, connected_to(address, TOKEN) as client:
        assert client.document_payload == DOCUMENT


async def test_a_map_with_all_keys_and_one_alive_is_one_message(tmp_path: Path) -> None:
    greeting = [{"shutdown_event": None, **status(True)}, {"message_sent_event": None, **DOCUMENT_EVENT}]
    daemon = ScriptedDaemon(greeting=greeting)
    async with daemon.listening(tmp_path) as address, connected_to(address, TOKEN) as client:
        assert client.connected


async def test_a_daemon_that_says_too_much_else_is_given_up(tmp_path: Path) -> None:
    async with ScriptedDaemon(greeting=[OTHER] * 17).listening(tmp_path) as address:
        with pytest.raises(UnexpectedMessageError, match="17 messages came where connection_status_event was due"):
            async with connected_to(address, TOKEN):
                pytest.fail("there was no greeting")


async def test_a_silent_listener_is_given_up(tmp_path: Path, autojump_clock: trio.testing.MockClock) -> None:
    async with ScriptedDaemon(greeting=[]).listening(tmp_path) as address:
        with pytest.raises(UnexpectedMessageError, match="did not greet us within 40 s"):
            async with connected_to(address, TOKEN):
                pytest.fail("there was no greeting")
        assert trio.current_time() == pytest.approx(40, abs=5)


@pytest.mark.parametrize(
    ("greeting", "error"),
    [
        ([{"connection_status_event": 3}], UnexpectedMessageError),
        ([{"connection_status_event": {"is_connected": 3}}], MistypedField),
        ([{"new_pki_document_event": {"payload": "text"}}], MistypedField),
    ],
)
async def test_a_malformed_greeting_is_an_error_not_a_crash(
    tmp_path: Path, greeting: Sequence[dict[str, Any]], error: type[Exception]
) -> None:
    async with ScriptedDaemon(greeting=greeting).listening(tmp_path) as address:
        with pytest.raises(error):
            async with connected_to(address, TOKEN):
                pytest.fail("there was no greeting")


async def test_nobody_at_home(tmp_path: Path) -> None:
    for address in (ListenUnix(str(tmp_path / "absent")), ListenUnix("@kpclientd-test-absent")):
        with pytest.raises(DaemonUnreachableError, match=r"no daemon listens at .*absent"):
            async with connected_to(address, TOKEN):
                pytest.fail("nobody listens there")


async def test_a_closed_port_is_told_with_the_reason(unused_port: int) -> None:
    with pytest.raises(DaemonUnreachableError, match=rf"127\.0\.0\.1:{unused_port}: .*refused"):
        async with connected_to(ListenTcp("127.0.0.1", unused_port, "tcp"), TOKEN):
            pytest.fail("nobody listens there")


@pytest.fixture
async def unused_port() -> int:
    (listener,) = await trio.open_tcp_listeners(0, host="127.0.0.1")
    port: int = listener.socket.getsockname()[1]
    await listener.aclose()
    return port


async def test_frames_may_come_in_any_pieces() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    client = ThinClient(ours)
    wire = b"".join(encode_frame(event) for event in (status(True), DOCUMENT_EVENT, OTHER))

    async def drip() -> None:
        for byte in wire[:200]:
            await theirs.send_all(bytes([byte]))
        await theirs.send_all(wire[200:])

    async with trio.open_nursery() as nursery:
        nursery.start_soon(drip)
        assert list((await client.receive()).keys()) == ["connection_status_event"]
        assert await client.receive() == DOCUMENT_EVENT
        assert await client.receive() == OTHER


async def test_the_end_of_the_stream_is_the_daemons_going(autojump_clock: trio.testing.MockClock) -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    client = ThinClient(ours)
    await theirs.aclose()
    with pytest.raises(DaemonGoneError):
        await client.receive()
    with pytest.raises(DaemonGoneError):
        await client.send({"thin_close": {}})


async def test_garbage_is_a_frame_error() -> None:
    ours, theirs = trio.testing.memory_stream_pair()
    await theirs.send_all(b"\xff" * 8)
    with pytest.raises(FrameError):
        await ThinClient(ours).receive()


@asynccontextmanager
async def behind_a_token(folder: Path) -> AsyncIterator[ListenTcp]:
    """A daemon that wants the token in a file of the folder."""
    path = folder / "token"
    path.write_text("x" * 16)
    path.chmod(0o600)
    daemon = ScriptedDaemon()

    async def serve(listener: TokenListener) -> None:
        while True:
            async with await listener.accept() as stream:
                if await listener.refusal(stream) is None:
                    await daemon.serve(stream)

    async with open_listeners((ListenTcp("127.0.0.1", 0, "tcp", path),)) as (listener,):
        assert isinstance(listener, TokenListener)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, listener)
            yield ListenTcp("127.0.0.1", listener.socket.getsockname()[1], "tcp", path)
            nursery.cancel_scope.cancel()


async def test_a_token_is_shown_where_the_daemon_wants_one(tmp_path: Path) -> None:
    async with behind_a_token(tmp_path) as address, connected_to(address, TOKEN) as client:
        assert client.app_id


async def test_a_token_that_is_missing_or_wrong_is_named_as_what_may_be_amiss(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong"
    wrong.write_text("y" * 16)
    wrong.chmod(0o600)
    async with behind_a_token(tmp_path) as address:
        for file, told in (
            (None, "perhaps it wants a token"),
            (wrong, f"perhaps the token in {wrong} was not accepted"),
        ):
            with pytest.raises(DaemonGoneError, match=told):
                async with connected_to(replace(address, token_file=file), TOKEN):
                    pass


def test_addresses_are_shown_as_people_write_them() -> None:
    assert display(ListenTcp("::1", 64331, "tcp")) == "[::1]:64331"
    assert display(ListenTcp("localhost", 64331, "tcp")) == "localhost:64331"
    assert display(ListenUnix("@katzenpost")) == "@katzenpost"
