"""The reference's `client.toml`, and what this daemon adds: every key with its type, default and meaning.

What is read, checked, shown, written as an example and told in docs/configuration.md comes from here. What the values
must fulfil beyond their types stands in the modules beside this one.
"""

from types import MappingProxyType
from typing import Annotated, Final, TypeAlias

from msgspec import Meta

from kpclientd.config.bus_name import EXAMPLE as BUS_NAME
from kpclientd.config.declared import Key, Table
from kpclientd.log_levels import LEVELS, LOG_FORMATS
from kpclientd.transports import PEER_SCHEMES, TCP_NETWORKS, TRANSPORTS
from kpclientd.transports.upstream import NO_PROXY, SOCKS5, TOR

MEBIBYTE: Final = 1024 * 1024

DEFAULT_GRACE_PERIOD: Final = "10m"
DEFAULT_MODE: Final = "0600"

PublicKey: TypeAlias = str | dict[str, object]
"""A PEM block; the reference's generator leaves an empty table where it cannot write one."""

_OF_AN_OLD_THINCLIENT: Final = (
    "at the top is of an application's older thinclient.toml; the daemon wants its client.toml"
)

_PEM: Final = "-----BEGIN {} PUBLIC KEY-----\n...\n-----END {} PUBLIC KEY-----\n"


class UnixTable(Table, frozen=True):
    """`[Listen.Unix]`."""

    address: Annotated[
        str,
        Key(
            "a path, or `@name` for an abstract socket; its folder must exist",
            "/run/kpclientd/kpclientd.sock",
            required=True,
        ),
    ] = ""
    addresses: Annotated[tuple[str, ...], Key("more of them", ("@katzenpost",))] = ()
    mode: Annotated[
        str,
        Key(
            "permissions of the sockets' files, octal; the owner's are never taken away",
            "0660",
            ours=True,
            zero_is_default=True,
        ),
    ] = DEFAULT_MODE
    group: Annotated[
        str, Key("group of the sockets' files, by name", "mixnet", default="the process's own", ours=True)
    ] = ""


_TOKEN_MEANING: Final = (
    "a file with the token that applications have to show, an absolute path; one line of 16 to 256 printable"
    " characters, and not readable by everybody; see docs/applications.md"
)
_TOKEN_EXAMPLE: Final = "/etc/kpclientd/token"


class TcpTable(Table, frozen=True):
    """`[Listen.Tcp]`."""

    address: Annotated[
        str,
        Key(
            "`IP:port`, port 0 for any free one; every user of the machine can use it", "127.0.0.1:64331", required=True
        ),
    ] = ""
    network: Annotated[str, Key(f"one of {', '.join(TCP_NETWORKS)}", zero_is_default=True)] = TCP_NETWORKS[0]
    token_file: Annotated[str, Key(_TOKEN_MEANING, _TOKEN_EXAMPLE, default="they show none", ours=True)] = ""


class WebSocketTable(Table, frozen=True):
    """`[Listen.Ws]`."""

    address: Annotated[
        str,
        Key("`ws://`, a host and a port; every user of the machine can use it", "ws://127.0.0.1:64332", required=True),
    ] = ""
    origins: Annotated[
        tuple[str, ...],
        Key(
            "web pages that may connect, beside those of that very host and port", ("https://chat.example",), ours=True
        ),
    ] = ()
    token_file: Annotated[str, Key(_TOKEN_MEANING, _TOKEN_EXAMPLE, default="they show none", ours=True)] = ""


class ListenTable(Table, frozen=True):
    """`[Listen]`."""

    unix: Annotated[UnixTable | None, Key("applications come by Unix sockets")] = None
    tcp: Annotated[TcpTable | None, Key("applications come by TCP")] = None
    ws: Annotated[WebSocketTable | None, Key("applications come by WebSocket")] = None
    tell_routes: Annotated[
        bool,
        Key(
            "whether an application is told by way of which nodes its message leaves, and its answer would come, as the"
            " newest upstream daemons do; clients that check events for keys they do not know refuse such ones",
            ours=True,
        ),
    ] = False


class GeometryTable(Table, frozen=True):
    """`[SphinxGeometry]`."""

    packet_length: Annotated[int, Key("of a packet", unit="bytes", required=True)] = 0
    nr_hops: Annotated[int, Key("of a route, both ends' nodes included", unit="hops", required=True)] = 0
    header_length: Annotated[int, Key("of a packet's header", unit="bytes", required=True)] = 0
    routing_info_length: Annotated[int, Key("of the routing information in it", unit="bytes", required=True)] = 0
    per_hop_routing_info_length: Annotated[int, Key("of one hop's share of that", unit="bytes", required=True)] = 0
    surb_length: Annotated[int, Key("of a single-use reply block", unit="bytes", required=True)] = 0
    sphinx_plaintext_header_length: Annotated[int, Key("of the payload's own header", unit="bytes", required=True)] = 0
    payload_tag_length: Annotated[int, Key("of the payload's tag", unit="bytes", required=True)] = 0
    forward_payload_length: Annotated[int, Key("of the payload, a SURB in it", unit="bytes", required=True)] = 0
    user_forward_payload_length: Annotated[int, Key("of what an application may send", unit="bytes", required=True)] = 0
    next_node_hop_length: Annotated[int, Key("of the command that names the next hop", unit="bytes", required=True)] = 0
    sprp_key_material_length: Annotated[int, Key("of the payload cipher's key", unit="bytes", required=True)] = 0
    nike_name: Annotated[
        str, Key("the scheme of the packets' headers; either this or KEMName", "x25519", required=True)
    ] = ""
    kem_name: Annotated[str, Key("the scheme of the packets' headers, where that is a KEM")] = ""


class LoggingTable(Table, frozen=True):
    """`[Logging]`."""

    disable: Annotated[bool, Key("whether nothing is logged at all", reloadable=True)] = False
    file: Annotated[
        str,
        Key(
            "where the log goes, an absolute path; SIGHUP opens it anew, as after a rotation",
            "/var/log/kpclientd.log",
            default="standard output",
            reloadable=True,
        ),
    ] = ""
    level: Annotated[
        str,
        Key(f"the least that is logged: one of {', '.join(LEVELS)}", reloadable=True, zero_is_default=True),
    ] = "NOTICE"
    format: Annotated[
        str,
        Key(
            f"`{LOG_FORMATS[0]}`, or `{LOG_FORMATS[1]}`: an object a line",
            ours=True,
            reloadable=True,
            zero_is_default=True,
        ),
    ] = LOG_FORMATS[0]


class ProxyTable(Table, frozen=True):
    """`[UpstreamProxy]`."""

    type: Annotated[str, Key(f"`{NO_PROXY}`, `{SOCKS5}` or `{TOR}`", TOR, zero_is_default=True)] = NO_PROXY
    network: Annotated[str, Key("how the proxy is reached: `tcp` or `unix`", "tcp")] = ""
    address: Annotated[str, Key("`IP:port`, or the path of the proxy's socket", "127.0.0.1:9050")] = ""
    user: Annotated[str, Key("for a SOCKS5 proxy that wants it; at most 255 bytes", secret=True)] = ""
    password: Annotated[str, Key("beside User; at most 255 bytes", secret=True)] = ""


class Debug(Table, frozen=True):
    """`[Debug]`: switches for experiments; the three times drive nothing, as in the reference."""

    disable_decoy_traffic: Annotated[
        bool, Key("whether no cover traffic is sent: the network's protection is lost")
    ] = False
    enable_time_sync: Annotated[bool, Key("whether the gateways' clocks correct this machine's, within bounds")] = False
    session_dial_timeout: Annotated[int, Meta(ge=0), Key("drives nothing", unit="seconds", zero_is_default=True)] = 30
    initial_max_pki_retrieval_delay: Annotated[
        int, Meta(ge=0), Key("drives nothing", unit="seconds", zero_is_default=True)
    ] = 30
    polling_interval: Annotated[int, Meta(ge=0), Key("drives nothing", unit="seconds", zero_is_default=True)] = 10


class Limits(Table, frozen=True):
    """`[Limits]`: how much applications may take of the daemon."""

    connections: Annotated[
        int,
        Meta(ge=1),
        Key(
            "applications connected at once; fewer where the process may not have so many descriptors",
            unit="connections",
            ours=True,
            reloadable=True,
        ),
    ] = 512
    unfinished_frame_bytes: Annotated[
        int,
        Meta(ge=MEBIBYTE),
        Key("of the unfinished frames of all connections together", unit="bytes", ours=True, reloadable=True),
    ] = 48 * MEBIBYTE
    unread_bytes: Annotated[
        int,
        Meta(ge=MEBIBYTE),
        Key("of what all connected applications together leave unread", unit="bytes", ours=True, reloadable=True),
    ] = 48 * MEBIBYTE
    away_sessions: Annotated[
        int,
        Meta(ge=1),
        Key("kept for applications that are away", unit="sessions", ours=True, reloadable=True),
    ] = 1024
    away_bytes: Annotated[
        int,
        Meta(ge=MEBIBYTE),
        Key(
            "of what is kept for all of these together, messages and answers",
            unit="bytes",
            ours=True,
            reloadable=True,
        ),
    ] = 24 * MEBIBYTE
    messages_per_application: Annotated[
        int, Meta(ge=1), Key("waiting and in flight", unit="messages", ours=True, reloadable=True)
    ] = 4096
    message_bytes_per_application: Annotated[
        int, Meta(ge=MEBIBYTE), Key("of these messages", unit="bytes", ours=True, reloadable=True)
    ] = 16 * MEBIBYTE
    message_bytes: Annotated[
        int,
        Meta(ge=MEBIBYTE),
        Key("of the messages of all applications together", unit="bytes", ours=True, reloadable=True),
    ] = 40 * MEBIBYTE


class ArqTable(Table, frozen=True):
    """`[ARQ]`: what becomes of messages that are under way when the daemon ends."""

    state_file: Annotated[
        str,
        Key(
            "where sessions and messages under way are kept over a restart, an absolute path; it holds secrets",
            "/var/lib/kpclientd/state",
            default="nothing outlives the process",
            ours=True,
        ),
    ] = ""


class StatusTable(Table, frozen=True):
    """`[Status]`."""

    address: Annotated[
        str,
        Key(
            "`127.0.0.1:port` or `[::1]:port` for the status page, `/status.json` and `/metrics`, port 0 for any free"
            " one; every user of the machine can read them, unless TokenFile is set; see docs/status-page.md",
            "127.0.0.1:30098",
            default="there is no page",
            ours=True,
        ),
    ] = ""
    token_file: Annotated[
        str,
        Key(
            "a file with the token that whoever looks has to show, an absolute path; as TokenFile of a listener",
            "/etc/kpclientd/status-token",
            default="they show none",
            ours=True,
        ),
    ] = ""


class GatewayTable(Table, frozen=True):
    """One of `[[PinnedGateways.Gateways]]`."""

    wire_kem_scheme: Annotated[
        str, Key("the KEM of its link key; the same as the daemon's", "xwing", required=True)
    ] = ""
    name: Annotated[str, Key("its name", "gateway1", required=True)] = ""
    identity_key: Annotated[
        PublicKey, Key("its public identity key, PEM", _PEM.format("ED25519", "ED25519"), required=True)
    ] = ""
    link_key: Annotated[PublicKey, Key("its public link key, PEM", _PEM.format("XWING", "XWING"), required=True)] = ""
    pki_signature_scheme: Annotated[str, Key("the scheme of its identity key", "Ed25519", required=True)] = ""
    addresses: Annotated[
        tuple[str, ...],
        Key(
            f"its URLs: {', '.join(f'{scheme}://' for scheme in PEER_SCHEMES)}",
            ("tcp://192.0.2.1:30004",),
            required=True,
        ),
    ] = ()


class GatewaysTable(Table, frozen=True):
    """`[PinnedGateways]`."""

    gateways: Annotated[tuple[GatewayTable, ...], Key("a gateway that is trusted before any document is")] = ()


class AuthorityTable(Table, frozen=True):
    """One of `[[VotingAuthority.Peers]]`."""

    identifier: Annotated[str, Key("its name", "auth1", required=True)] = ""
    identity_public_key: Annotated[
        PublicKey, Key("its public identity key, PEM", _PEM.format("ED25519", "ED25519"), required=True)
    ] = ""
    pki_signature_scheme: Annotated[str, Key("the scheme of its identity key", "Ed25519", required=True)] = ""
    link_public_key: Annotated[
        PublicKey, Key("its public link key, PEM", _PEM.format("XWING", "XWING"), required=True)
    ] = ""
    wire_kem_scheme: Annotated[str, Key("the KEM of its link key", "xwing", required=True)] = ""
    addresses: Annotated[
        tuple[str, ...],
        Key(
            "its URLs; a client never dials them, but tells them to applications",
            ("tcp://192.0.2.2:30001",),
            required=True,
        ),
    ] = ()


class AuthoritiesTable(Table, frozen=True):
    """`[VotingAuthority]`."""

    max_consensus_size: Annotated[
        int,
        Key(
            "of the longest document that is accepted; 0 for what the daemon thinks best, at most 500000000",
            unit="bytes",
        ),
    ] = 0
    peers: Annotated[tuple[AuthorityTable, ...], Key("a directory authority whose signature counts")] = ()


class ClientFile(Table, frozen=True):
    """The whole file."""

    moved = MappingProxyType(
        {
            "ListenAddress": "ListenAddress is of an older file: write it as Address of a [Listen.Tcp] table",
            "ListenNetwork": "ListenNetwork is of an older file: [Listen.Tcp] and [Listen.Unix] took its place",
            "Network": f"Network {_OF_AN_OLD_THINCLIENT}",
            "Address": f"Address {_OF_AN_OLD_THINCLIENT}",
            "Dial": "[Dial] is of an application's thinclient.toml; the daemon wants its client.toml",
        }
    )

    pigeonhole_geometry: Annotated[
        object,
        Key(
            "refused",
            refusal=(
                "config: [PigeonholeGeometry] must not be set; it is derived from [SphinxGeometry]. "
                "Remove the [PigeonholeGeometry] table.",
                "",
            ),
        ),
    ] = None
    cached_document: Annotated[
        object,
        Key("refused", refusal=("[CachedDocument] is not supported, by the reference neither", "remove the table")),
    ] = None
    pki_signature_scheme: Annotated[
        str, Key("the network's signature scheme; drives nothing, since every party's entry names its own", "Ed25519")
    ] = ""
    wire_kem_scheme: Annotated[str, Key("the KEM of the link to the gateway", "xwing", required=True)] = ""
    prefered_transports: Annotated[
        tuple[str, ...],
        Key("in which order a gateway's addresses are tried, by their schemes", zero_is_default=True),
    ] = tuple(TRANSPORTS)
    metrics_address: Annotated[
        str,
        Key(
            "`IP:port` for `/metrics` in Prometheus' form, port 0 for any free one; whoever reaches it can read them;"
            " see docs/metrics.md",
            "127.0.0.1:30099",
            default="there are none",
        ),
    ] = ""
    allow_hostname_addresses: Annotated[
        bool, Key("whether addresses may have host names, which DNS gets to see; for test networks")
    ] = False
    session_grace_period: Annotated[
        str | int,
        Key(
            "how long a lost application's session is kept; a duration such as `30s`, or nanoseconds; "
            "the default where it is not positive",
            unit="duration",
            reloadable=True,
            zero_is_default=True,
        ),
    ] = DEFAULT_GRACE_PERIOD
    epoch_duration: Annotated[
        str | int | None,
        Key(
            "the network's epoch period; a duration of whole seconds from `2m` to `168h`, or nanoseconds",
            "20m",
            unit="duration",
            default="`KATZENPOST_EPOCH_DURATION`, or else 20m",
        ),
    ] = None
    data_dir: Annotated[
        str,
        Key(
            "where documents are kept over a restart, an absolute path; made with mode 0700 where it is missing",
            "/var/lib/kpclientd",
            default="they are not kept",
            ours=True,
        ),
    ] = ""
    d_bus_name: Annotated[
        str,
        Key(
            "a name on the session bus that the daemon owns while it runs, so that programs can ask for it; needs the"
            " extra `dbus`",
            BUS_NAME,
            default="none",
        ),
    ] = ""
    listen: Annotated[ListenTable, Key("where applications find the daemon: one table at least")] = ListenTable()
    sphinx_geometry: Annotated[
        GeometryTable | None, Key("the sizes of the network's packets; copy the network's table whole")
    ] = None
    logging: Annotated[LoggingTable, Key("the log")] = LoggingTable()
    upstream_proxy: Annotated[
        ProxyTable, Key("a proxy through which the gateways are reached; nothing ever goes around it")
    ] = ProxyTable()
    debug: Annotated[Debug, Key("switches for experiments")] = Debug()
    limits: Annotated[Limits, Key("how much applications may take of the daemon", ours=True)] = Limits()
    arq: Annotated[ArqTable, Key("what becomes of messages that are under way when the daemon ends", ours=True)] = (
        ArqTable()
    )
    status: Annotated[StatusTable, Key("a page that shows what the daemon does", ours=True)] = StatusTable()
    pinned_gateways: Annotated[GatewaysTable | None, Key("the gateways, copied from the network's own file")] = None
    voting_authority: Annotated[
        AuthoritiesTable | None, Key("the directory authorities, copied from the network's own file")
    ] = None
