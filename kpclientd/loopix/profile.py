"""The three generations of the client, and all in which they differ.

Source: the Nym 2019 Loopix client, "which version, and the version profiles".
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

Framing = Literal["varint", "be64"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One generation.

    Attributes:
        name: major and minor version.
        version: what the command prints as its version.
        program: the command's name.
        framing: how the TCP socket writes a frame's length: zig-zag varint, or 8 bytes big-endian.
        packet_limit: bytes that a mix or provider reads of a packet; what is longer is lost.
        home: the directory beneath the user's that holds the clients.
        log_prefix: begins the log file's name.
        home_key: the configuration's key for the directory of the clients.
    """

    name: str
    version: str
    program: str
    framing: Framing
    packet_limit: int
    home: Literal[".loopix", ".nym"]
    log_prefix: Literal["loopix", "nym"]
    home_key: Literal["loopix_home_directory", "nym_home_directory"]


_EARLY_LIMIT: Final = 1024
_LATE_LIMIT: Final = 2048
_EARLY_PROGRAM: Final = "loopix-client"
_LATE_PROGRAM: Final = "nym-mixnet-client"

DEFAULT: Final = Profile(
    "0.2", "0.2.0", _EARLY_PROGRAM, "varint", _EARLY_LIMIT, ".loopix", "loopix", "loopix_home_directory"
)

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        profile.name: profile
        for profile in (
            DEFAULT,
            Profile("0.3", "0.3.0", _LATE_PROGRAM, "be64", _LATE_LIMIT, ".loopix", "loopix", "loopix_home_directory"),
            Profile("0.4", "0.4.0", _LATE_PROGRAM, "be64", _LATE_LIMIT, ".nym", "nym", "nym_home_directory"),
        )
    }
)
