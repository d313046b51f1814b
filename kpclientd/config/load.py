"""Reads the reference's `client.toml`: what is in the file first, then whether it makes sense, in its order."""

from dataclasses import replace
from pathlib import Path
from typing import Final

from kpclientd.addresses import AddressError, require_ip_address
from kpclientd.config.geometry import read_geometry
from kpclientd.config.listen import read_listen, require_ip_listener
from kpclientd.config.model import MEBIBYTE, Authority, ClientConfig, Debug, Limits, Logging
from kpclientd.config.peers import (
    check_authorities,
    check_gateways,
    read_authorities,
    read_gateways,
    read_kem,
)
from kpclientd.config.proxy import check_proxy, read_proxy, refuse_misspelt
from kpclientd.config.table import Table, read_table
from kpclientd.errors import ConfigError
from kpclientd.log_levels import LEVELS
from kpclientd.pigeonhole.geometry import PigeonholeGeometry, PigeonholeGeometryError
from kpclientd.transports import TRANSPORTS
from pki.epoch import NANOSECONDS_PER_SECOND, PERIOD_KEY, check_configured_period, parse_duration
from pki.errors import EpochError

LARGEST_CONSENSUS: Final = 500_000_000
DEFAULT_GRACE_PERIOD: Final = 600.0
"""Seconds for which a lost application's session is kept (the reference's ten minutes)."""


def load_config(path: Path, *, strict: bool = False) -> ClientConfig:
    """Read and check the daemon's configuration.

    Keys are matched in any case; unknown ones are ignored unless `strict`, and inside the tables of arrays always, as
    the reference does: its servers' files have keys there that mean nothing to a client. Opens no socket and writes
    nothing.

    Raises:
        ConfigError: names the file, the table, the key, what is wrong with it and what would be right.
        UnknownKeysError: `strict`, and there are keys that mean nothing.
    """
    root = read_table(path)
    config = _read(root)
    refuse_misspelt(root, root.unknown_keys())
    if strict:
        root.check_known()
    return replace(config, ignored_keys=root.unknown_keys(), ignored_in_entries=root.unknown_keys_of_entries())


def _read(root: Table) -> ClientConfig:
    _refuse_tables(root)
    epoch_duration = _read_epoch_duration(root)
    pinned = root.table("PinnedGateways")
    gateways = read_gateways(pinned) if pinned is not None else ()
    voting = root.table("VotingAuthority")
    authorities = read_authorities(voting) if voting is not None else ()
    grace_period = _read_grace_period(root)
    proxy_table = root.table("UpstreamProxy")
    proxy = read_proxy(proxy_table)
    debug = _read_debug(root.table("Debug"))
    limits = _read_limits(root.table("Limits"))
    metrics_address = root.string("MetricsAddress")
    hostnames_allowed = root.boolean("AllowHostnameAddresses")
    transports = root.strings("PreferedTransports")

    data_dir = _read_path(root, "DataDir", "/var/lib/kpclientd")
    arq = root.table("ARQ")
    state_file = _read_path(arq, "StateFile", "/var/lib/kpclientd/state") if arq is not None else None
    max_consensus_size = 0

    kem = read_kem(root)
    listen = read_listen(root)
    if pinned is None:
        raise root.fault("", "config: No PinnedGateways block was present", "add [[PinnedGateways.Gateways]] tables")
    geometry = read_geometry(root)
    try:
        pigeonhole_geometry = PigeonholeGeometry.derive(geometry)
    except PigeonholeGeometryError as error:
        fault = f"config: cannot derive a Pigeonhole geometry from the SphinxGeometry: {error}"
        raise root.fault("", fault) from error
    logging = _read_logging(root.table("Logging"))
    check_proxy(proxy, proxy_table)
    if not hostnames_allowed:
        require_ip_listener(root)
        _require_ip_metrics(root, metrics_address)
    check_gateways(pinned, gateways, kem, proxy, hostnames_allowed=hostnames_allowed)
    if voting is not None:
        check_authorities(voting, authorities, hostnames_allowed=hostnames_allowed)
        max_consensus_size = _read_max_consensus_size(voting)
    _require_authorities(root, authorities)
    return ClientConfig(
        path=root.path,
        pki_signature_scheme=root.string("PKISignatureScheme"),
        wire_kem_scheme=kem.name,
        preferred_transports=transports or tuple(TRANSPORTS),
        metrics_address=metrics_address,
        allow_hostname_addresses=hostnames_allowed,
        session_grace_period=grace_period,
        listen=listen,
        logging=logging,
        upstream_proxy=proxy,
        debug=debug,
        limits=limits,
        geometry=geometry,
        pigeonhole_geometry=pigeonhole_geometry,
        pinned_gateways=gateways,
        authorities=authorities,
        epoch_duration=epoch_duration,
        data_dir=data_dir,
        state_file=state_file,
        max_consensus_size=max_consensus_size,
    )


def _refuse_tables(root: Table) -> None:
    if root.holds("PigeonholeGeometry"):
        raise root.fault(
            "",
            "config: [PigeonholeGeometry] must not be set; it is derived from [SphinxGeometry]. "
            "Remove the [PigeonholeGeometry] table.",
        )
    if root.holds("CachedDocument"):
        raise root.fault("", "[CachedDocument] is not supported, by the reference neither", "remove the table")


def _read_epoch_duration(root: Table) -> float | None:
    if not root.holds(PERIOD_KEY):
        return None
    seconds = _read_duration(root, PERIOD_KEY, 'write "20m"')
    try:
        check_configured_period(seconds)
    except EpochError as error:
        raise root.fault(
            PERIOD_KEY, f"config: {PERIOD_KEY}: {error}", "write what the network's operators say"
        ) from None
    return seconds


def _read_grace_period(root: Table) -> float:
    seconds = _read_duration(root, "SessionGracePeriod", 'write "10m" or "30s"')
    return seconds if seconds > 0 else DEFAULT_GRACE_PERIOD


def _read_duration(root: Table, key: str, fix: str) -> float:
    """Seconds of a duration in Go's syntax, or of so many nanoseconds; 0 where the key is missing."""
    value = root.string_or_integer(key)
    if isinstance(value, int):
        return value / NANOSECONDS_PER_SECOND
    try:
        return parse_duration(value)
    except EpochError as error:
        raise root.fault(key, f'invalid duration: "{value}"', fix) from error


def _read_debug(table: Table | None) -> Debug:
    default = Debug()
    if table is None:
        return default
    return Debug(
        disable_decoy_traffic=table.boolean("DisableDecoyTraffic"),
        enable_time_sync=table.boolean("EnableTimeSync"),
        session_dial_timeout=_seconds(table, "SessionDialTimeout") or default.session_dial_timeout,
        initial_max_pki_retrieval_delay=_seconds(table, "InitialMaxPKIRetrievalDelay")
        or default.initial_max_pki_retrieval_delay,
        polling_interval=_seconds(table, "PollingInterval") or default.polling_interval,
    )


_LIMIT_KEYS: Final = {
    "connections": ("Connections", 1),
    "unfinished_frame_bytes": ("UnfinishedFrameBytes", MEBIBYTE),
    "unread_bytes": ("UnreadBytes", MEBIBYTE),
    "away_sessions": ("AwaySessions", 1),
    "away_bytes": ("AwayBytes", MEBIBYTE),
    "messages_per_application": ("MessagesPerApplication", 1),
    "message_bytes_per_application": ("MessageBytesPerApplication", MEBIBYTE),
    "message_bytes": ("MessageBytes", MEBIBYTE),
}
"""Of each limit, the key and the least value that makes sense."""


def _read_limits(table: Table | None) -> Limits:
    default = Limits()
    if table is None:
        return default
    values = {}
    for name, (key, least) in _LIMIT_KEYS.items():
        value = table.integer(key, getattr(default, name))
        if value < least:
            raise table.fault(key, f"is {value}", f"expected at least {least}; the default is {getattr(default, name)}")
        values[name] = value
    return Limits(**values)


def _read_path(table: Table, key: str, example: str) -> Path | None:
    path = table.string(key)
    if not path:
        return None
    if not Path(path).is_absolute() or "\0" in path:
        raise table.fault(key, f'is "{path}"', f"write an absolute path, such as {example}")
    return Path(path)


def _read_max_consensus_size(voting: Table) -> int:
    size = voting.integer("MaxConsensusSize")
    if size < 0:
        raise voting.fault("", "config: VotingAuthority.MaxConsensusSize must not be negative", "0 is the default")
    if size > LARGEST_CONSENSUS:
        raise voting.fault("", f"config: VotingAuthority.MaxConsensusSize must not exceed {LARGEST_CONSENSUS}")
    return size


def _seconds(table: Table, key: str) -> int:
    value = table.integer(key)
    if value < 0:
        raise table.fault(key, f"is {value}", "expected seconds, or 0 for the default")
    return value


def _read_logging(table: Table | None) -> Logging:
    if table is None:
        return Logging()
    disable = table.boolean("Disable")
    file = table.string("File")
    level = table.string("Level") or Logging().level
    if level.upper() not in LEVELS:
        raise table.fault("", f"config: Logging: Level '{level}' is invalid", f"expected one of {', '.join(LEVELS)}")
    if file and not disable and not Path(file).is_absolute():
        raise table.fault("File", "log file path must be absolute path", f"not '{file}'")
    return Logging(disable, Path(file) if file else None, level.upper())


def _require_ip_metrics(root: Table, address: str) -> None:
    if not address:
        return
    try:
        require_ip_address(address)
    except AddressError as error:
        raise root.fault("MetricsAddress", f"config: MetricsAddress: {error}") from error


def _require_authorities(root: Table, authorities: tuple[Authority, ...]) -> None:
    if not authorities:
        raise ConfigError(
            root.path,
            "no directory authority is configured, so no document could ever be verified",
            table="VotingAuthority",
            fix="copy the network's [[VotingAuthority.Peers]] tables",
        )
