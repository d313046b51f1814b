"""Keeps the streams to different gateways on different circuits of Tor, by the SOCKS user of each.

Tor gives streams of different users different circuits (IsolateSOCKSAuth, its default). The user is made as the
reference makes it, except that the gateway takes part in the tag:

    user      katzenpost/client:HHHHHHHHHHHHHHHH:TTTTTTTTTTTTTTTTTTTTTTTTTTTTTTTT        password   one zero byte
    H         the first 8 bytes of SHA-512/256(process id, start in Unix seconds; big-endian, 8 bytes each)
    T         the first 16 bytes of SHA-512/256("session N gateway HEX"), N drawn once a daemon

Source: the Katzenpost client's proxy package.
"""

from typing import Final

from cryptography.hazmat.primitives import hashes

from kpclientd.transports.socks5 import Credentials
from sphinx.randomness import Randomness

PREFIX: Final = "katzenpost/client:"
PASSWORD: Final = b"\0"

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

    def credentials(self, gateway: bytes) -> Credentials:
        """User and password for all streams to `gateway`, whose name may have any bytes."""
        tag = _digest(f"session {self._session} gateway {gateway.hex()}".encode())[:_TAG_BYTES].hex()
        return Credentials(f"{PREFIX}{self._process}:{tag}".encode(), PASSWORD)


def _digest(data: bytes) -> bytes:
    digest = hashes.Hash(hashes.SHA512_256())
    digest.update(data)
    return digest.finalize()
