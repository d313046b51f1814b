"""What a configuration says, once it has been read and found good."""

from dataclasses import dataclass, field
from pathlib import Path

from kpclientd.addresses import ABSTRACT_PREFIX, is_loopback, unix_socket_address
from kpclientd.config.client_file import ClientFile, Debug, Limits
from kpclientd.log_levels import LOG_FORMATS
from kpclientd.pigeonhole.geometry import PigeonholeGeometry
from kpclientd.transports import UpstreamProxy
from pki import Verifier, signature_scheme
from sphinx.geometry import Geometry

OWNER_ONLY = 0o600
"""Permissions of a socket's file that lets in nobody else."""


@dataclass(frozen=True, slots=True)
class ListenTcp:
    """Applications come by TCP.

    Attributes:
        host: an address or a name, empty for every interface.
        port: 0 for any free one.
        network: one of Go's.
        token_file: holds what they have to show, or None.
    """

    host: str
    port: int
    network: str
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ListenWebSocket:
    """Applications come by WebSocket.

    Attributes:
        host, port: as of `ListenTcp`.
        origins: of pages that may come beside the host's own.
        token_file: holds what they have to show, or None.
    """

    host: str
    port: int
    origins: tuple[str, ...] = ()
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class ListenUnix:
    """Applications come by a Unix socket: a path, or `@name` in Linux's abstract namespace.

    Attributes:
        address: either.
        mode: permissions of the file.
        group: the file's group, by name, or empty for this process's own.
    """

    address: str
    mode: int = OWNER_ONLY
    group: str = ""

    @property
    def is_abstract(self) -> bool:
        """Whether the socket has a name but no file."""
        return self.address.startswith(ABSTRACT_PREFIX)

    @property
    def socket_address(self) -> str:
        """The address as bind and connect take it: an abstract name begins with a NUL there."""
        return unix_socket_address(self.address)


Listen = ListenTcp | ListenUnix | ListenWebSocket


@dataclass(frozen=True, slots=True)
class Logging:
    """Where the log goes (standard output where `file` is None), from which level (upper case) on, in which form."""

    disable: bool = False
    file: Path | None = None
    level: str = "NOTICE"
    format: str = LOG_FORMATS[0]


@dataclass(frozen=True, slots=True)
class Arq:
    """Where messages that are under way are kept over a restart; nowhere where `state_file` is None."""

    state_file: Path | None = None


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Where something is served to browsers and programs like them.

    Attributes:
        host: an address or a name, without brackets.
        port: 0 for any free one.
        token_file: holds what they have to show, or None.
    """

    host: str
    port: int
    token_file: Path | None = None


@dataclass(frozen=True, slots=True)
class PinnedGateway:
    """A gateway that is trusted before any document is: raw public keys and URLs to dial."""

    name: str
    identity_key: bytes
    link_key: bytes
    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Authority:
    """A directory authority: raw public keys for us, their PEM for the applications that ask."""

    identifier: str
    pki_signature_scheme: str
    wire_kem_scheme: str
    addresses: tuple[str, ...]
    identity_public_key: bytes
    link_public_key: bytes
    identity_public_key_pem: str
    link_public_key_pem: str

    def verifier(self) -> Verifier:
        """What its signatures are verified with."""
        return Verifier(self.identifier, signature_scheme(self.pki_signature_scheme), self.identity_public_key)


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The whole of a `client.toml`; times in seconds, schemes by their canonical names.

    Attributes:
        metrics: where metrics are served, or None.
        status_page: where the status page is, or None; ours.
        epoch_duration: the network's period, None where the file does not say.
        data_dir: where documents are kept, or None; ours.
        dbus_name: owned on the session bus; empty for none.
        max_consensus_size: bounds documents (bytes); 0 is the default.
        ignored_keys: keys of the file that mean nothing, by their dotted names.
        ignored_in_entries: the same of the tables of gateways and authorities.
        hints: what misspelt ones among them may have been meant for.
        file: the file as it was read, every key with its value or default.
    """

    path: Path
    pki_signature_scheme: str
    wire_kem_scheme: str
    preferred_transports: tuple[str, ...]
    metrics: WebAddress | None
    allow_hostname_addresses: bool
    session_grace_period: float
    listen: tuple[Listen, ...]
    tell_routes: bool
    logging: Logging
    upstream_proxy: UpstreamProxy
    debug: Debug
    limits: Limits
    geometry: Geometry
    pigeonhole_geometry: PigeonholeGeometry
    pinned_gateways: tuple[PinnedGateway, ...]
    authorities: tuple[Authority, ...]
    epoch_duration: float | None = None
    data_dir: Path | None = None
    dbus_name: str = ""
    max_consensus_size: int = 0
    ignored_keys: tuple[str, ...] = ()
    ignored_in_entries: tuple[str, ...] = ()
    arq: Arq = Arq()
    status_page: WebAddress | None = None
    hints: tuple[str, ...] = field(default=(), compare=False)
    file: ClientFile = field(default=ClientFile(), compare=False, repr=False)

    def warnings(self) -> tuple[str, ...]:
        """Sentences for the log about what the file says and nothing heeds."""
        warnings = []
        if self.metrics is not None and not is_loopback(self.metrics.host):
            where = f"port {self.metrics.port} of {self.metrics.host or 'every interface'}"
            warnings.append(
                f"MetricsAddress: whoever reaches {where} can read when this daemon is used: listen on 127.0.0.1"
            )
        for listen in self.listen:
            if not isinstance(listen, ListenUnix) and not is_loopback(listen.host):
                where = f"port {listen.port} of {listen.host or 'every interface'}"
                fault = (
                    f"whoever reaches {where} can use this daemon"
                    if listen.token_file is None
                    else f"the token that applications show at {where} is not encrypted on its way"
                )
                warnings.append(f"{fault}: listen on 127.0.0.1 or a Unix socket")
        if self.ignored_keys:
            told = "; ".join(
                ("unrecognised configuration keys are ignored: " + ", ".join(self.ignored_keys), *self.hints)
            )
            warnings.append(told)
        if self.ignored_in_entries:
            warnings.append(f"keys that mean nothing to a client are ignored: {', '.join(self.ignored_in_entries)}")
        return tuple(f"{self.path}: {warning}" for warning in warnings)
