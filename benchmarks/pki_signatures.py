"""What the authorities' signatures cost: one of each kind, and those of nine authorities up to their threshold."""

from collections.abc import Iterator

from benchmarks.timing import Row, median_seconds
from pki.certificate import Verifier, issue, threshold
from pki.errors import SigningUnavailableError
from pki.signatures import SIGNATURE_SCHEMES, SignatureScheme, SigningKey, signature_scheme
from sphinx.randomness import seeded

AUTHORITIES = 9
CERTIFIED = 100_000
EXPIRATION = 100
REPEATS = 15
SLOW_REPEATS = 3


def rows() -> Iterator[Row]:
    """Name and median seconds of each; the floor of a hybrid is that of its parts."""
    message = bytes(CERTIFIED)
    alone: dict[str, float] = {}
    for scheme in SIGNATURE_SCHEMES:
        try:
            key = scheme.generate(seeded(b"benchmark"))
        except SigningUnavailableError:
            continue
        seconds = _verify(key, message)
        alone[scheme.name] = seconds
        yield f"{scheme.name}: one signature verified", seconds, None
    for name in ("Ed25519", "Ed25519 Sphincs+"):
        scheme = signature_scheme(name)
        floor = threshold(AUTHORITIES) * alone[name]
        yield f"{name}: {threshold(AUTHORITIES)} of {AUTHORITIES} verified", _certificate(scheme), floor
    key = signature_scheme("Sphincs+").generate(seeded(b"benchmark"))
    yield "Sphincs+: signed", median_seconds(lambda: key.sign(message), SLOW_REPEATS), None


def _verify(key: SigningKey, message: bytes) -> float:
    signature = key.sign(message)
    return median_seconds(lambda: key.scheme.verify(key.public_key, message, signature), REPEATS)


def _certificate(scheme: SignatureScheme) -> float:
    keys = [scheme.generate(seeded(b"authority %d" % number)) for number in range(AUTHORITIES)]
    certificate = issue(bytes(CERTIFIED), EXPIRATION, keys)
    verifiers = [Verifier(f"auth{number}", scheme, key.public_key) for number, key in enumerate(keys)]
    return median_seconds(lambda: certificate.verify_threshold(verifiers, threshold(AUTHORITIES), 0), REPEATS)
