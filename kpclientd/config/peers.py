"""The parties whose keys the configuration pins: gateways to dial and authorities to believe."""

from collections.abc import Iterable
from typing import Final

from kpclientd.addresses import AddressError, parse_url, require_ip_literal, scheme_of
from kpclientd.config.client_file import AuthoritiesTable, AuthorityTable, GatewaysTable, GatewayTable, PublicKey
from kpclientd.config.model import Authority, PinnedGateway
from kpclientd.config.place import Place
from kpclientd.config.reader import Faults
from kpclientd.config.toml import type_name
from kpclientd.errors import ConfigError
from kpclientd.transports import PEER_SCHEMES, TRANSPORTS, UpstreamProxy, dialled_schemes, target_of
from pki.errors import PemError, PkiError
from pki.pem import decode_pem, encode_pem
from pki.signatures import SignatureScheme, signature_scheme
from sphinx.crypto.kem import Kem, kem_scheme
from sphinx.errors import SphinxError
from sphinx.schemes import supported

_KEM_KEY: Final = "WireKEMScheme"


def read_kem(name: str, place: Place) -> Kem:
    """The KEM that `WireKEMScheme` of a table names; the two first texts are the reference's.

    Raises:
        ConfigError: the name is missing, or this version has no such KEM.
    """
    if not name:
        raise place.fault("", f"{_KEM_KEY} is empty string", "name the network's KEM, such as xwing")
    try:
        scheme = supported("KEM", name)
    except SphinxError as error:
        raise place.fault("", f"{_KEM_KEY} is nil", str(error)) from error
    if scheme.slow:
        fix = "it would hold up the daemon for seconds"
        raise place.fault(_KEM_KEY, f"{name} is not supported by this version", fix)
    return kem_scheme(name)


def read_gateways(table: GatewaysTable | None, root: Place, faults: Faults) -> tuple[PinnedGateway, ...]:
    """All `[[PinnedGateways.Gateways]]` that are good; of each other one the first fault is noted."""
    if table is None:
        return ()
    entries = zip(table.gateways, root.tables["PinnedGateways"].entries["Gateways"], strict=True)
    read = [(faults.attempt(_read_gateway, gateway, place), place) for gateway, place in entries]
    good = [(gateway, place) for gateway, place in read if gateway is not None]
    faults.attempt(_refuse_doubled, "IdentityKey", [(one.name, one.identity_key, place) for one, place in good])
    return tuple(gateway for gateway, _ in good)


def read_authorities(table: AuthoritiesTable | None, root: Place, faults: Faults) -> tuple[Authority, ...]:
    """All `[[VotingAuthority.Peers]]` that are good; of each other one the first fault is noted.

    Their addresses are kept as they are, since a client never dials them.
    """
    if table is None:
        return ()
    entries = zip(table.peers, root.tables["VotingAuthority"].entries["Peers"], strict=True)
    read = [(faults.attempt(_read_authority, peer, place), place) for peer, place in entries]
    good = [(authority, place) for authority, place in read if authority is not None]
    keys = [(one.identifier, one.identity_public_key, place) for one, place in good]
    faults.attempt(_refuse_doubled, "IdentityPublicKey", keys)
    return tuple(authority for authority, _ in good)


def _refuse_doubled(key: str, entries: Iterable[tuple[str, bytes, Place]]) -> None:
    """Refuse a key that two entries have: of an authority that counts twice no document has signatures enough."""
    names: dict[bytes, str] = {}
    for name, identity, place in entries:
        if identity in names:
            raise place.fault(key, f"is that of {names[identity]}, which stands before it", "remove one of the two")
        names[identity] = name


def require_literal_gateways(gateways: Iterable[PinnedGateway], root: Place) -> None:
    """Refuse gateways whose addresses need DNS.

    Raises:
        ConfigError: the first such address.
    """
    for gateway in gateways:
        label = f'PinnedGateway "{gateway.name}"'
        _require_literals(root.tables["PinnedGateways"], "Gateways", label, gateway.addresses)


def require_literal_authorities(authorities: Iterable[Authority], root: Place) -> None:
    """Refuse authorities whose addresses need DNS.

    Raises:
        ConfigError: the first such address.
    """
    for authority in authorities:
        label = f'VotingAuthority peer "{authority.identifier}"'
        _require_literals(root.tables["VotingAuthority"], "Peers", label, authority.addresses)


def require_common_kem(table: GatewaysTable, root: Place, kem: Kem) -> None:
    """Refuse a gateway whose KEM is not the daemon's.

    Raises:
        ConfigError: the first such gateway.
    """
    for gateway, place in zip(table.gateways, root.tables["PinnedGateways"].entries["Gateways"], strict=True):
        if (other := read_kem(gateway.wire_kem_scheme, place).name) != kem.name:
            fault = f"is {other}, and the daemon's own is {kem.name}: their handshake cannot succeed"
            raise place.fault(_KEM_KEY, fault, "make the two equal")


def require_dialled(
    gateways: Iterable[PinnedGateway], root: Place, proxy: UpstreamProxy, *, hostnames_allowed: bool
) -> None:
    """Refuse gateways none of which could ever be dialled; no gateways at all pass.

    Raises:
        ConfigError: there are gateways, and none has an address for this version.
    """
    addresses = [address for gateway in gateways for address in gateway.addresses]
    if addresses and not any(_is_dialled(address, proxy, hostnames_allowed) for address in addresses):
        has_onion = any(scheme_of(address) == "onion" for address in addresses) and not proxy.is_tor
        tor = ', or reach onion addresses by [UpstreamProxy] Type = "tor+socks5"' if has_onion else ""
        way = f"through the {proxy.type} proxy of [UpstreamProxy]" if proxy.is_used else "without a proxy"
        raise root.tables["PinnedGateways"].fault(
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


def _read_gateway(entry: GatewayTable, place: Place) -> PinnedGateway:
    kem = read_kem(entry.wire_kem_scheme, place)
    name = place.required("Name", entry.name)
    scheme = _read_signature_scheme(entry.pki_signature_scheme, place)
    return PinnedGateway(
        name=name,
        identity_key=_read_key(
            "IdentityKey", entry.identity_key, entry.link_key, place, scheme.name, scheme.public_key_length
        ),
        link_key=_read_key("LinkKey", entry.link_key, entry.identity_key, place, kem.name, kem.public_key_length),
        addresses=_read_gateway_addresses(entry.addresses, place, name),
    )


def _read_authority(entry: AuthorityTable, place: Place) -> Authority:
    identifier = place.required("Identifier", entry.identifier)
    scheme = _read_signature_scheme(entry.pki_signature_scheme, place)
    identity_key = _read_key(
        "IdentityPublicKey",
        entry.identity_public_key,
        entry.link_public_key,
        place,
        scheme.name,
        scheme.public_key_length,
    )
    try:
        scheme.check_public_key(identity_key)
    except PkiError as error:
        raise place.fault("IdentityPublicKey", str(error), "ask the authority's operator for its key") from error
    kem = read_kem(entry.wire_kem_scheme, place)
    link_key = _read_key(
        "LinkPublicKey", entry.link_public_key, entry.identity_public_key, place, kem.name, kem.public_key_length
    )
    addresses = entry.addresses
    if not addresses or not all(addresses):
        raise place.fault("Addresses", "is missing or has an empty element", "expected an array of URLs")
    return Authority(
        identifier=identifier,
        pki_signature_scheme=scheme.name,
        wire_kem_scheme=kem.name,
        addresses=addresses,
        identity_public_key=identity_key,
        link_public_key=link_key,
        identity_public_key_pem=_write_key("IdentityPublicKey", place, scheme.name, identity_key),
        link_public_key_pem=_write_key("LinkPublicKey", place, kem.name, link_key),
    )


def _read_signature_scheme(name: str, place: Place) -> SignatureScheme:
    try:
        return signature_scheme(place.required("PKISignatureScheme", name))
    except PkiError as error:
        raise place.fault("PKISignatureScheme", str(error)) from error


def _read_key(key: str, value: PublicKey, other: PublicKey, place: Place, scheme_name: str, length: int) -> bytes:
    """The public key under `key`; `other` is the entry's second one, for which it may have been mistaken."""
    if value == {}:  # what the reference's generator of configurations makes of hybrid keys
        fault = f"is an empty table: whatever wrote this file could not write {scheme_name} keys"
        raise place.fault(key, fault, f'remove the table and write {key} = """...""", with the PEM of the public key')
    if not isinstance(value, str):
        raise place.fault(key, f"is {type_name(value)}", "expected a string")
    try:
        return decode_pem(place.required(key, value), scheme_name, "PUBLIC", length)
    except PemError as error:
        are_swapped = isinstance(other, str) and _is_key(other, scheme_name, length)
        fix = "the two keys of this entry are swapped" if are_swapped else "copy the key again from its owner's file"
        raise place.fault(key, str(error), fix) from error


def _is_key(text: str, scheme_name: str, length: int) -> bool:
    try:
        decode_pem(text, scheme_name, "PUBLIC", length)
    except PemError:
        return False
    return True


def _write_key(key: str, place: Place, scheme_name: str, raw: bytes) -> str:
    try:
        return encode_pem(scheme_name, "PUBLIC", raw)
    except PemError as error:
        raise place.fault(key, str(error)) from error


def _read_gateway_addresses(addresses: tuple[str, ...], place: Place, name: str) -> tuple[str, ...]:
    for address in addresses:
        try:
            url = parse_url(address)
        except AddressError as error:
            raise place.fault("Addresses", f"Address URL decode failure: {error}") from error
        if url.scheme not in PEER_SCHEMES:
            fix = f"expected one of {', '.join(PEER_SCHEMES)}"
            raise place.fault("Addresses", f"Address Invalid Scheme: {url.scheme} in {address}", fix)
        if url.port is None:
            raise place.fault("Addresses", f'address "{address}" has no port', "write scheme://host:port")
    if not addresses:
        raise place.fault("Addresses", f'No valid Addresses in gateway "{name}"', "add its URL, scheme://host:port")
    return addresses


def _require_literals(place: Place, key: str, label: str, addresses: tuple[str, ...]) -> None:
    for address in addresses:
        try:
            require_ip_url(address)
        except AddressError as error:
            raise ConfigError(
                place.path, f"config: {label}: {error}", table=f"{place.name}.{key}", key="Addresses"
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
