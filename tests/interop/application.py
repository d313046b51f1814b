"""An application made with the unmodified `katzenpost-thinclient` from PyPI."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

import cbor2
from katzenpost_thinclient import Config, ThinClient

PATIENCE_SECONDS = 60.0


class Client:
    """A real client and everything it was told."""

    def __init__(self, config: str) -> None:
        self.replies: dict[bytes, list[bytes]] = {}
        self.sent: Counter[bytes] = Counter()
        self.routes: list[tuple[list[str], list[str]]] = []
        self.refused: dict[bytes, str] = {}
        self.documents: list[int] = []
        self.daemons: set[bytes] = set()
        self.client = ThinClient(
            Config(
                config,
                on_message_reply=self._on_reply,
                on_message_sent=self._on_sent,
                on_new_pki_document=self._on_document,
                on_connection_status=self._on_status,
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
        await until(lambda: len(self.replies) >= count)

    async def _on_reply(self, event: dict[str, Any]) -> None:
        self.replies.setdefault(event["surbid"], []).append(event["payload"].rstrip(b"\0"))

    async def _on_sent(self, event: dict[str, Any]) -> None:
        if event.get("err"):
            self.refused[event["surbid"]] = event["err"]
        else:
            self.sent[event["surbid"]] += 1
            self.routes.append((event.get("forward_route", []), event.get("return_route", [])))

    async def _on_document(self, event: dict[str, Any]) -> None:
        self.documents.append(cbor2.loads(event["payload"])["Epoch"])

    async def _on_status(self, event: dict[str, Any]) -> None:
        self.daemons.add(event["instance_token"])


async def until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not is_so():
            await asyncio.sleep(0.05)
