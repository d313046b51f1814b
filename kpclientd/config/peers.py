"""The parties whose keys the configuration pins: gateways to dial and authorities to believe."""

from kpclientd.addresses import (
    AddressError,
    parse_url,
    require_ip_literal,
    scheme_of,
)
from kpclientd.config.model import Authority, PinnedGateway
from kpclientd.config.table import Table
from kpclientd.errors import ConfigError
from kpclientd.transports import PEER_SCHEMES, TRANSPORTS, UpstreamProxy, dialled_schemes, target_of
from pki.errors import PemError, PkiError
from pki.pem import decode_pem, encode_pem
from pki.signatures import SignatureScheme, signature_scheme
from sphinx.crypto.kem import Kem, kem_scheme
from sphinx.errors import SphinxError
from sphinx.schemes import supported


def read_kem(table: Table, key: str = "WireKEMScheme") -> Kem:
    """The KEM that `key` names; the two first texts are the reference's.

    Raises:
        ConfigError: the name is missing, or this version has no such KEM.
    """
    name = table.string(key)
    if not name:
        raise table.fault("", f"{key} is empty string", "name the network's KEM, such as xwing")
    try:
        scheme = supported("KEM", name)
    except SphinxError as error:
        raise table.fault("", f"{key} is nil", str(error)) from error
    if scheme.slow:
        raise table.fault(key, f"{name} is not supported by this version", "it would hold up the daemon for seconds")
    return kem_scheme(name)


def read_gateways(pinned: Table) -> tuple[PinnedGateway, ...]:
    """Read `[[PinnedGateways.Gateways]]`.

    Raises:
        ConfigError: a key is missing or mistyped, a scheme unknown, a PEM bad, or an address none.
    """
    return tuple(_read_gateway(entry) for entry in pinned.entries("Gateways"))


def read_authorities(voting: Table) -> tuple[Authority, ...]:
    """Read `[[VotingAuthority.Peers]]`; their addresses are kept as they are, since a client never dials them.

    Raises:
        ConfigError: a key is missing or mistyped, a scheme unknown, or a PEM bad.
    """
    return tuple(_read_authority(entry) for entry in voting.entries("Peers"))


def check_gateways(
    pinned: Table, gateways: tuple[PinnedGateway, ...], kem: Kem, proxy: UpstreamProxy, *, hostnames_allowed: bool
) -> None:
    """Refuse gateways whose addresses need DNS, unless that is allowed, and those that could never be connected to.

    Raises:
        ConfigError: the first such gateway.
    """
    if not hostnames_allowed:
        for gateway in gateways:
            _require_literals(pinned, "Gateways", f'PinnedGateway "{gateway.name}"', gateway.addresses)
    for entry in pinned.entries("Gateways"):
        if (other := read_kem(entry).name) != kem.name:
            fault = f"is {other}, and the daemon's own is {kem.name}: their handshake cannot succeed"
            raise entry.fault("WireKEMScheme", fault, "make the two equal")
    addresses = [address for gateway in gateways for address in gateway.addresses]
    if addresses and not any(_is_dialled(address, proxy, hostnames_allowed) for address in addresses):
        has_onion = any(scheme_of(address) == "onion" for address in addresses) and not proxy.is_tor
        tor = ', or reach onion addresses by [UpstreamProxy] Type = "tor+socks5"' if has_onion else ""
        way = f"through the {proxy.type} proxy of [UpstreamProxy]" if proxy.is_used else "without a proxy"
        raise pinned.fault(
            "Gateways",
            f"no gateway has an address that this version can dial {way}",
            f"add one that begins with {' or '.join(f'{scheme}://' for scheme in dialled_schemes(proxy))}{tor}",
        )


def _is_dialled(address: str, proxy: UpstreamProxy, hostnames_allowed: bool) -> bool:
    try:
        target_of(address, proxy, hostnames_allowed=hostnames_allowed)
    except AddressError:
        return False
    return True


def check_authorities(voting: Table, authorities: tuple[Authority, ...], *, hostnames_allowed: bool) -> None:
    """Refuse authority addresses that need DNS, unless that is allowed.

    Raises:
        ConfigError: the first such address.
    """
    if not hostnames_allowed:
        for authority in authorities:
            label = f'VotingAuthority peer "{authority.identifier}"'
            _require_literals(voting, "Peers", label, authority.addresses)


def _read_gateway(entry: Table) -> PinnedGateway:
    kem = read_kem(entry)
    name = entry.required_string("Name")
    scheme = _read_signature_scheme(entry)
    return PinnedGateway(
        name=name,
        identity_key=_read_key(entry, "IdentityKey", scheme.name, scheme.public_key_length),
        link_key=_read_key(entry, "LinkKey", kem.name, kem.public_key_length),
        addresses=_read_gateway_addresses(entry, name),
    )


def _read_authority(entry: Table) -> Authority:
    identifier = entry.required_string("Identifier")
    scheme = _read_signature_scheme(entry)
    identity_key = _read_key(entry, "IdentityPublicKey", scheme.name, scheme.public_key_length)
    try:
        scheme.check_public_key(identity_key)
    except PkiError as error:
        raise entry.fault("IdentityPublicKey", str(error), "ask the authority's operator for its key") from error
    kem = read_kem(entry)
    link_key = _read_key(entry, "LinkPublicKey", kem.name, kem.public_key_length)
    addresses = entry.strings("Addresses")
    if not addresses or not all(addresses):
        raise entry.fault("Addresses", "is missing or has an empty element", "expected an array of URLs")
    return Authority(
        identifier=identifier,
        pki_signature_scheme=scheme.name,
        wire_kem_scheme=kem.name,
        addresses=addresses,
        identity_public_key=identity_key,
        link_public_key=link_key,
        identity_public_key_pem=_write_key(entry, "IdentityPublicKey", scheme.name, identity_key),
        link_public_key_pem=_write_key(entry, "LinkPublicKey", kem.name, link_key),
    )


def _read_signature_scheme(entry: Table) -> SignatureScheme:
    name = entry.required_string("PKISignatureScheme")
    try:
        return signature_scheme(name)
    except PkiError as error:
        raise entry.fault("PKISignatureScheme", str(error)) from error


def _read_key(entry: Table, key: str, scheme_name: str, length: int) -> bytes:
    if entry.holds_empty_table(key):  # what the reference's generator of configurations makes of hybrid keys
        fault = f"is an empty table: whatever wrote this file could not write {scheme_name} keys"
        raise entry.fault(key, fault, f'remove the table and write {key} = """...""", with the PEM of the public key')
    try:
        return decode_pem(entry.required_string(key), scheme_name, "PUBLIC", length)
    except PemError as error:
        raise entry.fault(key, str(error), "copy the key again from its owner's file") from error


def _write_key(entry: Table, key: str, scheme_name: str, raw: bytes) -> str:
    try:
        return encode_pem(scheme_name, "PUBLIC", raw)
    except PemError as error:
        raise entry.fault(key, str(error)) from error


def _read_gateway_addresses(entry: Table, name: str) -> tuple[str, ...]:
    addresses = entry.strings("Addresses")
    for address in addresses:
        try:
            url = parse_url(address)
        except AddressError as error:
            raise entry.fault("Addresses", f"Address URL decode failure: {error}") from error
        if url.scheme not in PEER_SCHEMES:
            fix = f"expected one of {', '.join(PEER_SCHEMES)}"
            raise entry.fault("Addresses", f"Address Invalid Scheme: {url.scheme} in {address}", fix)
        if url.port is None:
            raise entry.fault("Addresses", f'address "{address}" has no port', "write scheme://host:port")
    if not addresses:
        raise entry.fault("Addresses", f'No valid Addresses in gateway "{name}"', "add its URL, scheme://host:port")
    return addresses


def _require_literals(table: Table, key: str, label: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        try:
            require_ip_url(address)
        except AddressError as error:
            raise ConfigError(
                table.path, f"config: {label}: {error}", table=f"{table.name}.{key}", key="Addresses"
            ) from error


def require_ip_url(text: str) -> None:
    """Refuse an address URL that only DNS could resolve; onion addresses are resolved by Tor and pass.

    Raises:
        AddressError: the host is a name, the port is missing, or the scheme is none of `PEER_SCHEMES`.
    """
    url = parse_url(text)
    if url.scheme not in PEER_SCHEMES:
        raise AddressError(f'address "{text}" has scheme "{url.scheme}", expected {" or ".join(PEER_SCHEMES)}')
    if TRANSPORTS[url.scheme].resolved_elsewhere:
        return
    if url.host.lower().endswith(".onion"):
        raise AddressError(f'address "{text}" has an onion name: write onion:// before it')
    require_ip_literal(text, url.host)
    if url.port is None:
        raise AddressError(f'address "{text}" has no port')
