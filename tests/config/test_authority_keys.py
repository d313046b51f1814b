"""Keys of every scheme in a client.toml: the public network's, weak ones, and what generators leave out."""

from pathlib import Path

import pytest

from kpclientd.config.load import load_config
from kpclientd.errors import ConfigError
from pki.certificate import Verifier
from pki.pem import encode_block, encode_pem
from pki.signatures import SIGNATURE_SCHEMES, SignatureScheme, signature_scheme
from sphinx.randomness import seeded
from tests.config.samples import authority, gateway, link_key, link_pem, literal_toml, written

KEM = "Kyber768-X25519"
PUBLIC_NETWORK = "Ed25519 Sphincs+"


def identity_pem(scheme_name: str, owner: str) -> str:
    scheme = signature_scheme(scheme_name)
    return encode_pem(scheme_name, "PUBLIC", scheme.generate(seeded(owner.encode())).public_key)


def public_network(**replaced: str | None) -> str:
    """The shape of the file for the public network: a hybrid scheme, an old KEM, a Unix socket, two addresses each."""
    addresses = '["tcp://192.0.2.1:443", "tcp://[2001:db8::1]:443"]'
    common = {"PKISignatureScheme": f'"{PUBLIC_NETWORK}"', "WireKEMScheme": '"KYBER768-X25519"', "Addresses": addresses}
    gateways = [
        gateway(
            name,
            **common,
            IdentityKey=f'"""{identity_pem(PUBLIC_NETWORK, name)}"""',
            LinkKey=f'"""{link_pem(name, KEM)}"""',
        )
        for name in ("gateway1", "gateway2", "gateway3")
    ]
    authorities = [
        authority(
            name,
            **common,
            IdentityPublicKey=f'"""{identity_pem(PUBLIC_NETWORK, name)}"""',
            LinkPublicKey=f'"""{link_pem(name, KEM)}"""',
            BindAddresses='["tcp://0.0.0.0:443"]',
        )
        for name in ("auth1", "auth2", "auth3", "auth4", "auth5", "auth6")
    ]
    return literal_toml(
        **{
            "PKISignatureScheme": f'PKISignatureScheme = "{PUBLIC_NETWORK}"',
            "WireKEMScheme": 'WireKEMScheme = "KYBER768-X25519"',
            "Listen": '[Listen]\n  [Listen.Unix]\n    Address = "@katzenpost"',
            "PinnedGateways": "[PinnedGateways]\n" + "\n".join(gateways),
            "VotingAuthority": "[VotingAuthority]\n" + "\n".join(authorities),
            **replaced,
        }
    )


def refusal(folder: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load_config(written(folder, text))
    return str(caught.value)


def test_the_public_network_s_file_passes_strictly(tmp_path: Path) -> None:
    config = load_config(written(tmp_path, public_network()), strict=True)
    assert config.wire_kem_scheme == KEM
    assert len(config.pinned_gateways) == 3
    (warning,) = config.warnings()
    assert "ignored: VotingAuthority.Peers.BindAddresses" in warning
    scheme = signature_scheme(PUBLIC_NETWORK)
    for known in config.authorities:
        assert known.pki_signature_scheme == PUBLIC_NETWORK
        assert known.identity_public_key_pem == identity_pem(PUBLIC_NETWORK, known.identifier)
        assert known.link_public_key == link_key(known.identifier, KEM)
        Verifier(known.identifier, scheme, known.identity_public_key)


@pytest.mark.parametrize(
    "scheme",
    [scheme for scheme in SIGNATURE_SCHEMES if not scheme.name.startswith("Falcon")],
    ids=lambda scheme: scheme.name,
)
def test_an_authority_may_have_a_key_of_any_scheme(tmp_path: Path, scheme: SignatureScheme) -> None:
    entry = authority(
        "auth1",
        Addresses='["tcp://127.0.0.1:1"]',
        PKISignatureScheme=f'"{scheme.name.upper()}"',
        IdentityPublicKey=f'"""{identity_pem(scheme.name, "auth1")}"""',
    )
    config = load_config(written(tmp_path, literal_toml(VotingAuthority=f"[VotingAuthority]\n{entry}")), strict=True)
    assert config.authorities[0].pki_signature_scheme == scheme.name
    assert config.authorities[0].identity_public_key == scheme.generate(seeded(b"auth1")).public_key


@pytest.mark.parametrize(
    ("scheme_name", "key", "fault"),
    [
        ("Ed25519", bytes(32), "the Ed25519 key is all zero, which is a point of low order: anybody could sign for it"),
        ("Ed25519", b"\1" + bytes(31), "the Ed25519 key is a point of low order: anybody could sign for it"),
        ("Ed25519 Sphincs+", b"\1" + bytes(31) + b"\5" * 64, "the Ed25519 key is a point of low order"),
        ("ML-DSA-44-Ed25519", b"\5" * 1312 + bytes(32), "the Ed25519 key is all zero"),
        ("Falcon-padded-512-Ed25519", bytes(897) + b"\5" * 32, "the Falcon-padded-512 key encodes no polynomial"),
    ],
)
def test_a_key_that_no_authority_can_have_is_refused_at_once(
    tmp_path: Path, scheme_name: str, key: bytes, fault: str
) -> None:
    label = f"{scheme_name.upper()} PUBLIC KEY"
    entry = authority(
        "auth1", PKISignatureScheme=f'"{scheme_name}"', IdentityPublicKey=f'"""{encode_block(label, key)}"""'
    )
    message = refusal(tmp_path, literal_toml(VotingAuthority=f"[VotingAuthority]\n{entry}"))
    assert f"[VotingAuthority.Peers #1] IdentityPublicKey: {fault}" in message
    assert "ask the authority's operator" in message


@pytest.mark.parametrize(
    ("section", "header", "key", "where"),
    [
        ("PinnedGateways", "PinnedGateways.Gateways", "IdentityKey", "[PinnedGateways.Gateways #1] IdentityKey"),
        (
            "VotingAuthority",
            "VotingAuthority.Peers",
            "IdentityPublicKey",
            "[VotingAuthority.Peers #1] IdentityPublicKey",
        ),
    ],
)
def test_the_empty_tables_that_a_generator_writes_for_hybrid_keys_are_explained(
    tmp_path: Path, section: str, header: str, key: str, where: str
) -> None:
    make = gateway if section == "PinnedGateways" else authority
    entry = make("name1", **{key: None, "PKISignatureScheme": f'"{PUBLIC_NETWORK}"', "Addresses": '["tcp://[::1]:1"]'})
    text = literal_toml(**{section: f"[{section}]\n{entry}    [{header}.{key}]\n"})
    message = refusal(tmp_path, text)
    assert f"{where}: is an empty table: whatever wrote this file could not write Ed25519 Sphincs+ keys" in message
    assert f'remove the table and write {key} = """...""", with the PEM of the public key' in message
