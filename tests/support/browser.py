"""Drives a headless Chromium over the DevTools protocol: what people see of a page, and what the browser says of it."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio
from trio_websocket import ConnectionClosed, WebSocketConnection, open_websocket_url

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")

PATIENCE = 60.0
"""Seconds that the browser may take for anything, on a busy machine."""

POLL_SECONDS = 0.1
MOST_MESSAGE_BYTES = 64 * 1024 * 1024
_FAULTS = ("error", "warning")


@dataclass
class Tab:
    """One page, from which everything that the browser says of it is collected.

    Attributes:
        said: errors and warnings of its console, its network and its policy.
        requested: the URLs that it asked for.
    """

    _socket: WebSocketConnection
    _session: str = ""
    said: list[str] = field(default_factory=list)
    requested: list[str] = field(default_factory=list)
    _number: int = 0
    _waiting: dict[int, trio.MemorySendChannel[dict[str, Any]]] = field(default_factory=dict)

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol and return its result."""
        self._number += 1
        number = self._number
        answered, answer = trio.open_memory_channel[dict[str, Any]](1)
        self._waiting[number] = answered
        message = {"id": number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_message(json.dumps(message))
        with trio.fail_after(PATIENCE):
            told = await answer.receive()
        assert "error" not in told, f"{method}: {told['error']}"
        result: dict[str, Any] = told["result"]
        return result

    async def open(self, url: str) -> None:
        await self.call("Page.navigate", url=url)

    async def value(self, expression: str) -> Any:
        """What a JavaScript expression is; the tools are not bound by the page's policy."""
        told = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in told, told["exceptionDetails"]
        return told["result"].get("value")

    async def text(self, element: str) -> str:
        return str(await self.value(f"document.getElementById({element!r}).textContent.trim()"))

    async def until(self, holds: Callable[[Any], bool], expression: str) -> Any:
        """Wait until what an expression is `holds`, and return it."""
        with trio.fail_after(PATIENCE):
            while not holds(value := await self.value(expression)):
                await trio.sleep(POLL_SECONDS)
        return value

    async def accessible(self) -> list[tuple[str, str]]:
        """Role and name of all that assistive technology is told of, in the order of the page."""
        nodes = (await self.call("Accessibility.getFullAXTree"))["nodes"]
        return [
            (node.get("role", {}).get("value", ""), node.get("name", {}).get("value", ""))
            for node in nodes
            if not node.get("ignored")
        ]

    async def show_as(self, *, width: int, height: int = 1000, scheme: str = "light", motion: str = "") -> None:
        """Have the window's size, and a preference of its person, be these."""
        await self.call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False
        )
        features = [
            {"name": "prefers-color-scheme", "value": scheme},
            {"name": "prefers-reduced-motion", "value": motion},
        ]
        await self.call("Emulation.setEmulatedMedia", features=features)

    async def _listen(self) -> None:
        try:
            while True:
                self._take(json.loads(await self._socket.get_message()))
        except ConnectionClosed:
            pass

    def _take(self, message: dict[str, Any]) -> None:
        if "id" in message:
            self._waiting.pop(message["id"]).send_nowait(message)
            return
        told = message["params"]
        match message["method"]:
            case "Runtime.consoleAPICalled" if told["type"] in _FAULTS:
                self.said.append(str([argument.get("value") for argument in told["args"]]))
            case "Runtime.exceptionThrown":
                self.said.append(told["exceptionDetails"].get("exception", {}).get("description", "exception"))
            case "Log.entryAdded" if told["entry"]["level"] in _FAULTS:
                self.said.append(f"{told['entry']['text']} {told['entry'].get('url', '')}")
            case "Audits.issueAdded":
                self.said.append(str(told["issue"]))
            case "Network.requestWillBeSent":
                self.requested.append(told["request"]["url"])

    async def begin(self) -> None:
        """Open an empty page and listen to it."""
        target = (await self.call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self.call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility", "Audits"):
            await self.call(f"{domain}.enable")


@contextmanager
def _process(folder: str) -> Any:
    assert CHROMIUM is not None
    command = (
        CHROMIUM,
        "--headless=new",
        "--no-sandbox",  # tests may run as root, in containers
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--no-first-run",
        "--remote-debugging-port=0",
        f"--user-data-dir={folder}",
        "about:blank",
    )
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def tab() -> AsyncIterator[Tab]:
    """An empty page of a browser that has never been used."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, _process(folder):
        active = Path(folder, "DevToolsActivePort")
        with trio.fail_after(PATIENCE):
            while not active.exists() or "\n" not in active.read_text():
                await trio.sleep(POLL_SECONDS)
        port, path = active.read_text().splitlines()[:2]
        address = f"ws://127.0.0.1:{port}{path}"
        async with (
            open_websocket_url(address, max_message_size=MOST_MESSAGE_BYTES) as socket,
            trio.open_nursery() as nursery,
        ):
            page = Tab(socket)
            nursery.start_soon(page._listen)
            await page.begin()
            yield page
            nursery.cancel_scope.cancel()
