"""Keeps the streams to different gateways on different circuits of Tor, by the SOCKS user of each.

Tor gives streams of different users different circuits (IsolateSOCKSAuth, its default). The user is made as the
reference makes it, except that the gateway takes part in the tag:

    user      katzenpost/client:HHHHHHHHHHHHHHHH:TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT        password   one zero byte
    H         the first 8 bytes of SHA-512/256(process id, start in Unix seconds; big-endian, 8 bytes each)
    T         the first 16 bytes of SHA-512/256("session N gateway HEX"), N drawn once a daemon

Tor keeps to a circuit for ten minutes, also to one that is too slow for a handshake or has died without a word. So a
gateway's user can be changed, by " circuit K" at the tag's end; but not more than once in twenty seconds, as each new
circuit shows us to other relays, and a gateway that fails on purpose must not have us try many.

Source: the Katzenpost client's proxy package.
"""

import math
from typing import Final

from cryptography.hazmat.primitives import hashes

from kpclientd.transports.socks5 import Credentials
from sphinx.randomness import Randomness

PREFIX: Final = "katzenpost/client:"
PASSWORD: Final = b"\0"

SHORTEST_CIRCUIT_SECONDS: Final = 20.0
MOST_CIRCUITS: Final = 1024
"""Gateways whose circuit was renewed, and is remembered."""

_PROCESS_BYTES: Final = 8
_TAG_BYTES: Final = 16
_NUMBER_LENGTH: Final = 8


class StreamIsolation:
    """The SOCKS users of one daemon.

    Args:
        process_id: of the daemon.
        started: in Unix seconds.
        randomness: draws the session's number.
    """

    def __init__(self, process_id: int, started: int, randomness: Randomness) -> None:
        process = process_id.to_bytes(_NUMBER_LENGTH) + started.to_bytes(_NUMBER_LENGTH)
        self._process = _digest(process)[:_PROCESS_BYTES].hex()
        self._session = int.from_bytes(randomness.bytes(_NUMBER_LENGTH))
        self._circuits: dict[bytes, tuple[int, float]] = {}

    def renew(self, gateway: bytes, now: float) -> None:
        """Streams to `gateway` take another circuit from now on, if that was not done just now.

        Args:
            gateway: its name, any bytes.
            now: monotonic seconds.
        """
        number, renewed_at = self._circuits.get(gateway, (0, -math.inf))
        if now < renewed_at + SHORTEST_CIRCUIT_SECONDS:
            return
        if len(self._circuits) >= MOST_CIRCUITS:
            self._circuits.pop(next(iter(self._circuits)))
        self._circuits[gateway] = number + 1, now

    def credentials(self, gateway: bytes) -> Credentials:
        """User and password for all streams to `gateway`, whose name may have any bytes."""
        number, _ = self._circuits.get(gateway, (0, 0.0))
        name = f"session {self._session} gateway {gateway.hex()}" + (f" circuit {number}" if number else "")
        tag = _digest(name.encode())[:_TAG_BYTES].hex()
        return Credentials(f"{PREFIX}{self._process}:{tag}".encode(), PASSWORD)


def _digest(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA512_256())
    digest.update(data)
    return digest.finalize()
