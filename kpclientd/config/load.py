"""Reads the reference's `client.toml`: what is in the file first, then whether it makes sense, in its order."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from kpclientd.addresses import AddressError, ip_literal, require_ip_address, split_host_port
from kpclientd.config.bus_name import fault_of_bus_name
from kpclientd.config.client_file import DEFAULT_GRACE_PERIOD, AuthoritiesTable, ClientFile, LoggingTable, StatusTable
from kpclientd.config.geometry import read_geometry
from kpclientd.config.listen import read_listen, require_ip_listener
from kpclientd.config.model import Arq, ClientConfig, Logging, WebAddress
from kpclientd.config.peers import (
    read_authorities,
    read_gateways,
    read_kem,
    require_common_kem,
    require_dialled,
    require_literal_authorities,
    require_literal_gateways,
)
from kpclientd.config.place import Place
from kpclientd.config.proxy import check_proxy, read_proxy, refuse_misspelt
from kpclientd.config.reader import Faults, read_file
from kpclientd.errors import ConfigError, UnknownKeysError
from kpclientd.log_levels import LEVELS, LOG_FORMATS
from kpclientd.pigeonhole.geometry import PigeonholeGeometry, PigeonholeGeometryError
from pki.epoch import NANOSECONDS_PER_SECOND, PERIOD_KEY, check_configured_period, parse_duration
from pki.errors import EpochError
from sphinx.geometry import Geometry

LARGEST_CONSENSUS: Final = 500_000_000


@dataclass(frozen=True, slots=True)
class Examined:
    """What can be said of a file.

    Attributes:
        config: what it says, None where anything is wrong with it.
        faults: all that is wrong, in the order of the checks; of values that depend on a wrong one nothing is said.
        unknown: the error of a strict reading, where the file has keys that mean nothing.
    """

    config: ClientConfig | None
    faults: tuple[ConfigError, ...]
    unknown: UnknownKeysError | None


def load_config(path: Path, *, strict: bool = False) -> ClientConfig:
    """Read and check the daemon's configuration.

    Keys are matched in any case; unknown ones are ignored unless `strict`, and inside the tables of arrays always, as
    the reference does: its servers' files have keys there that mean nothing to a client. Opens no socket and writes
    nothing.

    Raises:
        ConfigError: names the file, the table, the key, what is wrong with it and what would be right.
        UnknownKeysError: `strict`, and there are keys that mean nothing.
    """
    examined = examine(path)
    if examined.config is None:
        raise examined.faults[0]
    if strict and examined.unknown is not None:
        raise examined.unknown
    return examined.config


def examine(path: Path) -> Examined:
    """Read and check the daemon's configuration as `load_config` does, but go on after a fault where that makes sense.

    Raises:
        ConfigError: the file cannot be read, is too long, or is not TOML.
    """
    reading = read_file(path, ClientFile)
    root, faults = reading.place, reading.faults
    config = None
    if not faults.found:
        config = _understand(reading.values, root, faults)
        faults.attempt(refuse_misspelt, root)
    faults.explain(root)
    return Examined(config if not faults.found else None, tuple(faults.found), root.unknown_fault())


def _understand(file: ClientFile, root: Place, faults: Faults) -> ClientConfig | None:
    """What the values of the file mean; None if there was a fault, and all that were found are noted."""
    hostnames_allowed = file.allow_hostname_addresses
    pinned, voting = file.pinned_gateways, file.voting_authority
    attempt = faults.attempt

    epoch_duration = attempt(_read_epoch_duration, file.epoch_duration, root)
    gateways = read_gateways(pinned, root, faults)
    authorities = read_authorities(voting, root, faults)
    grace_period = attempt(_read_grace_period, file.session_grace_period, root)
    data_dir = attempt(root.absolute_path, "DataDir", file.data_dir, "/var/lib/kpclientd")
    dbus_name = attempt(_read_bus_name, file.d_bus_name, root)
    arq = root.tables["ARQ"]
    state_file = attempt(arq.absolute_path, "StateFile", file.arq.state_file, "/var/lib/kpclientd/state")
    kem = attempt(read_kem, file.wire_kem_scheme, root)
    listen = attempt(read_listen, file.listen, root)
    if pinned is None:
        fix = "add [[PinnedGateways.Gateways]] tables"
        faults.found.append(root.fault("", "config: No PinnedGateways block was present", fix))
    geometry = attempt(read_geometry, file.sphinx_geometry, root)
    pigeonhole_geometry = attempt(_derive_pigeonhole, geometry, root) if geometry is not None else None
    status_page = attempt(_read_status, file.status, root.tables["Status"])
    logging = attempt(_read_logging, file.logging, root.tables["Logging"])
    proxy = read_proxy(file.upstream_proxy)
    attempt(check_proxy, proxy, root)
    if not hostnames_allowed:
        attempt(require_ip_listener, file.listen, root)
    metrics = attempt(_read_metrics, file.metrics_address, root, hostnames_allowed)
    if not hostnames_allowed:
        attempt(require_literal_gateways, gateways, root)
    are_all_gateways_good = pinned is not None and len(gateways) == len(pinned.gateways)
    if pinned is not None and are_all_gateways_good and kem is not None:
        attempt(require_common_kem, pinned, root, kem)
    if are_all_gateways_good:
        attempt(require_dialled, gateways, root, proxy, hostnames_allowed=hostnames_allowed)
    if not hostnames_allowed:
        attempt(require_literal_authorities, authorities, root)
    if voting is not None:
        attempt(_check_max_consensus_size, voting, root)
    if voting is None or not voting.peers:
        faults.found.append(_no_authority(root))
    if faults.found:
        return None
    assert kem is not None and listen is not None and logging is not None and grace_period is not None
    assert dbus_name is not None
    assert geometry is not None and pigeonhole_geometry is not None and voting is not None
    return ClientConfig(
        path=root.path,
        pki_signature_scheme=file.pki_signature_scheme,
        wire_kem_scheme=kem.name,
        preferred_transports=file.prefered_transports,
        metrics=metrics,
        allow_hostname_addresses=hostnames_allowed,
        session_grace_period=grace_period,
        listen=listen,
        tell_routes=file.listen.tell_routes,
        logging=logging,
        upstream_proxy=proxy,
        debug=file.debug,
        limits=file.limits,
        geometry=geometry,
        pigeonhole_geometry=pigeonhole_geometry,
        pinned_gateways=gateways,
        authorities=authorities,
        epoch_duration=epoch_duration,
        data_dir=data_dir,
        dbus_name=dbus_name,
        max_consensus_size=voting.max_consensus_size,
        ignored_keys=root.unknown_keys(),
        ignored_in_entries=root.unknown_keys_of_entries(),
        arq=Arq(state_file),
        status_page=status_page,
        hints=root.hints(),
        file=file,
    )


def _read_epoch_duration(value: str | int | None, root: Place) -> float | None:
    if value is None:
        return None
    seconds = _read_duration(PERIOD_KEY, value, root, 'write "20m"')
    try:
        check_configured_period(seconds)
    except EpochError as error:
        raise root.fault(
            PERIOD_KEY, f"config: {PERIOD_KEY}: {error}", "write what the network's operators say"
        ) from None
    return seconds


def _read_grace_period(value: str | int, root: Place) -> float:
    seconds = _read_duration("SessionGracePeriod", value, root, 'write "10m" or "30s"')
    return seconds if seconds > 0 else parse_duration(DEFAULT_GRACE_PERIOD)


def _read_duration(key: str, value: str | int, root: Place, fix: str) -> float:
    """Seconds of a duration in Go's syntax, or of so many nanoseconds."""
    if isinstance(value, int):
        return value / NANOSECONDS_PER_SECOND
    try:
        return parse_duration(value)
    except EpochError as error:
        raise root.fault(key, f'invalid duration: "{value}"', fix) from error


def _derive_pigeonhole(geometry: Geometry, root: Place) -> PigeonholeGeometry:
    try:
        return PigeonholeGeometry.derive(geometry)
    except PigeonholeGeometryError as error:
        fault = f"config: cannot derive a Pigeonhole geometry from the SphinxGeometry: {error}"
        raise root.fault("", fault) from error


def _read_bus_name(name: str, root: Place) -> str:
    if name and (fault := fault_of_bus_name(name)):
        raise root.fault("DBusName", fault)
    return name


def _read_logging(table: LoggingTable, place: Place) -> Logging:
    level, file = table.level.upper(), Path(table.file) if table.file else None
    if level not in LEVELS:
        fix = f"expected one of {', '.join(LEVELS)}"
        raise place.fault("", f"config: Logging: Level '{table.level}' is invalid", fix)
    if file is not None and not table.disable and not file.is_absolute():
        raise place.fault("File", "log file path must be absolute path", f"not '{file}'")
    form = table.format.lower()
    if form not in LOG_FORMATS:
        raise place.fault("Format", f"is '{table.format}'", f"expected one of {', '.join(LOG_FORMATS)}")
    return Logging(table.disable, file, level, form)


def _read_metrics(address: str, root: Place, hostnames_allowed: bool) -> WebAddress | None:
    if not address:
        return None
    try:
        if not hostnames_allowed:
            require_ip_address(address)
        return WebAddress(*split_host_port(address))
    except AddressError as error:
        raise root.fault("MetricsAddress", f"config: MetricsAddress: {error}") from error


def _read_status(table: StatusTable, place: Place) -> WebAddress | None:
    token_file = place.absolute_path("TokenFile", table.token_file, "/etc/kpclientd/status-token")
    if not table.address:
        if token_file is not None:
            raise place.fault("TokenFile", "guards a page that there is not", 'add Address = "127.0.0.1:30098"')
        return None
    fix = 'write "127.0.0.1:30098" or "[::1]:30098"; a page for other machines goes through ssh -L or a proxy'
    try:
        host, port = split_host_port(table.address)
    except AddressError as error:
        raise place.fault("Address", str(error), fix) from error
    address = ip_literal(host)
    if address is None or not address.is_loopback:
        raise place.fault("Address", f'is "{table.address}", which is no address of this machine alone', fix)
    return WebAddress(host, port, token_file)


def _check_max_consensus_size(table: AuthoritiesTable, root: Place) -> None:
    size, place = table.max_consensus_size, root.tables["VotingAuthority"]
    if size < 0:
        raise place.fault("", "config: VotingAuthority.MaxConsensusSize must not be negative", "0 is the default")
    if size > LARGEST_CONSENSUS:
        raise place.fault("", f"config: VotingAuthority.MaxConsensusSize must not exceed {LARGEST_CONSENSUS}")


def _no_authority(root: Place) -> ConfigError:
    return ConfigError(
        root.path,
        "no directory authority is configured, so no document could ever be verified",
        table="VotingAuthority",
        fix="copy the network's [[VotingAuthority.Peers]] tables",
    )
