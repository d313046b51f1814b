"""Configurations as the reference's generator writes them for its Docker network, with keys made on the spot."""

from functools import cache
from pathlib import Path

from pki.pem import encode_pem
from pki.signatures import signature_scheme
from sphinx.crypto.kem import kem_scheme
from sphinx.geometry import Geometry
from sphinx.randomness import seeded


@cache
def identity_key(name: str) -> bytes:
    return signature_scheme("Ed25519").generate(seeded(name.encode())).public_key


@cache
def link_key(name: str, kem: str = "xwing") -> bytes:
    return kem_scheme(kem).generate(seeded(name.encode())).public_key


def identity_pem(name: str) -> str:
    return encode_pem("Ed25519", "PUBLIC", identity_key(name))


def link_pem(name: str, kem: str = "xwing") -> str:
    return encode_pem(kem, "PUBLIC", link_key(name, kem))


def gateway(name: str = "gateway1", **replaced: str | None) -> str:
    """One gateway's table; a key of `replaced` gets another TOML value, or goes where that is None."""
    return _table(
        "  [[PinnedGateways.Gateways]]",
        {
            "WireKEMScheme": '"xwing"',
            "Name": f'"{name}"',
            "IdentityKey": f'"""{identity_pem(name)}"""',
            "LinkKey": f'"""{link_pem(name)}"""',
            "PKISignatureScheme": '"Ed25519"',
            "Addresses": f'["tcp://{name}:30004"]',
            **replaced,
        },
    )


def authority(name: str, **replaced: str | None) -> str:
    """One authority's table; `replaced` as for `gateway`."""
    return _table(
        "  [[VotingAuthority.Peers]]",
        {
            "Identifier": f'"{name}"',
            "IdentityPublicKey": f'"""{identity_pem(name)}"""',
            "PKISignatureScheme": '"Ed25519"',
            "LinkPublicKey": f'"""{link_pem(name)}"""',
            "WireKEMScheme": '"xwing"',
            "Addresses": f'["tcp://{name}:30001"]',
            **replaced,
        },
    )


def client_toml(**replaced: str | None) -> str:
    """The whole file in the generator's order; a section of `replaced` gets another text, or goes where it is None."""
    sections: dict[str, str | None] = {
        "PKISignatureScheme": 'PKISignatureScheme = "Ed25519"',
        "WireKEMScheme": 'WireKEMScheme = "xwing"',
        "MetricsAddress": 'MetricsAddress = ""',
        "AllowHostnameAddresses": "AllowHostnameAddresses = true",
        "SessionGracePeriod": 'SessionGracePeriod = "30s"',
        "top": "",
        "Listen": '[Listen]\n  [Listen.Tcp]\n    Address = "kpclientd:64331"\n    Network = "tcp"',
        "SphinxGeometry": Geometry.nike("x25519", 5, 2000).toml(),
        "Logging": '[Logging]\n  Disable = false\n  File = ""\n  Level = "DEBUG"',
        "UpstreamProxy": (
            '[UpstreamProxy]\n  Type = "none"\n  Network = ""\n  Address = ""\n  User = ""\n  Password = ""'
        ),
        "Debug": (
            "[Debug]\n  DisableDecoyTraffic = true\n  SessionDialTimeout = 0\n  InitialMaxPKIRetrievalDelay = 0\n"
            "  PollingInterval = 0\n  EnableTimeSync = false"
        ),
        "PinnedGateways": "[PinnedGateways]\n" + gateway(),
        "VotingAuthority": "[VotingAuthority]\n" + "".join(authority(f"auth{number}") for number in (1, 2, 3)),
        **replaced,
    }
    return "\n".join(text for text in sections.values() if text is not None) + "\n"


def literal_toml(**replaced: str | None) -> str:
    """The file with IP literals in all places and no leave to use names."""
    literal: dict[str, str | None] = {
        "AllowHostnameAddresses": None,
        "Listen": '[Listen]\n  [Listen.Tcp]\n    Address = "127.0.0.1:64331"',
        "PinnedGateways": "[PinnedGateways]\n" + gateway(Addresses='["tcp://127.0.0.1:30004"]'),
        "VotingAuthority": "[VotingAuthority]\n" + authority("auth1", Addresses='["tcp://127.0.0.1:30001"]'),
    }
    return client_toml(**{**literal, **replaced})


def written(folder: Path, text: str, name: str = "client.toml") -> Path:
    """The path of a new file with that text."""
    path = folder / name
    path.write_text(text)
    return path


def _table(header: str, values: dict[str, str | None]) -> str:
    lines = [f"    {key} = {value}" for key, value in values.items() if value is not None]
    return "\n".join([header, *lines]) + "\n"
