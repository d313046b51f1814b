"""Asks the directory server for the topology.

Source: the Nym 2019 Loopix client, "directory HTTP API". The reference looks at neither status nor length and waits
for ever; here the status has to be 200, and length and time are bounded.
"""

import os
from typing import Final

import httpx
import trio

from kpclientd.addresses import MAX_PORT, is_loopback
from kpclientd.loopix.errors import DirectoryError

STEP_SECONDS: Final = 10.0
"""For each step, such as connecting; what the whole may take is for the caller to say."""

MAX_TOPOLOGY: Final = 16 * 1024 * 1024
"""Bytes; far beyond any network of that time."""

_PROXY_VARIABLES: Final = tuple(
    name for scheme in ("ALL", "HTTPS", "HTTP") for name in (f"{scheme}_PROXY", f"{scheme.lower()}_proxy")
)
_CERTIFICATE_VARIABLES: Final = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")

_HEADERS: Final = {"Accept": "application/json", "Accept-Encoding": "identity"}
"""Uncompressed, so that what is read is as long as what was sent."""


class DirectoryClient:
    """A directory server's topology.

    Args:
        url: of the topology itself, `http` or `https`.

    Raises:
        DirectoryError: if the URL is not one of these.
    """

    def __init__(self, url: str) -> None:
        try:
            self._url = httpx.URL(url)
        except (httpx.InvalidURL, TypeError) as error:
            raise DirectoryError(f"{url!r} is not a URL: {error}") from None
        is_web = self._url.scheme in ("http", "https") and self._url.host
        if not is_web or (self._url.port or 0) > MAX_PORT:
            raise DirectoryError(f"{url!r} is not the http or https URL of a directory")
        try:
            self._certificates = httpx.create_ssl_context()
        except OSError as error:  # among them what ssl raises
            files = _named(_CERTIFICATE_VARIABLES)
            raise DirectoryError(f"the certificates cannot be read ({files}): {error.strerror or error}") from None

    async def fetch(self) -> bytes:
        """Return the topology as the directory sends it (JSON, not looked at).

        Raises:
            DirectoryError: if it does not answer, or not with status 200.
        """
        try:
            return await self._get()
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise DirectoryError(f"directory {self._url} cannot be asked: {error or type(error).__name__}") from None

    async def _get(self) -> bytes:
        async with (
            self._open_client() as client,
            client.stream("GET", self._url, headers=_HEADERS) as response,
        ):
            if response.status_code != httpx.codes.OK:
                raise DirectoryError(f"directory {self._url} answered with status {response.status_code}, expected 200")
            body = bytearray()
            # Cancelled rather than left, as generators within httpx are not closed otherwise.
            with trio.CancelScope() as reading:
                async for chunk in response.aiter_raw():
                    body += chunk
                    if len(body) > MAX_TOPOLOGY:
                        reading.cancel()
            if len(body) > MAX_TOPOLOGY:
                raise DirectoryError(f"directory {self._url} answered more than {MAX_TOPOLOGY} bytes")
            return bytes(body)

    def _open_client(self) -> httpx.AsyncClient:
        try:
            return httpx.AsyncClient(
                verify=self._certificates,
                follow_redirects=True,
                timeout=STEP_SECONDS,
                trust_env=not is_loopback(self._url.host),  # as with Go, a proxy is not for this machine's own servers
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            proxies = _named(_PROXY_VARIABLES)
            raise DirectoryError(
                f"the proxy of the environment ({proxies}) cannot be used: {error}; an http:// or https:// one can"
            ) from None


def _named(variables: tuple[str, ...]) -> str:
    """Those of the environment's variables that are set; by their names alone, for a proxy's may hold a password."""
    present = (name for name in variables if os.environ.get(name))
    return ", ".join(present) or "none is named by the environment"
