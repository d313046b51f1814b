"""The configuration files of a local network: for the daemon and its clients, on TCP and on a Unix socket.

And that half of an authority's own file which says who is in the network: programs that show a network's state, such as
katzenpost/status, compare it with the document.
"""

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpclientd.addresses import LOOPBACK
from kpclientd.localnet.authority import ListedGateway, Listing
from kpclientd.localnet.errors import PathTooLongError
from kpclientd.localnet.keys import AuthorityKeys, NodeKeys
from pki.epoch import PERIOD_VARIABLE
from pki.pem import encode_pem
from pki.signatures import SignatureScheme
from sphinx.crypto.kem import Kem
from sphinx.geometry import Geometry

CLIENT_FILE: Final = "client.toml"
CLIENT_UNIX_FILE: Final = "client-unix.toml"
THIN_FILE: Final = "thinclient.toml"
THIN_UNIX_FILE: Final = "thinclient-unix.toml"
AUTHORITY_FILE: Final = "authority.toml"
ENVIRONMENT_FILE: Final = "localnet.env"
DAEMON_SOCKET: Final = "kpclientd.sock"

LONGEST_SOCKET_PATH: Final = 107
"""`sun_path` of Linux has 108 bytes, one of them the terminator."""


@dataclass(frozen=True, slots=True)
class Listen:
    """Where a daemon is to listen for thin clients: `tcp` with host:port, or `unix` with a path."""

    kind: str
    address: str

    @property
    def tables(self) -> str:
        """The daemon's `[Listen]` table."""
        return self._tables("Listen")

    @property
    def dial_tables(self) -> str:
        """The client's `[Dial]` table."""
        return self._tables("Dial")

    def _tables(self, name: str) -> str:
        network = f"\n    Network = {_quoted('tcp')}" if self.kind == "tcp" else ""
        return f"[{name}]\n  [{name}.{self.kind.title()}]\n    Address = {_quoted(self.address)}{network}\n"


@dataclass(frozen=True, slots=True)
class Membership:
    """What configurations say about the network.

    Attributes:
        geometry, kem, signatures: its schemes.
        gateways: those that clients pin.
        authorities: all of them, with an address each in `authority_urls`.
        listing: all gateways, mixes and services.
    """

    geometry: Geometry
    kem: Kem
    signatures: SignatureScheme
    gateways: Sequence[ListedGateway]
    authorities: Sequence[AuthorityKeys]
    authority_urls: Sequence[str]
    listing: Listing

    def client_config(self, listen: Listen) -> str:
        """The reference's `client.toml` for this network."""
        peers = self._authorities("VotingAuthority.Peers")
        return "\n".join((self._head(), listen.tables, self.geometry.toml(), _MIDDLE, self._gateways(), peers))

    def authority_config(self) -> str:
        """The reference's `authority.toml` as the first authority would have it, but for what only it itself needs."""
        server = (
            "[Server]\n"
            f"  Identifier = {_quoted(self.authorities[0].identifier)}\n"
            f"  WireKEMScheme = {_quoted(self.kem.name)}\n"
            f"  PKISignatureScheme = {_quoted(self.signatures.name)}\n"
            f"  Addresses = [{_quoted(self.authority_urls[0])}]\n"
        )
        layers = "".join(
            "  [[Topology.Layers]]\n" + _nodes("Topology.Layers.Nodes", layer) for layer in self.listing.layers
        )
        return "\n".join(
            (
                server,
                self.geometry.toml(),
                self._authorities("Authorities"),
                _nodes("GatewayNodes", [gateway.keys for gateway in self.listing.gateways]),
                _nodes("ServiceNodes", [self.listing.service]),
                _nodes("Mixes", [mix for layer in self.listing.layers for mix in layer]),
                "[Topology]\n" + layers,
            )
        )

    def _head(self) -> str:
        return (
            f"PKISignatureScheme = {_quoted(self.signatures.name)}\n"
            f"WireKEMScheme = {_quoted(self.kem.name)}\n"
            f'MetricsAddress = ""\n'
            f"AllowHostnameAddresses = false\n"
        )

    def _gateways(self) -> str:
        return "[PinnedGateways]\n" + "".join(
            "  [[PinnedGateways.Gateways]]\n"
            f"    WireKEMScheme = {_quoted(self.kem.name)}\n"
            f"    Name = {_quoted(gateway.keys.name)}\n"
            f"    IdentityKey = {self._identity(gateway.keys.identity_key)}\n"
            f"    LinkKey = {self._link(gateway.keys.link.public_key)}\n"
            f"    PKISignatureScheme = {_quoted(self.signatures.name)}\n"
            f"    Addresses = [{', '.join(map(_quoted, gateway.urls))}]\n"
            for gateway in self.gateways
        )

    def _authorities(self, table: str) -> str:
        return "".join(
            f"[[{table}]]\n"
            f"  Identifier = {_quoted(authority.identifier)}\n"
            f"  IdentityPublicKey = {self._identity(authority.signing.public_key)}\n"
            f"  PKISignatureScheme = {_quoted(self.signatures.name)}\n"
            f"  LinkPublicKey = {self._link(authority.link.public_key)}\n"
            f"  WireKEMScheme = {_quoted(self.kem.name)}\n"
            f"  Addresses = [{_quoted(url)}]\n"
            for authority, url in zip(self.authorities, self.authority_urls, strict=True)
        )

    def _identity(self, key: bytes) -> str:
        return f'"""{encode_pem(self.signatures.name, "PUBLIC", key)}"""'

    def _link(self, key: bytes) -> str:
        return f'"""{encode_pem(self.kem.name, "PUBLIC", key)}"""'


_MIDDLE: Final = """\
[Logging]
  Disable = false
  File = ""
  Level = "NOTICE"

[UpstreamProxy]
  Type = "none"
  Network = ""
  Address = ""
  User = ""
  Password = ""

[Debug]
  DisableDecoyTraffic = false
  SessionDialTimeout = 0
  InitialMaxPKIRetrievalDelay = 0
  PollingInterval = 0
  EnableTimeSync = false
"""


def write_files(directory: Path, membership: Membership, thin_port: int, period: str) -> Listen:
    """Write all files of a network into `directory`, which is made if it is missing.

    Args:
        directory: where to.
        membership: the network.
        thin_port: the daemon's TCP port; 0 for any that is free now.
        period: the epoch period in Go's duration syntax.

    Returns:
        The TCP address that the daemon is to listen on.

    Raises:
        PathTooLongError: if the directory's path leaves no room for a Unix socket's name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    tcp = Listen("tcp", f"{LOOPBACK}:{thin_port or free_port()}")
    unix = Listen("unix", str(socket_path(directory, DAEMON_SOCKET)))
    _write(directory / CLIENT_FILE, membership.client_config(tcp))
    _write(directory / CLIENT_UNIX_FILE, membership.client_config(unix))
    _write(directory / THIN_FILE, tcp.dial_tables)
    _write(directory / THIN_UNIX_FILE, unix.dial_tables)
    _write(directory / AUTHORITY_FILE, membership.authority_config())
    _write(directory / ENVIRONMENT_FILE, f"{PERIOD_VARIABLE}={period}\n")
    return tcp


def socket_path(directory: Path, name: str) -> Path:
    """Return the absolute path of a Unix socket in `directory`.

    Raises:
        PathTooLongError: if the operating system would refuse it.
    """
    path = directory.resolve() / name
    length = len(os.fsencode(path))
    if length > LONGEST_SOCKET_PATH:
        raise PathTooLongError(
            f"the socket {path} has a path of {length} bytes; at most {LONGEST_SOCKET_PATH} are possible: "
            "choose a directory with a shorter path"
        )
    return path


def free_port() -> int:
    """Return a loopback TCP port on which nothing listens now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def _nodes(table: str, nodes: Sequence[NodeKeys]) -> str:
    return "".join(f"[[{table}]]\n  Identifier = {_quoted(node.name)}\n" for node in nodes)


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _quoted(text: str) -> str:
    """A TOML basic string."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
