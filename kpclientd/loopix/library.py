"""The client as a library: `LoopixClient` for trio, `BlockingLoopixClient` for everybody else.

Source: the Nym 2019 Loopix client, "library API".
"""

import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

import trio

from kpclientd.loopix.client import LoopixClient
from kpclientd.loopix.config import LoopixConfig, config_path, load_config, user_home
from kpclientd.loopix.errors import LoopixError, NotRunning
from kpclientd.loopix.identity import Identity
from kpclientd.loopix.nodes import ClientConfig, MixConfig
from kpclientd.loopix.profile import DEFAULT, Profile
from kpclientd.loopix.sealed import seal
from kpclientd.loopix.topology import Topology

__all__ = [
    "BlockingLoopixClient",
    "ClientConfig",
    "LoopixClient",
    "LoopixConfig",
    "LoopixError",
    "MixConfig",
    "Topology",
    "client_config",
    "load_config",
    "seal",
]

Result = TypeVar("Result")


def client_config(client_id: str, profile: Profile = DEFAULT) -> LoopixConfig:
    """Return the configuration of the user's client of that name, as `loopix-client init --id` made it.

    Raises:
        LoopixConfigError: if there is none, or it makes no sense.
    """
    return load_config(config_path(user_home(), client_id, profile), profile)


class BlockingLoopixClient:
    """A `LoopixClient` that runs in a thread of its own. Any thread may use it.

        with BlockingLoopixClient(client_config("alice")) as client:
            client.send_message(b"hello", recipient)

    Args:
        config: of the client.
        identity: its keys; those of its files by default.

    Raises:
        KeyFileError: if the key files cannot be used.
        DirectoryError: if the directory's address makes no sense.
    """

    def __init__(self, config: LoopixConfig, identity: Identity | None = None) -> None:
        self._client = LoopixClient(config, identity)
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None

    def __enter__(self) -> "BlockingLoopixClient":
        """Start the client."""
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop the client."""
        self.close()

    @property
    def provider(self) -> MixConfig | None:
        """Where the client is registered. Set before the start, it counts more than the configuration's."""
        return self._client.provider

    @provider.setter
    def provider(self, provider: MixConfig | None) -> None:
        self._client.provider = provider

    @property
    def public_key(self) -> bytes:
        """The client's public key, 32 bytes."""
        return self._client.public_key

    @property
    def client_id(self) -> str:
        """The client's address in the network: its public key in base64url."""
        return self._client.client_id

    def start(self) -> None:
        """Start; return once traffic runs.

        Raises:
            NotRunning: if it was started before.
            LoopixError: if it cannot start.
        """
        if self._thread is not None:
            raise NotRunning("a client runs only once; make another one")
        started: Future[trio.lowlevel.TrioToken] = Future()
        self._thread = threading.Thread(target=self._run, args=(started,), name="loopix-client", daemon=True)
        self._thread.start()
        self._token = started.result()

    def send_message(self, message: bytes, recipient: ClientConfig) -> None:
        """Send a message; see `LoopixClient.send_message`."""
        self._await(self._client.send_message, message, recipient)

    def get_received_messages(self) -> list[bytes]:
        """Return what was received since the last time, in order, without waiting; after the end too."""
        try:
            return self._call(self._client.get_received_messages)
        except NotRunning:
            return self._client.get_received_messages()

    def open_sealed(self, box: bytes) -> bytes:
        """Return the message in a sealed box for this client; see `LoopixClient.open_sealed`."""
        return self._client.open_sealed(box)

    def own_details(self) -> ClientConfig:
        """Return what others need to know to send messages here.

        Raises:
            NotRunning: before the provider is known.
        """
        return self._client.own_details()

    def all_recipients(self) -> list[ClientConfig]:
        """Ask the directory who is registered, oneself included; nobody if it cannot be asked."""
        return self._await(self._client.all_recipients)

    def update_network_view(self) -> None:
        """Learn the network anew; see `LoopixClient.update_network_view`."""
        self._await(self._client.update_network_view)

    def load_topology(self, topology: Topology) -> None:
        """Use a given topology; see `LoopixClient.load_topology`."""
        self._call(self._client.load_topology, topology)

    def wait(self) -> None:
        """Wait until the client has stopped."""
        if self._thread is not None:
            self._thread.join()

    def close(self) -> None:
        """Stop, and wait until that is done; harmless if it has stopped or never ran."""
        try:
            self._call(self._client.close)
        except NotRunning:
            self._client.close()
        self.wait()

    def _run(self, started: "Future[trio.lowlevel.TrioToken]") -> None:
        try:
            trio.run(self._main, started)
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    async def _main(self, started: "Future[trio.lowlevel.TrioToken]") -> None:
        async with self._client.running():
            started.set_result(trio.lowlevel.current_trio_token())
            await self._client.wait()

    def _call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        try:
            return trio.from_thread.run_sync(function, *arguments, trio_token=self._running_token())
        except trio.RunFinishedError:
            raise NotRunning("the client has stopped") from None

    def _await(self, function: Callable[..., Awaitable[Result]], *arguments: Any) -> Result:
        try:
            return trio.from_thread.run(function, *arguments, trio_token=self._running_token())
        except (trio.RunFinishedError, trio.Cancelled):
            raise NotRunning("the client has stopped") from None

    def _running_token(self) -> trio.lowlevel.TrioToken:
        if self._token is None:
            raise NotRunning("the client was not started")
        return self._token
