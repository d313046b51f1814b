"""Example files to begin with, one for each way in which the daemon is used; `configs/` holds them as files.

What only the network's operators can tell stands in them as a placeholder, which the check names.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from kpclientd.config.client_file import ClientFile
from kpclientd.config.writer import example_toml
from sphinx.geometry import Geometry

_HOPS: Final = 5
_USER_PAYLOAD: Final = 2000
"""What the public network and the reference's generator have."""

_NETWORK_KEYS: Final = (
    "PKISignatureScheme",
    "WireKEMScheme",
    "AllowHostnameAddresses",
    "EpochDuration",
    "SphinxGeometry",
    "PinnedGateways",
    "VotingAuthority",
)
"""What is the network's matter, and not that of who runs a daemon."""

_PLACEHOLDERS: Final = """
Values that begin with "<replace:" stand for what the network's operators publish, as a rule in a client.toml of theirs:
`kpclientd config init --from THEIR_FILE` takes it from there. `kpclientd config check FILE` names what is left.
Keys that begin with # have their defaults, or an example. docs/configuration.md explains all.
"""


def _network(pki: str, kem: str, gateways: int, authorities: int, **other: object) -> dict[str, Any]:
    schemes = {"PKISignatureScheme": pki, "WireKEMScheme": kem}
    return {
        **schemes,
        **other,
        "SphinxGeometry": Geometry.nike("x25519", _HOPS, _USER_PAYLOAD).fields(),
        "PinnedGateways": {
            "Gateways": [
                {
                    **schemes,
                    "Name": f"gateway{number}",
                    "IdentityKey": f"<replace: the public identity key of gateway{number}, {pki}, PEM>",
                    "LinkKey": f"<replace: the public link key of gateway{number}, {kem}, PEM>",
                    "Addresses": [f"<replace: the URL of gateway{number}, such as tcp://192.0.2.{number}:30004>"],
                }
                for number in range(1, gateways + 1)
            ]
        },
        "VotingAuthority": {
            "Peers": [
                {
                    **schemes,
                    "Identifier": f"auth{number}",
                    "IdentityPublicKey": f"<replace: the public identity key of auth{number}, {pki}, PEM>",
                    "LinkPublicKey": f"<replace: the public link key of auth{number}, {kem}, PEM>",
                    "Addresses": [f"<replace: the URL of auth{number}, such as tcp://192.0.2.{100 + number}:30001>"],
                }
                for number in range(1, authorities + 1)
            ]
        },
    }


_PUBLIC: Final = _network("Ed25519 Sphincs+", "KYBER768-X25519", 3, 6)

_EXAMPLES: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "local": (
        "A daemon on a test network of this machine, such as the reference's Docker network.\n"
        "`kpclientd localnet DIR` runs a network, too, and writes files for it with nothing left to replace.",
        {
            **_network("Ed25519", "xwing", 1, 3, EpochDuration="2m"),
            "Listen": {"Tcp": {"Address": "127.0.0.1:64331"}},
            "Logging": {"Level": "DEBUG"},
        },
    ),
    "namenlos": (
        "A daemon on a public network with the schemes of Namenlos, for the applications of one user.",
        {
            **_PUBLIC,
            "Listen": {"Unix": {"Address": "@katzenpost"}},
        },
    ),
    "proxy": (
        "A daemon on a public network that reaches its gateways through Tor; without Tor it reaches nothing.\n"
        'For another SOCKS5 proxy: Type = "socks5", and User and Password if it wants them.',
        {
            **_PUBLIC,
            "Listen": {"Unix": {"Address": "@katzenpost"}},
            "UpstreamProxy": {"Type": "tor+socks5", "Network": "tcp", "Address": "127.0.0.1:9050"},
        },
    ),
    "service": (
        "A daemon that the system runs for the applications of all users in the group kpclientd.\n"
        "Its unit makes its folders, /run/kpclientd and /var/lib/kpclientd; docs/service.md tells how to install it.",
        {
            **_PUBLIC,
            "DataDir": "/var/lib/kpclientd",
            "Listen": {"Unix": {"Address": "/run/kpclientd/kpclientd.sock", "Mode": "0660"}},
            "ARQ": {"StateFile": "/var/lib/kpclientd/state"},
        },
    ),
}

NAMES: Final = tuple(_EXAMPLES)


def example(name: str, network: ClientFile | None = None) -> str:
    """One of `NAMES`, as the text of a file.

    Args:
        name: which one.
        network: a file from which all that is the network's matter is taken, instead of placeholders.
    """
    introduction, values = _EXAMPLES[name]
    if network is None:
        return example_toml(introduction + _PLACEHOLDERS, ClientFile, values)
    own = {key: value for key, value in values.items() if key not in _NETWORK_KEYS}
    given = msgspec.to_builtins(network)
    taken = {key: given[key] for key in _NETWORK_KEYS if given[key] not in (None, "")}
    return example_toml(introduction, ClientFile, {**own, **taken})
